// The kernels on rows (activations, norms, softmax, quantization, widening): every table gives scalar's bits, at every
// length, with every kind of value, and touches nothing outside the row.
#include "guard.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_BYTES = 1 << 18, KINDS = 6 };

struct blocks {
  struct guard in, in2, in3, want, got;
};

static int open_blocks(void **state) {
  struct blocks *b = calloc(1, sizeof *b);
  struct guard *all[] = {&b->in, &b->in2, &b->in3, &b->want, &b->got};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_open(all[i], MAX_BYTES);
  *state = b;
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_blocks(void **state) {
  struct blocks *b = *state;
  struct guard *all[] = {&b->in, &b->in2, &b->in3, &b->want, &b->got};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_close(all[i]);
  free(b);
  return 0;
}

// A row of one kind: wide range, all zero, one constant, subnormal, large, half of it zeros of both signs.
static void fill(struct rng *r, float *x, size_t n, size_t kind) {
  float constant = rng_normal(r);
  for (size_t i = 0; i < n; i++) {
    switch (kind) {
      case 0: x[i] = test_float(r); break;
      case 1: x[i] = 0.0f; break;
      case 2: x[i] = constant; break;
      case 3: x[i] = rng_normal(r) * 1e-39f; break;
      case 4: x[i] = rng_normal(r) * 1e4f; break;
      default: x[i] = rng_next(r) % 2 ? rng_normal(r) : rng_next(r) % 2 ? 0.0f : -0.0f; break;
    }
  }
}

static float *row(struct guard *g, struct rng *r, size_t n, size_t kind) {
  float *x = guard_take(g, n * sizeof *x);
  fill(r, x, n, kind);
  return x;
}

static float *copy(struct guard *g, const float *from, size_t n) {
  float *x = guard_take(g, n * sizeof *x);
  memcpy(x, from, n * sizeof *x);
  return x;
}

static void check(struct blocks *b, const struct kernels *t, const char *kernel, size_t n, size_t kind) {
  char what[64];
  snprintf(what, sizeof what, "%s, n %zu, kind %zu", kernel, n, kind);
  check_same_floats(t->name, what, (float *)b->got.start, (float *)b->want.start, n);
  guard_check_front(&b->got);
}

static void test_act(void **state) {
  static const float corners[] = {INFINITY, -INFINITY, 0.0f,      -0.0f,      88.8f,   -88.8f,   200.0f, -200.0f,
                                  1e30f,    -1e30f,    1000.0f,   -1000.0f,   86.5f,   -86.5f,   13.3f,  -13.3f,
                                  9.0f,     -9.0f,     0x1p-149f, -0x1p-149f, 3.4e38f, -3.4e38f, 5.5f,   -5.5f};
  enum { CORNERS = sizeof corners / sizeof *corners };
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED);
  for (size_t i = 0; i < TEST_SIZES * KINDS; i++) {
    size_t n = test_sizes[i / KINDS], kind = i % KINDS;
    float *x = row(&b->in, &r, n, kind);
    if (kind == 0) {
      for (size_t k = 0; k < n; k++) x[k] = rng_next(&r) % 2 ? corners[(n + k) % CORNERS] : rng_normal(&r) * 4;
    }
    for (enum act act = ACT_NONE; act <= ACT_TANH; act++) {
      scalar_table()->act(act, copy(&b->want, x, n), n);
      size_t next = 1;
      for (const struct kernels *t; (t = next_table(&next));) {
        char what[32];
        snprintf(what, sizeof what, "act %d", (int)act);
        t->act(act, copy(&b->got, x, n), n);
        check(b, t, what, n, kind);
      }
    }
  }
}

// Every activation where the formula alone would say infinity times 0; NaN stays NaN, in every table.
static void test_act_limits(void **state) {
  (void)state;
  static const struct {
    enum act act;
    float left, right;
  } limits[] = {{ACT_NONE, -INFINITY, INFINITY}, {ACT_GELU, -0.0f, INFINITY},       {ACT_GELU_TANH, -0.0f, INFINITY},
                {ACT_RELU, 0.0f, INFINITY},      {ACT_QUICK_GELU, -0.0f, INFINITY}, {ACT_SILU, -0.0f, INFINITY},
                {ACT_TANH, -1.0f, 1.0f}};
  size_t next = 0;
  for (const struct kernels *t; (t = next_table(&next));) {
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
      float x[18] = {-INFINITY, INFINITY, NAN, [16] = NAN, [17] = -INFINITY};
      t->act(limits[i].act, x, 18);
      assert_memory_equal(&x[0], &limits[i].left, sizeof(float));
      assert_memory_equal(&x[1], &limits[i].right, sizeof(float));
      assert_memory_equal(&x[17], &limits[i].left, sizeof(float));
      assert_true(isnan(x[2]) && isnan(x[16]));
    }
  }
}

