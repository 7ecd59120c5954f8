// 4-bit products, int4 and nf4: every table gives scalar's bits on the same logical weights, each packed its own way
// by the layout that kernel.h describes; scalar's are what the formulas say; sums of int4 are exact at the extremes.
#include "guard.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_BYTES = 1 << 20, MAX_K = 4096 };

struct blocks {
  struct guard a, w, scales, zeros, bias, want, got;
};

// One product in logical form. int4: a8, codes + 8 are w, scale (N, groups). nf4: a, codes into book, scale (N,
// blocks).
struct problem {
  bool nf4;
  size_t M, N, K, block; // block: k under one scale
  uint8_t *a8, *codes;   // (M, K), (N, K)
  float *a, *scale, *ascale, *bias, book[16];
  int32_t *azero;
  bool has_bias;
  enum act act;
};

static int open_blocks(void **state) {
  struct blocks *b = calloc(1, sizeof *b);
  struct guard *all[] = {&b->a, &b->w, &b->scales, &b->zeros, &b->bias, &b->want, &b->got};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_open(all[i], MAX_BYTES);
  *state = b;
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_blocks(void **state) {
  struct blocks *b = *state;
  struct guard *all[] = {&b->a, &b->w, &b->scales, &b->zeros, &b->bias, &b->want, &b->got};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_close(all[i]);
  free(b);
  return 0;
}

static size_t scales(const struct problem *p) {
  return (p->K + p->block - 1) / p->block;
}

static struct problem make(bool nf4, size_t M, size_t N, size_t K, size_t block, struct rng *r) {
  struct problem p = {.nf4 = nf4, .M = M, .N = N, .K = K, .block = block};
  size_t count = N * scales(&p);
  p.a8 = malloc(M * K);
  p.codes = malloc(N * K);
  p.a = malloc(M * K * sizeof *p.a);
  p.scale = malloc(count * sizeof *p.scale);
  p.ascale = malloc(M * sizeof *p.ascale);
  p.azero = malloc(M * sizeof *p.azero);
  p.bias = malloc(N * sizeof *p.bias);
  assert_true(p.a8 && p.codes && p.a && p.scale && p.ascale && p.azero && p.bias);
  for (size_t i = 0; i < M * K; i++) p.a8[i] = (uint8_t)rng_next(r);
  for (size_t i = 0; i < N * K; i++) p.codes[i] = (uint8_t)rng_below(r, 16);
  for (size_t i = 0; i < count; i++) p.scale[i] = (float)rng_unit(r) * 0.1f;
  for (size_t m = 0; m < M; m++) p.ascale[m] = (float)rng_unit(r), p.azero[m] = (int32_t)rng_below(r, 256);
  test_floats(r, p.a, M * K);
  test_floats(r, p.bias, N);
  test_floats(r, p.book, 16);
  return p;
}

static void drop(struct problem *p) {
  free(p->a8);
  free(p->codes);
  free(p->a);
  free(p->scale);
  free(p->ascale);
  free(p->azero);
  free(p->bias);
}

static void or_nibble(uint8_t *word, size_t nibble, uint8_t code) {
  word[nibble / 2] |= (uint8_t)(code << nibble % 2 * 4);
}

static size_t padded(const struct problem *p) {
  return (p->K + NIB_BLOCK - 1) / NIB_BLOCK * NIB_BLOCK;
}

// Columns n0 to n0 + width - 1 as a panel of nr.
static uint8_t *pack_i4(struct guard *guard, const struct problem *p, size_t nr, size_t n0, size_t width) {
  size_t bytes = 0;
  for (size_t k = 0; k < padded(p); k += I4_GROUP)
    bytes += i4_group_bytes(nr, padded(p) - k < I4_GROUP ? padded(p) - k : I4_GROUP);
  uint8_t *w = guard_take(guard, bytes), *group = w;
  memset(w, 0, bytes);
  for (size_t k0 = 0; k0 < padded(p); k0 += I4_GROUP) {
    size_t kn = padded(p) - k0 < I4_GROUP ? padded(p) - k0 : I4_GROUP;
    uint8_t *tail = group + kn / 2 * nr;
    for (size_t n = 0; n < width; n++) {
      int16_t sum = 0;
      for (size_t k = 0; k < kn && k0 + k < p->K; k++) {
        int value = p->codes[(n0 + n) * p->K + k0 + k] - 8;
        size_t i = k % NIB_BLOCK;
        or_nibble(group + (k / NIB_BLOCK * nr + n) * 4, i % 4 * 2 + i / 4, (uint8_t)(value & 15));
        sum = (int16_t)(sum + value);
      }
      memcpy(tail + n * 4, &p->scale[(n0 + n) * scales(p) + k0 / I4_GROUP], 4);
      memcpy(tail + nr * 4 + n * 2, &sum, 2);
    }
    group += i4_group_bytes(nr, kn);
  }
  return w;
}

static uint8_t *pack_nf4(struct guard *guard, const struct problem *p, size_t nr, size_t n0, size_t width) {
  size_t unit = nf4_unit(p->block), bytes = (p->K + unit - 1) / unit * nf4_unit_bytes(nr, p->block);
  uint8_t *w = guard_take(guard, bytes);
  memset(w, 0, bytes);
  for (size_t n = 0; n < width; n++) {
    for (size_t k = 0; k < p->K; k++) {
      uint8_t *start = w + k / unit * nf4_unit_bytes(nr, p->block);
      or_nibble(start + (k % unit / NIB_BLOCK * nr + n) * 4, k % NIB_BLOCK, p->codes[(n0 + n) * p->K + k]);
      uint8_t *absmax = start + unit / 2 * nr + (k % unit / p->block * nr + n) * 4;
      memcpy(absmax, &p->scale[(n0 + n) * scales(p) + k / p->block], 4);
    }
  }
  return w;
}

static void run_i4(struct blocks *b, const struct kernels *t, const struct problem *p, float *c, size_t ldc) {
  size_t nr = t->i8_nr, K = padded(p), lda = K + 3;
  uint8_t *a = guard_take(&b->a, matrix_bytes(p->M, K, lda, 1)); // what follows a row's K is left as filled
  float *ascale = guard_take(&b->scales, p->M * sizeof *ascale);
  int32_t *azero = guard_take(&b->zeros, p->M * sizeof *azero);
  for (size_t m = 0; m < p->M; m++) memcpy(a + m * lda, p->a8 + m * p->K, p->K);
  memcpy(ascale, p->ascale, p->M * sizeof *ascale);
  memcpy(azero, p->azero, p->M * sizeof *azero);
  for (size_t n0 = 0; n0 < p->N; n0 += nr) {
    size_t N = p->N - n0 < nr ? p->N - n0 : nr;
    float *bias = guard_take(&b->bias, N * sizeof *bias);
    memcpy(bias, p->bias + n0, N * sizeof *bias);
    t->gemm_i4(&(struct gemm_i4){.M = p->M,
                                 .N = N,
                                 .K = K,
                                 .a = a,
                                 .lda = lda,
                                 .w = pack_i4(&b->w, p, nr, n0, N),
                                 .ascale = ascale,
                                 .azero = azero,
                                 .bias = p->has_bias ? bias : NULL,
                                 .act = p->act,
                                 .c = c + n0,
                                 .ldc = ldc});
  }
}

static void run_nf4(struct blocks *b, const struct kernels *t, const struct problem *p, float *c, size_t ldc) {
  size_t nr = t->f32_nr, lda = p->K + 3;
  float *a = guard_take(&b->a, matrix_bytes(p->M, p->K, lda, sizeof *a));
  float *book = guard_take(&b->scales, sizeof p->book);
  for (size_t m = 0; m < p->M; m++) memcpy(a + m * lda, p->a + m * p->K, p->K * sizeof *a);
  memcpy(book, p->book, sizeof p->book);
  for (size_t n0 = 0; n0 < p->N; n0 += nr) {
    size_t N = p->N - n0 < nr ? p->N - n0 : nr;
    float *bias = guard_take(&b->bias, N * sizeof *bias);
    memcpy(bias, p->bias + n0, N * sizeof *bias);
    t->gemm_nf4(&(struct gemm_nf4){.M = p->M,
                                   .N = N,
                                   .K = p->K,
                                   .a = a,
                                   .lda = lda,
                                   .w = pack_nf4(&b->w, p, nr, n0, N),
                                   .codebook = book,
                                   .block = p->block,
                                   .bias = p->has_bias ? bias : NULL,
                                   .act = p->act,
                                   .c = c + n0,
                                   .ldc = ldc});
  }
}

static void run(struct blocks *b, const struct kernels *t, const struct problem *p, float *c, size_t ldc) {
  (p->nf4 ? run_nf4 : run_i4)(b, t, p, c, ldc);
}

// The formulas of kernel.h, from the logical form. Without an activation.
static float formula(const struct problem *p, size_t m, size_t n) {
  float acc = 0;
  for (size_t b = 0; b < scales(p); b++) {
    float part = 0;
    int32_t sum = 0;
    for (size_t k = b * p->block; k < p->K && k < (b + 1) * p->block; k++) {
      uint8_t code = p->codes[n * p->K + k];
      sum += (p->a8[m * p->K + k] - p->azero[m]) * (code - 8);
      part = fmaf(p->a[m * p->K + k], p->book[code], part);
    }
    acc = fmaf(p->nf4 ? part : (float)sum, p->scale[n * scales(p) + b], acc);
  }
  if (!p->nf4) return fmaf(acc, p->ascale[m], p->has_bias ? p->bias[n] : 0.0f);
  return p->has_bias ? acc + p->bias[n] : acc;
}

static void check_all_tables(struct blocks *b, struct problem *p) {
  size_t ldc = p->N + 3, bytes = matrix_bytes(p->M, p->N, ldc, sizeof(float)), next = 0;
  float *want = guard_take(&b->want, bytes);
  enum act act = p->act;
  p->act = ACT_NONE;
  run(b, scalar_table(), p, want, ldc);
  for (size_t m = 0; m < p->M; m++) {
    for (size_t n = 0; n < p->N; n++) {
      float f = formula(p, m, n);
      if (memcmp(&f, &want[m * ldc + n], sizeof f) != 0)
        fail_msg("M %zu N %zu K %zu block %zu: output (%zu, %zu) is %a, the formula gives %a", p->M, p->N, p->K,
                 p->block, m, n, (double)want[m * ldc + n], (double)f);
    }
  }
  p->act = act;
  run(b, scalar_table(), p, guard_take(&b->want, bytes), ldc);
  for (const struct kernels *t; (t = next_table(&next));) {
    char what[96];
    snprintf(what, sizeof what, "%s M %zu N %zu K %zu block %zu act %d bias %d", p->nf4 ? "nf4" : "int4", p->M, p->N,
             p->K, p->block, (int)p->act, p->has_bias);
    run(b, t, p, guard_take(&b->got, bytes), ldc);
    check_same_floats(t->name, what, (float *)b->got.start, (float *)b->want.start, bytes / sizeof(float));
    check_gaps(b->got.start, p->M, p->N, ldc, sizeof(float));
    guard_check_front(&b->got);
  }
}

static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 50};
enum { ROWS = sizeof rows / sizeof *rows };

