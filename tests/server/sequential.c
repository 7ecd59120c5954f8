// sequential.c - server/sequential.h against tests/golden/sequential.json, and by simulation: how often an interval
// ever leaves out the truth.
#include "sequential.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/rng.h"

static void about(double found, double expected, double most) {
  if (!(fabs(found - expected) <= most)) fail_msg("found %.17g, expected %.17g", found, expected);
}

static double item(const json_t *array, size_t i) {
  return json_number_value(json_array_get(array, i));
}

static uint64_t whole(const json_t *array, size_t i) {
  return (uint64_t)json_integer_value(json_array_get(array, i));
}

static void near(struct interval found, const json_t *row) {
  struct interval expected = {item(row, 3), item(row, 4)};
  double most = 1e-9 * (expected.high - expected.low) + 1e-15; // an error counts beside the interval's own width
  if (!(fabs(found.low - expected.low) <= most) || !(fabs(found.high - expected.high) <= most))
    fail_msg("%s: found %.17g %.17g", json_dumps(row, 0), found.low, found.high);
}

static json_t *golden(const char *key) {
  json_error_t error;
  json_t *all = json_load_file(TEST_DIR "/golden/sequential.json", 0, &error);
  if (!all) fail_msg("sequential.json: %s", error.text);
  json_t *rows = json_incref(json_object_get(all, key));
  json_decref(all);
  assert_true(json_array_size(rows) > 20);
  return rows;
}

static void share_golden(void **state) {
  (void)state;
  json_t *rows = golden("share");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    near(sequential_share(whole(row, 0), whole(row, 1), item(row, 2)), row);
  }
  json_decref(rows);
}

static void mean_golden(void **state) {
  (void)state;
  json_t *rows = golden("mean");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    struct sequential_mean m = {0};
    double scale = pow(10, item(row, 1));
    for (uint64_t j = 1; j <= whole(row, 0); j++) sequential_mean_add(&m, (double)(7 * j % 11) / scale, item(row, 2));
    near(sequential_mean_interval(&m), row);
  }
  json_decref(rows);
}

static void share_ends(void **state) {
  (void)state;
  struct interval none = sequential_share(0, 0, 0.05);
  assert_true(none.low == 0 && none.high == 1);
  static const uint64_t sizes[] = {1, 2, 3, 15, 16, 17, 1000, 1000000000, (uint64_t)1 << 53, UINT64_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    uint64_t n = sizes[i];
    struct interval all = sequential_share(n, n, 0.05), no = sequential_share(0, n, 0.05);
    // no hit: (1 - high)^n (n + 1) = alpha
    assert_true(no.low == 0 && all.high == 1);
    about((double)n * log1p(-no.high), log(0.05) - log1p((double)n), 1e-9 * (double)n * no.high);
    about(1 - all.low, no.high, 1e-15);
    struct interval half = sequential_share(n / 2, n, 0.05), other = sequential_share(n - n / 2, n, 0.05);
    double share = (double)(n / 2) / (double)n;
    assert_true(half.low <= share && share <= half.high && half.low >= 0 && half.high <= 1);
    about(half.low, 1 - other.high, 1e-12); // hits and misses change places
  }
  // A single other answer rules out a share of exactly 1.
  assert_true(sequential_share(99999, 100000, 0.05).high < 1);
}

// sqrt(n / log n) times the width stays within a narrow band, and the width only falls.
static void widths_shrink(void **state) {
  (void)state;
  double first = 0, last = 1;
  for (uint64_t n = 1000; n <= 1000000000; n *= 10) {
    struct interval x = sequential_share(n / 5, n, 0.05);
    double width = x.high - x.low, rate = width * sqrt((double)n / log((double)n));
    if (first == 0) first = rate;
    assert_true(width < last && rate < 1.05 * first && rate > 0.6 * first);
    last = width;
  }
  struct rng rng;
  rng_seed(&rng, 1);
  struct sequential_mean m = {0};
  static const size_t ends[] = {1000, 10000, 100000};
  for (size_t i = 0; i < 3; i++) {
    while (m.n < ends[i]) sequential_mean_add(&m, 0.04 * rng_unit(&rng), 0.05);
    struct interval x = sequential_mean_interval(&m);
    if (i) assert_true(x.high - x.low < 0.45 * last); // 1 / sqrt(10) = 0.32, and logarithms
    last = x.high - x.low;
  }
}

