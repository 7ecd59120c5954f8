// rows.c - how long each table's row kernels take, in ns per element, over an array that stays in L1, in rows of 64,
// 768 and 3072. For a human: run it on an idle machine. 64 is the piece an activation is applied to after a product's
// tile, so the call counts as well.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "kernel/kernel.h"

enum { MAX_N = 3072, TRIES = 40 };
static const uint64_t try_ns = 1000000; // shorter than a time slice, so that some tries are undisturbed

struct rows {
  float x[MAX_N], y[MAX_N], gamma[MAX_N], beta[MAX_N], gates[4 * MAX_N], recurrent[4 * MAX_N];
  uint8_t q[MAX_N], mask[MAX_N];
};

// Runs over the row of n values at offset `at`.
typedef void (*row_fn)(const struct kernels *t, struct rows *r, size_t at, size_t n);

static void nothing(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  (void)t, (void)r, (void)at, (void)n;
}

static void gelu(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->act(ACT_GELU, r->y + at, n);
}

static void gelu_tanh(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->act(ACT_GELU_TANH, r->y + at, n);
}

static void silu(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->act(ACT_SILU, r->y + at, n);
}

static void hyperbolic_tangent(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->act(ACT_TANH, r->y + at, n);
}

static void relu(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->act(ACT_RELU, r->y + at, n);
}

static void softmax_exp(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->softmax_exp(r->y + at, n, 0.125f);
}

static void quantize_u8(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  float scale;
  int32_t zero;
  t->quantize_u8(r->x + at, n, n, r->q + at, &scale, &zero);
}

static void quantize_s8(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  float scale;
  t->quantize_s8(r->x + at, r->mask, n, n, 6.0f, r->q + at, &scale);
}

static void layernorm(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->layernorm(r->x + at, r->gamma, r->beta, 1e-5f, n, r->y + at);
}

static void add(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->add(r->y + at, r->x + at, n);
}

static void lstm(const struct kernels *t, struct rows *r, size_t at, size_t n) {
  t->lstm(r->gates, r->recurrent, n, r->x + at, r->y + at);
}

static const struct {
  const char *name;
  row_fn run;
} kinds[] = {{"copy", nothing},
             {"gelu", gelu},
             {"gelu_tanh", gelu_tanh},
             {"silu", silu},
             {"tanh", hyperbolic_tangent},
             {"relu", relu},
             {"softmax_exp", softmax_exp},
             {"quantize_u8", quantize_u8},
             {"quantize_s8", quantize_s8},
             {"layernorm", layernorm},
             {"add", add},
             {"lstm", lstm}};

static void fill(struct rows *r) {
  struct rng rng;
  rng_seed(&rng, 1);
  for (size_t i = 0; i < MAX_N; i++) {
    r->x[i] = rng_normal(&rng), r->y[i] = 0, r->gamma[i] = 1 + 0.1f * rng_normal(&rng), r->beta[i] = rng_normal(&rng);
    r->mask[i] = 0;
  }
  for (size_t i = 0; i < 4 * (size_t)MAX_N; i++) r->gates[i] = rng_normal(&rng), r->recurrent[i] = rng_normal(&rng);
}

// The best of a few tries, in ns per element: the least disturbed one.
static double time_of(row_fn run, const struct kernels *t, struct rows *r, size_t n) {
  double best = 1e30;
  fill(r);
  for (int i = 0; i < TRIES; i++) {
    uint64_t start = clock_ns(), spent;
    double elements = 0;
    do { // activations work in place, so each pass starts from x; the copy alone is "copy"
      memcpy(r->y, r->x, sizeof r->y);
      for (size_t at = 0; at + n <= MAX_N; at += n) run(t, r, at, n);
      elements += MAX_N;
      spent = clock_ns() - start;
    } while (spent < try_ns);
    if ((double)spent / elements < best) best = (double)spent / elements;
  }
  return best;
}

int main(int argc, char **argv) {
  static struct rows r;
  static const size_t sizes[] = {64, 768, MAX_N};
  printf("one thread; ns per element\n%-12s %-12s %8s %8s %8s\n", "table", "row", "64", "768", "3072");
  size_t count;
  const struct kernels *const *all = kernels_all(&count);
  for (size_t i = 0; i < count; i++) {
    if (!all[i]->supported() || (argc > 1 && strcmp(argv[1], all[i]->name) != 0)) continue;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
      printf("%-12s %-12s", all[i]->name, kinds[k].name);
      for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        printf(" %8.3f", time_of(kinds[k].run, all[i], &r, sizes[s]));
      }
      printf("\n");
      fflush(stdout);
    }
  }
  return 0;
}