static void test_add_div(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 1);
  for (size_t i = 0; i < TEST_SIZES * KINDS; i++) {
    size_t n = test_sizes[i / KINDS], kind = i % KINDS, next = 1;
    float *x = row(&b->in, &r, n, kind), *y = row(&b->in2, &r, n, 0), by = 0.1f + (float)rng_unit(&r) * 100;
    for (const struct kernels *t; (t = next_table(&next));) {
      scalar_table()->add(copy(&b->want, x, n), y, n);
      t->add(copy(&b->got, x, n), y, n);
      check(b, t, "add", n, kind);
      scalar_table()->div(copy(&b->want, x, n), n, by);
      t->div(copy(&b->got, x, n), n, by);
      check(b, t, "div", n, kind);
    }
  }
}

// All four gates, the state and the output; some gates far out, where their functions are flat.
static void test_lstm(void **state) {
  struct blocks *b = *state;
  struct guard before;
  guard_open(&before, MAX_BYTES);
  struct rng r;
  rng_seed(&r, TEST_SEED + 2);
  for (size_t i = 0; i < TEST_SIZES * KINDS; i++) {
    size_t n = test_sizes[i / KINDS], kind = i % KINDS, next = 1;
    float *x = row(&b->in, &r, 4 * n, kind), *more = row(&b->in2, &r, 4 * n, 0), *cell = row(&before, &r, n, 0);
    if (kind == 0) x[n / 2] = INFINITY, x[4 * n - 1] = -INFINITY;
    float want_c[257], want_h[257];
    assert_true(n <= 257);
    memcpy(want_c, cell, n * sizeof *cell);
    scalar_table()->lstm(x, more, n, want_c, want_h);
    for (const struct kernels *t; (t = next_table(&next));) {
      float *c = copy(&b->want, cell, n), *h = guard_take(&b->got, n * sizeof *h);
      t->lstm(x, more, n, c, h);
      check_same_floats(t->name, "lstm state", c, want_c, n);
      check_same_floats(t->name, "lstm output", h, want_h, n);
      guard_check_front(&b->want);
      guard_check_front(&b->got);
    }
  }
  guard_close(&before);
}

static void test_layernorm(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 2);
  for (size_t i = 0; i < TEST_SIZES * KINDS; i++) {
    size_t n = test_sizes[i / KINDS], kind = i % KINDS, next = 1;
    float *x = row(&b->in, &r, n, kind), *gamma = row(&b->in2, &r, n, 0), *beta = row(&b->in3, &r, n, 0);
    scalar_table()->layernorm(x, gamma, beta, 1e-5f, n, guard_take(&b->want, n * sizeof *x));
    for (const struct kernels *t; (t = next_table(&next));) {
      t->layernorm(x, gamma, beta, 1e-5f, n, guard_take(&b->got, n * sizeof *x));
      check(b, t, "layernorm", n, kind);
      float *y = copy(&b->got, x, n);
      t->layernorm(y, gamma, beta, 1e-5f, n, y);
      check(b, t, "layernorm in place", n, kind);
    }
  }
}

static void test_softmax_exp(void **state) {
  static const float scales[] = {1.0f, 0.125f, 0.0f, -2.0f};
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 3);
  for (size_t i = 0; i < TEST_SIZES * KINDS * 4; i++) {
    size_t n = test_sizes[i / 4 / KINDS], kind = i / 4 % KINDS, next = 1;
    float *x = row(&b->in, &r, n, kind), scale = scales[i % 4];
    if (scale > 0 && n > 1) { // masked positions
      for (size_t k = 0; k < n / 3; k++) x[rng_below(&r, n - 1)] = -INFINITY;
    }
    float want = scalar_table()->softmax_exp(copy(&b->want, x, n), n, scale);
    for (const struct kernels *t; (t = next_table(&next));) {
      float got = t->softmax_exp(copy(&b->got, x, n), n, scale);
      check(b, t, "softmax_exp", n, kind);
      check_same_floats(t->name, "softmax sum", &got, &want, 1);
    }
  }
}

static void test_quantize_u8(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 4);
  for (size_t i = 0; i < TEST_SIZES * KINDS * 2; i++) {
    size_t n = test_sizes[i / 2 / KINDS], kind = i / 2 % KINDS, padded = i % 2 ? (n + 3) / 4 * 4 + 4 : n, next = 1;
    float *x = row(&b->in, &r, n, kind), want_scale, got_scale;
    int32_t want_zero, got_zero;
    scalar_table()->quantize_u8(x, n, padded, guard_take(&b->want, padded), &want_scale, &want_zero);
    for (size_t k = n; k < padded; k++) assert_int_equal(b->want.start[k], 0);
    for (const struct kernels *t; (t = next_table(&next));) {
      t->quantize_u8(x, n, padded, guard_take(&b->got, padded), &got_scale, &got_zero);
      check_same_floats(t->name, "u8 scale", &got_scale, &want_scale, 1);
      assert_int_equal(got_zero, want_zero);
      assert_memory_equal(b->got.start, b->want.start, padded);
      guard_check_front(&b->got);
    }
  }
}