// Of RUNS sequences of LENGTH values, how many intervals left out the truth at any time.
enum { RUNS = 2000, LENGTH = 1000 };
// Of the share alpha; three standard errors of a share of 0.1 among 2000 are 0.02.
static const double alpha = 0.1, margin = 0.02;

static void share_covers(void **state) {
  (void)state;
  static const double truths[] = {0.002, 0.05, 0.3, 0.5, 0.9, 0.99};
  for (size_t t = 0; t < sizeof truths / sizeof *truths; t++) {
    struct rng rng;
    rng_seed(&rng, 100 + t);
    size_t wrong = 0;
    for (size_t run = 0; run < RUNS; run++) {
      uint64_t hits = 0;
      for (uint64_t n = 1; n <= LENGTH; n++) {
        hits += rng_unit(&rng) < truths[t];
        if (n > 50 && n % 7) continue; // looking less often is as valid
        struct interval x = sequential_share(hits, n, alpha);
        assert_true(x.low <= (double)hits / (double)n && (double)hits / (double)n <= x.high);
        if (truths[t] < x.low || truths[t] > x.high) {
          wrong++;
          break;
        }
      }
    }
    if ((double)wrong > (alpha + margin) * RUNS) fail_msg("%g left out by %zu of %d", truths[t], wrong, RUNS);
  }
}

static double draw(struct rng *rng, int kind) {
  double u = rng_unit(rng);
  return kind == 0 ? u : kind == 1 ? u < 0.01 : 0.1 * u * u;
}

static void mean_covers(void **state) {
  (void)state;
  static const double truths[] = {0.5, 0.01, 0.1 / 3}; // of draw's kinds
  for (int kind = 0; kind < 3; kind++) {
    struct rng rng;
    rng_seed(&rng, 200 + (uint64_t)kind);
    size_t wrong = 0;
    for (size_t run = 0; run < RUNS; run++) {
      struct sequential_mean m = {0};
      bool out = false;
      while (m.n < LENGTH && !out) {
        sequential_mean_add(&m, draw(&rng, kind), alpha);
        struct interval x = sequential_mean_interval(&m);
        out = truths[kind] < x.low || truths[kind] > x.high;
      }
      wrong += out;
    }
    if ((double)wrong > (alpha + margin) * RUNS) fail_msg("%g left out by %zu of %d", truths[kind], wrong, RUNS);
  }
}

static void mean_ends(void **state) {
  (void)state;
  struct sequential_mean m = {0};
  struct interval x = sequential_mean_interval(&m);
  assert_true(x.low == 0 && x.high == 1);
  for (int i = 0; i < 10000; i++) sequential_mean_add(&m, -3, 0.05); // clamped
  x = sequential_mean_interval(&m);
  assert_true(x.low == 0 && x.high < 0.01);
  struct sequential_mean ones = {0};
  for (int i = 0; i < 10000; i++) sequential_mean_add(&ones, i % 2 ? NAN : 7, 0.05);
  x = sequential_mean_interval(&ones);
  assert_true(x.high == 1 && x.low > 0.99);
  // A mean that moves: the intersection is empty one day, and what is true now counts.
  for (int i = 0; i < 200000; i++) sequential_mean_add(&m, 1, 0.05);
  x = sequential_mean_interval(&m);
  assert_true(x.low > 0.01 && x.low <= x.high);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(share_golden),  cmocka_unit_test(mean_golden),  cmocka_unit_test(share_ends),
      cmocka_unit_test(widths_shrink), cmocka_unit_test(share_covers), cmocka_unit_test(mean_covers),
      cmocka_unit_test(mean_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
