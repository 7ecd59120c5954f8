// avx2_gemm.c - float products for AVX2. The tile is up to 6 rows x 16 columns: 12 registers of sums, 2 of weights (one
// k), 1 activation. Each output is one lane with k ascending.
#include <immintrin.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  NV = 2,     // vectors of 8 columns
  KC = 256,   // of one strip, 256 k are 256 cache lines: half of L1
  AHEAD = 16, // k to prefetch: a strip takes one line of each row, which the hardware foresees too late
};

// Where the last vector of a tile is partial: its lanes that exist.
static inline __m256i lanes_mask(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline __attribute__((always_inline)) __m256 load(const void *p, bool whole, __m256i mask) {
  return whole ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, mask);
}

static inline __attribute__((always_inline)) void store(float *p, bool whole, __m256i mask, __m256 x) {
  if (whole) {
    _mm256_storeu_ps(p, x);
  } else {
    _mm256_maskstore_ps(p, mask, x);
  }
}

// Vector j of one k. 16-bit weights are readable to the end of the vector.
static inline __attribute__((always_inline)) __m256 weights(const uint8_t *w, size_t j, enum weight_type type,
                                                            bool whole, __m256i mask) {
  if (type == WEIGHT_F32) return load(w + 32 * j, whole, mask);
  __m128i half = _mm_loadu_si128((const __m128i *)(w + 16 * j));
  if (type == WEIGHT_F16) return _mm256_cvtph_ps(half);
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}

static inline __attribute__((always_inline)) void multiply(__m256 acc[MR][NV], const struct product *p,
                                                           const struct spot *s, enum weight_type type, size_t mr,
                                                           size_t nv, bool whole, __m256i mask) {
  const float *a = s->a;
  const uint8_t *w = s->w;
  for (size_t k = 0; k < s->kc; k++, w += p->w_k_bytes) {
    _mm_prefetch((const char *)(w + AHEAD * p->w_k_bytes), _MM_HINT_T0);
    __m256 wk[NV];
    UNROLL
    for (size_t j = 0; j < nv; j++) wk[j] = weights(w, j, type, whole || j + 1 < nv, mask);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      __m256 x = _mm256_broadcast_ss(a + i * p->lda + k);
      UNROLL
      for (size_t j = 0; j < nv; j++) acc[i][j] = _mm256_fmadd_ps(x, wk[j], acc[i][j]);
    }
  }
}

// type, mr, nv and whole are constants at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct product *p, const struct spot *s,
                                                       enum weight_type type, size_t mr, size_t nv, bool whole) {
  const __m256i mask = lanes_mask(s->width - (nv - 1) * 8);
  __m256 acc[MR][NV];
  const __m256i some = _mm256_set1_epi32(s->resume ? -1 : 0); // a masked load reads nothing and gives 0
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      const __m256i which = whole || j + 1 < nv ? some : _mm256_and_si256(some, mask);
      acc[i][j] = _mm256_maskload_ps(s->c + i * p->ldc + 8 * j, which);
    }
  }
  multiply(acc, p, s, type, mr, nv, whole, mask);
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) store(s->c + i * p->ldc + 8 * j, whole || j + 1 < nv, mask, acc[i][j]);
  }
}

static inline __attribute__((always_inline)) void tile_of_rows(const struct product *p, const struct spot *s,
                                                               enum weight_type type, size_t mr, size_t nv,
                                                               bool whole) {
  switch (mr) {
    case 1: tile(p, s, type, 1, nv, whole); break;
    case 2: tile(p, s, type, 2, nv, whole); break;
    case 3: tile(p, s, type, 3, nv, whole); break;
    case 4: tile(p, s, type, 4, nv, whole); break;
    case 5: tile(p, s, type, 5, nv, whole); break;
    default: tile(p, s, type, MR, nv, whole); break;
  }
}

static inline __attribute__((always_inline)) void tile_of_columns(const struct product *p, const struct spot *s,
                                                                  enum weight_type type, size_t mr) {
  if (s->width == 16) {
    tile_of_rows(p, s, type, mr, 2, true);
  } else if (s->width > 8) {
    tile_of_rows(p, s, type, mr, 2, false);
  } else {
    tile_of_rows(p, s, type, mr, 1, false);
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
  p.mr = MR, p.nr = 8 * NV, p.kc = KC;
  p.tile = tile_of_type;
  p.finish = avx2_finish;
  product_run(&p);
}

void avx2_gemm_f32(const struct gemm_f32 *g) {
  run(product_f32(g));
}

void avx2_gemm_half(const struct gemm_half *g) {
  run(product_half(g));
}
