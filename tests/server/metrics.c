// metrics.c - server/metrics.h: the text format, escapes, buckets, quantiles, and sums added to by several threads.
#include "metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

static void about(double found, double expected, double most) {
  if (!(fabs(found - expected) <= most)) fail_msg("found %.17g, expected %.17g", found, expected);
}

static const double bounds[] = {0.1, 0.5, 1, 2.5};
static const struct metric_family requests = {"t_requests_total", "Requests.", METRIC_COUNTER, NULL, 0},
                                  queue = {"t_queue", "A \\ and a\nline.", METRIC_GAUGE, NULL, 0},
                                  seconds = {"t_seconds", "Time.", METRIC_HISTOGRAM, bounds, 4};

static char *page(struct metrics *m) {
  struct buf b = {0};
  metrics_write(m, &b);
  char *text = buf_take(&b);
  assert_non_null(text);
  return text;
}

static void text_format(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  struct metric *a = metrics_series(m, &requests, (struct metric_label[]){{"model", "m"}, {"code", "200"}}, 2);
  struct metric *h = metrics_series(m, &seconds, (struct metric_label[]){{"model", "m"}}, 1);
  struct metric *bare = metrics_series(m, &seconds, NULL, 0);
  struct metric *g = metrics_series(m, &queue, NULL, 0);
  metric_add(metrics_series(m, &requests, (struct metric_label[]){{"model", "m"}, {"code", "500"}}, 2), 1);
  metric_add(a, 1);
  metric_add(a, 2);
  metric_set(g, -1.5);
  metric_observe(h, 0.1); // a bound belongs to its bucket
  metric_observe(h, 0.2);
  metric_observe(h, 3);
  metric_observe(h, NAN); // is no observation
  metric_observe(bare, 1);
  char *text = page(m);
  assert_string_equal(text,
                      "# HELP t_requests_total Requests.\n"
                      "# TYPE t_requests_total counter\n"
                      "t_requests_total{model=\"m\",code=\"200\"} 3\n"
                      "t_requests_total{model=\"m\",code=\"500\"} 1\n"
                      "# HELP t_seconds Time.\n"
                      "# TYPE t_seconds histogram\n"
                      "t_seconds_bucket{model=\"m\",le=\"0.1\"} 1\n"
                      "t_seconds_bucket{model=\"m\",le=\"0.5\"} 2\n"
                      "t_seconds_bucket{model=\"m\",le=\"1\"} 2\n"
                      "t_seconds_bucket{model=\"m\",le=\"2.5\"} 2\n"
                      "t_seconds_bucket{model=\"m\",le=\"+Inf\"} 3\n"
                      "t_seconds_sum{model=\"m\"} 3.3\n"
                      "t_seconds_count{model=\"m\"} 3\n"
                      "t_seconds_bucket{le=\"0.1\"} 0\n"
                      "t_seconds_bucket{le=\"0.5\"} 0\n"
                      "t_seconds_bucket{le=\"1\"} 1\n"
                      "t_seconds_bucket{le=\"2.5\"} 1\n"
                      "t_seconds_bucket{le=\"+Inf\"} 1\n"
                      "t_seconds_sum 1\n"
                      "t_seconds_count 1\n"
                      "# HELP t_queue A \\\\ and a\\nline.\n"
                      "# TYPE t_queue gauge\n"
                      "t_queue -1.5\n");
  free(text);
  assert_int_equal(metric_count(h), 3);
  about(metric_value(h), 3.3, 1e-12);
  about(metric_value(a), 3, 0);
  metrics_free(m);
}

