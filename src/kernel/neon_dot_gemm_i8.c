// neon_dot_gemm_i8.c - int8 products for NEON with dot products: SDOT adds four signed products into 32 bits. It takes
// no unsigned side, so a - 128 is multiplied (a bit flip), and the sums start at 128 wsum, for sum a w = sum (a - 128)
// w + 128 wsum: all of it exact. Panel (K / 4, 16, 4); tile up to 5 x 16: 20 registers of sums, 4 of weights (four k),
// 5 of activations (16 k).
#include <arm_neon.h>
#include <string.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum { MR = 5, NV = I8_PANEL / 4, KG = 4, KV = 16, SHIFT = 128 };

// acc + four products with lane's four bytes of x; lane is a constant at every call.
static inline __attribute__((always_inline)) int32x4_t dot_lane(int32x4_t acc, int8x16_t w, int8x16_t x, size_t lane) {
  switch (lane) {
    case 0: return vdotq_laneq_s32(acc, w, x, 0);
    case 1: return vdotq_laneq_s32(acc, w, x, 1);
    case 2: return vdotq_laneq_s32(acc, w, x, 2);
    default: return vdotq_laneq_s32(acc, w, x, 3);
  }
}

// Four k: their weights times the lane of every row's activations.
static inline __attribute__((always_inline)) void step(int32x4_t acc[MR][NV], const int8x16_t x[MR], size_t lane,
                                                       const int8_t *w, size_t mr) {
  int8x16_t wk[NV];
  UNROLL
  for (size_t j = 0; j < NV; j++) wk[j] = vld1q_s8(w + 4 * KG * j);
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = dot_lane(acc[i][j], wk[j], x[i], lane);
  }
}

static inline int8x16_t shifted(uint8x16_t a) { // a - 128
  return vreinterpretq_s8_u8(veorq_u8(a, vdupq_n_u8(SHIFT)));
}

static inline uint8x16_t four(const uint8_t *a) {
  uint32_t bytes;
  memcpy(&bytes, a, sizeof bytes);
  return vreinterpretq_u8_u32(vdupq_n_u32(bytes));
}

// start (I8_PANEL): where the sums start. mr is a constant at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, const int32_t *start, size_t m,
                                                       size_t mr) {
  const uint8_t *a = g->a + m * g->lda;
  const int8_t *w = g->w;
  int32x4_t acc[MR][NV];
  int8x16_t x[MR];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = vld1q_s32(start + 4 * j);
  }
  size_t k = 0;
  for (; k + KV <= g->K; k += KV) {
    UNROLL
    for (size_t i = 0; i < mr; i++) x[i] = shifted(vld1q_u8(a + i * g->lda + k));
    step(acc, x, 0, w, mr);
    step(acc, x, 1, w + KG * I8_PANEL, mr);
    step(acc, x, 2, w + 2 * KG * I8_PANEL, mr);
    step(acc, x, 3, w + 3 * KG * I8_PANEL, mr);
    w += KV * I8_PANEL;
  }
  for (; k < g->K; k += KG, w += KG * I8_PANEL) {
    UNROLL
    for (size_t i = 0; i < mr; i++) x[i] = shifted(four(a + i * g->lda + k));
    step(acc, x, 0, w, mr);
  }
  int32_t sums[MR * I8_PANEL];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) vst1q_s32(sums + i * I8_PANEL + 4 * j, acc[i][j]);
  }
  neon_i8_finish(g, m, mr, sums);
}

void neon_dot_gemm_i8(const struct gemm_i8 *g) {
  int32_t start[I8_PANEL] = {0};
  for (size_t n = 0; n < g->N; n++) start[n] = SHIFT * g->wsum[n]; // below 2^30: |wsum| <= 128 * 65536
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    switch (mr) {
      case 1: tile(g, start, m, 1); break;
      case 2: tile(g, start, m, 2); break;
      case 3: tile(g, start, m, 3); break;
      case 4: tile(g, start, m, 4); break;
      default: tile(g, start, m, MR); break;
    }
  }
}
