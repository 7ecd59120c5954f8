// int8.c - weights as 8-bit integers in [-127, 127], value = q * scale: one scale per output channel or one for the
// whole tensor. Multiplied exactly, in 32-bit integers, by activations in 8 bits. The encodings differ in these:
//   int8          a scale per channel; activations u8, each token's range its own
//   int8-tensor   one scale
//   int8-static   as int8, with the activations' scale and zero point stored beside the weight
//   llm-int8      LLM.int8() (Dettmers et al. 2022) as bitsandbytes stores it: scale = SCB / 127, SCB the channel's
//   largest
//                 magnitude; activations s8, and columns that hold a magnitude of 6 or more not quantized at all
// Packed: panels (Kpad / kg, nr, kg), the order the dot-product instruction reads, with each output's weight sum beside
// it (the zero point of the activations multiplies that sum).
#include <math.h>
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

static size_t layout_static(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  layout(N, K, parts);
  parts[2] = (struct part){.suffix = "/input_scale", .type = PART_F32, .rank = 1, .shape = {1}, .bytes = 4};
  parts[3] = (struct part){.suffix = "/input_zero_point", .type = PART_I8, .rank = 1, .shape = {1}, .bytes = 1};
  return 4;
}
// weight_format 0 says that values lie row after row.
static size_t layout_llm(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  layout(N, K, parts);
  parts[1] = (struct part){.suffix = "/SCB", .type = PART_F32, .rank = 1, .shape = {N}, .bytes = N * 4};
  parts[2] = (struct part){.suffix = "/weight_format", .type = PART_U8, .rank = 0, .bytes = 1};
  return 3;
}

static float scale_of(const struct stored *s, size_t n) {
  if (s->encoding == &encoding_llm_int8) return part_f32(&s->parts[1], n) / 127.0f;
  return part_f32(&s->parts[1], s->encoding == &encoding_int8_tensor ? 0 : n);
}

// bitsandbytes compares the threshold with activations rounded to f16: the least f32 that rounds to a value that
// reaches it. A threshold above every f16, or of 0, is reached by none.
static struct activation outlier_input(float threshold) {
  struct activation a = {.kind = ACTIVATION_OUTLIER, .limit = 65520.0f};
  if (!(threshold > 0 && threshold <= 65504.0f)) return a;
  uint16_t h = f16_from_f32(threshold);
  if (f16_to_f32(h) < threshold) h++;
  float between = (f16_to_f32(h) + f16_to_f32((uint16_t)(h - 1))) / 2; // exact; h > 0, since the threshold is
  a.limit = f16_from_f32(between) == h ? between : nextafterf(between, INFINITY);
  a.outliers = true;
  return a;
}

static struct activation input_of(const struct stored *s) {
  if (s->encoding == &encoding_llm_int8) return outlier_input(s->threshold);
  if (s->encoding != &encoding_int8_static) return (struct activation){.kind = ACTIVATION_TOKEN};
  return (struct activation){
      .kind = ACTIVATION_STATIC, .scale = part_f32(&s->parts[2], 0), .zero = 128 + *(const int8_t *)s->parts[3].data};
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
  size_t nr = k->i8_nr, Kpad = size_round_up(s->K, k->i8_kg), panels = size_ceil_div(s->N, nr);
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = s->K,
                         .panels = panels,
                         .panel_bytes = nr * Kpad,
                         .data = arena_take(a, panels * nr * Kpad),
                         .scale = arena_take(a, panels * nr * 4),
                         .sum = arena_take(a, panels * nr * 4),
                         .input = input_of(s)};
}

// 16-bit lanes, which vectorize to a third of the work of 32-bit ones; 256 values of at least -128 do not leave them.
static int32_t sum_of(const int8_t *q, size_t K) {
  enum { LANES = 32, STEPS = 256 };
  int32_t total = 0;
  size_t k = 0;
  while (K - k >= LANES) {
    int16_t lane[LANES] = {0};
    for (size_t step = 0; step < STEPS && K - k >= LANES; step++, k += LANES)
      for (size_t i = 0; i < LANES; i++) lane[i] = (int16_t)(lane[i] + q[k + i]);
    for (size_t i = 0; i < LANES; i++) total += lane[i];
  }
  for (; k < K; k++) total += q[k];
  return total;
}

static void pack_panels(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                        size_t end) {
  size_t nr = k->i8_nr, kg = k->i8_kg, K = s->K, whole = K / kg;
  float *scale = (float *)(uintptr_t)w->scale;
  int32_t *sum = (int32_t *)(uintptr_t)w->sum;
  for (size_t p = first; p < end; p++) {
    size_t n0 = p * nr, rows = size_min(nr, s->N - n0);
    const int8_t *q = (const int8_t *)s->parts[0].data + n0 * K;
    packed_panel_words(k, s, w, p, kg);
    uint8_t *last = packed_panel(w, p) + whole * nr * kg; // group of k, when K fills only some of it
    if (K % kg) {
      memset(last, 0, nr * kg);
      for (size_t j = 0; j < rows; j++) memcpy(last + j * kg, q + j * K + whole * kg, K % kg);
    }
    for (size_t j = 0; j < rows; j++) {
      sum[n0 + j] = sum_of(q + j * K, K);
      scale[n0 + j] = scale_of(s, n0 + j);
    }
    for (size_t n = s->N; n < n0 + nr; n++) {
      sum[n] = 0;
      scale[n] = 0;
    }
  }
}

static void packed_row(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  size_t nr = k->i8_nr, kg = k->i8_kg;
  const int8_t *panel = (const int8_t *)w->data + n / nr * w->panel_bytes + n % nr * kg;
  for (size_t kk = 0; kk < w->K; kk++) {
    size_t at = kk / kg * nr * kg + kk % kg;
    out[kk] = (float)panel[at] * w->scale[n];
  }
}

void int8_panel_columns(const struct kernels *k, const struct packed *w, size_t panel, const uint32_t *columns,
                        size_t count, float *out) {
  size_t nr = k->i8_nr, kg = k->i8_kg;
  const float *scale = w->scale + panel * nr;
  for (size_t c = 0; c < count; c++) {
    const int8_t *q = (const int8_t *)w->data + panel * w->panel_bytes + columns[c] / kg * nr * kg + columns[c] % kg;
    for (size_t n = 0; n < nr; n++) out[c * nr + n] = (float)q[n * kg] * scale[n];
  }
}

const struct encoding encoding_int8 = {.name = "int8",
                                       .integer = true,
                                       .layout = layout,
                                       .row = row,
                                       .packed_bytes = packed_bytes,
                                       .pack = pack,
                                       .pack_panels = pack_panels,
                                       .packed_row = packed_row};
const struct encoding encoding_int8_tensor = {.name = "int8-tensor",
                                              .integer = true,
                                              .layout = layout_tensor,
                                              .row = row,
                                              .packed_bytes = packed_bytes,
                                              .pack = pack,
                                              .pack_panels = pack_panels,
                                              .packed_row = packed_row};
const struct encoding encoding_int8_static = {.name = "int8-static",
                                              .integer = true,
                                              .layout = layout_static,
                                              .row = row,
                                              .packed_bytes = packed_bytes,
                                              .pack = pack,
                                              .pack_panels = pack_panels,
                                              .packed_row = packed_row};
const struct encoding encoding_llm_int8 = {.name = "llm-int8",
                                           .integer = true,
                                           .layout = layout_llm,
                                           .row = row,
                                           .packed_bytes = packed_bytes,
                                           .pack = pack,
                                           .pack_panels = pack_panels,
                                           .packed_row = packed_row};
