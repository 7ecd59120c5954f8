// rng.c - see rng.h.
#include "base/rng.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k) {
  return (x << k) | (x >> (64 - k));
}

uint64_t rng_mix(uint64_t state) {
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void rng_seed(struct rng *r, uint64_t seed) {
  for (int i = 0; i < 4; i++) r->s[i] = rng_mix(seed += RNG_STEP);
}

uint64_t rng_next(struct rng *r) {
  uint64_t *s = r->s;
  uint64_t out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotl(s[3], 45);
  return out;
}

size_t rng_below(struct rng *r, size_t n) {
  uint64_t limit = UINT64_MAX - UINT64_MAX % n; // draws at or above it would favour small values
  uint64_t x = rng_next(r);
  while (x >= limit) x = rng_next(r);
  return (size_t)(x % n);
}

double rng_unit(struct rng *r) {
  return (double)(rng_next(r) >> 11) * 0x1p-53;
}

// Box and Muller 1958; the second value is dropped to keep the state one struct.
float rng_normal(struct rng *r) {
  double u = 1.0 - rng_unit(r), v = rng_unit(r);
  return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

void rng_shuffle(struct rng *r, size_t *order, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t j = rng_below(r, i), kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
  }
}
