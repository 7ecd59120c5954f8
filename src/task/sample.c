// sample.c - see sample.h. Probabilities in double.
#include "task/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"

struct candidate {
  double p; // distance to the highest logit over the temperature first, probability later
  uint32_t id;
};
struct sampler_scratch {
  struct candidate *list; // (V)
  uint32_t *times;        // (V) that an id was seen, all 0 between calls
};

enum pare_status sampler_scratch_new(size_t V, struct sampler_scratch **out, struct pare_error *err) {
  struct sampler_scratch *s = calloc(1, sizeof *s);
  *out = s;
  if (s) s->list = calloc(V, sizeof *s->list);
  if (s) s->times = calloc(V, sizeof *s->times);
  if (s && s->list && s->times) return PARE_OK;
  sampler_scratch_free(s);
  *out = NULL;
  return error_no_memory(err);
}

void sampler_scratch_free(struct sampler_scratch *s) {
  if (!s) return;
  free(s->list);
  free(s->times);
  free(s);
}

static enum pare_status check_penalty(const char *name, double value, struct pare_error *err) {
  if (value >= -2 && value <= 2) return PARE_OK;
  return error_set(err, PARE_USAGE, "%s: expected -2 to 2, found %g", name, value);
}

static enum pare_status check_bias(const struct pare_logit_bias *bias, size_t n, size_t V, struct pare_error *err) {
  for (size_t i = 0; i < n; i++) {
    if (bias[i].id >= V)
      return error_set(err, PARE_USAGE, "bias: id %u is not below the vocabulary's %zu", bias[i].id, V);
    if (!(bias[i].bias >= -100 && bias[i].bias <= 100))
      return error_set(err, PARE_USAGE, "bias: expected -100 to 100, found %g for id %u", (double)bias[i].bias,
                       bias[i].id);
  }
  return PARE_OK;
}

enum pare_status sample_check(const struct pare_generate_options *o, size_t V, struct pare_error *err) {
  if (!(o->temperature >= 0 && o->temperature <= 1e6))
    return error_set(err, PARE_USAGE, "temperature: expected 0 (greedy) to 1e6, found %g", o->temperature);
  if (!(o->top_p >= 0 && o->top_p <= 1))
    return error_set(err, PARE_USAGE, "top-p: expected 0 to 1, found %g", o->top_p);
  if (!(o->min_p >= 0 && o->min_p <= 1))
    return error_set(err, PARE_USAGE, "min-p: expected 0 to 1, found %g", o->min_p);
  if (o->repetition_penalty != 0 && !(o->repetition_penalty >= 1e-6 && o->repetition_penalty <= 1e6))
    return error_set(err, PARE_USAGE, "repetition-penalty: expected 1e-6 to 1e6 (0: off), found %g",
                     o->repetition_penalty);
  enum pare_status s = check_penalty("presence-penalty", o->presence_penalty, err);
  if (!s) s = check_penalty("frequency-penalty", o->frequency_penalty, err);
  return s ? s : check_bias(o->bias, o->bias_count, V, err);
}

enum pare_status sample_go_on(const struct pare_generate_options *o, struct pare_error *err) {
  return !o->go_on || o->go_on(o->context) ? PARE_OK : error_set(err, PARE_UNAVAILABLE, "stopped by the caller");
}

// By the bits, which compilers look at many at once; sums of floats they must take one by one.
bool sample_are_numbers(const float *logits, size_t V) {
  const uint32_t exponent = 0x7F800000; // all ones: no number
  uint32_t bad = 0;
  for (size_t i = 0; i < V; i++) {
    uint32_t bits;
    memcpy(&bits, &logits[i], sizeof bits);
    bad |= (bits & exponent) == exponent;
  }
  return !bad;
}

void sample_penalize(float *logits, size_t V, const uint32_t *ids, size_t n, double penalty,
                     struct sampler_scratch *scratch) {
  if (penalty == 0 || penalty == 1) return;
  for (size_t i = 0; i < n; i++) {
    if (ids[i] >= V || scratch->times[ids[i]]) continue;
    float *x = &logits[ids[i]];
    *x = *x < 0 ? *x * (float)penalty : *x / (float)penalty;
    scratch->times[ids[i]] = 1;
  }
  for (size_t i = 0; i < n; i++)
    if (ids[i] < V) scratch->times[ids[i]] = 0;
}

void sample_discourage(float *logits, size_t V, const uint32_t *ids, size_t n, double presence, double frequency,
                       struct sampler_scratch *scratch) {
  if (presence == 0 && frequency == 0) return;
  for (size_t i = 0; i < n; i++)
    if (ids[i] < V) scratch->times[ids[i]]++;
  for (size_t i = 0; i < n; i++) {
    if (ids[i] >= V || !scratch->times[ids[i]]) continue;
    float *x = &logits[ids[i]];
    *x = (float)((double)*x - presence - frequency * scratch->times[ids[i]]);
    scratch->times[ids[i]] = 0;
  }
}

