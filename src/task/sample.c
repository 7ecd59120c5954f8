// sample.c - see sample.h. Probabilities in double.
#include "task/sample.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"

struct candidate {
  double p; // distance to the highest logit over the temperature first, probability later
  uint32_t id;
};
struct sampler_scratch {
  struct candidate *list; // (V)
  bool *seen;             // (V), all false between calls
};

enum pare_status sampler_scratch_new(size_t V, struct sampler_scratch **out, struct pare_error *err) {
  struct sampler_scratch *s = calloc(1, sizeof *s);
  *out = s;
  if (s) s->list = calloc(V, sizeof *s->list);
  if (s) s->seen = calloc(V, sizeof *s->seen);
  if (s && s->list && s->seen) return PARE_OK;
  sampler_scratch_free(s);
  *out = NULL;
  return error_no_memory(err);
}

void sampler_scratch_free(struct sampler_scratch *s) {
  if (!s) return;
  free(s->list);
  free(s->seen);
  free(s);
}

enum pare_status sample_check(const struct pare_generate_options *o, struct pare_error *err) {
  if (!(o->temperature >= 0 && o->temperature <= 1e6))
    return error_set(err, PARE_USAGE, "temperature: expected 0 (greedy) to 1e6, found %g", o->temperature);
  if (!(o->top_p >= 0 && o->top_p <= 1))
    return error_set(err, PARE_USAGE, "top-p: expected 0 to 1, found %g", o->top_p);
  if (!(o->min_p >= 0 && o->min_p <= 1))
    return error_set(err, PARE_USAGE, "min-p: expected 0 to 1, found %g", o->min_p);
  if (o->repetition_penalty != 0 && !(o->repetition_penalty >= 1e-6 && o->repetition_penalty <= 1e6))
    return error_set(err, PARE_USAGE, "repetition-penalty: expected 1e-6 to 1e6 (0: off), found %g",
                     o->repetition_penalty);
  return PARE_OK;
}

void sample_penalize(float *logits, size_t V, const uint32_t *ids, size_t n, double penalty,
                     struct sampler_scratch *scratch) {
  if (penalty == 0 || penalty == 1) return;
  for (size_t i = 0; i < n; i++) {
    if (ids[i] >= V || scratch->seen[ids[i]]) continue;
    float *x = &logits[ids[i]];
    *x = *x < 0 ? *x * (float)penalty : *x / (float)penalty;
    scratch->seen[ids[i]] = true;
  }
  for (size_t i = 0; i < n; i++)
    if (ids[i] < V) scratch->seen[ids[i]] = false;
}

// First the highest value, by lanes that compilers keep in vector registers, then where it first stands: a vocabulary
// is long enough for one pass with a branch per logit to show in the time per token.
uint32_t sample_highest(const float *logits, size_t V) {
  enum { LANES = 16 };
  float lane[LANES], max = -INFINITY;
  for (size_t j = 0; j < LANES; j++) lane[j] = -INFINITY;
  size_t i = 0;
  for (; i + LANES <= V; i += LANES)
    for (size_t j = 0; j < LANES; j++) lane[j] = logits[i + j] > lane[j] ? logits[i + j] : lane[j];
  for (; i < V; i++) max = logits[i] > max ? logits[i] : max;
  for (size_t j = 0; j < LANES; j++) max = lane[j] > max ? lane[j] : max;
  for (i = 0; i < V; i++)
    if (logits[i] == max) return (uint32_t)i;
  return (uint32_t)(V - 1); // all are NaN
}

// Distances to the highest logit are at most 0: no temperature, however small, makes two infinities of them.
static void fill(struct candidate *list, const float *logits, size_t V, double temperature) {
  float max = logits[sample_highest(logits, V)];
  for (size_t i = 0; i < V; i++) {
    double x = logits[i] == max ? 0 : logits[i] < max ? ((double)logits[i] - (double)max) / temperature : -INFINITY;
    list[i] = (struct candidate){x, (uint32_t)i};
  }
}

static int by_value(const void *a, const void *b) {
  const struct candidate *x = a, *y = b;
  if (x->p != y->p) return x->p > y->p ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

// The smallest head of the sorted list whose probabilities reach top_p (the one that crosses it included), at least
// one.
static size_t cut_top_p(const struct candidate *list, size_t n, double top_p) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum += list[i].p;
    if (sum >= top_p) return i + 1;
  }
  return n;
}

static void to_probabilities(struct candidate *list, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += list[i].p = exp(list[i].p);
  for (size_t i = 0; i < n; i++) list[i].p /= sum;
}

static void normalize(struct candidate *list, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += list[i].p;
  for (size_t i = 0; i < n; i++) list[i].p /= sum;
}

uint32_t sample_token(const float *logits, size_t V, const struct pare_generate_options *o, struct rng *rng,
                      struct sampler_scratch *scratch) {
  if (o->temperature == 0) return sample_highest(logits, V);
  struct candidate *list = scratch->list;
  fill(list, logits, V, o->temperature);
  qsort(list, V, sizeof *list, by_value);
  size_t n = o->top_k && o->top_k < V ? o->top_k : V;
  while (n < V && list[n].p == list[n - 1].p) n++;
  to_probabilities(list, n);
  if (o->top_p > 0 && o->top_p < 1) {
    n = cut_top_p(list, n, o->top_p);
    normalize(list, n);
  }
  if (o->min_p > 0) {
    size_t kept = 1;
    while (kept < n && list[kept].p >= o->min_p * list[0].p) kept++;
    n = kept;
    normalize(list, n);
  }
  double u = rng_unit(rng), sum = list[0].p;
  size_t i = 0;
  while (u >= sum && i + 1 < n && list[i + 1].p > 0) sum += list[++i].p;
  return list[i].id;
}
