// stats.c - report/stats.h and eval/metrics.h against tests/golden/stats.json (scipy, statsmodels, scikit-learn,
// numpy).
#include "report/stats.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "eval/metrics.h"

static json_t *golden(void) {
  json_error_t error;
  json_t *g = json_load_file(TEST_DIR "/golden/stats.json", 0, &error);
  if (!g) fail_msg("stats.json: %s", error.text);
  return g;
}

static void near(double found, double expected, double relative) {
  if (!(fabs(found - expected) <= relative * fmax(fabs(expected), 1e-3)))
    fail_msg("found %.17g, expected %.17g", found, expected);
}

static double number(const json_t *row, const char *key) {
  const json_t *x = json_object_get(row, key);
  if (!json_is_number(x)) fail_msg("no number %s", key);
  return json_number_value(x);
}

static double item(const json_t *array, size_t i) {
  return json_number_value(json_array_get(array, i));
}

static double *doubles(const json_t *array, size_t *n) {
  *n = json_array_size(array);
  double *x = calloc(*n + 1, sizeof *x);
  for (size_t i = 0; i < *n; i++) x[i] = item(array, i);
  return x;
}

static int *ints(const json_t *array) {
  int *x = calloc(json_array_size(array) + 1, sizeof *x);
  for (size_t i = 0; i < json_array_size(array); i++) x[i] = (int)item(array, i);
  return x;
}

static void normal_quantiles(void **state) {
  (void)state;
  json_t *g = golden(), *rows = json_object_get(g, "normal_quantiles");
  assert_true(json_array_size(rows) > 5);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    near(stats_normal_quantile(item(row, 0)), item(row, 1), 1e-6); // 1 - 1e-12 itself has few digits
  }
  near(stats_normal_quantile(0.975), 1.959963984540054, 1e-13);
  json_decref(g);
}

static void wilson(void **state) {
  (void)state;
  json_t *g = golden(), *rows = json_object_get(g, "wilson");
  assert_true(json_array_size(rows) > 5);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i), *expected = json_object_get(row, "interval");
    struct stats_interval w = stats_wilson((size_t)number(row, "k"), (size_t)number(row, "n"), number(row, "ci"));
    near(w.low, item(expected, 0), 1e-10);
    near(w.high, item(expected, 1), 1e-10);
  }
  assert_true(stats_wilson(0, 0, 0.95).low == 0 && stats_wilson(0, 0, 0.95).high == 1);
  assert_true(stats_wilson(0, 9, 0.95).low == 0 && stats_wilson(9, 9, 0.95).high == 1);
  near(stats_rule_of_three(20), 0.15, 1e-12);
  near(stats_rule_of_three(2), 1, 1e-12);
  json_decref(g);
}

static void mcnemar(void **state) {
  (void)state;
  json_t *g = golden(), *rows = json_object_get(g, "mcnemar");
  assert_true(json_array_size(rows) > 5);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    size_t b = (size_t)number(row, "b"), c = (size_t)number(row, "c");
    near(stats_mcnemar_exact(b, c), number(row, "p"), 1e-7);
    near(stats_mcnemar_exact(c, b), number(row, "p"), 1e-7);
  }
  assert_true(stats_mcnemar_exact(0, 0) == 1);
  double tiny = stats_mcnemar_exact(1000000, 0); // far below the smallest double
  assert_true(tiny >= 0 && tiny < 1e-300);
  json_decref(g);
}

static void paired_difference(void **state) {
  (void)state;
  json_t *g = golden(), *rows = json_object_get(g, "paired");
  assert_true(json_array_size(rows) > 5);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i), *t = json_object_get(row, "table"),
                 *e = json_object_get(row, "interval");
    struct stats_paired table = {(size_t)item(t, 0), (size_t)item(t, 1), (size_t)item(t, 2), (size_t)item(t, 3)};
    struct stats_interval d = stats_paired_difference(table, number(row, "ci"));
    near(d.low, item(e, 0), 1e-9);
    near(d.high, item(e, 1), 1e-9);
  }
  // Airway hyper-responsiveness data (Bentur et al. 2009) in Fagerland, Lydersen and Laake 2014: -0.507 to -0.026.
  struct stats_interval d = stats_paired_difference((struct stats_paired){1, 7, 1, 12}, 0.95);
  assert_true(fabs(d.low + 0.507) < 5e-4 && fabs(d.high + 0.026) < 5e-4);
  // No discordant pair is no proof of equality.
  d = stats_paired_difference((struct stats_paired){950, 0, 0, 50}, 0.95);
  assert_true(d.low < -0.001 && d.low > -0.01 && d.high > 0.001 && d.high < 0.01);
  d = stats_paired_difference((struct stats_paired){0, 0, 0, 0}, 0.95);
  assert_true(d.low == -1 && d.high == 1);
  json_decref(g);
}

