// latency.c - base/latency.h: the histogram against the sorted values themselves.
#include "base/latency.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/rng.h"

static struct latency *fresh(void) {
  struct latency *h = calloc(1, sizeof *h);
  assert_non_null(h);
  return h;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static const double shares[] = {0.001, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
enum { SHARES = sizeof shares / sizeof shares[0] };

// From 1 us to 1000 s, uniform in the logarithm.
static void quantiles_are_order_statistics(void **state) {
  (void)state;
  enum { N = 20000 };
  struct rng rng;
  rng_seed(&rng, 7);
  struct latency *h = fresh();
  uint64_t *x = calloc(N, sizeof *x);
  double sum = 0;
  for (size_t i = 0; i < N; i++) {
    x[i] = (uint64_t)(1000 * pow(1e9, rng_unit(&rng)));
    sum += (double)x[i];
    latency_add(h, x[i]);
  }
  qsort(x, N, sizeof *x, ascending);
  for (size_t i = 0; i < SHARES; i++) {
    uint64_t found = 0, exact = x[(size_t)llround(shares[i] * N) - 1];
    assert_true(latency_quantile(h, shares[i], &found));
    assert_true(found >= exact);
    assert_true((double)(found - exact) <= (double)exact / 1024);
  }
  assert_int_equal(h->min_ns, x[0]);
  assert_int_equal(h->max_ns, x[N - 1]);
  assert_true(fabs(latency_mean_ns(h) - sum / N) <= 1e-9 * sum);
  free(x);
  free(h);
}

// Every value lies in its bucket: not above the bucket's end, above the end of the one before.
static void buckets_are_seamless(void **state) {
  (void)state;
  for (size_t i = 1; i < LATENCY_BUCKETS; i++) {
    uint64_t end = latency_bucket_ns(i), before = latency_bucket_ns(i - 1);
    assert_true(end > before);
    assert_true(end - before <= 1 + before / 1024);
    uint64_t ends[] = {before + 1, end};
    for (size_t k = 0; k < 2; k++) {
      struct latency *h = fresh();
      latency_add(h, ends[k]);
      assert_int_equal(h->buckets[i], 1);
      free(h);
    }
    if (i > 4096) i += 509; // the pattern repeats
  }
}

static void small_and_large(void **state) {
  (void)state;
  struct latency *h = fresh();
  uint64_t ns = 1;
  assert_false(latency_quantile(h, 0.5, &ns));
  assert_true(latency_mean_ns(h) == 0);
  latency_add(h, 0);
  assert_true(latency_quantile(h, 1, &ns));
  assert_int_equal(ns, 0);
  latency_add(h, UINT64_MAX);
  assert_int_equal(h->buckets[LATENCY_BUCKETS - 1], 1);
  assert_true(latency_quantile(h, 1, &ns));
  assert_int_equal(ns, ((uint64_t)1 << LATENCY_TOP_BITS) - 1);
  assert_true(latency_quantile(h, 0.5, &ns));
  assert_int_equal(ns, 0);
  free(h);
}

// 0.95 of 60 is rank 57 exactly, whatever the product rounds to.
static void ranks_are_exact(void **state) {
  (void)state;
  for (size_t n = 20; n <= 2000; n += 20) {
    struct latency *h = fresh();
    for (size_t i = 1; i <= n; i++) latency_add(h, i);
    uint64_t ns;
    assert_true(latency_quantile(h, 0.95, &ns));
    assert_int_equal(ns, n / 20 * 19);
    free(h);
  }
}

static void lost_ones_are_the_slowest(void **state) {
  (void)state;
  struct latency *h = fresh();
  for (size_t i = 1; i <= 98; i++) latency_add(h, i);
  latency_add_lost(h);
  latency_add_lost(h);
  uint64_t ns = 0;
  assert_true(latency_quantile(h, 0.98, &ns));
  assert_int_equal(ns, 98);
  assert_false(latency_quantile(h, 0.99, &ns));
  free(h);
}

static void a_merge_is_the_sum(void **state) {
  (void)state;
  struct rng rng;
  rng_seed(&rng, 3);
  struct latency *all = fresh(), *a = fresh(), *b = fresh(), *empty = fresh();
  for (size_t i = 0; i < 1000; i++) {
    uint64_t ns = rng_next(&rng) >> 34;
    latency_add(all, ns);
    latency_add(i % 3 ? a : b, ns);
  }
  latency_add_lost(all);
  latency_add_lost(b);
  latency_merge(a, empty);
  latency_merge(a, b);
  latency_merge(empty, a);
  assert_int_equal(empty->count, all->count);
  assert_int_equal(empty->lost, 1);
  assert_int_equal(empty->min_ns, all->min_ns);
  assert_int_equal(empty->max_ns, all->max_ns);
  assert_memory_equal(empty->buckets, all->buckets, sizeof all->buckets);
  assert_true(fabs(latency_mean_ns(empty) - latency_mean_ns(all)) <= 1e-9 * latency_mean_ns(all));
  free(all);
  free(a);
  free(b);
  free(empty);
}

static void what_percentiles_need(void **state) {
  (void)state;
  assert_int_equal(latency_percentile_needs(0.5), 5);
  assert_int_equal(latency_percentile_needs(0.9), 29);
  assert_int_equal(latency_percentile_needs(0.95), 59);
  assert_int_equal(latency_percentile_needs(0.99), 299);
  assert_int_equal(latency_percentile_needs(0.999), 2995);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(quantiles_are_order_statistics),
      cmocka_unit_test(buckets_are_seamless),
      cmocka_unit_test(small_and_large),
      cmocka_unit_test(ranks_are_exact),
      cmocka_unit_test(lost_ones_are_the_slowest),
      cmocka_unit_test(a_merge_is_the_sum),
      cmocka_unit_test(what_percentiles_need),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
