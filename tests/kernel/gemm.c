// Float products: every table gives scalar's bits, at every size, stride, activation and way of splitting K; products
// that widen give the bits of widening first; nothing outside the operands is read or written. bf16 dot products, which
// round differently, are held to a tolerance.
#include "guard.h"

#include <math.h>
#include <stdlib.h>

#include "pack/pack.h"

enum { MAX_BYTES = 1 << 21 };

struct blocks {
  struct guard a, w, bias, want, got;
};

static int open_blocks(void **state) {
  struct blocks *b = calloc(1, sizeof *b);
  guard_open(&b->a, MAX_BYTES);
  guard_open(&b->w, MAX_BYTES);
  guard_open(&b->bias, MAX_BYTES);
  guard_open(&b->want, MAX_BYTES);
  guard_open(&b->got, MAX_BYTES);
  *state = b;
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_blocks(void **state) {
  struct blocks *b = *state;
  guard_close(&b->a);
  guard_close(&b->w);
  guard_close(&b->bias);
  guard_close(&b->want);
  guard_close(&b->got);
  free(b);
  return 0;
}

// One product's operands at guard pages; c is the given block, filled with a start value where accumulate.
struct shape {
  size_t M, N, K;
  bool accumulate, has_bias;
  enum act act;
};

static void fill_c(struct guard *at, const struct shape *s, size_t ldc, uint64_t seed) {
  struct rng r;
  rng_seed(&r, seed);
  float *c = guard_take(at, matrix_bytes(s->M, s->N, ldc, sizeof *c));
  if (!s->accumulate) return;
  for (size_t m = 0; m < s->M; m++) test_floats(&r, c + m * ldc, s->N);
}

static struct gemm_f32 make_f32(struct blocks *b, const struct shape *s, struct rng *r) {
  struct gemm_f32 g = {.M = s->M, .N = s->N, .K = s->K, .lda = s->K + 3, .ldw = s->N + 5, .ldc = s->N + 1};
  float *a = guard_take(&b->a, matrix_bytes(s->M, s->K, g.lda, sizeof *a));
  float *w = guard_take(&b->w, matrix_bytes(s->K, s->N, g.ldw, sizeof *w));
  float *bias = guard_take(&b->bias, s->N * sizeof *bias);
  for (size_t m = 0; m < s->M; m++) test_floats(r, a + m * g.lda, s->K);
  for (size_t k = 0; k < s->K; k++) test_floats(r, w + k * g.ldw, s->N);
  test_floats(r, bias, s->N);
  g.a = a, g.w = w, g.bias = s->has_bias ? bias : NULL, g.accumulate = s->accumulate, g.act = s->act;
  return g;
}

static void check_c(struct blocks *b, const char *table, const struct shape *s, size_t ldc) {
  char what[96];
  snprintf(what, sizeof what, "M %zu N %zu K %zu act %d accumulate %d bias %d", s->M, s->N, s->K, (int)s->act,
           s->accumulate, s->has_bias);
  check_same_floats(table, what, (float *)b->got.start, (float *)b->want.start, b->got.len / sizeof(float));
  check_gaps(b->got.start, s->M, s->N, ldc, sizeof(float));
  guard_check_front(&b->got);
}

static void try_f32(struct blocks *b, const struct shape *s, struct rng *r) {
  uint64_t seed = rng_next(r);
  struct gemm_f32 g = make_f32(b, s, r);
  fill_c(&b->want, s, g.ldc, seed);
  g.c = (float *)b->want.start;
  scalar_table()->gemm_f32(&g);
  size_t next = 1;
  for (const struct kernels *t; (t = next_table(&next));) {
    fill_c(&b->got, s, g.ldc, seed);
    g.c = (float *)b->got.start;
    t->gemm_f32(&g);
    check_c(b, t->name, s, g.ldc);
  }
}

static struct shape shape_number(size_t i, size_t M, size_t N, size_t K) {
  return (struct shape){.M = M, .N = N, .K = K, .accumulate = i % 2, .has_bias = i / 2 % 2, .act = i % (ACT_TANH + 1)};
}

static const size_t test_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 17};
enum { TEST_ROWS = sizeof test_rows / sizeof *test_rows };

