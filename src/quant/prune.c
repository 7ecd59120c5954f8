// prune.c - see prune.h. The magnitude below which values go is found by counting: bits of a positive float order as
// its value does, so two passes over 16 bits each give the exact order statistic without sorting or copying.
#include "quant/prune.h"

#include <stdlib.h>
#include <string.h>

static uint32_t magnitude(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return bits & 0x7fffffff;
}

enum { HALF = 1 << 16 };

// The bucket that holds the value of rank *rank, which becomes its rank within the bucket.
static uint32_t bucket_of(const size_t *count, size_t *rank) {
  uint32_t b = 0;
  while (*rank >= count[b]) *rank -= count[b++];
  return b;
}

enum pare_status prune_values(float *x, size_t n, double share, struct pare_error *err) {
  size_t wanted = share >= 1 ? n : (size_t)(share * (double)n + 0.5);
  if (!wanted) return PARE_OK;
  size_t *count = calloc(HALF, sizeof *count);
  if (!count) return error_no_memory(err);
  size_t rank = wanted - 1; // of the largest magnitude that goes
  for (size_t i = 0; i < n; i++) count[magnitude(x[i]) >> 16]++;
  uint32_t high = bucket_of(count, &rank);
  memset(count, 0, HALF * sizeof *count);
  for (size_t i = 0; i < n; i++)
    if (magnitude(x[i]) >> 16 == high) count[magnitude(x[i]) & 0xffff]++;
  uint32_t limit = high << 16 | bucket_of(count, &rank);
  free(count);
  size_t ties = rank + 1; // of those at the limit itself, this many go
  for (size_t i = 0; i < n; i++) {
    uint32_t m = magnitude(x[i]);
    if (m < limit || (m == limit && ties)) {
      ties -= m == limit;
      x[i] = 0;
    }
  }
  return PARE_OK;
}

enum pare_status prune_matrix(const struct kernels *k, const struct stored *source, double share, struct stored *out,
                              struct pare_error *err) {
  enum pare_status s = stored_new(&encoding_f32, source->N, source->K, out, err);
  if (s) return s;
  out->transposed = source->transposed;
  if (out->transposed) {
    out->parts[0].shape[0] = source->K;
    out->parts[0].shape[1] = source->N;
  }
  struct stored flat = *source; // all values in file order, as one row
  flat.K = source->N * source->K;
  flat.N = 1;
  flat.transposed = false;
  stored_row(k, &flat, 0, out->owned);
  s = prune_values(out->owned, flat.K, share, err);
  if (s) stored_free(out);
  return s;
}
