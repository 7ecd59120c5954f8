// neon_i8mm_gemm_i8.c - int8 products for NEON with int8 matrix multiplication: USMMLA multiplies two rows of eight
// unsigned activations by two columns of eight signed weights and adds the sums into 2 x 2 of 32 bits, exactly. Panel
// (K / 8, 16, 8), so that a vector holds two columns; tile up to 4 x 16: 16 registers of sums, 8 of weights (eight k),
// 2 of activations (eight k of two rows each). Of an odd number of rows the last is multiplied twice and kept once.
#include <arm_neon.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum { MR = 4, MP = MR / 2, NP = I8_PANEL / 2, KG = 8 };

// The sums of a pair of rows, (2, 2) per pair of columns, as two rows of out (., I8_PANEL).
static inline __attribute__((always_inline)) void unpair(const int32x4_t acc[NP], int32_t *out) {
  UNROLL
  for (size_t j = 0; j < NP; j++) {
    vst1_s32(out + 2 * j, vget_low_s32(acc[j]));
    vst1_s32(out + I8_PANEL + 2 * j, vget_high_s32(acc[j]));
  }
}

// mp, the pairs of rows, is a constant at every call; mr is 2 mp or one less. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, size_t m, size_t mr, size_t mp) {
  const uint8_t *a = g->a + m * g->lda;
  const uint8_t *last = a + (mr - 1) * g->lda;
  const int8_t *w = g->w;
  int32x4_t acc[MP][NP];
  UNROLL
  for (size_t i = 0; i < mp; i++) {
    UNROLL
    for (size_t j = 0; j < NP; j++) acc[i][j] = vdupq_n_s32(0);
  }
  for (size_t k = 0; k < g->K; k += KG, w += KG * I8_PANEL) {
    uint8x16_t x[MP];
    UNROLL
    for (size_t i = 0; i < mp; i++) {
      const uint8_t *even = a + 2 * i * g->lda, *odd = i + 1 < mp ? even + g->lda : last;
      x[i] = vcombine_u8(vld1_u8(even + k), vld1_u8(odd + k));
    }
    UNROLL
    for (size_t j = 0; j < NP; j++) {
      int8x16_t wk = vld1q_s8(w + 2 * KG * j);
      UNROLL
      for (size_t i = 0; i < mp; i++) acc[i][j] = vusmmlaq_s32(acc[i][j], x[i], wk);
    }
  }
  int32_t sums[MR * I8_PANEL];
  UNROLL
  for (size_t i = 0; i < mp; i++) unpair(acc[i], sums + 2 * i * I8_PANEL);
  neon_i8_finish(g, m, mr, sums);
}

void neon_i8mm_gemm_i8(const struct gemm_i8 *g) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    if (mr > 2) {
      tile(g, m, mr, MP);
    } else {
      tile(g, m, mr, 1);
    }
  }
}
