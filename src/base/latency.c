// latency.c - see latency.h.
#include "base/latency.h"

#include <assert.h>
#include <math.h>

#include "base/size.h"

// An octave's values keep their top bit and the LATENCY_SUB_BITS below it; the shift says which octave.
static size_t bucket_of(uint64_t ns) {
  const uint64_t top = ((uint64_t)1 << LATENCY_TOP_BITS) - 1;
  if (ns > top) ns = top;
  if (ns >> (LATENCY_SUB_BITS + 1) == 0) return (size_t)ns;
  unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - LATENCY_SUB_BITS;
  return ((size_t)shift << LATENCY_SUB_BITS) + (size_t)(ns >> shift);
}

uint64_t latency_bucket_ns(size_t bucket) {
  assert(bucket < LATENCY_BUCKETS);
  if (bucket >> (LATENCY_SUB_BITS + 1) == 0) return bucket;
  size_t shift = (bucket >> LATENCY_SUB_BITS) - 1;
  uint64_t kept = bucket - (shift << LATENCY_SUB_BITS);
  return ((kept + 1) << shift) - 1;
}

void latency_add(struct latency *h, uint64_t ns) {
  if (h->count == 0 || ns < h->min_ns) h->min_ns = ns;
  if (ns > h->max_ns) h->max_ns = ns;
  h->count++;
  h->sum_ns += (double)ns;
  h->buckets[bucket_of(ns)]++;
}

void latency_add_lost(struct latency *h) {
  h->lost++;
}

void latency_merge(struct latency *into, const struct latency *from) {
  into->lost += from->lost;
  if (from->count == 0) return;
  if (into->count == 0 || from->min_ns < into->min_ns) into->min_ns = from->min_ns;
  if (from->max_ns > into->max_ns) into->max_ns = from->max_ns;
  into->count += from->count;
  into->sum_ns += from->sum_ns;
  for (size_t i = 0; i < LATENCY_BUCKETS; i++) into->buckets[i] += from->buckets[i];
}

double latency_mean_ns(const struct latency *h) {
  return h->count ? h->sum_ns / (double)h->count : 0;
}

bool latency_quantile(const struct latency *h, double p, uint64_t *ns) {
  assert(p > 0 && p <= 1);
  size_t n = h->count + h->lost;
  // 0.95 * 60 is a hair above 57 in doubles; the hair is no rank of its own.
  size_t rank = size_min(n, (size_t)ceil(p * (double)n * (1 - 1e-12)));
  if (rank == 0 || rank > h->count) return false;
  size_t below = 0, i = 0;
  while (below + h->buckets[i] < rank) below += h->buckets[i++];
  uint64_t end = latency_bucket_ns(i);
  *ns = end < h->max_ns ? end : h->max_ns;
  return true;
}

size_t latency_percentile_needs(double p) {
  assert(p > 0 && p < 1);
  return (size_t)ceil(log(0.05) / log(p));
}
