// int4.c - weights as 4-bit integers in [-8, 7] with one scale per group of 128 inputs of an output channel: value = q
// * scale[n][k / 128]. Multiplied exactly, group by group, by activations in 8 bits. Stored as compressed-tensors'
// "pack-quantized" form has it: 32-bit words of 8 values, each plus 8, the first in the lowest bits; the matrix's shape
// beside them. The last group, and the last word, may be shorter.
// Packed: kernel.h's panels (struct gemm_i4), codes, scales and weight sums of a group side by side.
#include <assert.h>
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

enum { WORD = 8, GROUP_WORDS = I4_GROUP / WORD }; // a stored word holds 8 values

static size_t layout(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  size_t words = size_ceil_div(K, WORD), groups = size_ceil_div(K, I4_GROUP);
  parts[0] =
      (struct part){.suffix = "_packed", .type = PART_I32, .rank = 2, .shape = {N, words}, .bytes = N * words * 4};
  parts[1] =
      (struct part){.suffix = "_scale", .type = PART_F32, .rank = 2, .shape = {N, groups}, .bytes = N * groups * 4};
  parts[2] = (struct part){.suffix = "_shape", .type = PART_I64, .rank = 1, .shape = {2}, .bytes = 16};
  return 3;
}

static const char *check(const struct stored *s) {
  int64_t shape[2];
  memcpy(shape, s->parts[2].data, sizeof shape);
  return shape[0] == (int64_t)s->N && shape[1] == (int64_t)s->K ? NULL : "weight_shape is not the matrix's shape";
}

static const uint8_t *codes_of(const struct stored *s, size_t n) {
  return (const uint8_t *)s->parts[0].data + n * size_ceil_div(s->K, WORD) * 4;
}

static int value_of(const uint8_t *codes, size_t k) {
  return (codes[k / 2] >> k % 2 * 4 & 15) - 8;
}

static void row(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  const uint8_t *codes = codes_of(s, n);
  size_t groups = size_ceil_div(s->K, I4_GROUP);
  for (size_t k = 0; k < s->K; k++)
    out[k] = (float)value_of(codes, k) * part_f32(&s->parts[1], n * groups + k / I4_GROUP);
}

static size_t panel_bytes(size_t nr, size_t K) {
  size_t Kpad = size_round_up(K, NIB_BLOCK), whole = Kpad / I4_GROUP, left = Kpad % I4_GROUP;
  return whole * i4_group_bytes(nr, I4_GROUP) + (left ? i4_group_bytes(nr, left) : 0);
}

static size_t packed_bytes(const struct kernels *k, size_t N, size_t K) {
  return arena_need(size_ceil_div(N, k->i8_nr) * panel_bytes(k->i8_nr, K));
}

static void pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  size_t nr = k->i8_nr, panels = size_ceil_div(s->N, nr), bytes = panel_bytes(nr, s->K);
  *out = (struct packed){.encoding = s->encoding,
                         .N = s->N,
                         .K = s->K,
                         .panels = panels,
                         .panel_bytes = bytes,
                         .data = arena_take(a, panels * bytes),
                         .input = {.kind = ACTIVATION_TOKEN}};
}

// The four nibbles of a half word, one in the low half of each byte.
static uint32_t spread(uint32_t half) {
  half = (half | half << 8) & 0x00ff00ff;
  return (half | half << 4) & 0x0f0f0f0f;
}

