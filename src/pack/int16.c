// int16.c - weights as 16-bit integers with one scale per output channel; activations stay f32. value = q * scale[n].
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

static size_t layout(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  parts[0] = (struct part){.suffix = "", .type = PART_I16, .rank = 2, .shape = {N, K}, .bytes = N * K * 2};
  parts[1] = (struct part){.suffix = "_scale", .type = PART_F32, .rank = 2, .shape = {N, 1}, .bytes = N * 4};
  return 2;
}

static int16_t value_at(const struct stored *s, size_t i) {
  int16_t q;
  memcpy(&q, (const uint8_t *)s->parts[0].data + 2 * i, 2);
  return q;
}

static void row(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  float scale = part_f32(&s->parts[1], n);
  for (size_t k = 0; k < s->K; k++) out[k] = (float)value_at(s, n * s->K + k) * scale;
}

static size_t packed_bytes(const struct kernels *k, size_t N, size_t K) {
  size_t panels = size_ceil_div(N, k->f32_nr);
  return arena_need(panels * k->f32_nr * K * 2) + arena_need(panels * k->f32_nr * 4);
}

static void pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  size_t nr = k->f32_nr, panels = size_ceil_div(s->N, nr);
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = s->K,
                         .panels = panels,
                         .panel_bytes = nr * s->K * 2,
                         .data = arena_take(a, panels * nr * s->K * 2),
                         .scale = arena_take(a, panels * nr * 4)};
}

static void pack_panels(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                        size_t end) {
  size_t nr = k->f32_nr;
  float *scale = (float *)(uintptr_t)w->scale;
  for (size_t p = first; p < end; p++) {
    packed_panel_words(k, s, w, p, 2);
    for (size_t n = p * nr; n < (p + 1) * nr; n++) scale[n] = n < s->N ? part_f32(&s->parts[1], n) : 0;
  }
}

static const int16_t *panel_of(const struct packed *w, size_t panel) {
  return (const int16_t *)(const void *)(w->data + panel * w->panel_bytes);
}

static void unpack_panel(const struct kernels *k, const struct packed *w, size_t panel, size_t k0, size_t kn,
                         float *out) {
  k->unpack_i16(panel_of(w, panel) + k0 * k->f32_nr, w->scale + panel * k->f32_nr, out, kn, k->f32_nr);
}

static void packed_row(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  const int16_t *panel = panel_of(w, n / k->f32_nr);
  for (size_t kk = 0; kk < w->K; kk++) out[kk] = (float)panel[kk * k->f32_nr + n % k->f32_nr] * w->scale[n];
}

const struct encoding encoding_int16 = {.name = "int16",
                                        .layout = layout,
                                        .row = row,
                                        .packed_bytes = packed_bytes,
                                        .pack = pack,
                                        .pack_panels = pack_panels,
                                        .unpack_panel = unpack_panel,
                                        .packed_row = packed_row};