static void decisions(void **state) {
  (void)state;
  struct stats_interval i = {-0.02, 0.01};
  assert_int_equal(stats_decide(i, -0.02, STATS_AT_LEAST), STATS_PASS);
  assert_int_equal(stats_decide(i, -0.03, STATS_AT_LEAST), STATS_PASS);
  assert_int_equal(stats_decide(i, 0, STATS_AT_LEAST), STATS_INCONCLUSIVE);
  assert_int_equal(stats_decide(i, 0.01, STATS_AT_LEAST), STATS_INCONCLUSIVE); // the upper end would still be good
  assert_int_equal(stats_decide(i, 0.02, STATS_AT_LEAST), STATS_FAIL);
  assert_int_equal(stats_decide(i, 0.01, STATS_AT_MOST), STATS_PASS);
  assert_int_equal(stats_decide(i, 0, STATS_AT_MOST), STATS_INCONCLUSIVE);
  assert_int_equal(stats_decide(i, -0.021, STATS_AT_MOST), STATS_FAIL);
  near(stats_n_needed(100, 0, (struct stats_interval){-0.02, 0.02}, -0.01), 400, 1e-12);
  near(stats_n_needed(100, 0, (struct stats_interval){-0.02, 0.04}, 0.01), 1600, 1e-12);
  assert_true(isinf(stats_n_needed(100, 0, (struct stats_interval){-0.02, 0.04}, 0)));
  near(stats_n_needed(100, 0, (struct stats_interval){-0.02, 0.04}, 1), 100, 1e-12);
}

static void one_sample(void **state) {
  (void)state;
  json_t *g = golden(), *rows = json_object_get(g, "samples");
  assert_true(json_array_size(rows) > 3);
  for (size_t r = 0; r < json_array_size(rows); r++) {
    const json_t *row = json_array_get(rows, r), *p = json_object_get(row, "p");
    size_t n;
    double *x = doubles(json_object_get(row, "x"), &n);
    near(stats_mean(x, n), number(row, "mean"), 1e-12);
    near(stats_std(x, n), number(row, "std"), 1e-12);
    stats_sort(x, n);
    near(stats_median_sorted(x, n), number(row, "median"), 1e-12);
    for (size_t i = 0; i < json_array_size(p); i++) {
      near(stats_percentile_sorted(x, n, item(p, i)), item(json_object_get(row, "percentiles"), i), 1e-12);
      struct stats_interval b = stats_percentile_bounds(x, n, item(p, i), 0.95);
      const json_t *e = json_array_get(json_object_get(row, "bounds"), i);
      if (json_is_null(json_array_get(e, 0)))
        assert_true(b.low == -INFINITY);
      else
        near(b.low, item(e, 0), 1e-12);
      if (json_is_null(json_array_get(e, 1)))
        assert_true(b.high == INFINITY);
      else
        near(b.high, item(e, 1), 1e-12);
    }
    free(x);
  }
  assert_int_equal(stats_percentile_runs(0.90), 29);
  assert_int_equal(stats_percentile_runs(0.95), 59);
  assert_int_equal(stats_percentile_runs(0.99), 299);
  double four[] = {1, 2, 3, 4};
  struct stats_interval m = stats_mean_interval(four, 4, 0.95);
  near(m.low, 2.5 - 1.959963984540054 * 1.2909944487358056 / 2, 1e-12);
  near(m.high, 2.5 + 1.959963984540054 * 1.2909944487358056 / 2, 1e-12);
  json_decref(g);
}

// Logits of a golden row, flat (n, classes).
static float *matrix(const json_t *rows, size_t n, size_t classes) {
  float *x = calloc(n * classes, sizeof *x);
  for (size_t i = 0; i < n * classes; i++) x[i] = (float)item(json_array_get(rows, i / classes), i % classes);
  return x;
}