// Row n's words for kn k from k0 on, in the panel's order and two's complement; returns the sum of their values.
static int16_t row_words(const struct stored *s, size_t n, size_t k0, size_t kn, uint32_t *words) {
  const uint32_t zeros = 0x88888888; // eight values of 0
  const uint8_t *codes = codes_of(s, n) + k0 / 2;
  int sum = 0;
  for (size_t i = 0; i < size_ceil_div(kn, WORD); i++) {
    uint32_t x;
    memcpy(&x, codes + 4 * i, sizeof x);
    if (kn - WORD * i < WORD) { // past the end of a row there may be anything
      uint32_t used = (UINT32_C(1) << 4 * (kn - WORD * i)) - 1;
      x = (x & used) | (zeros & ~used);
    }
    uint32_t pairs = (x & 0x0f0f0f0f) + (x >> 4 & 0x0f0f0f0f);
    sum += (int)(pairs * 0x01010101 >> 24) - 8 * WORD;
    x ^= zeros;
    words[i] = spread(x & 0xffff) | spread(x >> 16) << 4;
  }
  return (int16_t)sum;
}

// One group of k from k0 on, for the outputs from n0 on; those past N are 0.
static void pack_group(const struct kernels *k, const struct stored *s, size_t n0, size_t k0, uint8_t *group) {
  uint32_t words[KERNEL_NR_MAX][GROUP_WORDS] = {{0}};
  float scale[KERNEL_NR_MAX] = {0};
  int16_t sum[KERNEL_NR_MAX] = {0};
  size_t nr = k->i8_nr, kn = size_min(I4_GROUP, s->K - k0), groups = size_ceil_div(s->K, I4_GROUP);
  assert(nr <= KERNEL_NR_MAX);
  for (size_t j = 0; j < size_min(nr, s->N - n0); j++) {
    sum[j] = row_words(s, n0 + j, k0, kn, words[j]);
    scale[j] = part_f32(&s->parts[1], (n0 + j) * groups + k0 / I4_GROUP);
  }
  struct transpose t = {.size = sizeof(uint32_t),
                        .rows = nr,
                        .columns = size_ceil_div(kn, WORD),
                        .src = (const uint8_t *)words[0],
                        .src_stride = sizeof words[0],
                        .dst = group,
                        .dst_stride = nr * sizeof(uint32_t)};
  k->transpose(&t);
  uint8_t *tail = group + t.columns * t.dst_stride;
  memcpy(tail, scale, nr * sizeof *scale);
  memcpy(tail + nr * sizeof *scale, sum, nr * sizeof *sum);
}

static void pack_panels(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                        size_t end) {
  for (size_t p = first; p < end; p++) {
    uint8_t *group = packed_panel(w, p);
    for (size_t k0 = 0; k0 < s->K; k0 += I4_GROUP, group += i4_group_bytes(k->i8_nr, I4_GROUP))
      pack_group(k, s, p * k->i8_nr, k0, group);
  }
}

// The byte of k (within its group) in output n's column of a group's codes; the upper nibble's when k % 8 >= 4.
static size_t byte_at(size_t nr, size_t n, size_t k) {
  return (k / NIB_BLOCK * nr + n) * 4 + k % 4;
}

static void packed_row(const struct kernels *k, const struct packed *w, size_t n, float *out) {
  size_t nr = k->i8_nr, column = n % nr;
  const uint8_t *group = w->data + n / nr * w->panel_bytes;
  for (size_t k0 = 0; k0 < w->K; k0 += I4_GROUP, group += i4_group_bytes(nr, I4_GROUP)) {
    size_t kn = size_min(I4_GROUP, w->K - k0);
    float scale;
    memcpy(&scale, group + size_round_up(kn, NIB_BLOCK) / 2 * nr + column * sizeof scale, sizeof scale);
    for (size_t i = 0; i < kn; i++) {
      int code = group[byte_at(nr, column, i)] >> (i % NIB_BLOCK < 4 ? 0 : 4) & 15;
      out[k0 + i] = (float)(code < 8 ? code : code - 16) * scale;
    }
  }
}

const struct encoding encoding_int4 = {.name = "int4",
                                       .integer = true,
                                       .layout = layout,
                                       .row = row,
                                       .packed_bytes = packed_bytes,
                                       .pack = pack,
                                       .pack_panels = pack_panels,
                                       .packed_row = packed_row,
                                       .check = check};
