// avx512_gemm_nf4.c - products by 4-bit codes: VPERMPS looks 16 codes up in the codebook, which is one register, where
// they are multiplied. Tile up to 4 x 64: 16 registers of a block's sums, 4 of codes, the codebook, weights. A block's
// sums are folded into the totals, which rest on the stack.
#include <immintrin.h>
#include <string.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum { MR = 4, NV = 4, NR = 16 * NV };

static inline __attribute__((always_inline)) void clear(__m512 p[MR][NV], size_t mr) {
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) p[i][j] = _mm512_setzero_ps();
  }
}

static inline __attribute__((always_inline)) void fold(float *total, __m512 p[MR][NV], const uint8_t *absmax,
                                                       size_t mr) {
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) {
      float *t = total + i * NR + 16 * j;
      _mm512_storeu_ps(t, _mm512_fmadd_ps(p[i][j], _mm512_loadu_ps(absmax + 64 * j), _mm512_loadu_ps(t)));
    }
  }
}

// kn k (at most NIB_BLOCK) of one row of words; the codes are used up from the low end.
static inline __attribute__((always_inline)) void multiply(__m512 p[MR][NV], __m512i codes[NV], __m512 book,
                                                           const float *a, size_t lda, size_t kn, size_t mr) {
  UNROLL
  for (size_t k = 0; k < kn; k++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) {
      __m512 w = _mm512_permutexvar_ps(codes[j], book); // only the low 4 bits count
      codes[j] = _mm512_srli_epi32(codes[j], 4);
      UNROLL
      for (size_t i = 0; i < mr; i++) p[i][j] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * lda + k]), w, p[i][j]);
    }
  }
}

static inline __attribute__((always_inline)) void load_codes(__m512i codes[NV], const uint8_t *w) {
  UNROLL
  for (size_t j = 0; j < NV; j++) codes[j] = _mm512_loadu_si512(w + 64 * j);
}

// mr is a constant at every call; blocks are whole words.
static inline __attribute__((always_inline)) void tile(const struct gemm_nf4 *g, const float *a, size_t mr,
                                                       float *total) {
  const __m512 book = _mm512_loadu_ps(g->codebook);
  const uint8_t *w = g->w;
  for (size_t k0 = 0; k0 < g->K; k0 += g->block) {
    __m512 p[MR][NV];
    clear(p, mr);
    for (size_t k = k0; k < k0 + g->block; k += NIB_BLOCK, w += sizeof(uint32_t) * NR) {
      __m512i codes[NV];
      load_codes(codes, w);
      multiply(p, codes, book, a + k, g->lda, NIB_BLOCK, mr);
    }
    fold(total, p, w, mr);
    w += sizeof(float) * NR;
  }
}

// Blocks shorter than a word of codes, one row: of matrices whose width is no multiple of 8.
static void short_blocks(const struct gemm_nf4 *g, const float *a, float *total) {
  const __m512 book = _mm512_loadu_ps(g->codebook);
  const uint8_t *w = g->w;
  for (size_t k0 = 0; k0 < g->K; k0 += NIB_BLOCK, w += nf4_unit_bytes(NR, g->block)) {
    const uint8_t *absmax = w + sizeof(uint32_t) * NR;
    __m512i codes[NV];
    load_codes(codes, w);
    for (size_t k = k0; k < size_min(k0 + NIB_BLOCK, g->K); k += g->block, absmax += sizeof(float) * NR) {
      __m512 p[MR][NV];
      clear(p, 1);
      for (size_t i = 0; i < g->block; i++) multiply(p, codes, book, a + k + i, g->lda, 1, 1);
      fold(total, p, absmax, 1);
    }
  }
}

void avx512_gemm_nf4(const struct gemm_nf4 *g) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    float total[MR * NR] = {0};
    const float *a = g->a + m * g->lda;
    mr = g->block < NIB_BLOCK ? 1 : tile_rows(g->M - m, MR);
    if (g->block < NIB_BLOCK) {
      short_blocks(g, a, total);
    } else {
      switch (mr) {
        case 1: tile(g, a, 1, total); break;
        case 2: tile(g, a, 2, total); break;
        case 3: tile(g, a, 3, total); break;
        default: tile(g, a, MR, total); break;
      }
    }
    for (size_t i = 0; i < mr; i++) {
      float *c = g->c + (m + i) * g->ldc;
      memcpy(c, total + i * NR, g->N * sizeof *c);
      avx512_finish(c, g->N, g->bias, g->act);
    }
  }
}
