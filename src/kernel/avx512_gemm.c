// avx512_gemm.c - float products for AVX-512. The tile is up to 6 rows x 64 columns: 24 registers of sums, 4 of weights
// (one k), 1 activation. Each output is one lane with k ascending.
#include <immintrin.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  MR_BF16 = 4, // leaves registers for the widened weights
  NV = 4,      // vectors of 16 columns
  KC = 512,    // 512 rows of a panel are 128 KiB, which stay in L2 for every row of a
};

static inline __attribute__((always_inline)) void fma_f32(__m512 acc[MR][NV], const struct product *p,
                                                          const struct spot *s, size_t mr, size_t nv, __mmask16 last) {
  const float *a = s->a;
  const uint8_t *w = s->w;
  for (size_t k = 0; k < s->kc; k++, w += p->w_k_bytes) {
    __m512 wk[NV];
    UNROLL
    for (size_t j = 0; j < nv; j++) wk[j] = _mm512_maskz_loadu_ps(j + 1 < nv ? 0xffff : last, w + 64 * j);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      __m512 x = _mm512_set1_ps(a[i * p->lda + k]);
      UNROLL
      for (size_t j = 0; j < nv; j++) acc[i][j] = _mm512_fmadd_ps(x, wk[j], acc[i][j]);
    }
  }
}

// A pair of k per 32-bit lane, the even one in the low half: widening is a shift or a mask.
static inline __attribute__((always_inline)) void fma_bf16(__m512 acc[MR][NV], const struct product *p,
                                                           const struct spot *s, size_t mr, size_t nv, __mmask16 last) {
  const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
  const float *a = s->a;
  const uint8_t *w = s->w;
  for (size_t k = 0; k < s->kc; k += 2, w += 2 * p->w_k_bytes) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      __m512i pair = _mm512_maskz_loadu_epi32(j + 1 < nv ? 0xffff : last, w + 64 * j);
      __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
      __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(pair, high));
      UNROLL
      for (size_t i = 0; i < mr; i++) acc[i][j] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * p->lda + k]), even, acc[i][j]);
      UNROLL
      for (size_t i = 0; i < mr; i++) {
        acc[i][j] = _mm512_fmadd_ps(_mm512_set1_ps(a[i * p->lda + k + 1]), odd, acc[i][j]);
      }
    }
  }
}

// bf16, mr and nv are constants at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct product *p, const struct spot *s, bool bf16,
                                                       size_t mr, size_t nv) {
  const __mmask16 last = (__mmask16)(0xffffu >> (nv * 16 - s->width));
  __m512 acc[MR][NV];
  const __mmask16 some = s->resume ? 0xffff : 0; // a masked load reads nothing and gives 0
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      acc[i][j] = _mm512_maskz_loadu_ps(j + 1 < nv ? some : some & last, s->c + i * p->ldc + 16 * j);
    }
  }
  if (bf16) {
    fma_bf16(acc, p, s, mr, nv, last);
  } else {
    fma_f32(acc, p, s, mr, nv, last);
  }
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      _mm512_mask_storeu_ps(s->c + i * p->ldc + 16 * j, j + 1 < nv ? 0xffff : last, acc[i][j]);
    }
  }
}

static inline __attribute__((always_inline)) void tile_of_rows(const struct product *p, const struct spot *s, bool bf16,
                                                               size_t mr, size_t nv) {
  switch (mr) {
    case 1: tile(p, s, bf16, 1, nv); break;
    case 2: tile(p, s, bf16, 2, nv); break;
    case 3: tile(p, s, bf16, 3, nv); break;
    case 4: tile(p, s, bf16, 4, nv); break;
    case 5:
      if (!bf16) tile(p, s, false, 5, nv);
      break;
    default:
      if (!bf16) tile(p, s, false, MR, nv);
      break;
  }
}

static void tile_f32(const struct product *p, const struct spot *s, size_t mr) {
  switch (size_ceil_div(s->width, 16)) {
    case 1: tile_of_rows(p, s, false, mr, 1); break;
    case 2: tile_of_rows(p, s, false, mr, 2); break;
    case 3: tile_of_rows(p, s, false, mr, 3); break;
    default: tile_of_rows(p, s, false, mr, 4); break;
  }
}

static void tile_bf16(const struct product *p, const struct spot *s, size_t mr) {
  switch (size_ceil_div(s->width, 16)) {
    case 1: tile_of_rows(p, s, true, mr, 1); break;
    case 2: tile_of_rows(p, s, true, mr, 2); break;
    case 3: tile_of_rows(p, s, true, mr, 3); break;
    default: tile_of_rows(p, s, true, mr, 4); break;
  }
}

void avx512_gemm_f32(const struct gemm_f32 *g) {
  struct product p = product_f32(g);
  p.mr = MR, p.nr = 16 * NV, p.kc = KC;
  p.tile = tile_f32;
  p.finish = avx512_finish;
  product_run(&p);
}

void avx512_gemm_bf16(const struct gemm_bf16 *g) {
  struct product p = product_bf16(g);
  p.mr = MR_BF16, p.nr = 16 * NV, p.kc = KC;
  p.tile = tile_bf16;
  p.finish = avx512_finish;
  product_run(&p);
}
