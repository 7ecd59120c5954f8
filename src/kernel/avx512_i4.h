// avx512_i4.h - what the AVX-512 tables share of an int4 product: the loop over groups, a group's step from its integer
// sums to floats, and the last step. Tile up to 4 x 64: 16 sums; 6 x 64 leaves no registers to split nibbles in.
#ifndef PARE_KERNEL_AVX512_I4_H
#define PARE_KERNEL_AVX512_I4_H

#include <immintrin.h>
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"
#include "kernel/product.h"

enum { I4_MR = 4, I4_NV = 4, I4_NR = 16 * I4_NV };

// The k of one group for the rows of a tile.
struct i4_spot {
  const uint8_t *a; // (mr, lda)
  size_t lda;
  const uint8_t *w; // the group's codes
  size_t kn;
};

static inline __attribute__((always_inline)) __m512i i4_activations(const uint8_t *a) {
  int32_t four;
  memcpy(&four, a, sizeof four);
  return _mm512_set1_epi32(four);
}

// acc = fma(sum a w - azero * wsum, wscale, acc) for row i. tail: the group's scales and sums.
static inline __attribute__((always_inline)) void i4_fold(float *acc, const __m512i sum[I4_NV], int32_t azero,
                                                          const uint8_t *tail) {
  const __m512i zero = _mm512_set1_epi32(azero);
  UNROLL
  for (size_t j = 0; j < I4_NV; j++) {
    __m256i wsum = _mm256_loadu_si256((const __m256i *)(tail + I4_NR * sizeof(float) + 32 * j));
    // Sums widened to 32 bits times zero: of each pair of 16-bit products the upper is by 0, so this is exact.
    __m512i offset = _mm512_madd_epi16(_mm512_cvtepi16_epi32(wsum), zero);
    __m512 i = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum[j], offset));
    _mm512_storeu_ps(acc + 16 * j, _mm512_fmadd_ps(i, _mm512_loadu_ps(tail + 64 * j), _mm512_loadu_ps(acc + 16 * j)));
  }
}

static inline void i4_finish(const struct gemm_i4 *g, size_t m, const float *acc) {
  float *c = g->c + m * g->ldc;
  const __m512 ascale = _mm512_set1_ps(g->ascale[m]);
  for (size_t n = 0; n < g->N; n += 16) {
    const __mmask16 mask = g->N - n >= 16 ? 0xffff : (__mmask16)((1u << (g->N - n)) - 1);
    __m512 bias = g->bias ? _mm512_maskz_loadu_ps(mask, g->bias + n) : _mm512_setzero_ps();
    _mm512_mask_storeu_ps(c + n, mask, _mm512_fmadd_ps(_mm512_loadu_ps(acc + n), ascale, bias));
  }
  avx512_finish(c, g->N, NULL, g->act);
}

// mr and sums are constants at every call: sums gives sum_k a w of a group for mr rows.
static inline __attribute__((always_inline)) void i4_tile(const struct gemm_i4 *g, size_t m, size_t mr,
                                                          void (*sums)(__m512i sum[I4_MR][I4_NV],
                                                                       const struct i4_spot *s, size_t mr)) {
  float acc[I4_MR * I4_NR] = {0};
  const uint8_t *w = g->w;
  for (size_t k = 0; k < g->K; k += I4_GROUP) {
    struct i4_spot s = {.a = g->a + m * g->lda + k, .lda = g->lda, .w = w, .kn = size_min(I4_GROUP, g->K - k)};
    __m512i sum[I4_MR][I4_NV];
    sums(sum, &s, mr);
    UNROLL
    for (size_t i = 0; i < mr; i++) i4_fold(acc + i * I4_NR, sum[i], g->azero[m + i], w + s.kn / 2 * I4_NR);
    w += i4_group_bytes(I4_NR, s.kn);
  }
  for (size_t i = 0; i < mr; i++) i4_finish(g, m + i, acc + i * I4_NR);
}

static inline __attribute__((always_inline)) void i4_run(const struct gemm_i4 *g,
                                                         void (*sums)(__m512i sum[I4_MR][I4_NV],
                                                                      const struct i4_spot *s, size_t mr)) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, I4_MR);
    switch (mr) {
      case 1: i4_tile(g, m, 1, sums); break;
      case 2: i4_tile(g, m, 2, sums); break;
      case 3: i4_tile(g, m, 3, sums); break;
      default: i4_tile(g, m, I4_MR, sums); break;
    }
  }
}

#endif
