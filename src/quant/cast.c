// cast.c - method "cast": every value rounded to the nearest of a plain float type. Refuses what the type cannot hold.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/scheme.h"

// From half a unit above the largest value on, rounding gives infinity: 65504 + 16 for f16, (2 - 2^-7 + 2^-8) 2^127 for
// bf16.
static bool fits(const struct encoding *e, float x) {
  if (e == &encoding_f16) return fabsf(x) < 65520.0f;
  return e == &encoding_bf16 ? fabsf(x) < 0x1.ffp127f : isfinite(x);
}

static void put(const struct encoding *e, uint8_t *out, size_t i, float x) {
  if (e == &encoding_f32) {
    memcpy(out + 4 * i, &x, 4);
    return;
  }
  uint16_t h = e == &encoding_f16 ? f16_from_f32(x) : bf16_from_f32(x);
  memcpy(out + 2 * i, &h, 2);
}

// Keeps a Conv1D's (in, out) order, so that the file has the source's shapes.
static enum pare_status quantize(const struct kernels *k, const struct stored *source, const struct encoding *e,
                                 const char *name, struct stored *out, struct pare_error *err) {
  size_t N = source->N, K = source->K;
  enum pare_status s = stored_new(e, N, K, out, err);
  if (s) return s;
  float *row = malloc(K * sizeof(float));
  if (!row) return error_no_memory(err);
  out->transposed = source->transposed;
  if (out->transposed) {
    out->parts[0].shape[0] = K;
    out->parts[0].shape[1] = N;
  }
  for (size_t n = 0; !s && n < N; n++) {
    stored_row(k, source, n, row);
    for (size_t i = 0; !s && i < K; i++) {
      if (!fits(e, row[i]))
        s = error_set(err, PARE_DATA, "tensor %s: %s cannot hold %g", name, e->name, (double)row[i]);
      put(e, out->owned, out->transposed ? i * N + n : n * K + i, row[i]);
    }
  }
  free(row);
  return s;
}

const struct method method_cast = {.name = "cast", .quantize = quantize};
