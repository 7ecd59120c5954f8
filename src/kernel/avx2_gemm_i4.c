// avx2_gemm_i4.c - int4 products for AVX2: VPSHUFB makes signed bytes of nibbles, VPMADDUBSW adds two products into 16
// bits, VPMADDWD pairs of those into 32. Exact: a pair is at most 2 * 255 * 8 = 4080, and 8 of them fit in 16 bits.
// Panel of 64 outputs; tile up to 4 x 16, one row: 1 x 64.
#include <assert.h>
#include <immintrin.h>
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 4,
  NV = 2,     // vectors of 8 columns in a tile, but for one row's:
  ROW_NV = 8, // the whole panel
  NR = I8_PANEL,
  RUN = 32, // k that 16-bit sums hold: 8 pairs of every lane
};
static_assert(NR == 8 * ROW_NV, "one row takes the whole panel");

// mr and nv are constants at every call, as in all that follows. Adds kn k (at most RUN) to short sums.
static inline __attribute__((always_inline)) void run(__m256i acc[MR][ROW_NV], const uint8_t *a, size_t lda,
                                                      const uint8_t *w, size_t kn, size_t mr, size_t nv) {
  const __m256i values =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1));
  const __m256i lower = _mm256_set1_epi8(15);
  for (size_t k = 0; k < kn; k += NIB_BLOCK, w += NIB_BLOCK / 2 * NR) {
    for (size_t half = 0; half < 2; half++) {
      __m256i wk[ROW_NV];
      UNROLL
      for (size_t j = 0; j < nv; j++) {
        __m256i codes = _mm256_loadu_si256((const __m256i *)(w + 32 * j));
        if (half) codes = _mm256_srli_epi16(codes, 4);
        wk[j] = _mm256_shuffle_epi8(values, _mm256_and_si256(codes, lower));
      }
      UNROLL
      for (size_t i = 0; i < mr; i++) {
        int32_t four;
        memcpy(&four, a + i * lda + k + 4 * half, sizeof four);
        __m256i x = _mm256_set1_epi32(four);
        UNROLL
        for (size_t j = 0; j < nv; j++) acc[i][j] = _mm256_add_epi16(acc[i][j], _mm256_maddubs_epi16(x, wk[j]));
      }
    }
  }
}

// total = fma(sum a w - azero * wsum, wscale, total) for row i, columns from n0 on. tail: the group's scales and sums.
static inline __attribute__((always_inline)) void fold(float *total, const int32_t *sum, int32_t azero,
                                                       const uint8_t *tail, size_t n0, size_t nv) {
  const __m256i zero = _mm256_set1_epi32(azero);
  UNROLL
  for (size_t j = 0; j < nv; j++) {
    __m128i wsum = _mm_loadu_si128((const __m128i *)(tail + NR * sizeof(float) + 2 * n0 + 16 * j));
    // Sums widened to 32 bits times zero: of each pair of 16-bit products the upper is by 0, so this is exact.
    __m256i offset = _mm256_madd_epi16(_mm256_cvtepi16_epi32(wsum), zero);
    __m256 i = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_loadu_si256((const __m256i *)(sum + 8 * j)), offset));
    __m256 scale = _mm256_loadu_ps((const float *)(const void *)(tail + 4 * n0 + 32 * j));
    _mm256_storeu_ps(total + 8 * j, _mm256_fmadd_ps(i, scale, _mm256_loadu_ps(total + 8 * j)));
  }
}

// The k of one group, in runs; sums (mr, 8 nv) rest on the stack between them.
static inline __attribute__((always_inline)) void group(int32_t *sums, const uint8_t *a, size_t lda, const uint8_t *w,
                                                        size_t kn, size_t mr, size_t nv) {
  const __m256i one = _mm256_set1_epi16(1);
  memset(sums, 0, mr * 8 * nv * sizeof *sums);
  for (size_t k = 0; k < kn; k += RUN) {
    __m256i acc[MR][ROW_NV];
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      UNROLL
      for (size_t j = 0; j < nv; j++) acc[i][j] = _mm256_setzero_si256();
    }
    run(acc, a + k, lda, w + k / 2 * NR, size_min(RUN, kn - k), mr, nv);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      UNROLL
      for (size_t j = 0; j < nv; j++) {
        __m256i *sum = (__m256i *)(sums + 8 * (i * nv + j));
        _mm256_storeu_si256(sum, _mm256_add_epi32(_mm256_loadu_si256(sum), _mm256_madd_epi16(acc[i][j], one)));
      }
    }
  }
}

static void finish(const struct gemm_i4 *g, size_t m, size_t n0, size_t width, const float *total) {
  float *c = g->c + m * g->ldc + n0;
  const float *bias = g->bias ? g->bias + n0 : NULL;
  const __m256 ascale = _mm256_set1_ps(g->ascale[m]);
  for (size_t n = 0; n < width; n += 8) {
    const __m256i left = _mm256_set1_epi32((int)(width - n));
    const __m256i mask = _mm256_cmpgt_epi32(left, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256 plus = bias ? _mm256_maskload_ps(bias + n, mask) : _mm256_setzero_ps();
    _mm256_maskstore_ps(c + n, mask, _mm256_fmadd_ps(_mm256_loadu_ps(total + n), ascale, plus));
  }
  avx2_finish(c, width, NULL, g->act);
}

// Rows m to m + mr - 1, 8 nv columns from n0 on.
static inline __attribute__((always_inline)) void tile(const struct gemm_i4 *g, size_t m, size_t n0, size_t mr,
                                                       size_t nv) {
  float total[8 * ROW_NV] = {0}; // mr * nv is ROW_NV at most
  int32_t sums[8 * ROW_NV];
  const uint8_t *w = g->w;
  for (size_t k = 0; k < g->K; k += I4_GROUP) {
    size_t kn = size_min(I4_GROUP, g->K - k);
    group(sums, g->a + m * g->lda + k, g->lda, w + n0 * sizeof(uint32_t), kn, mr, nv);
    for (size_t i = 0; i < mr; i++)
      fold(total + 8 * nv * i, sums + 8 * nv * i, g->azero[m + i], w + kn / 2 * NR, n0, nv);
    w += i4_group_bytes(NR, kn);
  }
  for (size_t i = 0; i < mr; i++) finish(g, m + i, n0, size_min(8 * nv, g->N - n0), total + 8 * nv * i);
}

void avx2_gemm_i4(const struct gemm_i4 *g) {
  if (g->M == 1) {
    tile(g, 0, 0, 1, ROW_NV);
    return;
  }
  for (size_t n = 0; n < g->N; n += 8 * NV) {
    for (size_t m = 0, mr; m < g->M; m += mr) {
      mr = tile_rows(g->M - m, MR); // at least 2: what is left is cut as evenly as can be
      switch (mr) {
        case 2: tile(g, m, n, 2, NV); break;
        case 3: tile(g, m, n, 3, NV); break;
        default: tile(g, m, n, MR, NV); break;
      }
    }
  }
}
