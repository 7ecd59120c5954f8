// avx512_gemm_i4.c - int4 products without VNNI: VPSHUFB makes signed bytes of nibbles, VPMADDUBSW adds two products
// into 16 bits, VPMADDWD pairs of those into 32. Exact: a pair is at most 2 * 255 * 8 = 4080, and 8 of them fit in 16
// bits.
#include "kernel/avx512_i4.h"

enum { RUN = 32 }; // k that 16-bit sums hold: 8 pairs of every lane

// mr is a constant at every call. Adds kn k (at most RUN) to short sums.
static inline __attribute__((always_inline)) void run(__m512i acc[I4_MR][I4_NV], const uint8_t *a, size_t lda,
                                                      const uint8_t *w, size_t kn, size_t mr) {
  const __m512i values = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
  const __m512i lower = _mm512_set1_epi8(15);
  for (size_t k = 0; k < kn; k += NIB_BLOCK, w += NIB_BLOCK / 2 * I4_NR) {
    for (size_t half = 0; half < 2; half++) {
      __m512i wk[I4_NV];
      UNROLL
      for (size_t j = 0; j < I4_NV; j++) {
        __m512i codes = _mm512_loadu_si512(w + 64 * j);
        if (half) codes = _mm512_srli_epi16(codes, 4);
        wk[j] = _mm512_shuffle_epi8(values, _mm512_and_si512(codes, lower));
      }
      UNROLL
      for (size_t i = 0; i < mr; i++) {
        __m512i x = i4_activations(a + i * lda + k + 4 * half);
        UNROLL
        for (size_t j = 0; j < I4_NV; j++) acc[i][j] = _mm512_add_epi16(acc[i][j], _mm512_maddubs_epi16(x, wk[j]));
      }
    }
  }
}

// mr is a constant at every call.
static inline __attribute__((always_inline)) void sums(__m512i sum[I4_MR][I4_NV], const struct i4_spot *s, size_t mr) {
  const __m512i one = _mm512_set1_epi16(1);
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < I4_NV; j++) sum[i][j] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < s->kn; k += RUN) {
    __m512i acc[I4_MR][I4_NV];
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      UNROLL
      for (size_t j = 0; j < I4_NV; j++) acc[i][j] = _mm512_setzero_si512();
    }
    run(acc, s->a + k, s->lda, s->w + k / 2 * I4_NR, size_min(RUN, s->kn - k), mr);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      UNROLL
      for (size_t j = 0; j < I4_NV; j++) sum[i][j] = _mm512_add_epi32(sum[i][j], _mm512_madd_epi16(acc[i][j], one));
    }
  }
}

void avx512_gemm_i4(const struct gemm_i4 *g) {
  i4_run(g, sums);
}
