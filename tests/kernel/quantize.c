// The kernels of int8-static and llm-int8 on rows of activations: every table gives scalar's bytes, at every length,
// and touches nothing outside the row; scalar's are those the formulas ask for.
#include "guard.h"

#include <math.h>
#include <stdlib.h>

#include "pack/pack.h"

enum { MAX_BYTES = 1 << 16 };
static struct guard in, mask_block, want, got;

static int open_blocks(void **state) {
  (void)state;
  struct guard *all[] = {&in, &mask_block, &want, &got};
  for (size_t i = 0; i < 4; i++) guard_open(all[i], MAX_BYTES);
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_blocks(void **state) {
  (void)state;
  struct guard *all[] = {&in, &mask_block, &want, &got};
  for (size_t i = 0; i < 4; i++) guard_close(all[i]);
  return 0;
}

// Numbers around the threshold, exactly at it, far away, zeros, and in some rows what is no number.
static float *activations(struct rng *r, size_t n, bool broken) {
  static const float special[] = {6.0f, 5.998046875f, 0x1.7fdffep2f, -6.0f, 0.0f, -0.0f, 1e-8f, 65519.9f, 7e4f};
  float *x = guard_take(&in, n * sizeof *x);
  for (size_t i = 0; i < n; i++)
    x[i] = rng_next(r) % 8 ? rng_normal(r) * 3 : special[rng_next(r) % (sizeof special / sizeof *special)];
  static const float no_numbers[] = {NAN, INFINITY, -INFINITY};
  if (broken) x[rng_next(r) % n] = no_numbers[rng_next(r) % 3];
  return x;
}

static void test_fixed(void **state) {
  (void)state;
  struct rng r;
  rng_seed(&r, TEST_SEED);
  for (size_t i = 0; i < TEST_SIZES * 4; i++) {
    size_t n = test_sizes[i / 4], padded = (n + 3) / 4 * 4, next = 1;
    const float *x = activations(&r, n, i % 4 == 3);
    float inverse = i % 2 ? 40.0f : 0.01f;
    int32_t zero = (int32_t)(rng_next(&r) % 256);
    bool good = scalar_table()->quantize_u8_fixed(x, n, padded, inverse, zero, guard_take(&want, padded));
    assert_int_equal(good, i % 4 != 3);
    for (size_t k = 0; k < padded; k++) {
      float v = k < n && good ? rintf(x[k] * inverse) + (float)zero : 0;
      assert_int_equal(want.start[k], v < 0 ? 0 : v > 255 ? 255 : (int)v);
    }
    for (const struct kernels *t; (t = next_table(&next));) {
      assert_int_equal(t->quantize_u8_fixed(x, n, padded, inverse, zero, guard_take(&got, padded)), good);
      assert_memory_equal(got.start, want.start, padded);
      guard_check_front(&got);
    }
  }
}

static void test_marks(void **state) {
  (void)state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 1);
  for (size_t i = 0; i < TEST_SIZES * 4; i++) {
    size_t n = test_sizes[i / 4], next = 0;
    const float *x = activations(&r, n, i % 4 == 3);
    uint8_t before[4096];
    assert_true(n <= sizeof before);
    for (size_t k = 0; k < n; k++) before[k] = rng_next(&r) % 4 ? 0 : 255;
    for (const struct kernels *t; (t = next_table(&next));) {
      uint8_t *mask = guard_take(&got, n);
      memcpy(mask, before, n);
      t->mark_outliers(x, n, 5.998046875f, mask);
      for (size_t k = 0; k < n; k++) assert_int_equal(mask[k], fabsf(x[k]) >= 5.998046875f ? 255 : before[k]);
      guard_check_front(&got);
    }
  }
}

// Written again from the header's words, with the f16 of pack/.
static void expected_s8(const float *x, const uint8_t *mask, size_t n, float limit, uint8_t *q, float *scale) {
  float m = 0;
  *scale = 0;
  for (size_t k = 0; k < n; k++) {
    float h = f16_to_f32(f16_from_f32(x[k]));
    if (fabsf(x[k]) < limit && fabsf(h) > m) m = fabsf(h);
    if (!(fabsf(x[k]) < limit) && !mask[k]) *scale = NAN;
  }
  if (!isnan(*scale)) *scale = m / 127;
  for (size_t k = 0; k < n; k++) {
    bool plain = !mask[k] && m > 0 && !isnan(*scale);
    q[k] = plain ? (uint8_t)(128 + (int)rintf(f16_to_f32(f16_from_f32(x[k])) * (1.0f / m * 127.0f))) : 128;
  }
}

static void test_rows(void **state) {
  (void)state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 2);
  for (size_t i = 0; i < TEST_SIZES * 6; i++) {
    size_t n = test_sizes[i / 6], padded = (n + 3) / 4 * 4, next = 0;
    float *x = activations(&r, n, i % 6 == 5), limit = i % 3 ? 5.998046875f : 65520.0f, scale, found;
    if (i % 6 == 4)
      for (size_t k = 0; k < n; k++) x[k] *= 1e-6f; // the small end of f16
    uint8_t *mask = guard_take(&mask_block, n), q[4096];
    memset(mask, 0, n);
    if (i % 3) scalar_table()->mark_outliers(x, n, limit, mask);
    if (i % 2) mask[rng_next(&r) % n] = 255; // another row of the text had an outlier there
    expected_s8(x, mask, n, limit, q, &scale);
    for (const struct kernels *t; (t = next_table(&next));) {
      t->quantize_s8(x, mask, n, padded, limit, guard_take(&got, padded), &found);
      assert_memory_equal(got.start, q, n);
      for (size_t k = n; k < padded; k++) assert_int_equal(got.start[k], 0);
      check_same_floats(t->name, "s8 scale", &found, &scale, 1);
      guard_check_front(&got);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixed), cmocka_unit_test(test_marks),
                                     cmocka_unit_test(test_rows)};
  return cmocka_run_group_tests(tests, open_blocks, close_blocks);
}