// First the highest value, by lanes that compilers keep in vector registers, then where it first stands: a vocabulary
// is long enough for one pass with a branch per logit to show in the time per token.
enum { HIGHEST_BLOCK = 1024 }; // what is looked through twice

static float highest_of(const float *logits, size_t n) {
  enum { LANES = 16 };
  float lane[LANES], max = -INFINITY;
  for (size_t j = 0; j < LANES; j++) lane[j] = -INFINITY;
  size_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (size_t j = 0; j < LANES; j++) lane[j] = logits[i + j] > lane[j] ? logits[i + j] : lane[j];
  for (; i < n; i++) max = logits[i] > max ? logits[i] : max;
  for (size_t j = 0; j < LANES; j++) max = lane[j] > max ? lane[j] : max;
  return max;
}

uint32_t sample_highest(const float *logits, size_t V) {
  size_t best = 0;
  float max = -INFINITY;
  for (size_t first = 0; first < V; first += HIGHEST_BLOCK) {
    float here = highest_of(logits + first, size_min(HIGHEST_BLOCK, V - first));
    if (here > max) max = here, best = first;
  }
  for (size_t i = best; i < V; i++)
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

// Candidates, highest first, put in order only as far as somebody looks: the rest is a heap of four children a node, a
// cache line of them.
struct ranking {
  struct candidate *list; // [0, heap): the rest, the highest on top; [V - 1 - i]: the i-th, i < V - heap
  size_t V, heap;
  size_t known; // the first so many hold probabilities
  double total; // what all that may be drawn sum to
};
enum { CHILDREN = 4 };

static bool above(const struct candidate *a, const struct candidate *b) {
  return a->p != b->p ? a->p > b->p : a->id < b->id;
}

static void sink(struct candidate *heap, size_t n, size_t i) {
  struct candidate c = heap[i];
  for (size_t first, best; (best = first = CHILDREN * i + 1) < n; i = best) {
    for (size_t child = first + 1; child < size_min(first + CHILDREN, n); child++)
      if (above(&heap[child], &heap[best])) best = child;
    if (!above(&heap[best], &c)) break;
    heap[i] = heap[best];
  }
  heap[i] = c;
}

static struct ranking rank(struct candidate *list, size_t V) {
  for (size_t i = V / CHILDREN + 1; i-- > 0;) sink(list, V, i);
  return (struct ranking){.list = list, .V = V, .heap = V};
}

static struct candidate *ranked(struct ranking *r, size_t i) {
  while (r->V - r->heap <= i) {
    struct candidate top = r->list[0];
    r->list[0] = r->list[--r->heap];
    if (r->heap > 1) sink(r->list, r->heap, 0);
    r->list[r->heap] = top;
  }
  return &r->list[r->V - 1 - i];
}

static double probability(struct ranking *r, size_t i) {
  for (; r->known <= i; r->known++) {
    struct candidate *c = ranked(r, r->known);
    c->p = exp(c->p) / r->total;
  }
  return r->list[r->V - 1 - i].p;
}

// How many top-k leaves: all that tie with the K-th stay.
static size_t cut_top_k(struct ranking *r, size_t k) {
  while (k < r->V && ranked(r, k)->p == ranked(r, k - 1)->p) k++;
  return k;
}

// The fewest of the highest whose probabilities reach top_p (the one that crosses it included), at least one.
static size_t cut_top_p(struct ranking *r, size_t n, double top_p) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    sum += probability(r, i);
    if (sum >= top_p) return i + 1;
  }
  return n;
}

static size_t cut_min_p(struct ranking *r, size_t n, double min_p) {
  size_t kept = 1;
  while (kept < n && probability(r, kept) >= min_p * probability(r, 0)) kept++;
  return kept;
}

static void normalize(struct ranking *r, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += probability(r, i);
  for (size_t i = 0; i < n; i++) ranked(r, i)->p /= sum;
}

uint32_t sample_token(const float *logits, size_t V, const struct pare_generate_options *o, struct rng *rng,
                      struct sampler_scratch *scratch) {
  if (o->temperature == 0) return sample_highest(logits, V);
  struct candidate *list = scratch->list;
  fill(list, logits, V, o->temperature);
  bool top_k = o->top_k && o->top_k < V;
  double all = 0;
  for (size_t i = 0; i < V && !top_k; i++) all += exp(list[i].p); // in the order of ids: no sort is needed
  struct ranking r = rank(list, V);
  r.total = all;
  size_t n = top_k ? cut_top_k(&r, o->top_k) : V;
  for (size_t i = 0; i < n && top_k; i++) r.total += exp(ranked(&r, i)->p);
  if (o->top_p > 0 && o->top_p < 1) {
    n = cut_top_p(&r, n, o->top_p);
    normalize(&r, n);
  }
  if (o->min_p > 0) {
    n = cut_min_p(&r, n, o->min_p);
    normalize(&r, n);
  }
  double u = rng_unit(rng), sum = probability(&r, 0);
  size_t i = 0;
  while (u >= sum && i + 1 < n && probability(&r, i + 1) > 0) sum += probability(&r, ++i);
  return ranked(&r, i)->id;
}