static float *softmax(const float *logits, size_t n, size_t classes) {
  float *p = calloc(n * classes, sizeof *p);
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t k = 0; k < classes; k++) sum += exp(logits[i * classes + k]);
    for (size_t k = 0; k < classes; k++) p[i * classes + k] = (float)(exp(logits[i * classes + k]) / sum);
  }
  return p;
}

static void check_metrics(const json_t *row, const int *label, const int *prediction, size_t n, size_t classes) {
  size_t *confusion = calloc(classes * classes, sizeof *confusion);
  struct metrics_class *per_class = calloc(classes, sizeof *per_class);
  struct metrics m;
  metrics_compute(label, prediction, n, classes, confusion, per_class, &m);
  near(m.accuracy, number(row, "accuracy"), 1e-12);
  const json_t *macro = json_object_get(row, "macro");
  near(m.precision_macro, item(macro, 0), 1e-12);
  near(m.recall_macro, item(macro, 1), 1e-12);
  near(m.f1_macro, item(macro, 2), 1e-12);
  for (size_t k = 0; k < classes; k++) {
    near(per_class[k].precision, item(json_object_get(row, "precision"), k), 1e-12);
    near(per_class[k].recall, item(json_object_get(row, "recall"), k), 1e-12);
    near(per_class[k].f1, item(json_object_get(row, "f1"), k), 1e-12);
    assert_int_equal(per_class[k].support, (size_t)item(json_object_get(row, "support"), k));
    const json_t *expected = json_array_get(json_object_get(row, "confusion"), k);
    for (size_t j = 0; j < classes; j++) assert_int_equal(confusion[k * classes + j], (size_t)item(expected, j));
  }
  free(confusion);
  free(per_class);
}

static void classification(void **state) {
  (void)state;
  json_t *g = golden(), *rows = json_object_get(g, "classification");
  assert_int_equal(json_array_size(rows), 3);
  for (size_t r = 0; r < json_array_size(rows); r++) {
    const json_t *row = json_array_get(rows, r);
    size_t classes = (size_t)number(row, "classes"), n = json_array_size(json_object_get(row, "label"));
    int *label = ints(json_object_get(row, "label")), *prediction = ints(json_object_get(row, "prediction"));
    float *logits = matrix(json_object_get(row, "logits"), n, classes),
          *other = matrix(json_object_get(row, "other"), n, classes);
    float *scores = softmax(logits, n, classes);
    double *confidence = calloc(n, sizeof *confidence);
    bool *correct = calloc(n, sizeof *correct);
    size_t *order = calloc(n, sizeof *order);
    check_metrics(row, label, prediction, n, classes);
    for (size_t i = 0; i < n; i++) {
      near(stats_kl(logits + i * classes, other + i * classes, classes), item(json_object_get(row, "kl"), i), 1e-6);
      assert_true(stats_kl(logits + i * classes, logits + i * classes, classes) == 0);
      confidence[i] = scores[i * classes + (size_t)prediction[i]];
      correct[i] = prediction[i] == label[i];
    }
    near(stats_ece(confidence, correct, n, STATS_ECE_BINS, order), number(row, "ece"), 1e-5);
    near(stats_brier(scores, label, n, classes), number(row, "brier"), 1e-5);
    near(stats_nll(scores, label, n, classes), number(row, "nll"), 1e-5);
    free(label), free(prediction), free(logits), free(other), free(scores), free(confidence), free(correct),
        free(order);
  }
  json_decref(g);
}

// Infinite KL does not come from finite logits, however far apart; a huge offset changes nothing.
static void kl_extremes(void **state) {
  (void)state;
  float a[] = {1000, 0, -1000}, b[] = {-1000, 0, 1000}, c[] = {5000, 4000, 3000};
  assert_true(isfinite(stats_kl(a, b, 3)) && stats_kl(a, b, 3) > 1999);
  near(stats_kl(a, c, 3), 0, 1e-9);
}

