// avx512_i8.h - the tile of an int8 product and its last step, shared by the AVX-512 tables.
#ifndef PARE_KERNEL_AVX512_I8_H
#define PARE_KERNEL_AVX512_I8_H

#include <immintrin.h>

#include "kernel/isa.h"

enum { I8_MR = 6, I8_NV = 4, I8_NR = 16 * I8_NV }; // the tile: 6 rows, 4 vectors of 16 columns

// sums (I8_MR, I8_NR) are those of rows m to m + mr - 1: takes the zero points out, scales, adds the bias, applies act.
static inline void avx512_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums) {
  for (size_t i = 0; i < mr; i++) {
    float *c = g->c + (m + i) * g->ldc;
    const __m512i zero = _mm512_set1_epi32(g->azero[m + i]);
    const __m512 ascale = _mm512_set1_ps(g->ascale[m + i]);
    for (size_t n = 0; n < g->N; n += 16) {
      const __mmask16 mask = g->N - n >= 16 ? 0xffff : (__mmask16)((1u << (g->N - n)) - 1);
      __m512i wsum = _mm512_maskz_loadu_epi32(mask, g->wsum + n);
      __m512i sum = _mm512_sub_epi32(_mm512_loadu_si512(sums + i * I8_NR + n), _mm512_mullo_epi32(zero, wsum));
      __m512 scale = _mm512_mul_ps(ascale, _mm512_maskz_loadu_ps(mask, g->wscale + n));
      __m512 bias = g->bias ? _mm512_maskz_loadu_ps(mask, g->bias + n) : _mm512_setzero_ps();
      _mm512_mask_storeu_ps(c + n, mask, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, bias));
    }
    avx512_finish(c, g->N, NULL, g->act);
  }
}

#endif
