// int8 products: every table gives scalar's bits on the same logical weights, each packed its own way, and the integer
// sum is exact at the extremes.
#include "guard.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_K = 65536, MAX_BYTES = 1 << 23 };

struct blocks {
  struct guard a, w, wsum, wscale, ascale, azero, bias, want, got;
};

// One product in logical form; table-specific packing happens in run.
struct problem {
  size_t M, N, K;
  uint8_t *a; // (M, K)
  int8_t *w;  // (N, K)
  float *ascale, *wscale, *bias;
  int32_t *azero;
  bool has_bias;
  enum act act;
};

static int open_blocks(void **state) {
  struct blocks *b = calloc(1, sizeof *b);
  struct guard *all[] = {&b->a, &b->w, &b->wsum, &b->wscale, &b->ascale, &b->azero, &b->bias, &b->want, &b->got};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_open(all[i], MAX_BYTES);
  *state = b;
  printf("seed %d\n", TEST_SEED);
  return 0;
}

static int close_blocks(void **state) {
  struct blocks *b = *state;
  struct guard *all[] = {&b->a, &b->w, &b->wsum, &b->wscale, &b->ascale, &b->azero, &b->bias, &b->want, &b->got};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) guard_close(all[i]);
  free(b);
  return 0;
}

static struct problem make(size_t M, size_t N, size_t K) {
  struct problem p = {.M = M, .N = N, .K = K};
  p.a = malloc(M * K);
  p.w = malloc(N * K);
  p.ascale = malloc(M * sizeof *p.ascale);
  p.azero = malloc(M * sizeof *p.azero);
  p.wscale = malloc(N * sizeof *p.wscale);
  p.bias = malloc(N * sizeof *p.bias);
  assert_true(p.a && p.w && p.ascale && p.azero && p.wscale && p.bias);
  return p;
}

static void drop(struct problem *p) {
  free(p->a);
  free(p->w);
  free(p->ascale);
  free(p->azero);
  free(p->wscale);
  free(p->bias);
}

static void randomize(struct problem *p, struct rng *r) {
  for (size_t i = 0; i < p->M * p->K; i++) p->a[i] = (uint8_t)rng_next(r);
  for (size_t i = 0; i < p->N * p->K; i++) p->w[i] = (int8_t)(uint8_t)rng_next(r);
  for (size_t m = 0; m < p->M; m++) {
    p->ascale[m] = (float)rng_unit(r) * 0.1f;
    p->azero[m] = (int32_t)rng_below(r, 256);
  }
  for (size_t n = 0; n < p->N; n++) p->wscale[n] = (float)rng_unit(r) * 0.01f;
  test_floats(r, p->bias, p->N);
}

// Packs p for t into blocks that end at guard pages, panel by panel, and multiplies into c (M, ldc).
static void run(struct blocks *b, const struct kernels *t, const struct problem *p, float *c, size_t ldc) {
  size_t nr = t->i8_nr, kg = t->i8_kg, K = (p->K + kg - 1) / kg * kg, lda = K + 7;
  uint8_t *a = guard_take(&b->a, matrix_bytes(p->M, K, lda, 1));
  float *ascale = guard_take(&b->ascale, p->M * sizeof *ascale);
  int32_t *azero = guard_take(&b->azero, p->M * sizeof *azero);
  for (size_t m = 0; m < p->M; m++) {
    memset(a + m * lda, 0, K);
    memcpy(a + m * lda, p->a + m * p->K, p->K);
  }
  memcpy(ascale, p->ascale, p->M * sizeof *ascale);
  memcpy(azero, p->azero, p->M * sizeof *azero);
  for (size_t n0 = 0; n0 < p->N; n0 += nr) {
    size_t N = p->N - n0 < nr ? p->N - n0 : nr;
    int8_t *w = guard_take(&b->w, K * nr);
    int32_t *wsum = guard_take(&b->wsum, N * sizeof *wsum);
    float *wscale = guard_take(&b->wscale, N * sizeof *wscale), *bias = guard_take(&b->bias, N * sizeof *bias);
    memset(w, 0, K * nr);
    for (size_t n = 0; n < N; n++) {
      wsum[n] = 0;
      for (size_t k = 0; k < p->K; k++) {
        int8_t value = p->w[(n0 + n) * p->K + k];
        w[(k / kg * nr + n) * kg + k % kg] = value;
        wsum[n] += value;
      }
    }
    memcpy(wscale, p->wscale + n0, N * sizeof *wscale);
    memcpy(bias, p->bias + n0, N * sizeof *bias);
    t->gemm_i8(&(struct gemm_i8){.M = p->M,
                                 .N = N,
                                 .K = K,
                                 .a = a,
                                 .lda = lda,
                                 .w = w,
                                 .wsum = wsum,
                                 .wscale = wscale,
                                 .ascale = ascale,
                                 .azero = azero,
                                 .bias = p->has_bias ? bias : NULL,
                                 .act = p->act,
                                 .c = c + n0,
                                 .ldc = ldc,
                                 .ahead = p->K % 2 ? w : NULL});
  }
}