static void bootstrap_ratio(void **state) {
  (void)state;
  json_t *g = golden(), *row = json_object_get(g, "bootstrap"), *e = json_object_get(row, "interval");
  size_t n, m;
  double *base = doubles(json_object_get(row, "base"), &n), *candidate = doubles(json_object_get(row, "candidate"), &m);
  assert_int_equal(n, m);
  double *scratch = calloc(2 * n + 10000, sizeof *scratch);
  struct rng rng;
  rng_seed(&rng, 1);
  struct stats_interval i = stats_bootstrap_median_ratio(base, candidate, n, 10000, 0.95, &rng, scratch);
  // Two bootstraps with other draws agree to a small part of the interval's width.
  double width = item(e, 1) - item(e, 0);
  assert_true(fabs(i.low - item(e, 0)) < 0.08 * width && fabs(i.high - item(e, 1)) < 0.08 * width);
  rng_seed(&rng, 1);
  struct stats_interval again = stats_bootstrap_median_ratio(base, candidate, n, 10000, 0.95, &rng, scratch);
  assert_true(i.low == again.low && i.high == again.high);
  struct stats_interval self = stats_bootstrap_median_ratio(base, base, n, 1000, 0.95, &rng, scratch);
  assert_true(self.low == 1 && self.high == 1); // rounds are drawn together
  free(base), free(candidate), free(scratch);
  json_decref(g);
}

static void bootstrap_f1(void **state) {
  (void)state;
  enum { N = 400, K = 3 };
  int label[N], base[N], candidate[N];
  struct rng rng;
  rng_seed(&rng, 3);
  for (size_t i = 0; i < N; i++) {
    label[i] = i % 7 == 0 ? -1 : (int)rng_below(&rng, K);
    int truth = label[i] < 0 ? 0 : label[i];
    base[i] = rng_unit(&rng) < 0.9 ? truth : (int)rng_below(&rng, K);
    candidate[i] = rng_unit(&rng) < 0.6 ? truth : (int)rng_below(&rng, K);
  }
  double *scratch = calloc(metrics_bootstrap_scratch(K, 2000), sizeof *scratch);
  struct stats_interval macro, per_class[K];
  metrics_bootstrap_f1(&(struct metrics_bootstrap){label, base, candidate, N, K, 2000, 0.95}, &rng, &macro, per_class,
                       scratch);
  struct metrics mb, mc;
  struct metrics_class cb[K], cc[K];
  size_t confusion[K * K];
  metrics_compute(label, base, N, K, confusion, cb, &mb);
  metrics_compute(label, candidate, N, K, confusion, cc, &mc);
  double delta = mc.f1_macro - mb.f1_macro;
  assert_true(macro.low < delta && delta < macro.high && macro.high < 0 && macro.high - macro.low < 0.2);
  for (size_t k = 0; k < K; k++)
    assert_true(per_class[k].low < cc[k].f1 - cb[k].f1 && cc[k].f1 - cb[k].f1 < per_class[k].high);
  metrics_bootstrap_f1(&(struct metrics_bootstrap){label, base, base, N, K, 1000, 0.95}, &rng, &macro, NULL, scratch);
  assert_true(macro.low == 0 && macro.high == 0);
  free(scratch);
}

static void flips(void **state) {
  (void)state;
  const int label[] = {0, 1, 2, 0, -1, 1}, base[] = {0, 1, 0, 1, 2, 1}, candidate[] = {0, 2, 1, 0, 1, 1};
  struct metrics_flips f;
  metrics_flips(label, base, candidate, 6, &f);
  assert_int_equal(f.n, 6);
  assert_int_equal(f.labelled, 5);
  assert_int_equal(f.identical, 2);
  assert_int_equal(f.pairs.both, 2);
  assert_int_equal(f.pairs.base_only, 1);
  assert_int_equal(f.pairs.candidate_only, 1);
  assert_int_equal(f.pairs.neither, 1);
  assert_int_equal(f.wrong_to_other_wrong, 1);
  metrics_flips(NULL, base, candidate, 6, &f);
  assert_int_equal(f.labelled, 0);
  assert_int_equal(f.identical, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(normal_quantiles),  cmocka_unit_test(wilson),      cmocka_unit_test(mcnemar),
      cmocka_unit_test(paired_difference), cmocka_unit_test(decisions),   cmocka_unit_test(one_sample),
      cmocka_unit_test(classification),    cmocka_unit_test(kl_extremes), cmocka_unit_test(bootstrap_ratio),
      cmocka_unit_test(bootstrap_f1),      cmocka_unit_test(flips),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
