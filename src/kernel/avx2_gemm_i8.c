// avx2_gemm_i8.c - int8 products for AVX2: both sides widened to 16 bits, VPMADDWD adds two products into 32 bits.
// Exact: |2 * 255 * -128| is far below 2^31, and nothing saturates (VPMADDUBSW would). Panel (K / 2, 16, 2); tile up to
// 6 x 16.
#include <immintrin.h>
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  NV = 2,
  NR = 8 * NV,
  KG = 2,
  KC = 512, // 6 x 512 widened activations are 6 KiB of stack
};

static inline __attribute__((always_inline)) void madd(__m256i acc[MR][NV], const int16_t *a, const int8_t *w,
                                                       size_t kc, size_t mr) {
  for (size_t k = 0; k < kc; k += KG, w += KG * NR) {
    __m256i wk[NV];
    UNROLL
    for (size_t j = 0; j < NV; j++) wk[j] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 8 * KG * j)));
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      int32_t pair;
      memcpy(&pair, a + i * KC + k, sizeof pair);
      __m256i x = _mm256_set1_epi32(pair);
      UNROLL
      for (size_t j = 0; j < NV; j++) acc[i][j] = _mm256_add_epi32(acc[i][j], _mm256_madd_epi16(x, wk[j]));
    }
  }
}

// sums (MR, NR) are those of rows m to m + mr - 1: takes the zero points out, scales, adds the bias, applies act.
static void finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums) {
  for (size_t i = 0; i < mr; i++) {
    float *c = g->c + (m + i) * g->ldc;
    const __m256i zero = _mm256_set1_epi32(g->azero[m + i]);
    const __m256 ascale = _mm256_set1_ps(g->ascale[m + i]);
    for (size_t n = 0; n < g->N; n += 8) {
      const __m256i left = _mm256_set1_epi32((int)(g->N - n));
      const __m256i mask = _mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      __m256i sum = _mm256_loadu_si256((const __m256i *)(sums + i * NR + n));
      sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(zero, _mm256_maskload_epi32(g->wsum + n, mask)));
      __m256 scale = _mm256_mul_ps(ascale, _mm256_maskload_ps(g->wscale + n, mask));
      __m256 bias = g->bias ? _mm256_maskload_ps(g->bias + n, mask) : _mm256_setzero_ps();
      _mm256_maskstore_ps(c + n, mask, _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale, bias));
    }
    avx2_finish(c, g->N, NULL, g->act);
  }
}

// mr is a constant at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, size_t m, size_t mr) {
  int16_t wide[MR * KC];
  __m256i acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = _mm256_setzero_si256();
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
    for (size_t j = 0; j < NV; j++) _mm256_storeu_si256((__m256i *)(sums + i * NR + 8 * j), acc[i][j]);
  }
  finish(g, m, mr, sums);
}

void avx2_gemm_i8(const struct gemm_i8 *g) {
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