// Enough values for some to lie where x * (1 / scale) and x / scale round to different integers.
static void test_quantize_u8_rounding(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 6);
  for (size_t i = 0; i < 300; i++) {
    enum { N = 4096 };
    float *x = guard_take(&b->in, N * sizeof *x), scale;
    int32_t zero;
    size_t next = 1;
    for (size_t k = 0; k < N; k++) x[k] = rng_normal(&r);
    scalar_table()->quantize_u8(x, N, N, guard_take(&b->want, N), &scale, &zero);
    for (const struct kernels *t; (t = next_table(&next));) {
      t->quantize_u8(x, N, N, guard_take(&b->got, N), &scale, &zero);
      assert_memory_equal(b->got.start, b->want.start, N);
    }
  }
}

// What the header promises of the numbers: an all-zero row, both ends reached, half a step of error, and rows that
// cannot be quantized are marked rather than hidden.
static void test_quantize_u8_values(void **state) {
  (void)state;
  float scale;
  int32_t zero;
  uint8_t q[40];
  size_t next = 0;
  for (const struct kernels *t; (t = next_table(&next));) {
    t->quantize_u8((float[17]){0}, 17, 20, q, &scale, &zero);
    assert_true(scale == 1.0f && zero == 0 && q[0] == 0 && q[19] == 0);
    t->quantize_u8((float[3]){-1, 0, 3}, 3, 4, q, &scale, &zero);
    assert_true(q[0] == 0 && q[1] == zero && q[2] == 255 && zero == 64);
    t->quantize_u8((float[3]){126.5f, 127.5f, 255}, 3, 4, q, &scale, &zero); // lo is 0; halves go to even
    assert_true(scale == 1.0f && zero == 0 && q[0] == 126 && q[1] == 128 && q[2] == 255);
    t->quantize_u8((float[2]){-2, -4}, 2, 4, q, &scale, &zero);
    assert_true(zero == 255 && q[1] == 0);
    t->quantize_u8((float[2]){1e-37f, -1e-38f}, 2, 4, q, &scale, &zero); // 1 / scale would overflow
    assert_true(scale == 1.0f && zero == 0 && q[0] == 0 && q[1] == 0);

    float x[33], rows[][2] = {{NAN, 1}, {INFINITY, 1}, {-INFINITY, 1}, {3e38f, -3e38f}};
    for (size_t i = 0; i < 33; i++) x[i] = sinf((float)i) * 5 + 1;
    t->quantize_u8(x, 33, 36, q, &scale, &zero);
    for (size_t i = 0; i < 33; i++) assert_true(fabsf((float)(q[i] - zero) * scale - x[i]) <= scale * 0.501f);
    for (size_t i = 0; i < 4; i++) {
      t->quantize_u8(rows[i], 2, 4, q, &scale, &zero);
      assert_true(isnan(scale) && zero == 0 && q[0] == 0 && q[3] == 0);
    }
  }
}

static void test_unpack_i16(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 5);
  for (size_t i = 0; i < 60; i++) {
    size_t nr = 32 * (1 + i % 4), K = test_sizes[i % 12], next = 1;
    int16_t *words = guard_take(&b->in, K * nr * sizeof *words);
    for (size_t k = 0; k < K * nr; k++) words[k] = (int16_t)(uint16_t)rng_next(&r);
    float *scale = row(&b->in2, &r, nr, 0);
    scalar_table()->unpack_i16(words, scale, guard_take(&b->want, K * nr * sizeof(float)), K, nr);
    for (const struct kernels *t; (t = next_table(&next));) {
      t->unpack_i16(words, scale, guard_take(&b->got, K * nr * sizeof(float)), K, nr);
      check(b, t, "unpack_i16", K * nr, i);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_act),
      cmocka_unit_test(test_lstm),
      cmocka_unit_test(test_act_limits),
      cmocka_unit_test(test_add_div),
      cmocka_unit_test(test_layernorm),
      cmocka_unit_test(test_softmax_exp),
      cmocka_unit_test(test_quantize_u8),
      cmocka_unit_test(test_quantize_u8_rounding),
      cmocka_unit_test(test_quantize_u8_values),
      cmocka_unit_test(test_unpack_i16),
  };
  return cmocka_run_group_tests(tests, open_blocks, close_blocks);
}
