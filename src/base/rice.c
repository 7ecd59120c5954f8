// rice.c - see rice.h. Files are little-endian, and so are the machines this is built for.
#include "base/rice.h"

#include <string.h>

#include "base/size.h"

static uint64_t gap_at(const uint64_t *positions, size_t i) {
  return i ? positions[i] - positions[i - 1] - 1 : positions[0];
}

static unsigned best_parameter(const uint64_t *positions, size_t n, uint64_t *best_bits) {
  unsigned best = 0;
  *best_bits = UINT64_MAX;
  for (unsigned k = 0; k <= RICE_MAX_K; k++) {
    uint64_t bits = (uint64_t)n * (k + 1);
    for (size_t i = 0; i < n && bits < *best_bits; i++) bits += gap_at(positions, i) >> k;
    if (bits >= *best_bits) continue;
    *best_bits = bits;
    best = k;
  }
  return best;
}

static size_t put(uint8_t *out, size_t bit, bool one) {
  if (one) out[bit / 8] = (uint8_t)(out[bit / 8] | 1u << bit % 8);
  return bit + 1;
}

size_t rice_encode(const uint64_t *positions, size_t n, uint8_t *out) {
  uint64_t bits;
  unsigned k = best_parameter(positions, n, &bits);
  size_t bytes = 1 + (size_t)((bits + 7) / 8), bit = 8;
  if (!out) return bytes;
  memset(out, 0, bytes);
  out[0] = (uint8_t)k;
  for (size_t i = 0; i < n; i++) {
    uint64_t gap = gap_at(positions, i);
    for (uint64_t q = gap >> k; q > 0; q--) bit = put(out, bit, true);
    bit++; // the zero
    for (unsigned b = 0; b < k; b++) bit = put(out, bit, gap >> b & 1);
  }
  return bytes;
}

bool rice_open(struct rice_reader *r, const uint8_t *bytes, size_t len) {
  *r = (struct rice_reader){.bytes = bytes, .len = len, .bit = 8};
  if (len == 0 || len > SIZE_MAX / 8 || bytes[0] > RICE_MAX_K) return false;
  r->k = bytes[0];
  return true;
}

// The bits from r->bit on, at least 57 of them, zeros beyond the end.
static uint64_t window(const struct rice_reader *r) {
  size_t byte = r->bit / 8;
  uint64_t w = 0;
  memcpy(&w, r->bytes + byte, size_min(sizeof w, r->len - byte));
  return w >> r->bit % 8;
}

bool rice_next(struct rice_reader *r, uint64_t limit, uint64_t *position) {
  enum { WINDOW = 57 };
  uint64_t quotient = 0;
  for (;;) {
    size_t left = size_min(r->len * 8 - r->bit, WINDOW);
    size_t ones = (size_t)__builtin_ctzll(~window(r) | 1ull << WINDOW);
    if (left == 0) return false;
    if (ones < left) {
      quotient += ones;
      r->bit += ones + 1;
      break;
    }
    quotient += left;
    r->bit += left;
  }
  if (r->len * 8 - r->bit < r->k || quotient > limit >> r->k) return false;
  uint64_t gap = quotient << r->k | (window(r) & ((1ull << r->k) - 1));
  r->bit += r->k;
  if (r->next >= limit || gap >= limit - r->next) return false;
  *position = r->next + gap;
  r->next = *position + 1;
  return true;
}

bool rice_at_end(const struct rice_reader *r) {
  return r->len * 8 - r->bit < 8 && window(r) == 0;
}