static void test_int4(void **state) {
  static const size_t more[] = {120, 128, 136, 256, 384, 400};
  enum { SIZES = TEST_SIZES + sizeof more / sizeof *more };
  struct rng r;
  rng_seed(&r, TEST_SEED);
  size_t i = 0;
  for (size_t m = 0; m < ROWS; m++) {
    for (size_t n = m % 2; n < TEST_SIZES; n += 2) {
      for (size_t k = n % 3; k < SIZES; k += 3, i++) {
        size_t K = k < TEST_SIZES ? test_sizes[k] : more[k - TEST_SIZES];
        struct problem p = make(false, rows[m], test_sizes[n], K, I4_GROUP, &r);
        p.act = i % (ACT_TANH + 1), p.has_bias = i / 7 % 2;
        check_all_tables(*state, &p);
        drop(&p);
      }
    }
  }
}

static void test_nf4(void **state) {
  static const size_t blocks[] = {1, 2, 4, 8, 16, 32, 64};
  struct rng r;
  rng_seed(&r, TEST_SEED + 1);
  size_t i = 0;
  for (size_t m = 0; m < ROWS; m++) {
    for (size_t n = m % 2; n < TEST_SIZES; n += 2) {
      for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++, i++) {
        struct problem p = make(true, rows[m], test_sizes[n], blocks[b] * (1 + i % 5), blocks[b], &r);
        p.act = i % (ACT_TANH + 1), p.has_bias = i / 7 % 2;
        check_all_tables(*state, &p);
        drop(&p);
      }
    }
  }
}

