// avx512_vnni_i4.c - int4 products with VNNI. A nibble moved to the upper half of its byte is 16 w, which VPDPBUSD
// takes as it takes int8 weights; the sum of a group, below 2^22 even so, is shifted back.
#include "kernel/avx512_i4.h"

// mr is a constant at every call. Few rows sum low and high nibbles apart, so that no step waits for the last.
static inline __attribute__((always_inline)) void sums(__m512i sum[I4_MR][I4_NV], const struct i4_spot *s, size_t mr) {
  enum { LOW, HIGH };
  const size_t apart = mr <= 2 ? HIGH : LOW;
  const __m512i upper = _mm512_set1_epi8((char)0xf0);
  __m512i acc[2][I4_MR][I4_NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < I4_NV; j++) acc[LOW][i][j] = acc[apart][i][j] = _mm512_setzero_si512();
  }
  const uint8_t *w = s->w;
  for (size_t k = 0; k < s->kn; k += NIB_BLOCK, w += NIB_BLOCK / 2 * I4_NR) {
    __m512i low[I4_NV], high[I4_NV];
    UNROLL
    for (size_t j = 0; j < I4_NV; j++) {
      low[j] = _mm512_and_si512(_mm512_slli_epi16(_mm512_loadu_si512(w + 64 * j), 4), upper);
    }
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      __m512i x = i4_activations(s->a + i * s->lda + k);
      UNROLL
      for (size_t j = 0; j < I4_NV; j++) acc[LOW][i][j] = _mm512_dpbusd_epi32(acc[LOW][i][j], x, low[j]);
    }
    UNROLL
    for (size_t j = 0; j < I4_NV; j++) high[j] = _mm512_and_si512(_mm512_loadu_si512(w + 64 * j), upper);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      __m512i x = i4_activations(s->a + i * s->lda + k + 4);
      UNROLL
      for (size_t j = 0; j < I4_NV; j++) acc[apart][i][j] = _mm512_dpbusd_epi32(acc[apart][i][j], x, high[j]);
    }
  }
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < I4_NV; j++) {
      __m512i both = apart == HIGH ? _mm512_add_epi32(acc[LOW][i][j], acc[HIGH][i][j]) : acc[LOW][i][j];
      sum[i][j] = _mm512_srai_epi32(both, 4);
    }
  }
}

void avx512_vnni_gemm_i4(const struct gemm_i4 *g) {
  i4_run(g, sums);
}
