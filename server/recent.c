// recent.c - see recent.h.
#include "recent.h"

#include <math.h>
#include <string.h>

static const double shortest = 1e-6; // seconds: the lower end of bucket 0

void recent_add(struct recent *r, double seconds) {
  if (r->n[0] == RECENT_HALF) {
    memcpy(r->half[1], r->half[0], sizeof r->half[0]);
    memset(r->half[0], 0, sizeof r->half[0]);
    r->n[1] = r->n[0];
    r->n[0] = 0;
  }
  double place = seconds > shortest ? 8 * log2(seconds / shortest) : 0; // NaN counts as the shortest
  r->half[0][place < RECENT_BUCKETS ? (size_t)place : RECENT_BUCKETS - 1]++;
  r->n[0]++;
}

uint64_t recent_count(const struct recent *r) {
  return (uint64_t)r->n[0] + r->n[1];
}

double recent_quantile(const struct recent *r, double q) {
  double rank = q * (double)recent_count(r), below = 0;
  for (size_t i = 0; i < RECENT_BUCKETS; i++) {
    double here = (double)r->half[0][i] + r->half[1][i];
    if (here > 0 && below + here >= rank) return shortest * exp2(((double)i + fmax(0, rank - below) / here) / 8);
    below += here;
  }
  return NAN;
}