// Every term at its extreme, so that a saturating step or a lost carry shows; the answer is known without any kernel.
static void test_int4_extremes(void **state) {
  static const struct {
    uint8_t a, code;
    int32_t zero;
  } cases[] = {{255, 0, 0}, {255, 15, 0}, {255, 0, 255}, {0, 0, 255}, {0, 15, 255}, {255, 15, 128}};
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 2);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct problem p = make(false, 5, 17, MAX_K, I4_GROUP, &r);
    memset(p.a8, cases[i].a, p.M * p.K);
    memset(p.codes, cases[i].code, p.N * p.K);
    for (size_t m = 0; m < p.M; m++) p.ascale[m] = 1.0f, p.azero[m] = cases[i].zero;
    for (size_t n = 0; n < p.N * scales(&p); n++) p.scale[n] = 1.0f;
    float want = (float)((cases[i].a - cases[i].zero) * (cases[i].code - 8) * MAX_K);
    size_t next = 0;
    for (const struct kernels *t; (t = next_table(&next));) {
      float *c = guard_take(&b->got, p.M * p.N * sizeof *c);
      run(b, t, &p, c, p.N);
      for (size_t k = 0; k < p.M * p.N; k++) {
        if (c[k] != want) fail_msg("%s case %zu: %.0f, expected %.0f", t->name, i, (double)c[k], (double)want);
      }
    }
    drop(&p);
  }
}

