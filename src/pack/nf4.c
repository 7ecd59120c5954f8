// nf4.c - 4-bit NormalFloat weights in bitsandbytes' layout (Dettmers et al. 2023, "QLoRA", section 3): blocks of 64
// along the flattened (N, K) matrix, each code an index into 16 quantiles of a normal distribution, times the block's
// largest magnitude. nf4-dq quantizes those magnitudes again, to 8 bits of a dynamic map in blocks of 256 around their
// mean ("double quantization"). Two codes a byte, the even element in the high nibble.
//
// Packed: kernel.h's panels (struct gemm_nf4). When K is not a multiple of 64 blocks cross from one row into the next;
// gcd(K, 64) still divides every crossing, so the panel keeps one magnitude per that many weights.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

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

static size_t panel_bytes(size_t nr, size_t K) {
  size_t block = block_of(K);
  return size_ceil_div(K, nf4_unit(block)) * nf4_unit_bytes(nr, block);
}

static size_t packed_bytes(const struct kernels *k, size_t N, size_t K) {
  return arena_need(size_ceil_div(N, k->f32_nr) * panel_bytes(k->f32_nr, K));
}

// Where a panel holds the word of column n's k, and the magnitude that k has.
static size_t word_at(size_t nr, size_t block, size_t n, size_t k) {
  size_t unit = nf4_unit(block);
  return k / unit * nf4_unit_bytes(nr, block) + (k % unit / NIB_BLOCK * nr + n) * sizeof(uint32_t);
}
static size_t absmax_at(size_t nr, size_t block, size_t n, size_t k) {
  size_t unit = nf4_unit(block);
  return k / unit * nf4_unit_bytes(nr, block) + unit / 2 * nr + (k % unit / block * nr + n) * sizeof(float);
}

static void pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  size_t nr = k->f32_nr, panels = size_ceil_div(s->N, nr), bytes = panel_bytes(nr, s->K);
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = s->K,
                         .panels = panels,
                         .panel_bytes = bytes,
                         .data = arena_take(a, panels * bytes),
                         .block = block_of(s->K)};
}

// Row n's words for k0 to k0 + count - 1. Rows of a multiple of 8 begin with a byte: there a word is 4 bytes, each with
// its halves changed about.
static void row_words(const struct stored *s, size_t n, size_t k0, size_t count, uint32_t *words) {
  if (s->K % NIB_BLOCK == 0) {
    memcpy(words, (const uint8_t *)s->parts[0].data + (n * s->K + k0) / 2, count / 2);
    for (size_t i = 0; i < count / NIB_BLOCK; i++)
      words[i] = (words[i] & 0x0f0f0f0f) << 4 | (words[i] >> 4 & 0x0f0f0f0f);
    return;
  }
  memset(words, 0, size_ceil_div(count, NIB_BLOCK) * sizeof *words);
  for (size_t i = 0; i < count; i++)
    words[i / NIB_BLOCK] |= (uint32_t)code_at(s, n * s->K + k0 + i) << 4 * (i % NIB_BLOCK);
}

// The k of one unit from k0 on. Outputs past N, and k past K, decode to -1 * 0: harmless and never written out.
static void pack_unit(const struct kernels *k, const struct stored *s, size_t n0, size_t k0, uint8_t *unit_start) {
  uint32_t words[KERNEL_NR_MAX][NF4_BLOCK / NIB_BLOCK] = {{0}};
  size_t nr = k->f32_nr, block = block_of(s->K), unit = nf4_unit(block), count = size_min(unit, s->K - k0);
  size_t rows = size_min(nr, s->N - n0);
  assert(nr <= KERNEL_NR_MAX);
  for (size_t j = 0; j < rows; j++) row_words(s, n0 + j, k0, count, words[j]);
  k->transpose(&(struct transpose){.size = sizeof(uint32_t),
                                   .rows = nr,
                                   .columns = unit / NIB_BLOCK,
                                   .src = (const uint8_t *)words[0],
                                   .src_stride = sizeof words[0],
                                   .dst = unit_start,
                                   .dst_stride = nr * sizeof(uint32_t)});
  uint8_t *absmax = unit_start + unit / 2 * nr;
  for (size_t i = 0; i < unit; i += block) {
    float row[KERNEL_NR_MAX] = {0};
    for (size_t j = 0; i < count && j < rows; j++) row[j] = nf4_absmax(s, ((n0 + j) * s->K + k0 + i) / NF4_BLOCK);
    memcpy(absmax + i / block * nr * sizeof *row, row, nr * sizeof *row);
  }
}

static void pack_panels(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                        size_t end) {
  size_t unit = nf4_unit(w->block), unit_bytes = nf4_unit_bytes(k->f32_nr, w->block);
  for (size_t p = first; p < end; p++) {
    uint8_t *panel = packed_panel(w, p);
    for (size_t k0 = 0; k0 < s->K; k0 += unit) pack_unit(k, s, p * k->f32_nr, k0, panel + k0 / unit * unit_bytes);
  }
}

static void packed_row(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  const uint8_t *panel = w->data + n / k->f32_nr * w->panel_bytes;
  for (size_t kk = 0; kk < w->K; kk++) {
    uint32_t word;
    float absmax;
    memcpy(&word, panel + word_at(k->f32_nr, w->block, n % k->f32_nr, kk), sizeof word);
    memcpy(&absmax, panel + absmax_at(k->f32_nr, w->block, n % k->f32_nr, kk), sizeof absmax);
    out[kk] = nf4_codebook[word >> 4 * (kk % NIB_BLOCK) & 15] * absmax;
  }
}

const struct encoding encoding_nf4 = {.name = "nf4",
                                      .layout = layout,
                                      .row = row,
                                      .packed_bytes = packed_bytes,
                                      .pack = pack,
                                      .pack_panels = pack_panels,
                                      .packed_row = packed_row};
const struct encoding encoding_nf4_dq = {.name = "nf4-dq",
                                         .layout = layout_dq,
                                         .row = row,
                                         .packed_bytes = packed_bytes,
                                         .pack = pack,
                                         .pack_panels = pack_panels,
                                         .packed_row = packed_row};
