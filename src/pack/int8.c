// int8.c - weights as 8-bit integers in [-127, 127], value = q * scale: one scale per output channel (int8) or one for
// the whole tensor (int8-tensor). Multiplied by activations quantized per token to u8, exactly, in 32-bit integers.
// Packed: panels (Kpad / kg, nr, kg), the order the dot-product instruction reads, with each output's weight sum beside
// it (the zero point of the activations multiplies that sum).
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

static size_t layout(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  parts[0] = (struct part){.suffix = "", .type = PART_I8, .rank = 2, .shape = {N, K}, .bytes = N * K};
  parts[1] = (struct part){.suffix = "_scale", .type = PART_F32, .rank = 2, .shape = {N, 1}, .bytes = N * 4};
  return 2;
}
static size_t layout_tensor(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  layout(N, K, parts);
  parts[1] = (struct part){.suffix = "_scale", .type = PART_F32, .rank = 1, .shape = {1}, .bytes = 4};
  return 2;
}

static float scale_of(const struct stored *s, size_t n) {
  return part_f32(&s->parts[1], s->encoding == &encoding_int8_tensor ? 0 : n);
}

static void row(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  const int8_t *q = (const int8_t *)s->parts[0].data + n * s->K;
  float scale = scale_of(s, n);
  for (size_t k = 0; k < s->K; k++) out[k] = (float)q[k] * scale;
}

static size_t packed_bytes(const struct kernels *k, size_t N, size_t K) {
  size_t outputs = size_round_up(N, k->i8_nr);
  return arena_need(outputs * size_round_up(K, k->i8_kg)) + 2 * arena_need(outputs * 4);
}

static void pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  size_t nr = k->i8_nr, kg = k->i8_kg, K = s->K, Kpad = size_round_up(K, kg), panels = size_ceil_div(s->N, nr);
  int8_t *data = arena_take(a, panels * nr * Kpad);
  float *scale = arena_take(a, panels * nr * 4);
  int32_t *sum = arena_take(a, panels * nr * 4);
  memset(data, 0, panels * nr * Kpad);
  memset(scale, 0, panels * nr * 4);
  memset(sum, 0, panels * nr * 4);
  for (size_t n = 0; n < s->N; n++) {
    const int8_t *q = (const int8_t *)s->parts[0].data + n * K;
    int8_t *panel = data + n / nr * nr * Kpad + n % nr * kg;
    int32_t total = 0;
    for (size_t k0 = 0; k0 < K; k0 += kg) {
      size_t m = size_min(kg, K - k0);
      memcpy(panel + k0 * nr, q + k0, m);
      for (size_t i = 0; i < m; i++) total += q[k0 + i];
    }
    sum[n] = total;
    scale[n] = scale_of(s, n);
  }
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = K,
                         .panels = panels,
                         .panel_bytes = nr * Kpad,
                         .data = (const uint8_t *)data,
                         .scale = scale,
                         .sum = sum};
}

static void packed_row(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  size_t nr = k->i8_nr, kg = k->i8_kg;
  const int8_t *panel = (const int8_t *)w->data + n / nr * w->panel_bytes + n % nr * kg;
  for (size_t kk = 0; kk < w->K; kk++) {
    size_t at = kk / kg * nr * kg + kk % kg;
    out[kk] = (float)panel[at] * w->scale[n];
  }
}

const struct encoding encoding_int8 = {.name = "int8",
                                       .integer = true,
                                       .layout = layout,
                                       .row = row,
                                       .packed_bytes = packed_bytes,
                                       .pack = pack,
                                       .packed_row = packed_row};
const struct encoding encoding_int8_tensor = {.name = "int8-tensor",
                                              .integer = true,
                                              .layout = layout_tensor,
                                              .row = row,
                                              .packed_bytes = packed_bytes,
                                              .pack = pack,
                                              .packed_row = packed_row};