static void check_all_tables(struct blocks *b, const struct problem *p) {
  size_t ldc = p->N + 3, bytes = matrix_bytes(p->M, p->N, ldc, sizeof(float)), next = 1;
  run(b, scalar_table(), p, guard_take(&b->want, bytes), ldc);
  for (const struct kernels *t; (t = next_table(&next));) {
    char what[96];
    snprintf(what, sizeof what, "M %zu N %zu K %zu act %d bias %d", p->M, p->N, p->K, (int)p->act, p->has_bias);
    run(b, t, p, guard_take(&b->got, bytes), ldc);
    check_same_floats(t->name, what, (float *)b->got.start, (float *)b->want.start, bytes / sizeof(float));
    check_gaps(b->got.start, p->M, p->N, ldc, sizeof(float));
    guard_check_front(&b->got);
  }
}

static void test_same_bits(void **state) {
  static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 19};
  struct rng r;
  rng_seed(&r, TEST_SEED);
  size_t i = 0;
  for (size_t m = 0; m < sizeof rows / sizeof *rows; m++) {
    for (size_t n = 0; n < TEST_SIZES; n++) {
      for (size_t k = n % 3; k < TEST_SIZES; k += 3, i++) {
        struct problem p = make(rows[m], test_sizes[n], test_sizes[k]);
        randomize(&p, &r);
        p.act = i % (ACT_TANH + 1), p.has_bias = i / 7 % 2;
        check_all_tables(*state, &p);
        drop(&p);
      }
    }
  }
}

static void test_long_k(void **state) {
  static const size_t ks[] = {510, 512, 514, 1023, 1025, 4096};
  struct rng r;
  rng_seed(&r, TEST_SEED + 1);
  for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
    struct problem p = make(7, 65, ks[i]);
    randomize(&p, &r);
    check_all_tables(*state, &p);
    drop(&p);
  }
}

// Every term at its extreme, so that a saturating step or a lost carry shows; the answer is known without any kernel.
static void test_extremes(void **state) {
  static const struct {
    uint8_t a;
    int8_t w;
    int32_t zero;
    size_t K;
  } cases[] = {
      {255, -128, 0, 4096},  {255, 127, 0, 4096},  {255, -128, 255, 4096}, {0, -128, 255, 4096},
      {255, -128, 0, MAX_K}, {255, 127, 0, MAX_K}, {0, -128, 255, MAX_K},  {0, 127, 255, MAX_K},
  };
  struct blocks *b = *state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct problem p = make(2, 17, cases[i].K);
    memset(p.a, cases[i].a, p.M * p.K);
    memset(p.w, (uint8_t)cases[i].w, p.N * p.K);
    for (size_t m = 0; m < p.M; m++) p.ascale[m] = 1.0f, p.azero[m] = cases[i].zero;
    for (size_t n = 0; n < p.N; n++) p.wscale[n] = 1.0f;
    float want = (float)((int64_t)(cases[i].a - cases[i].zero) * cases[i].w * (int64_t)p.K);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bits),
      cmocka_unit_test(test_long_k),
      cmocka_unit_test(test_extremes),
  };
  return cmocka_run_group_tests(tests, open_blocks, close_blocks);
}
