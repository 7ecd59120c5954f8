// size.h - checked arithmetic for sizes that come from files. Every product or sum of such sizes goes through here.
#ifndef PARE_BASE_SIZE_H
#define PARE_BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// *out = a * b (or a + b); false, with *out untouched in meaning, when it does not fit.
static inline bool size_mul(size_t a, size_t b, size_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}
static inline bool size_add(size_t a, size_t b, size_t *out) {
  return !__builtin_add_overflow(a, b, out);
}
// x rounded up to a multiple of m (m > 0). For sizes already known to be small.
static inline size_t size_round_up(size_t x, size_t m) {
  return (x + m - 1) / m * m;
}
static inline size_t size_ceil_div(size_t x, size_t m) {
  return (x + m - 1) / m;
}
static inline size_t size_min(size_t a, size_t b) {
  return a < b ? a : b;
}
static inline size_t size_max(size_t a, size_t b) {
  return a > b ? a : b;
}

// The unsigned number of `bytes` (at most 8) bytes at p, least significant first: how files write sizes.
static inline uint64_t size_read_le(const uint8_t *p, size_t bytes) {
  uint64_t n = 0;
  for (size_t i = bytes; i > 0; i--) n = n << 8 | p[i - 1];
  return n;
}

#endif