static void test_f32_same_bits(void **state) {
  struct rng r;
  rng_seed(&r, TEST_SEED);
  size_t i = 0;
  for (size_t m = 0; m < TEST_ROWS; m++) {
    for (size_t n = 0; n < TEST_SIZES; n++) {
      for (size_t k = 0; k < TEST_SIZES; k++, i++) {
        struct shape s = shape_number(i, test_rows[m], test_sizes[n], test_sizes[k]);
        try_f32(*state, &s, &r);
      }
    }
  }
}

// More k than one block, and no k at all.
static void test_f32_block_edges(void **state) {
  static const size_t ks[] = {0, 255, 256, 511, 512, 513, 1024, 1027};
  struct rng r;
  rng_seed(&r, TEST_SEED + 1);
  for (size_t i = 0; i < sizeof ks / sizeof *ks * 4; i++) {
    struct shape s = shape_number(i, 7, 70, ks[i / 4]);
    try_f32(*state, &s, &r);
  }
}

// Any split of K into calls that accumulate gives the bits of one call.
static void test_f32_split_k(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 2);
  for (size_t round = 0; round < 40; round++) {
    struct shape s = shape_number(round, 1 + round % 9, 1 + rng_below(&r, 100), 600);
    uint64_t seed = rng_next(&r);
    struct gemm_f32 g = make_f32(b, &s, &r);
    fill_c(&b->want, &s, g.ldc, seed);
    g.c = (float *)b->want.start;
    scalar_table()->gemm_f32(&g);
    size_t next = 0;
    for (const struct kernels *t; (t = next_table(&next));) {
      fill_c(&b->got, &s, g.ldc, seed);
      for (size_t k = 0, take; k < s.K; k += take) {
        take = 1 + rng_below(&r, s.K - k);
        struct gemm_f32 part = g;
        bool is_last = k + take == s.K;
        part.c = (float *)b->got.start;
        part.K = take, part.a += k, part.w += k * g.ldw;
        part.accumulate = g.accumulate || k > 0;
        part.bias = is_last ? g.bias : NULL, part.act = is_last ? g.act : ACT_NONE;
        t->gemm_f32(&part);
      }
      check_c(b, t->name, &s, g.ldc);
    }
  }
}

// Any finite weight of 16 bits; w has whole rows, c has not.
static struct gemm_half make_half(struct blocks *b, const struct shape *s, bool bf16, struct rng *r) {
  struct gemm_half g = {.M = s->M, .N = s->N, .K = s->K, .lda = s->K + 3, .ldc = s->N + 1, .bf16 = bf16};
  g.ldw = (s->N + 15) / 16 * 16;
  float *a = guard_take(&b->a, matrix_bytes(s->M, s->K, g.lda, sizeof *a));
  uint16_t *w = guard_take(&b->w, s->K * g.ldw * sizeof *w);
  float *bias = guard_take(&b->bias, s->N * sizeof *bias);
  for (size_t m = 0; m < s->M; m++) test_floats(r, a + m * g.lda, s->K);
  const uint16_t top = bf16 ? 0x6000 : 0x7c00; // these bits together: too large for a finite sum
  for (size_t i = 0; i < s->K * g.ldw; i++) {
    do {
      w[i] = (uint16_t)rng_next(r);
    } while ((w[i] & top) == top);
    if (bf16 && rng_below(r, 512)) w[i] = (uint16_t)((w[i] & 0x83ff) | 0x3c00); // mostly 2^-7 to 2, so that all count
  }
  test_floats(r, bias, s->N);
  g.a = a, g.w = w, g.bias = s->has_bias ? bias : NULL, g.act = s->act;
  return g;
}

// What scalar makes of the widened weights, left in b->want.
static void widen_then_multiply(struct blocks *b, const struct gemm_half *g) {
  size_t n = g->K * g->ldw;
  float *w = malloc(n * sizeof *w);
  assert_non_null(w);
  for (size_t i = 0; i < n; i++) w[i] = g->bf16 ? bf16_to_f32(g->w[i]) : f16_to_f32(g->w[i]);
  scalar_table()->gemm_f32(&(struct gemm_f32){.M = g->M,
                                              .N = g->N,
                                              .K = g->K,
                                              .a = g->a,
                                              .lda = g->lda,
                                              .w = w,
                                              .ldw = g->ldw,
                                              .c = (float *)b->want.start,
                                              .ldc = g->ldc,
                                              .bias = g->bias,
                                              .act = g->act});
  free(w);
}

