// nf4.c - 4-bit NormalFloat weights in bitsandbytes' layout (Dettmers et al. 2023, "QLoRA", section 3): blocks of 64
// along the flattened (N, K) matrix, each code an index into 16 quantiles of a normal distribution, times the block's
// largest magnitude. nf4-dq quantizes those magnitudes again, to 8 bits of a dynamic map in blocks of 256 around their
// mean ("double quantization"). Two codes a byte, the even element in the high nibble.
//
// Packed: panels of codes (K, nr / 2) and magnitudes (K / block, nr). When K is not a multiple of 64 blocks cross from
// one row into the next; gcd(K, 64) still divides every crossing, so the panel keeps one magnitude per that many
// weights.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

enum {
  CODE_BYTES = 64, // of a row at a time
  MAX_HALF = 32,   // the widest table packs 64 outputs
};

const float nf4_codebook[16] = {-1.0f,
                                -0.6961928009986877f,
                                -0.5250730514526367f,
                                -0.39491748809814453f,
                                -0.28444138169288635f,
                                -0.18477343022823334f,
                                -0.09105003625154495f,
                                0.0f,
                                0.07958029955625534f,
                                0.16093020141124725f,
                                0.24611230194568634f,
                                0.33791524171829224f,
                                0.44070982933044434f,
                                0.5626170039176941f,
                                0.7229568362236023f,
                                1.0f};

// Point j of linspace(0.1, 1, items + 1), counted from the nearer end so that both ends are exact.
static float boundary(size_t j, size_t items, float step) {
  return j < (items + 1) / 2 ? fmaf(step, (float)j, 0.1f) : fmaf(-step, (float)(items - j), 1.0f);
}

// Seven decades of linearly spaced means, twice as many in each, both signs; then 0 and 1 (Dettmers 2016, arXiv
// 1511.04561). All in f32, as the reference computes it.
void nf4_nested_map(float map[256]) {
  static const float decade[7] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f};
  size_t n = 0;
  for (size_t i = 0; i < 7; i++) {
    size_t items = (size_t)1 << i; // 2^i intervals, 2^i + 1 boundaries of linspace(0.1, 1)
    float step = (1.0f - 0.1f) / (float)items;
    for (size_t j = 0; j < items; j++) {
      float mean = (boundary(j, items, step) + boundary(j + 1, items, step)) / 2.0f;
      map[n++] = decade[i] * mean;
      map[n++] = -decade[i] * mean;
    }
  }
  map[n++] = 0.0f;
  map[n++] = 1.0f;
  for (size_t i = 1; i < n; i++) { // insertion sort of 256 values
    float x = map[i];
    size_t j = i;
    for (; j > 0 && map[j - 1] > x; j--) map[j] = map[j - 1];
    map[j] = x;
  }
}

static void common_parts(size_t N, size_t K, struct part *parts) {
  size_t blocks = size_ceil_div(N * K, NF4_BLOCK);
  parts[0] =
      (struct part){.suffix = "", .type = PART_U8, .rank = 2, .shape = {(N * K + 1) / 2, 1}, .bytes = (N * K + 1) / 2};
  parts[1] = (struct part){.suffix = ".absmax", .type = PART_F32, .rank = 1, .shape = {blocks}, .bytes = blocks * 4};
  parts[2] = (struct part){.suffix = ".quant_map", .type = PART_F32, .rank = 1, .shape = {16}, .bytes = 64};
}

static size_t layout(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  common_parts(N, K, parts);
  return 3;
}

static size_t layout_dq(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  common_parts(N, K, parts);
  size_t blocks = parts[1].shape[0], nested = size_ceil_div(blocks, NF4_NESTED_BLOCK);
  parts[1].type = PART_U8;
  parts[1].bytes = blocks;
  parts[3] =
      (struct part){.suffix = ".nested_absmax", .type = PART_F32, .rank = 1, .shape = {nested}, .bytes = nested * 4};
  parts[4] = (struct part){.suffix = ".nested_quant_map", .type = PART_F32, .rank = 1, .shape = {256}, .bytes = 1024};
  return 5;
}

float nf4_absmax(const struct stored *s, size_t b) {
  if (s->encoding == &encoding_nf4) return part_f32(&s->parts[1], b);
  uint8_t code = ((const uint8_t *)s->parts[1].data)[b];
  return part_f32(&s->parts[4], code) * part_f32(&s->parts[3], b / NF4_NESTED_BLOCK) + s->nested_offset;
}

static uint8_t code_at(const struct stored *s, size_t i) {
  uint8_t byte = ((const uint8_t *)s->parts[0].data)[i / 2];
  return i % 2 ? byte & 15 : byte >> 4;
}

static void row(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  size_t i = n * s->K, end = i + s->K;
  while (i < end) {
    size_t stop = size_min(end, (i / NF4_BLOCK + 1) * NF4_BLOCK);
    float absmax = nf4_absmax(s, i / NF4_BLOCK);
    for (; i < stop; i++) *out++ = nf4_codebook[code_at(s, i)] * absmax;
  }
}

static size_t block_of(size_t K) {
  size_t g = 64;
  while (K % g) g /= 2; // gcd(K, 64), since 64 is a power of two
  return g;
}

