// avx2_gemm_i8.c - int8 products for AVX2: both sides widened to 16 bits, VPMADDWD adds two products into 32 bits.
// Exact: |2 * 255 * -128| is far below 2^31, and nothing saturates (VPMADDUBSW would). Panel (K / 2, 64, 2). The
// activations of a few rows are widened once for the whole panel, a block of k at a time; tiles of up to 6 x 16 (one
// row: 1 x 64) run over them, and between blocks of k the sums rest in memory.
#include <immintrin.h>
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  NR = I8_PANEL,
  NV = NR / 8,
  KG = 2,
  KC = 512,   // 6 x 512 widened activations are 6 KiB of stack; 16 columns touch 16 KiB of the panel
  AHEAD = 48, // k to prefetch
};

// wide (mr, KC): a block of kc activations of mr rows.
static inline __attribute__((always_inline)) void widen(const uint8_t *a, size_t lda, size_t kc, size_t mr,
                                                        int16_t *wide) {
  for (size_t i = 0; i < mr; i++, a += lda, wide += KC) {
    size_t k = 0;
    for (; k + 16 <= kc; k += 16) {
      __m256i x = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(a + k)));
      _mm256_storeu_si256((__m256i *)(wide + k), x);
    }
    for (; k < kc; k++) wide[k] = a[k];
  }
}

// sums (mr, 8 nv), rows NR apart, += the block's products, or = them if it is the first. mr and nv are constants at
// every call. acc lives in registers.
static inline __attribute__((always_inline)) void madd(int32_t *sums, const int16_t *a, const int8_t *w, size_t kc,
                                                       bool first, size_t mr, size_t nv) {
  __m256i acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      const __m256i *at = (const __m256i *)(sums + i * NR + 8 * j);
      acc[i][j] = first ? _mm256_setzero_si256() : _mm256_loadu_si256(at);
    }
  }
  for (size_t k = 0; k < kc; k += KG, w += KG * NR) {
    if (mr > 1) _mm_prefetch((const char *)(w + AHEAD * NR), _MM_HINT_T0);
    __m256i wk[NV];
    UNROLL
    for (size_t j = 0; j < nv; j++) wk[j] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(w + 8 * KG * j)));
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      int32_t pair;
      memcpy(&pair, a + i * KC + k, sizeof pair);
      __m256i x = _mm256_set1_epi32(pair);
      UNROLL
      for (size_t j = 0; j < nv; j++) acc[i][j] = _mm256_add_epi32(acc[i][j], _mm256_madd_epi16(x, wk[j]));
    }
  }
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) _mm256_storeu_si256((__m256i *)(sums + i * NR + 8 * j), acc[i][j]);
  }
}

// mr rows of the panel, strips of 8 nv columns. mr and nv are constants at every call.
static inline __attribute__((always_inline)) void rows(const struct gemm_i8 *g, size_t m, size_t mr, size_t nv) {
  int16_t wide[MR * KC];
  int32_t sums[MR * NR];
  size_t k = 0;
  do { // once even for K = 0
    size_t kc = size_min(KC, g->K - k);
    widen(g->a + m * g->lda + k, g->lda, kc, mr, wide);
    for (size_t n = 0; n < g->N; n += 8 * nv) madd(sums + n, wide, g->w + k * NR + n * KG, kc, k == 0, mr, nv);
    k += kc;
  } while (k < g->K);
  avx2_i8_finish(g, m, mr, sums);
}

void avx2_gemm_i8(const struct gemm_i8 *g) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    switch (mr) {
      case 1: rows(g, m, 1, 8); break;
      case 2: rows(g, m, 2, 4); break;
      case 3: rows(g, m, 3, 2); break;
      case 4: rows(g, m, 4, 2); break;
      case 5: rows(g, m, 5, 2); break;
      default: rows(g, m, 6, 2); break;
    }
  }
}
