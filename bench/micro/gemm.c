// gemm.c - how close each table's products come to what one core can do. For a human: run it on an idle machine.
// Each shape multiplies M rows by a packed (N, K) matrix, panel by panel, as nn/ does. "tile" is one register tile over
// a panel that fits in L1: the practical ceiling of the instruction mix. Rates count a multiply and an add as two.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "kernel/kernel.h"

enum { MAX_M = 126, MAX_N = 3072, MAX_K = 768, NR_MAX = 64, TILE_K = 96, NF4_BLOCK = 64, TRIES = 80 };
static const uint64_t try_ns = 2000000; // shorter than a time slice, so that some tries are undisturbed

struct data {
  float *a, *c, *w, *scale;
  uint8_t *a8;
  int8_t *w8;
  uint16_t *a16, *w16;
  uint8_t *w4; // of int4 or nf4: panels one after another
  int32_t *sums;
  const float *book;
};

struct shape {
  size_t M, N, K;
};

static void run_f32(const struct kernels *t, const struct data *d, const struct shape *s) {
  size_t nr = t->f32_nr;
  for (size_t n = 0; n < s->N; n += nr) {
    size_t width = s->N - n < nr ? s->N - n : nr;
    t->gemm_f32(&(struct gemm_f32){.M = s->M,
                                   .N = width,
                                   .K = s->K,
                                   .a = d->a,
                                   .lda = s->K,
                                   .w = d->w + n * s->K,
                                   .ldw = nr,
                                   .c = d->c + n,
                                   .ldc = s->N});
  }
}

static void run_half(const struct kernels *t, const struct data *d, const struct shape *s) {
  size_t nr = t->f32_nr;
  for (size_t n = 0; n < s->N; n += nr) {
    size_t width = s->N - n < nr ? s->N - n : nr;
    t->gemm_half(&(struct gemm_half){.M = s->M,
                                     .N = width,
                                     .K = s->K,
                                     .a = d->a,
                                     .lda = s->K,
                                     .w = d->w16 + n * s->K,
                                     .ldw = nr,
                                     .c = d->c + n,
                                     .ldc = s->N});
  }
}

static void run_bf16(const struct kernels *t, const struct data *d, const struct shape *s) {
  size_t nr = t->f32_nr;
  for (size_t n = 0; n < s->N; n += nr) {
    size_t width = s->N - n < nr ? s->N - n : nr;
    t->gemm_bf16(&(struct gemm_bf16){.M = s->M,
                                     .N = width,
                                     .K = s->K,
                                     .a = d->a16,
                                     .lda = s->K,
                                     .w = d->w16 + n * s->K,
                                     .ldw = nr,
                                     .c = d->c + n,
                                     .ldc = s->N});
  }
}

static void run_i8(const struct kernels *t, const struct data *d, const struct shape *s) {
  size_t nr = t->i8_nr;
  for (size_t n = 0; n < s->N; n += nr) {
    size_t width = s->N - n < nr ? s->N - n : nr;
    t->gemm_i8(&(struct gemm_i8){.M = s->M,
                                 .N = width,
                                 .K = s->K,
                                 .a = d->a8,
                                 .lda = s->K,
                                 .w = d->w8 + n * s->K,
                                 .wsum = d->sums,
                                 .wscale = d->scale,
                                 .ascale = d->scale,
                                 .azero = d->sums,
                                 .c = d->c + n,
                                 .ldc = s->N});
  }
}

static void run_i4(const struct kernels *t, const struct data *d, const struct shape *s) {
  size_t nr = t->i8_nr, panel = s->K / I4_GROUP * i4_group_bytes(nr, I4_GROUP);
  for (size_t n = 0; n < s->N; n += nr) {
    t->gemm_i4(&(struct gemm_i4){.M = s->M,
                                 .N = nr,
                                 .K = s->K,
                                 .a = d->a8,
                                 .lda = s->K,
                                 .w = d->w4 + n / nr * panel,
                                 .ascale = d->scale,
                                 .azero = d->sums,
                                 .c = d->c + n,
                                 .ldc = s->N});
  }
}

static void run_nf4(const struct kernels *t, const struct data *d, const struct shape *s) {
  size_t nr = t->f32_nr, panel = s->K / NF4_BLOCK * nf4_unit_bytes(nr, NF4_BLOCK);
  for (size_t n = 0; n < s->N; n += nr) {
    t->gemm_nf4(&(struct gemm_nf4){.M = s->M,
                                   .N = nr,
                                   .K = s->K,
                                   .a = d->a,
                                   .lda = s->K,
                                   .w = d->w4 + n / nr * panel,
                                   .codebook = d->book,
                                   .block = NF4_BLOCK,
                                   .c = d->c + n,
                                   .ldc = s->N});
  }
}