// A row's answer is the same bits alone and among others.
static void test_rows_alone(void **state) {
  struct blocks *b = *state;
  struct rng r;
  rng_seed(&r, TEST_SEED + 3);
  for (size_t nf4 = 0; nf4 < 2; nf4++) {
    struct problem p = make(nf4, 53, 70, 320, nf4 ? 64 : I4_GROUP, &r), one = p;
    one.M = 1;
    size_t next = 0;
    for (const struct kernels *t; (t = next_table(&next));) {
      float *all = guard_take(&b->want, p.M * p.N * sizeof *all);
      run(b, t, &p, all, p.N);
      for (size_t m = 0; m < p.M; m++) {
        float *c = guard_take(&b->got, p.N * sizeof *c);
        one.a = p.a + m * p.K, one.a8 = p.a8 + m * p.K, one.ascale = p.ascale + m, one.azero = p.azero + m;
        run(b, t, &one, c, p.N);
        check_same_floats(t->name, nf4 ? "nf4 alone" : "int4 alone", c, all + m * p.N, p.N);
      }
    }
    drop(&p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_int4),
      cmocka_unit_test(test_nf4),
      cmocka_unit_test(test_int4_extremes),
      cmocka_unit_test(test_rows_alone),
  };
  return cmocka_run_group_tests(tests, open_blocks, close_blocks);
}
