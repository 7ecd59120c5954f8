// float.c - plain floating-point weights: f32, f16, bf16. Packed: (K, nr) panels of the same type, so memory stays 4 or
// 2 bytes a weight; the kernel widens 16-bit panels as it multiplies (exact, so every table gives the same bits). bf16
// on a table with bf16_dot and even K: pairs of k together, (K / 2, nr, 2), for VDPBF16PS.
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

static size_t layout_of(size_t N, size_t K, enum part_type type, struct part *parts) {
  parts[0] =
      (struct part){.suffix = "", .type = type, .rank = 2, .shape = {N, K}, .bytes = N * K * part_type_bytes(type)};
  return 1;
}
static size_t layout_f32(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  return layout_of(N, K, PART_F32, parts);
}
static size_t layout_f16(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  return layout_of(N, K, PART_F16, parts);
}
static size_t layout_bf16(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  return layout_of(N, K, PART_BF16, parts);
}

static uint16_t half_at(const struct stored *s, size_t n, size_t k) {
  uint16_t h;
  size_t i = s->transposed ? k * s->N + n : n * s->K + k;
  memcpy(&h, (const uint8_t *)s->parts[0].data + 2 * i, 2);
  return h;
}

static float f32_at(const struct stored *s, size_t n, size_t k) {
  return part_f32(&s->parts[0], s->transposed ? k * s->N + n : n * s->K + k);
}

static void row_f32(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  if (!s->transposed) {
    memcpy(out, (const uint8_t *)s->parts[0].data + 4 * n * s->K, 4 * s->K);
    return;
  }
  for (size_t k = 0; k < s->K; k++) out[k] = f32_at(s, n, k);
}
static void row_f16(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  for (size_t k = 0; k < s->K; k++) out[k] = f16_to_f32(half_at(s, n, k));
}
static void row_bf16(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  for (size_t k = 0; k < s->K; k++) out[k] = bf16_to_f32(half_at(s, n, k));
}

static size_t panel_count(const struct kernels *k, size_t N) {
  return size_ceil_div(N, k->f32_nr);
}

static size_t packed_bytes_f32(const struct kernels *k, size_t N, size_t K) {
  return arena_need(panel_count(k, N) * k->f32_nr * K * 4);
}
static size_t packed_bytes_half(const struct kernels *k, size_t N, size_t K) {
  return arena_need(panel_count(k, N) * k->f32_nr * K * 2);
}

static void pack_of(const struct kernels *k, const struct stored *s, size_t size, struct arena *a, struct packed *out) {
  size_t panels = panel_count(k, s->N), panel_bytes = k->f32_nr * s->K * size;
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = s->K,
                         .panels = panels,
                         .panel_bytes = panel_bytes,
                         .data = arena_take(a, panels * panel_bytes)};
}
static void pack_f32(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  pack_of(k, s, 4, a, out);
}
static void pack_half(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  pack_of(k, s, 2, a, out);
}

static bool bf16_in_pairs(const struct kernels *k, size_t K) {
  return k->bf16_dot && K % 2 == 0; // the activations of an odd width have no partner for their last value
}
static void pack_bf16(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  pack_half(k, s, a, out);
  if (bf16_in_pairs(k, s->K)) out->input = (struct activation){.kind = ACTIVATION_BF16};
}

// Rows of a transposed file are rows of the panel.
static void copy_rows(const struct kernels *k, const struct stored *s, const struct packed *w, size_t p, size_t size) {
  size_t nr = k->f32_nr, n0 = p * nr, n = size_min(nr, s->N - n0);
  const uint8_t *from = (const uint8_t *)s->parts[0].data + n0 * size;
  uint8_t *panel = packed_panel(w, p);
  if (n < nr) memset(panel, 0, w->panel_bytes);
  for (size_t kk = 0; kk < s->K; kk++) memcpy(panel + kk * nr * size, from + kk * s->N * size, n * size);
}
static void pack_panels_of(const struct kernels *k, const struct stored *s, size_t size, const struct packed *w,
                           size_t first, size_t end) {
  for (size_t p = first; p < end; p++) (s->transposed ? copy_rows : packed_panel_words)(k, s, w, p, size);
}
static void pack_panels_f32(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                            size_t end) {
  pack_panels_of(k, s, 4, w, first, end);
}
static void pack_panels_f16(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                            size_t end) {
  pack_panels_of(k, s, 2, w, first, end);
}

// (K / 2, nr, 2) from a transposed file: two of its rows side by side.
static void pair_rows(const struct kernels *k, const struct stored *s, const struct packed *w, size_t p) {
  size_t nr = k->f32_nr, n0 = p * nr, n = size_min(nr, s->N - n0);
  uint8_t *panel = packed_panel(w, p);
  if (n < nr) memset(panel, 0, w->panel_bytes);
  for (size_t kk = 0; kk < s->K; kk += 2) {
    const uint8_t *even = (const uint8_t *)s->parts[0].data + 2 * (kk * s->N + n0), *odd = even + 2 * s->N;
    uint8_t *to = panel + kk * nr * 2;
    for (size_t j = 0; j < n; j++) {
      memcpy(to + 4 * j, even + 2 * j, 2);
      memcpy(to + 4 * j + 2, odd + 2 * j, 2);
    }
  }
}

static void pack_panels_bf16(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                             size_t end) {
  if (!bf16_in_pairs(k, s->K)) {
    pack_panels_of(k, s, 2, w, first, end);
    return;
  }
  for (size_t p = first; p < end; p++) {
    if (s->transposed) {
      pair_rows(k, s, w, p);
    } else {
      packed_panel_words(k, s, w, p, 4);
    }
  }
}

static const uint16_t *half_panel(const struct packed *w, size_t panel) {
  return (const uint16_t *)(const void *)(w->data + panel * w->panel_bytes);
}
static void packed_row_f32(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  const float *panel = (const float *)(const void *)(w->data + n / k->f32_nr * w->panel_bytes);
  for (size_t kk = 0; kk < w->K; kk++) out[kk] = panel[kk * k->f32_nr + n % k->f32_nr];
}
static void packed_row_f16(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  const uint16_t *panel = half_panel(w, n / k->f32_nr);
  for (size_t kk = 0; kk < w->K; kk++) out[kk] = f16_to_f32(panel[kk * k->f32_nr + n % k->f32_nr]);
}
static void packed_row_bf16(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  const uint16_t *panel = half_panel(w, n / k->f32_nr);
  size_t group = bf16_in_pairs(k, w->K) ? 2 : 1, j = n % k->f32_nr;
  for (size_t kk = 0; kk < w->K; kk++) out[kk] = bf16_to_f32(panel[(kk / group * k->f32_nr + j) * group + kk % group]);
}

const struct encoding encoding_f32 = {.name = "f32",
                                      .layout = layout_f32,
                                      .row = row_f32,
                                      .packed_bytes = packed_bytes_f32,
                                      .pack = pack_f32,
                                      .pack_panels = pack_panels_f32,
                                      .packed_row = packed_row_f32};
const struct encoding encoding_f16 = {.name = "f16",
                                      .layout = layout_f16,
                                      .row = row_f16,
                                      .packed_bytes = packed_bytes_half,
                                      .pack = pack_half,
                                      .pack_panels = pack_panels_f16,
                                      .packed_row = packed_row_f16};
const struct encoding encoding_bf16 = {.name = "bf16",
                                       .layout = layout_bf16,
                                       .row = row_bf16,
                                       .packed_bytes = packed_bytes_half,
                                       .pack = pack_bf16,
                                       .pack_panels = pack_panels_bf16,
                                       .packed_row = packed_row_bf16};
