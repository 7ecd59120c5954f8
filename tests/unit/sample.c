// sample.c - draws that order only as many candidates as they need against draws that sort them all.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "task/sample.h"

enum { MAX_V = 3000 };

struct candidate {
  double p;
  uint32_t id;
};

static int highest_first(const void *a, const void *b) {
  const struct candidate *x = a, *y = b;
  if (x->p != y->p) return x->p > y->p ? -1 : 1;
  return x->id < y->id ? -1 : 1;
}

static void normalize(struct candidate *list, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += list[i].p;
  for (size_t i = 0; i < n; i++) list[i].p /= sum;
}

// The rules of sample.h over a list that is sorted whole. Finite logits.
static uint32_t plain_draw(const float *logits, size_t V, const struct pare_generate_options *o, double u) {
  static struct candidate list[MAX_V];
  float max = logits[0];
  for (size_t i = 1; i < V; i++) max = logits[i] > max ? logits[i] : max;
  for (size_t i = 0; i < V; i++)
    list[i] = (struct candidate){((double)logits[i] - (double)max) / o->temperature, (uint32_t)i};
  qsort(list, V, sizeof *list, highest_first);
  size_t n = o->top_k && o->top_k < V ? o->top_k : V, kept = 1;
  while (n < V && list[n].p == list[n - 1].p) n++;
  for (size_t i = 0; i < n; i++) list[i].p = exp(list[i].p);
  normalize(list, n);
  if (o->top_p > 0 && o->top_p < 1) {
    for (double sum = list[0].p; sum < o->top_p && kept < n; kept++) sum += list[kept].p;
    n = kept;
    normalize(list, n);
  }
  if (o->min_p > 0) {
    for (kept = 1; kept < n && list[kept].p >= o->min_p * list[0].p;) kept++;
    n = kept;
    normalize(list, n);
  }
  size_t i = 0;
  for (double sum = list[0].p; u >= sum && i + 1 < n && list[i + 1].p > 0;) sum += list[++i].p;
  return list[i].id;
}

static void draws_are_those_of_a_sorted_list(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 3, 4, 5, 6, 16, 17, 21, 22, 64, 500, MAX_V};
  static const float spread[] = {0, 0.3f, 2, 8};
  static const size_t top_k[] = {0, 1, 3, 40};
  static const double top_p[] = {0, 1e-9, 0.6, 0.95}, min_p[] = {0, 0.02, 1};
  static float x[MAX_V];
  struct rng logits, draw, same;
  rng_seed(&logits, 20240917);
  rng_seed(&draw, 4);
  for (size_t turn = 0; turn < 20000; turn++) {
    size_t V = sizes[rng_below(&logits, sizeof sizes / sizeof *sizes)], shape = rng_below(&logits, 4);
    bool ties = rng_below(&logits, 2);
    const struct pare_generate_options o = {.temperature = 0.3 + rng_unit(&logits),
                                            .top_k = top_k[rng_below(&logits, 4)],
                                            .top_p = top_p[rng_below(&logits, 4)],
                                            .min_p = min_p[rng_below(&logits, 3)]};
    for (size_t i = 0; i < V; i++) {
      x[i] = spread[shape] * rng_normal(&logits);
      if (ties) x[i] = roundf(x[i]);
    }
    struct sampler_scratch *scratch;
    struct pare_error err;
    assert_int_equal(sampler_scratch_new(V, &scratch, &err), PARE_OK);
    same = draw;
    uint32_t want = plain_draw(x, V, &o, rng_unit(&same)), got = sample_token(x, V, &o, &draw, scratch);
    if (got != want)
      fail_msg("turn %zu: %zu candidates, top-k %zu, top-p %g, min-p %g: %u, expected %u", turn, V, o.top_k, o.top_p,
               o.min_p, got, want);
    assert_memory_equal(&draw, &same, sizeof draw); // one number a draw
    sampler_scratch_free(scratch);
  }
}

// Each id once and for each time it is there, whichever of the two is asked for; nothing is remembered.
static void discouraged_ids(void **state) {
  (void)state;
  enum { V = 9 };
  static const uint32_t ids[] = {2, 7, 2, 2, V, 0};
  static const double presence[] = {0, 0.5, 0, -0.5}, frequency[] = {0, 0, 0.25, 0.25};
  struct sampler_scratch *scratch;
  struct pare_error err;
  assert_int_equal(sampler_scratch_new(V, &scratch, &err), PARE_OK);
  for (size_t i = 0; i < 8; i++) {
    double p = presence[i % 4], q = frequency[i % 4];
    float x[V] = {0};
    sample_discourage(x, V, ids, 6, p, q, scratch);
    for (size_t id = 0; id < V; id++) {
      double want = id == 2 ? -p - 3 * q : id == 7 || id == 0 ? -p - q : 0;
      assert_true((double)x[id] == want); // all of these are exact
    }
  }
  sampler_scratch_free(scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(draws_are_those_of_a_sorted_list),
                                     cmocka_unit_test(discouraged_ids)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
