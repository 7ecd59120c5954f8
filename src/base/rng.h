// rng.h - a small, fast, seedable generator (xoshiro256**, Blackman and Vigna 2018), seeded by splitmix64.
// Same seed, same numbers, on every machine. Not for secrets.
#ifndef PARE_BASE_RNG_H
#define PARE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
  uint64_t s[4];
};
// SplitMix64's output for a state (Steele, Lea, Flood 2014): of distinct states, distinct numbers without a pattern. A
// state that many threads step by RNG_STEP, atomically, is a generator they can share.
#define RNG_STEP UINT64_C(0x9E3779B97F4A7C15)
uint64_t rng_mix(uint64_t state);
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
size_t rng_below(struct rng *r, size_t n);                // uniform in [0, n), n >= 1, without modulo bias
double rng_unit(struct rng *r);                           // uniform in [0, 1), 53 bits
float rng_normal(struct rng *r);                          // mean 0, variance 1
void rng_shuffle(struct rng *r, size_t *order, size_t n); // a random permutation of order, in place

#endif
