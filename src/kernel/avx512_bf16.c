// avx512_bf16.c - the table for AVX-512 with VNNI and BF16 (Cooper Lake, Zen 4 and later). Only gemm_bf16 is its own:
// VDPBF16PS adds two products of bf16 a step, with its own rounding. These are the only different bits.
#include <string.h>

#include "base/size.h"
#include "kernel/lanes_avx512.h"
#include "kernel/rows.h"

#include "kernel/isa.h"
#include "kernel/product.h"

enum { MR = 6, NV = 4, NR = 16 * NV };

static void round_bf16(const float *x, size_t K, uint16_t *out) {
  size_t k = 0;
  for (; k + LANES <= K; k += LANES)
    _mm256_storeu_si256((__m256i *)(out + k), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x + k)));
  const __mmask16 rest = (__mmask16)((1u << (K - k)) - 1);
  _mm256_mask_storeu_epi16(out + k, rest, (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(rest, x + k)));
}

// Rows m to m + mr - 1 of columns n to n + 16 nv - 1, of which some may be past N. mr and nv are constants at every
// call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_bf16 *g, size_t m, size_t n, size_t mr,
                                                       size_t nv) {
  const uint16_t *a = g->a + m * g->lda, *w = g->w + 2 * n;
  __m512 acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) acc[i][j] = _mm512_setzero_ps();
  }
  tile_expect(g->c + m * g->ldc + n, g->ldc, mr, nv);
  for (size_t k = 0; k < g->K; k += 2, w += 2 * g->ldw) {
    __m512bh wk[NV];
    UNROLL
    for (size_t j = 0; j < nv; j++) wk[j] = (__m512bh)_mm512_loadu_si512(w + 32 * j);
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      int32_t pair;
      memcpy(&pair, a + i * g->lda + k, sizeof pair);
      __m512bh x = (__m512bh)_mm512_set1_epi32(pair);
      UNROLL
      for (size_t j = 0; j < nv; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], x, wk[j]);
    }
  }
  size_t width = size_min(16 * nv, g->N - n);
  const __mmask16 last = (__mmask16)(0xffffu >> (16 * nv - width));
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    float *c = g->c + (m + i) * g->ldc + n;
    UNROLL
    for (size_t j = 0; j < nv; j++) _mm512_mask_storeu_ps(c + 16 * j, j + 1 < nv ? 0xffff : last, acc[i][j]);
    rows_finish(c, width, g->bias ? g->bias + n : NULL, g->act);
  }
}

static inline __attribute__((always_inline)) void strip(const struct gemm_bf16 *g, size_t n, size_t nv) {
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    switch (mr) {
      case 1: tile(g, m, n, 1, nv); break;
      case 2: tile(g, m, n, 2, nv); break;
      case 3: tile(g, m, n, 3, nv); break;
      case 4: tile(g, m, n, 4, nv); break;
      case 5: tile(g, m, n, 5, nv); break;
      default: tile(g, m, n, 6, nv); break;
    }
  }
}

static void dot_gemm_bf16(const struct gemm_bf16 *g) {
  for (size_t n = 0; n < g->N; n += NR) {
    switch (size_ceil_div(size_min(NR, g->N - n), 16)) {
      case 1: strip(g, n, 1); break;
      case 2: strip(g, n, 2); break;
      case 3: strip(g, n, 3); break;
      default: strip(g, n, 4); break;
    }
  }
}

const struct kernels kernels_avx512_bf16 = {
    .name = "avx512_bf16",
    .supported = isa_has_avx512_bf16,
    .f32_mr = 6,
    .f32_nr = 64,
    .i8_mr = 6,
    .i8_nr = 64,
    .i8_kg = 4,
    .bf16_dot = true,
    .gemm_f32 = avx512_gemm_f32,
    .gemm_i8 = avx512_vnni_gemm_i8,
    .gemm_half = avx512_gemm_half,
    .gemm_i4 = avx512_vnni_gemm_i4,
    .gemm_nf4 = avx512_gemm_nf4,
    .gemm_bf16 = dot_gemm_bf16,
    .round_bf16 = round_bf16,
    ROWS_KERNELS,
    .transpose = avx512_transpose,
};