static void numbers(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  struct metric *g = metrics_series(m, &queue, NULL, 0);
  static const struct {
    double value;
    const char *text;
  } cases[] = {{NAN, "NaN"},
               {INFINITY, "+Inf"},
               {-INFINITY, "-Inf"},
               {0.1, "0.1"},
               {1e300, "1e+300"},
               {123456789, "123456789"},
               {0.1 + 0.2, "0.30000000000000004"},
               {0, "0"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    metric_set(g, cases[i].value);
    char *text = page(m), expected[80];
    snprintf(expected, sizeof expected, "\nt_queue %s\n", cases[i].text);
    assert_non_null(strstr(text, expected));
    free(text);
  }
  metrics_free(m);
}

static void escapes(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  const struct metric_label labels[] = {{"a", "q\"b\\n\nü"}, {"b", "\xff\xc3"}, {"c", ""}};
  metric_set(metrics_series(m, &queue, labels, 3), 1);
  char *text = page(m);
  assert_non_null(strstr(text, "t_queue{a=\"q\\\"b\\\\n\\nü\",b=\"\xef\xbf\xbd\xef\xbf\xbd\",c=\"\"} 1\n"));
  free(text);
  metrics_free(m);
}

static void same_labels_same_series(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  const struct metric_label one[] = {{"model", "a"}}, two[] = {{"model", "b"}};
  struct metric *a = metrics_series(m, &requests, one, 1);
  assert_ptr_equal(a, metrics_series(m, &requests, one, 1));
  assert_ptr_not_equal(a, metrics_series(m, &requests, two, 1));
  assert_ptr_not_equal(a, metrics_series(m, &queue, one, 1));
  static const struct metric_family again = {"t_requests_total", "Requests.", METRIC_COUNTER, NULL, 0};
  assert_ptr_equal(a, metrics_series(m, &again, one, 1)); // another table of the same family
  metrics_free(m);
  metrics_free(NULL);
  assert_null(metrics_series(NULL, &requests, one, 1));
  metric_add(NULL, 1);
  metric_set(NULL, 1);
  metric_observe(NULL, 1);
  assert_true(isnan(metric_quantile(NULL, 0.5)));
}

// More than the table has places: each is found again, by the text of its labels and no other.
static void many_series(void **state) {
  (void)state;
  enum { MANY = 5000 };
  struct metrics *m = metrics_new();
  static struct metric *made[MANY];
  char text[32];
  const struct metric_label label = {"model", text}, joined[] = {{"a", "b"}, {"c", "d"}}, one[] = {{"a", "bc"}};
  for (int i = 0; i < MANY; i++) {
    snprintf(text, sizeof text, "m%d", i);
    metric_add(made[i] = metrics_series(m, &requests, &label, 1), i);
  }
  for (int i = 0; i < MANY; i++) {
    snprintf(text, sizeof text, "m%d", i);
    assert_ptr_equal(metrics_series(m, &requests, &label, 1), made[i]);
    about(metric_value(made[i]), i, 0);
  }
  assert_ptr_not_equal(metrics_series(m, &requests, joined, 2), metrics_series(m, &requests, joined, 1));
  assert_ptr_not_equal(metrics_series(m, &requests, one, 1), metrics_series(m, &requests, joined, 1));
  metrics_free(m);
}

static void raised(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  struct metric *c = metrics_series(m, &requests, NULL, 0);
  metric_raise(c, 2.5);
  metric_raise(c, 1); // read earlier, told later
  about(metric_value(c), 2.5, 0);
  metric_raise(c, 3);
  about(metric_value(c), 3, 0);
  metric_raise(NULL, 1);
  metrics_free(m);
}

static void sums_over_series(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  static const char *const names[] = {"m", "m", "mm", "x,model=\\\"m\\", "m\",code=\"200"};
  static const char *const codes[] = {"200", "500", "200", "200", "500"};
  for (size_t i = 0; i < 5; i++)
    metric_add(metrics_series(m, &requests, (struct metric_label[]){{"model", names[i]}, {"code", codes[i]}}, 2),
               (double)(1 << i));
  about(metrics_sum(m, "t_requests_total", (struct metric_label[]){{"model", "m"}}, 1), 3, 0);
  about(metrics_sum(m, "t_requests_total", (struct metric_label[]){{"code", "200"}, {"model", "m"}}, 2), 1, 0);
  about(metrics_sum(m, "t_requests_total", (struct metric_label[]){{"code", "200"}}, 1), 13, 0);
  about(metrics_sum(m, "t_requests_total", (struct metric_label[]){{"model", names[4]}}, 1), 16, 0);
  about(metrics_sum(m, "t_requests_total", NULL, 0), 31, 0);
  about(metrics_sum(m, "t_requests", NULL, 0), 0, 0);
  about(metrics_sum(m, "t_requests_total", (struct metric_label[]){{"odel", "m"}}, 1), 0, 0);
  about(metrics_sum(NULL, "t_requests_total", NULL, 0), 0, 0);
  metrics_free(m);
}

static void quantiles(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  struct metric *h = metrics_series(m, &seconds, NULL, 0);
  assert_true(isnan(metric_quantile(h, 0.5)));
  for (int i = 0; i < 50; i++) metric_observe(h, 0.05);
  for (int i = 0; i < 40; i++) metric_observe(h, 0.7);
  for (int i = 0; i < 10; i++) metric_observe(h, 100);
  about(metric_quantile(h, 0.25), 0.05, 1e-12); // half of the first bucket
  about(metric_quantile(h, 0.5), 0.1, 1e-12);
  about(metric_quantile(h, 0.7), 0.75, 1e-12); // (70 - 50) / 40 of 0.5 .. 1
  about(metric_quantile(h, 0.99), 2.5, 1e-12); // beyond all bounds
  metrics_free(m);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *adder(void *context) {
  struct metrics *m = context;
  for (int i = 0; i < ROUNDS; i++) {
    char code[16];
    snprintf(code, sizeof code, "%d", i % 7);
    if (i % 100 == 0) metric_add(metrics_series(m, &requests, (struct metric_label[]){{"code", code}}, 1), 1);
    metric_add(metrics_series(m, &queue, NULL, 0), 0.5);
    metric_observe(metrics_series(m, &seconds, NULL, 0), (i % 4) * 0.5); // 0, 0.5, 1, 1.5
  }
  return NULL;
}

// Of a page taken at any moment, buckets ascend and the last is the count.
static void check_page(const char *text) {
  unsigned long long last = 0, value = 0;
  for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
    if (!strncmp(line, "t_seconds_bucket", 16)) {
      assert_int_equal(sscanf(strstr(line, "} ") + 2, "%llu", &value), 1);
      assert_true(value >= last);
      last = value;
    } else if (sscanf(line, "t_seconds_count %llu", &value) == 1) {
      assert_int_equal(value, last);
    }
  }
}

static void threads(void **state) {
  (void)state;
  struct metrics *m = metrics_new();
  pthread_t thread[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, adder, m), 0);
  for (int i = 0; i < 50; i++) {
    char *text = page(m);
    check_page(text);
    free(text);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  about(metric_value(metrics_series(m, &queue, NULL, 0)), THREADS * ROUNDS * 0.5, 0);
  struct metric *h = metrics_series(m, &seconds, NULL, 0);
  assert_int_equal(metric_count(h), THREADS * ROUNDS);
  about(metric_value(h), THREADS * ROUNDS * 0.75, 0);
  double all = 0;
  for (int i = 0; i < 7; i++) {
    char code[16];
    snprintf(code, sizeof code, "%d", i);
    all += metric_value(metrics_series(m, &requests, (struct metric_label[]){{"code", code}}, 1));
  }
  about(all, THREADS * ROUNDS / 100, 0);
  metrics_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_format),      cmocka_unit_test(numbers),
      cmocka_unit_test(escapes),          cmocka_unit_test(same_labels_same_series),
      cmocka_unit_test(sums_over_series), cmocka_unit_test(quantiles),
      cmocka_unit_test(threads),          cmocka_unit_test(many_series),
      cmocka_unit_test(raised),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
