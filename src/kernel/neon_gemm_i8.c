// neon_gemm_i8.c - int8 products for any NEON: both sides widened to 16 bits, SMLAL multiplies by a lane and adds into
// 32 bits, exactly. Panel (K, 16); tile up to 5 x 16: 20 registers of sums, 3 of weights (one k), 5 of activations
// (four k).
#include <arm_neon.h>
#include <string.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum { MR = 5, NV = I8_PANEL / 4, KV = 4 };

// acc + w x[lane] for the low or the high four of w; lane is a constant at every call.
static inline __attribute__((always_inline)) int32x4_t mla_low(int32x4_t acc, int16x8_t w, int16x4_t x, size_t lane) {
  switch (lane) {
    case 0: return vmlal_lane_s16(acc, vget_low_s16(w), x, 0);
    case 1: return vmlal_lane_s16(acc, vget_low_s16(w), x, 1);
    case 2: return vmlal_lane_s16(acc, vget_low_s16(w), x, 2);
    default: return vmlal_lane_s16(acc, vget_low_s16(w), x, 3);
  }
}
static inline __attribute__((always_inline)) int32x4_t mla_high(int32x4_t acc, int16x8_t w, int16x4_t x, size_t lane) {
  switch (lane) {
    case 0: return vmlal_high_lane_s16(acc, w, x, 0);
    case 1: return vmlal_high_lane_s16(acc, w, x, 1);
    case 2: return vmlal_high_lane_s16(acc, w, x, 2);
    default: return vmlal_high_lane_s16(acc, w, x, 3);
  }
}

// One k: its 16 weights times the lane of every row's activations.
static inline __attribute__((always_inline)) void step(int32x4_t acc[MR][NV], const int16x4_t x[MR], size_t lane,
                                                       const int8_t *w, size_t mr) {
  int8x16_t bytes = vld1q_s8(w);
  int16x8_t lo = vmovl_s8(vget_low_s8(bytes)), hi = vmovl_s8(vget_high_s8(bytes));
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    acc[i][0] = mla_low(acc[i][0], lo, x[i], lane);
    acc[i][1] = mla_high(acc[i][1], lo, x[i], lane);
    acc[i][2] = mla_low(acc[i][2], hi, x[i], lane);
    acc[i][3] = mla_high(acc[i][3], hi, x[i], lane);
  }
}

static inline int16x4_t widen_four(const uint8_t *a) {
  uint32_t four;
  memcpy(&four, a, sizeof four);
  return vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)))));
}

// mr is a constant at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, size_t m, size_t mr) {
  const uint8_t *a = g->a + m * g->lda;
  const int8_t *w = g->w;
  int32x4_t acc[MR][NV];
  int16x4_t x[MR];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = vdupq_n_s32(0);
  }
  size_t k = 0;
  for (; k + KV <= g->K; k += KV) {
    UNROLL
    for (size_t i = 0; i < mr; i++) x[i] = widen_four(a + i * g->lda + k);
    step(acc, x, 0, w, mr);
    step(acc, x, 1, w + I8_PANEL, mr);
    step(acc, x, 2, w + 2 * I8_PANEL, mr);
    step(acc, x, 3, w + 3 * I8_PANEL, mr);
    w += KV * I8_PANEL;
  }
  for (; k < g->K; k++, w += I8_PANEL) {
    UNROLL
    for (size_t i = 0; i < mr; i++) x[i] = vdup_n_s16(a[i * g->lda + k]);
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

void neon_gemm_i8(const struct gemm_i8 *g) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    switch (mr) {
      case 1: tile(g, m, 1); break;
      case 2: tile(g, m, 2); break;
      case 3: tile(g, m, 3); break;
      case 4: tile(g, m, 4); break;
      default: tile(g, m, MR); break;
    }
  }
}