// All 65536 values, times 1. A NaN stays a NaN; its payload is not promised.
static void test_half_values(void **state) {
  (void)state;
  enum { ALL = 65536, COLUMNS = 64 };
  static const float one = 1;
  uint16_t w[COLUMNS];
  size_t next = 0;
  for (const struct kernels *t; (t = next_table(&next));) {
    for (size_t first = 0; first < 2 * ALL; first += COLUMNS) {
      bool bf16 = first >= ALL;
      float c[COLUMNS];
      for (size_t i = 0; i < COLUMNS; i++) w[i] = (uint16_t)(first + i);
      t->gemm_half(&(struct gemm_half){
          .M = 1, .N = COLUMNS, .K = 1, .a = &one, .lda = 1, .w = w, .ldw = COLUMNS, .bf16 = bf16, .c = c});
      for (size_t i = 0; i < COLUMNS; i++) {
        float want = bf16 ? bf16_to_f32(w[i]) : f16_to_f32(w[i]);
        if (c[i] != want && !(isnan(c[i]) && isnan(want)))
          fail_msg("%s: %s %04x is %a, got %a", t->name, bf16 ? "bf16" : "f16", w[i], (double)want, (double)c[i]);
      }
    }
  }
}

// What the other tests compare with: zeros, both ends of the subnormals, normal values, the largest, infinities.
static void test_f16_values(void **state) {
  (void)state;
  static const uint16_t from[] = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x3c00,
                                  0xc000, 0x3555, 0x7bff, 0x7c00, 0xfc00};
  static const float want[] = {0.0f,  -0.0f,       0x1p-24f, -0x1.ff8p-15f, 0x1p-14f, 1.0f,
                               -2.0f, 0x1.554p-2f, 65504.0f, INFINITY,      -INFINITY};
  enum { COUNT = sizeof from / sizeof *from };
  float got[COUNT];
  for (size_t i = 0; i < COUNT; i++) got[i] = f16_to_f32(from[i]);
  check_same_floats("f16_to_f32", "values", got, want, COUNT);
}

static void test_half_same_bits(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 3);
  for (size_t i = 0; i < TEST_ROWS * TEST_SIZES * 6; i++) {
    static const size_t ks[] = {1, 2, 17, 128, 515, 1025};
    struct shape s = shape_number(i / 2, test_rows[i / 6 % TEST_ROWS], test_sizes[i / 6 / TEST_ROWS], ks[i % 6]);
    for (size_t bf16 = 0; bf16 < 2; bf16++) {
      struct gemm_half g = make_half(b, &s, bf16, &r);
      fill_c(&b->want, &s, g.ldc, 0);
      widen_then_multiply(b, &g);
      size_t next = 0;
      for (const struct kernels *t; (t = next_table(&next));) {
        fill_c(&b->got, &s, g.ldc, 0);
        g.c = (float *)b->got.start;
        t->gemm_half(&g);
        check_c(b, t->name, &s, g.ldc);
      }
    }
  }
}

static struct gemm_bf16 make_bf16(struct blocks *b, const struct shape *s, struct rng *r) {
  struct gemm_bf16 g = {.M = s->M, .N = s->N, .K = s->K, .lda = s->K + 4, .ldc = s->N + 1};
  g.ldw = (s->N + 15) / 16 * 16;
  uint16_t *a = guard_take(&b->a, matrix_bytes(s->M, s->K, g.lda, sizeof *a));
  uint16_t *w = guard_take(&b->w, s->K * g.ldw * sizeof *w);
  float *bias = guard_take(&b->bias, s->N * sizeof *bias);
  for (size_t m = 0; m < s->M; m++) {
    for (size_t k = 0; k < s->K; k++) a[m * g.lda + k] = bf16_from_f32(rng_normal(r));
  }
  for (size_t i = 0; i < s->K * g.ldw; i++) w[i] = bf16_from_f32(rng_normal(r));
  test_floats(r, bias, s->N);
  g.a = a, g.w = w, g.bias = s->has_bias ? bias : NULL, g.act = s->act;
  return g;
}