static size_t packed_bytes(const struct kernels *k, size_t N, size_t K) {
  size_t outputs = size_round_up(N, k->f32_nr);
  return arena_need(outputs / 2 * K) + arena_need(outputs * (K / block_of(K)) * 4);
}

static void pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  size_t nr = k->f32_nr, half = nr / 2, block = block_of(s->K), panels = size_ceil_div(s->N, nr);
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = s->K,
                         .panels = panels,
                         .panel_bytes = half * s->K,
                         .data = arena_take(a, panels * half * s->K),
                         .absmax = arena_take(a, panels * nr * (s->K / block) * 4),
                         .block = block};
}

// An even row of K codes, as bytes: those of rows n and n + half of the panel share one. Rows past N give 0.
static void join_codes(const struct stored *s, size_t n, size_t half, size_t k0, size_t count, uint8_t *out) {
  static const uint8_t none[CODE_BYTES];
  const uint8_t *codes = (const uint8_t *)s->parts[0].data + k0 / 2;
  const uint8_t *low = n < s->N ? codes + n * (s->K / 2) : none;
  const uint8_t *high = n + half < s->N ? codes + (n + half) * (s->K / 2) : none;
  for (size_t i = 0; i < count / 2; i++) {
    out[2 * i] = (uint8_t)(low[i] >> 4 | (high[i] & 0xf0));
    out[2 * i + 1] = (uint8_t)((low[i] & 15) | high[i] << 4);
  }
}

static void pack_codes(const struct kernels *k, const struct stored *s, size_t n0, uint8_t *panel) {
  size_t half = k->f32_nr / 2;
  uint8_t rows[MAX_HALF][2 * CODE_BYTES];
  assert(half <= MAX_HALF);
  for (size_t k0 = 0; k0 < s->K; k0 += 2 * CODE_BYTES) {
    size_t count = size_min(2 * CODE_BYTES, s->K - k0);
    for (size_t j = 0; j < half; j++) join_codes(s, n0 + j, half, k0, count, rows[j]);
    k->transpose(&(struct transpose){.size = 1,
                                     .rows = half,
                                     .columns = count,
                                     .src = rows[0],
                                     .src_stride = sizeof rows[0],
                                     .dst = panel + k0 * half,
                                     .dst_stride = half});
  }
}

// Rows that begin in the middle of a byte, one code at a time.
static void pack_odd_codes(const struct kernels *k, const struct stored *s, size_t n0, uint8_t *panel) {
  size_t nr = k->f32_nr, half = nr / 2, K = s->K;
  memset(panel, 0, half * K);
  for (size_t j = 0; j < size_min(nr, s->N - n0); j++)
    for (size_t kk = 0; kk < K; kk++)
      panel[kk * half + j % half] |= (uint8_t)(code_at(s, (n0 + j) * K + kk) << (j < half ? 0 : 4));
}

static void pack_panels(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                        size_t end) {
  size_t nr = k->f32_nr, K = s->K, blocks = K / w->block;
  for (size_t p = first; p < end; p++) {
    (K % 2 ? pack_odd_codes : pack_codes)(k, s, p * nr, packed_panel(w, p));
    float *absmax = (float *)(uintptr_t)w->absmax + p * blocks * nr;
    for (size_t j = 0; j < nr; j++) {
      size_t n = p * nr + j;
      // Outputs past N decode to -1 * 0: harmless and never written out.
      for (size_t b = 0; b < blocks; b++)
        absmax[b * nr + j] = n < s->N ? nf4_absmax(s, (n * K + b * w->block) / NF4_BLOCK) : 0;
    }
  }
}

static void unpack_panel(const struct kernels *k, const struct packed *w, size_t panel, size_t k0, size_t kn,
                         float *out) {
  size_t nr = k->f32_nr;
  struct unpack_nib u = {.codes = w->data + panel * w->panel_bytes + k0 * (nr / 2),
                         .absmax = w->absmax + panel * (w->K / w->block) * nr,
                         .codebook = nf4_codebook,
                         .k0 = k0,
                         .K = kn,
                         .nr = nr,
                         .block = w->block,
                         .dst = out};
  k->unpack_nib(&u);
}

static void packed_row(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  size_t nr = k->f32_nr, half = nr / 2, panel = n / nr, j = n % nr;
  const uint8_t *codes = w->data + panel * w->panel_bytes;
  for (size_t kk = 0; kk < w->K; kk++) {
    uint8_t byte = codes[kk * half + j % half];
    float absmax = w->absmax[(panel * (w->K / w->block) + kk / w->block) * nr + j];
    out[kk] = nf4_codebook[j < half ? byte & 15 : byte >> 4] * absmax;
  }
}

const struct encoding encoding_nf4 = {.name = "nf4",
                                      .layout = layout,
                                      .row = row,
                                      .packed_bytes = packed_bytes,
                                      .pack = pack,
                                      .pack_panels = pack_panels,
                                      .unpack_panel = unpack_panel,
                                      .packed_row = packed_row};
const struct encoding encoding_nf4_dq = {.name = "nf4-dq",
                                         .layout = layout_dq,
                                         .row = row,
                                         .packed_bytes = packed_bytes,
                                         .pack = pack,
                                         .pack_panels = pack_panels,
                                         .unpack_panel = unpack_panel,
                                         .packed_row = packed_row};