// The best of a few tries, in 1e9 operations per second: the least disturbed one.
static double rate(void (*run)(const struct kernels *, const struct data *, const struct shape *),
                   const struct kernels *t, const struct data *d, const struct shape *s) {
  double best = 0;
  for (int i = 0; i < TRIES; i++) {
    uint64_t start = clock_ns(), spent;
    double ops = 0;
    do {
      run(t, d, s);
      ops += 2.0 * (double)s->M * (double)s->N * (double)s->K;
      spent = clock_ns() - start;
    } while (spent < try_ns);
    if (ops / (double)spent > best) best = ops / (double)spent;
  }
  return best;
}

static void print_row(const char *table, const char *what, double tile, const double *rates, size_t count) {
  printf("%-12s %-10s %8.1f", table, what, tile);
  for (size_t i = 0; i < count; i++) printf(" %8.1f %3.0f%%", rates[i], 100 * rates[i] / tile);
  printf(" %8.1f\n", rates[count - 1] / 2); // the last shape has one row
  fflush(stdout);
}

static void bench_table(const struct kernels *t, const struct data *d) {
  static const struct shape shapes[] = {{126, MAX_N, MAX_K}, {8, MAX_N, MAX_K}, {1, MAX_N, MAX_K}};
  static const struct {
    const char *name;
    void (*run)(const struct kernels *, const struct data *, const struct shape *);
    bool integer;
    size_t tile_k;
  } products[] = {{"gemm_f32", run_f32, false, TILE_K},  {"gemm_half", run_half, false, TILE_K},
                  {"gemm_i8", run_i8, true, 4 * TILE_K}, {"gemm_bf16", run_bf16, false, TILE_K},
                  {"gemm_i4", run_i4, true, 4 * TILE_K}, {"gemm_nf4", run_nf4, false, 2 * TILE_K}};
  enum { SHAPES = sizeof shapes / sizeof *shapes };
  for (size_t p = 0; p < sizeof products / sizeof *products; p++) {
    if (products[p].run == run_bf16 && !t->bf16_dot) continue;
    bool integer = products[p].integer;
    struct shape tile = {integer ? t->i8_mr : t->f32_mr, integer ? t->i8_nr : t->f32_nr, products[p].tile_k};
    double rates[SHAPES];
    for (size_t i = 0; i < SHAPES; i++) rates[i] = rate(products[p].run, t, d, &shapes[i]);
    print_row(t->name, products[p].name, rate(products[p].run, t, d, &tile), rates, SHAPES);
  }
}

static void *take(size_t bytes) {
  void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!p) exit(70);
  memset(p, 0, bytes);
  return p;
}

int main(int argc, char **argv) {
  struct rng r;
  rng_seed(&r, 1);
  float book[16];
  for (size_t i = 0; i < 16; i++) book[i] = rng_normal(&r);
  struct data d = {.a = take(MAX_M * MAX_K * sizeof(float)),
                   .c = take(MAX_M * MAX_N * sizeof(float)),
                   .w = take((size_t)MAX_N * MAX_K * sizeof(float)),
                   .scale = take((MAX_M + NR_MAX) * sizeof(float)),
                   .a8 = take(MAX_M * MAX_K),
                   .w8 = take((size_t)MAX_N * MAX_K),
                   .a16 = take(MAX_M * MAX_K * sizeof(uint16_t)),
                   .w16 = take((size_t)MAX_N * MAX_K * sizeof(uint16_t)),
                   .w4 = take((size_t)MAX_N * MAX_K),
                   .book = book,
                   .sums = take((MAX_M + NR_MAX) * sizeof(int32_t))};
  for (size_t i = 0; i < MAX_M * MAX_K; i++) {
    d.a[i] = rng_normal(&r), d.a8[i] = (uint8_t)rng_next(&r);
    d.a16[i] = (uint16_t)(0x3f00 + rng_below(&r, 256));
  }
  for (size_t i = 0; i < (size_t)MAX_N * MAX_K; i++) {
    d.w[i] = rng_normal(&r), d.w8[i] = (int8_t)(uint8_t)rng_next(&r);
    d.w16[i] = (uint16_t)(0x3f00 + rng_below(&r, 256)); // bf16 in [0.5, 2)
  }
  for (size_t i = 0; i < (size_t)MAX_N * MAX_K; i++)
    d.w4[i] = (uint8_t)(0x20 | (rng_next(&r) & 0x1f)); // as scales: small floats, none of them subnormal
  for (size_t i = 0; i < MAX_M + NR_MAX; i++) d.scale[i] = 0.01f;

  printf(
      "one thread, N %d, K %d; 1e9 operations per second, and the share of the tile's rate; 1e9 weights per second\n",
      MAX_N, MAX_K);
  printf("%-12s %-10s %8s %13s %13s %13s %8s\n", "table", "product", "tile", "M 126", "M 8", "M 1", "weights");
  size_t count;
  const struct kernels *const *all = kernels_all(&count);
  for (size_t i = 0; i < count; i++) {
    if (all[i]->supported() && (argc < 2 || strcmp(argv[1], all[i]->name) == 0)) bench_table(all[i], &d);
  }
  free(d.a);
  free(d.c);
  free(d.w);
  free(d.scale);
  free(d.a8);
  free(d.w8);
  free(d.a16);
  free(d.w16);
  free(d.w4);
  free(d.sums);
  return 0;
}
