// avx512_gemm.c - float products for AVX-512. The tile is up to 6 rows x 64 columns: 24 registers of sums, 4 of weights
// (one k), 1 activation. Each output is one lane with k ascending.
#include <immintrin.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  NV = 4,   // vectors of 16 columns
  KC = 512, // 512 rows of a panel are 128 KiB, which stay in L2 for every row of a
};

// Vector j of one k. 16-bit weights are readable to the end of the vector.
static inline __attribute__((always_inline)) __m512 weights(const uint8_t *w, size_t j, enum weight_type type,
                                                            __mmask16 lanes) {
  if (type == WEIGHT_F32) return _mm512_maskz_loadu_ps(lanes, w + 64 * j);
  __m256i half = _mm256_loadu_si256((const __m256i *)(w + 32 * j));
  if (type == WEIGHT_F16) return _mm512_cvtph_ps(half);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

static inline __attribute__((always_inline)) void multiply(__m512 acc[MR][NV], const struct product *p,
                                                           const struct spot *s, enum weight_type type, size_t mr,
                                                           size_t nv, __mmask16 last) {
  const float *a = s->a;
  const uint8_t *w = s->w;
  for (size_t k = 0; k < s->kc; k++, w += p->w_k_bytes) {
    __m512 wk[NV];
    UNROLL
    for (size_t j = 0; j < nv; j++) wk[j] = weights(w, j, type, j + 1 < nv ? 0xffff : last);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      __m512 x = _mm512_set1_ps(a[i * p->lda + k]);
      UNROLL
      for (size_t j = 0; j < nv; j++) acc[i][j] = _mm512_fmadd_ps(x, wk[j], acc[i][j]);
    }
  }
}

// type, mr and nv are constants at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct product *p, const struct spot *s,
                                                       enum weight_type type, size_t mr, size_t nv) {
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
  multiply(acc, p, s, type, mr, nv, last);
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      _mm512_mask_storeu_ps(s->c + i * p->ldc + 16 * j, j + 1 < nv ? 0xffff : last, acc[i][j]);
    }
  }
}

static inline __attribute__((always_inline)) void tile_of_rows(const struct product *p, const struct spot *s,
                                                               enum weight_type type, size_t mr, size_t nv) {
  switch (mr) {
    case 1: tile(p, s, type, 1, nv); break;
    case 2: tile(p, s, type, 2, nv); break;
    case 3: tile(p, s, type, 3, nv); break;
    case 4: tile(p, s, type, 4, nv); break;
    case 5: tile(p, s, type, 5, nv); break;
    default: tile(p, s, type, MR, nv); break;
  }
}

static inline __attribute__((always_inline)) void tile_of_columns(const struct product *p, const struct spot *s,
                                                                  enum weight_type type, size_t mr) {
  switch (size_ceil_div(s->width, 16)) {
    case 1: tile_of_rows(p, s, type, mr, 1); break;
    case 2: tile_of_rows(p, s, type, mr, 2); break;
    case 3: tile_of_rows(p, s, type, mr, 3); break;
    default: tile_of_rows(p, s, type, mr, 4); break;
  }
}

static void tile_of_type(const struct product *p, const struct spot *s, size_t mr) {
  switch (p->type) {
    case WEIGHT_F32: tile_of_columns(p, s, WEIGHT_F32, mr); break;
    case WEIGHT_F16: tile_of_columns(p, s, WEIGHT_F16, mr); break;
    case WEIGHT_BF16: tile_of_columns(p, s, WEIGHT_BF16, mr); break;
  }
}

static void run(struct product p) {
  p.mr = MR, p.nr = 16 * NV, p.kc = KC;
  p.tile = tile_of_type;
  p.finish = avx512_finish;
  product_run(&p);
}

void avx512_gemm_f32(const struct gemm_f32 *g) {
  run(product_f32(g));
}

void avx512_gemm_half(const struct gemm_half *g) {
  run(product_half(g));
}
