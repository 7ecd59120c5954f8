// avx512_gemm_i8.c - int8 products without VNNI: both sides widened to 16 bits, VPMADDWD adds two products into 32
// bits. Exact: |2 * 255 * -128| is far below 2^31, and nothing saturates. Panel (K / 2, 64, 2); tile up to 6 x 64.
#include <immintrin.h>
#include <string.h>

#include "base/size.h"
#include "kernel/avx512_i8.h"
#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = I8_MR,
  NV = I8_NV,
  NR = I8_NR,
  KG = 2,
  KC = 512, // 6 x 512 widened activations are 6 KiB of stack
};

static inline __attribute__((always_inline)) void madd(__m512i acc[MR][NV], const int16_t *a, const int8_t *w,
                                                       size_t kc, size_t mr) {
  for (size_t k = 0; k < kc; k += KG, w += KG * NR) {
    __m512i wk[NV];
    UNROLL
    for (size_t j = 0; j < NV; j++) {
      wk[j] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(w + 16 * KG * j)));
    }
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      int32_t pair;
      memcpy(&pair, a + i * KC + k, sizeof pair);
      __m512i x = _mm512_set1_epi32(pair);
      UNROLL
      for (size_t j = 0; j < NV; j++) acc[i][j] = _mm512_add_epi32(acc[i][j], _mm512_madd_epi16(x, wk[j]));
    }
  }
}

// mr is a constant at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, size_t m, size_t mr) {
  int16_t wide[MR * KC];
  __m512i acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < g->K; k += KC) {
    size_t kc = size_min(KC, g->K - k);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      for (size_t kk = 0; kk < kc; kk++) wide[i * KC + kk] = g->a[(m + i) * g->lda + k + kk];
    }
    madd(acc, wide, g->w + k * NR, kc, mr);
  }
  int32_t sums[MR * NR];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) _mm512_storeu_si512(sums + i * NR + 16 * j, acc[i][j]);
  }
  avx512_i8_finish(g, m, mr, sums);
}

void avx512_gemm_i8(const struct gemm_i8 *g) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    switch (mr) {
      case 1: tile(g, m, 1); break;
      case 2: tile(g, m, 2); break;
      case 3: tile(g, m, 3); break;
      case 4: tile(g, m, 4); break;
      case 5: tile(g, m, 5); break;
      default: tile(g, m, 6); break;
    }
  }
}