// |got - exact| against exact products of the rounded operands: K roundings of partial sums, each at most 2^-24 of the
// sum of magnitudes, and the order inside an instruction is the CPU's. Writes inside and nowhere else.
static void check_dot(struct blocks *b, const struct gemm_bf16 *g, const char *table) {
  for (size_t m = 0; m < g->M; m++) {
    for (size_t n = 0; n < g->N; n++) {
      double sum = 0, size = 0;
      for (size_t k = 0; k < g->K; k++) {
        double w = (double)bf16_to_f32(g->w[(k / 2 * g->ldw + n) * 2 + k % 2]);
        double product = (double)bf16_to_f32(g->a[m * g->lda + k]) * w;
        sum += product, size += fabs(product);
      }
      if (g->bias) sum += (double)g->bias[n], size += fabs((double)g->bias[n]);
      double error = fabs((double)g->c[m * g->ldc + n] - sum), budget = size * (double)(g->K + 2) * 0x1p-24;
      if (error > budget) fail_msg("%s: c[%zu][%zu] is off by %g, budget %g", table, m, n, error, budget);
    }
  }
  check_gaps(g->c, g->M, g->N, g->ldc, sizeof(float));
  guard_check_front(&b->got);
}

static void test_bf16_dot(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 4);
  for (size_t i = 0; i < TEST_ROWS * TEST_SIZES; i++) {
    static const size_t ks[] = {2, 16, 34, 128, 516, 1028};
    struct shape s = {.M = test_rows[i % TEST_ROWS], .N = test_sizes[i / TEST_ROWS], .K = ks[i % 6], .has_bias = i % 2};
    struct gemm_bf16 g = make_bf16(b, &s, &r);
    size_t next = 0;
    for (const struct kernels *t; (t = next_table(&next));) {
      if (!t->bf16_dot) continue;
      fill_c(&b->got, &s, g.ldc, 0);
      g.c = (float *)b->got.start;
      t->gemm_bf16(&g);
      check_dot(b, &g, t->name);
      // A row alone gives the same bits.
      fill_c(&b->want, &s, g.ldc, 0);
      struct gemm_bf16 row = g;
      row.M = 1;
      for (size_t m = 0; m < g.M; m++) {
        row.a = g.a + m * g.lda, row.c = (float *)b->want.start + m * g.ldc;
        t->gemm_bf16(&row);
      }
      check_c(b, t->name, &s, g.ldc);
    }
  }
}

// Rounding to nearest even of what is not subnormal, at every length; nothing behind the row is read or written.
static void test_round_bf16(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 5);
  for (size_t K = 0; K < 70; K++) {
    float *x = guard_take(&b->a, K * sizeof *x);
    uint16_t *got = guard_take(&b->got, K * sizeof *got);
    for (size_t k = 0; k < K; k++) x[k] = rng_normal(&r) * (k % 3 ? 1.0f : 0x1p100f);
    for (size_t k = 0; k < K; k += 5) x[k] = bf16_to_f32(bf16_from_f32(x[k])) * (1.0f + 0x1p-8f); // half way
    size_t next = 0;
    for (const struct kernels *t; (t = next_table(&next));) {
      if (!t->bf16_dot) continue;
      t->round_bf16(x, K, got);
      for (size_t k = 0; k < K; k++) assert_int_equal(got[k], bf16_from_f32(x[k]));
      guard_check_front(&b->got);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_f32_same_bits), cmocka_unit_test(test_f32_block_edges),
      cmocka_unit_test(test_f32_split_k),   cmocka_unit_test(test_half_values),
      cmocka_unit_test(test_f16_values),    cmocka_unit_test(test_half_same_bits),
      cmocka_unit_test(test_bf16_dot),      cmocka_unit_test(test_round_bf16),
  };
  return cmocka_run_group_tests(tests, open_blocks, close_blocks);
}
