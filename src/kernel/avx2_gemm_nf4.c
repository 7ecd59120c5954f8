// avx2_gemm_nf4.c - products by 4-bit codes for AVX2: two VPERMPS look the 8 lower and the 8 upper values of the
// codebook up, bit 3 of the code chooses. Strips of 16 columns, tile up to 6 x 16. Few rows multiply what they look up;
// many look a block up once, into 4 KiB that stay in L1, and all read it there.
#include <immintrin.h>
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  FUSED_MR = 4, // leaves registers for the codebook
  NV = 2,
  NR = 8 * NV,
  PANEL = 32,     // f32_nr: two strips
  MAX_BLOCK = 64, // of weights under one magnitude
  ROWS = 48,      // that share what was looked up: 3 KiB of totals beside it
};

struct book {
  __m256 lo, hi;
};

// One block for some rows of a strip.
struct stretch {
  const float *a; // (rows, lda)
  size_t lda, block;
  const uint8_t *codes; // the strip's words of the block's unit; a unit's rows of words are PANEL words apart
  size_t first;         // the block's first k in them
  const uint8_t *absmax;
  const float *wide; // (block, NR) looked up
  float *total;      // (rows, NR)
};

// Code k (0 to 7) of each word.
static inline __attribute__((always_inline)) __m256 look_up(struct book book, __m256i codes, int k) {
  __m256i index = _mm256_srli_epi32(codes, 4 * k); // only the low 3 bits count
  __m256 bit3 = _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28 - 4 * k));
  return _mm256_blendv_ps(_mm256_permutevar8x32_ps(book.lo, index), _mm256_permutevar8x32_ps(book.hi, index), bit3);
}

static inline __attribute__((always_inline)) __m256i words(const struct stretch *s, size_t k, size_t j) {
  const uint8_t *row = s->codes + k / NIB_BLOCK * PANEL * sizeof(uint32_t);
  return _mm256_loadu_si256((const __m256i *)(row + 32 * j));
}

static void widen(const struct stretch *s, struct book book, float *wide) {
  for (size_t k = s->first; k < s->first + s->block; k++, wide += NR) {
    for (size_t j = 0; j < NV; j++) _mm256_storeu_ps(wide + 8 * j, look_up(book, words(s, k, j), (int)(k % NIB_BLOCK)));
  }
}

static inline __attribute__((always_inline)) void multiply(__m256 p[MR][NV], const __m256 w[NV], const float *a,
                                                           size_t lda, size_t mr) {
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    __m256 x = _mm256_broadcast_ss(a + i * lda);
    UNROLL
    for (size_t j = 0; j < NV; j++) p[i][j] = _mm256_fmadd_ps(x, w[j], p[i][j]);
  }
}

// mr and fused are constants at every call; a fused block is whole words.
static inline __attribute__((always_inline)) void tile(const struct stretch *s, struct book book, size_t m, size_t mr,
                                                       bool fused) {
  const float *a = s->a + m * s->lda;
  __m256 p[MR][NV], w[NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) p[i][j] = _mm256_setzero_ps();
  }
  if (fused) {
    for (size_t k0 = 0; k0 < s->block; k0 += NIB_BLOCK) {
      __m256i codes[NV];
      UNROLL
      for (size_t j = 0; j < NV; j++) codes[j] = words(s, k0, j);
      UNROLL
      for (int k = 0; k < NIB_BLOCK; k++) {
        UNROLL
        for (size_t j = 0; j < NV; j++) w[j] = look_up(book, codes[j], k);
        multiply(p, w, a + k0 + (size_t)k, s->lda, mr);
      }
    }
  } else {
    for (size_t k = 0; k < s->block; k++) {
      UNROLL
      for (size_t j = 0; j < NV; j++) w[j] = _mm256_loadu_ps(s->wide + k * NR + 8 * j);
      multiply(p, w, a + k, s->lda, mr);
    }
  }
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) {
      float *t = s->total + (m + i) * NR + 8 * j;
      __m256 absmax = _mm256_loadu_ps((const float *)(const void *)(s->absmax + 32 * j));
      _mm256_storeu_ps(t, _mm256_fmadd_ps(p[i][j], absmax, _mm256_loadu_ps(t)));
    }
  }
}

static void fused_rows(const struct stretch *s, struct book book, size_t rows) {
  switch (rows) {
    case 1: tile(s, book, 0, 1, true); break;
    case 2: tile(s, book, 0, 2, true); break;
    case 3: tile(s, book, 0, 3, true); break;
    default: tile(s, book, 0, FUSED_MR, true); break;
  }
}

static void wide_rows(const struct stretch *s, struct book book, size_t rows) {
  for (size_t m = 0, mr; m < rows; m += mr) {
    mr = tile_rows(rows - m, MR);
    switch (mr) {
      case 1: tile(s, book, m, 1, false); break;
      case 2: tile(s, book, m, 2, false); break;
      case 3: tile(s, book, m, 3, false); break;
      case 4: tile(s, book, m, 4, false); break;
      case 5: tile(s, book, m, 5, false); break;
      default: tile(s, book, m, MR, false); break;
    }
  }
}

// Rows m to m + rows - 1, columns n0 to n0 + 15 of the panel.
static void strip(const struct gemm_nf4 *g, size_t m, size_t rows, size_t n0) {
  float total[ROWS * NR] = {0}, wide[MAX_BLOCK * NR];
  const struct book book = {_mm256_loadu_ps(g->codebook), _mm256_loadu_ps(g->codebook + 8)};
  size_t unit = nf4_unit(g->block), unit_bytes = nf4_unit_bytes(PANEL, g->block);
  for (size_t k = 0; k < g->K; k += g->block) {
    const uint8_t *w = g->w + k / unit * unit_bytes + n0 * sizeof(uint32_t);
    struct stretch s = {.a = g->a + m * g->lda + k,
                        .lda = g->lda,
                        .block = g->block,
                        .codes = w,
                        .first = k % unit,
                        .absmax = w + (unit / 2 + k % unit / g->block * sizeof(float)) * PANEL,
                        .wide = wide,
                        .total = total};
    if (rows <= FUSED_MR && g->block >= NIB_BLOCK) {
      fused_rows(&s, book, rows);
    } else {
      widen(&s, book, wide);
      wide_rows(&s, book, rows);
    }
  }
  size_t width = size_min(NR, g->N - n0);
  for (size_t i = 0; i < rows; i++) {
    float *c = g->c + (m + i) * g->ldc + n0;
    memcpy(c, total + i * NR, width * sizeof *c);
    avx2_finish(c, width, g->bias ? g->bias + n0 : NULL, g->act);
  }
}

void avx2_gemm_nf4(const struct gemm_nf4 *g) {
  for (size_t m = 0; m < g->M; m += ROWS) {
    for (size_t n = 0; n < g->N; n += NR) strip(g, m, size_min(ROWS, g->M - m), n);
  }
}
