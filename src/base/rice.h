// rice.h - ascending positions as Golomb-Rice codes (Golomb 1966; Rice 1979): the places of the few values that a
// sparse matrix or a list of features keeps. A gap g to the position before (minus one) is g >> k ones, a zero, and the
// k low bits of g, least significant bit first. Byte 0 of the code holds k; the last byte is filled with zeros.
#ifndef PARE_BASE_RICE_H
#define PARE_BASE_RICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RICE_MAX_K = 40 };

// Bytes of the shortest code of n strictly ascending positions; written to out unless that is NULL.
size_t rice_encode(const uint64_t *positions, size_t n, uint8_t *out);

struct rice_reader {
  const uint8_t *bytes;
  size_t len, bit;
  unsigned k;
  uint64_t next; // the least that the next position may be
};
// False when bytes cannot be a code. bytes must outlive the reader.
bool rice_open(struct rice_reader *r, const uint8_t *bytes, size_t len);
// The next position; false when the code ends or the position is not below limit.
bool rice_next(struct rice_reader *r, uint64_t limit, uint64_t *position);
bool rice_at_end(const struct rice_reader *r); // nothing but the filling is left

#endif
