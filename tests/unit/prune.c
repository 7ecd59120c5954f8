// prune.c - magnitude pruning against sorting: how many values go, which, and what happens to equal ones.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "quant/prune.h"

static int by_magnitude(const void *a, const void *b) {
  float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);
  return (x > y) - (x < y);
}

static size_t zeros(const float *x, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += x[i] == 0;
  return count;
}

static void smallest_magnitudes_go(void **state) {
  (void)state;
  enum { N = 1000 };
  float x[N], sorted[N], kept[N];
  struct rng r;
  rng_seed(&r, 7);
  for (int i = 0; i < N; i++) x[i] = (float)rng_normal(&r);
  memcpy(sorted, x, sizeof x);
  qsort(sorted, N, sizeof *sorted, by_magnitude);
  static const double shares[] = {0, 0.0004, 0.001, 0.3, 0.29, 0.5, 0.999, 1};
  static const size_t wanted[] = {0, 0, 1, 300, 290, 500, 999, 1000};
  for (size_t c = 0; c < sizeof shares / sizeof *shares; c++) {
    memcpy(kept, x, sizeof x);
    assert_int_equal(prune_values(kept, N, shares[c], NULL), PARE_OK);
    assert_int_equal(zeros(kept, N), wanted[c]);
    for (int i = 0; i < N; i++) {
      bool goes = wanted[c] && fabsf(x[i]) <= fabsf(sorted[wanted[c] - 1]);
      assert_true(kept[i] == (goes ? 0 : x[i])); // all magnitudes differ
    }
  }
}

static void ties_go_in_order(void **state) {
  (void)state;
  float x[8] = {2, -1, 1, 3, 1, -1, NAN, 1};
  assert_int_equal(prune_values(x, 8, 0.375, NULL), PARE_OK);
  static const float expected[] = {2, 0, 0, 3, 0, -1};
  assert_memory_equal(x, expected, sizeof expected); // +0, not -0
  assert_true(isnan(x[6]) && x[7] == 1);
  assert_int_equal(prune_values(x, 0, 0.5, NULL), PARE_OK); // nothing to do
}

static void a_matrix_keeps_its_orientation(void **state) {
  (void)state;
  const struct kernels *k;
  assert_int_equal(kernels_select("scalar", &k, NULL), PARE_OK);
  struct stored source, out;
  assert_int_equal(stored_new(&encoding_bf16, 2, 3, &source, NULL), PARE_OK);
  source.transposed = true; // lies as (3, 2)
  static const float values[] = {4, -1, 2, 6, -5, 3};
  for (size_t i = 0; i < 6; i++) ((uint16_t *)source.owned)[i] = bf16_from_f32(values[i]);
  assert_int_equal(prune_matrix(k, &source, 0.5, &out, NULL), PARE_OK);
  static const float expected[] = {4, 0, 0, 6, -5, 0};
  assert_memory_equal(out.owned, expected, sizeof expected);
  float row[3];
  stored_row(k, &out, 1, row);
  assert_true(row[0] == 0 && row[1] == 6 && row[2] == 0);
  stored_free(&source);
  stored_free(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(smallest_magnitudes_go), cmocka_unit_test(ties_go_in_order),
                                     cmocka_unit_test(a_matrix_keeps_its_orientation)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
