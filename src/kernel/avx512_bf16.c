// avx512_bf16.c - the table for AVX-512 with VNNI and BF16 (Cooper Lake, Zen 4 and later). Only gemm_bf16 is its own:
// activations rounded to bf16, VDPBF16PS adding two products a step with its own rounding. These are the only different
// bits.
#include "kernel/lanes_avx512.h"
#include "kernel/rows.h"

#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 6,
  NV = 4,
  KC = 512, // also the size of the rounded block of activations: 6 x 512 x 2 bytes of stack
};

// Rounds s->kc (even) activations of mr rows: pairs (MR, KC / 2), the even k in the low half.
static inline void round_rows(uint32_t *pairs, const struct product *p, const struct spot *s, size_t k0, size_t kc,
                              size_t mr) {
  for (size_t i = 0; i < mr; i++) {
    const float *a = s->a + i * p->lda + k0;
    for (size_t k = 0; k < kc; k += LANES) {
      struct v16 x = kc - k < LANES ? v16_load_n(a + k, kc - k, v16_set(0.0f)) : v16_load(a + k);
      _mm256_storeu_si256((__m256i *)(pairs + (i * KC + k) / 2), (__m256i)_mm512_cvtneps_pbh(x.v));
    }
  }
}

// mr and nv are constants at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct product *p, const struct spot *s, size_t mr,
                                                       size_t nv) {
  const __mmask16 last = (__mmask16)(0xffffu >> (nv * 16 - s->width));
  uint32_t pairs[MR * KC / 2];
  __m512 acc[MR][NV];
  const __mmask16 some = s->resume ? 0xffff : 0; // a masked load reads nothing and gives 0
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      acc[i][j] = _mm512_maskz_loadu_ps(j + 1 < nv ? some : some & last, s->c + i * p->ldc + 16 * j);
    }
  }
  const uint8_t *w = s->w;
  for (size_t k0 = 0; k0 < s->kc; k0 += KC) {
    size_t kc = size_min(KC, s->kc - k0);
    round_rows(pairs, p, s, k0, kc, mr);
    for (size_t k = 0; k < kc / 2; k++, w += 2 * p->w_k_bytes) {
      __m512bh wk[NV];
      UNROLL
      for (size_t j = 0; j < nv; j++) {
        wk[j] = (__m512bh)_mm512_maskz_loadu_epi32(j + 1 < nv ? 0xffff : last, w + 64 * j);
      }
      UNROLL
      for (size_t i = 0; i < mr; i++) {
        __m512bh x = (__m512bh)_mm512_set1_epi32((int)pairs[i * KC / 2 + k]);
        UNROLL
        for (size_t j = 0; j < nv; j++) acc[i][j] = _mm512_dpbf16_ps(acc[i][j], x, wk[j]);
      }
    }
  }
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      _mm512_mask_storeu_ps(s->c + i * p->ldc + 16 * j, j + 1 < nv ? 0xffff : last, acc[i][j]);
    }
  }
}

static inline __attribute__((always_inline)) void tile_of_rows(const struct product *p, const struct spot *s, size_t mr,
                                                               size_t nv) {
  switch (mr) {
    case 1: tile(p, s, 1, nv); break;
    case 2: tile(p, s, 2, nv); break;
    case 3: tile(p, s, 3, nv); break;
    case 4: tile(p, s, 4, nv); break;
    case 5: tile(p, s, 5, nv); break;
    default: tile(p, s, 6, nv); break;
  }
}

static void tile_dot(const struct product *p, const struct spot *s, size_t mr) {
  switch (size_ceil_div(s->width, 16)) {
    case 1: tile_of_rows(p, s, mr, 1); break;
    case 2: tile_of_rows(p, s, mr, 2); break;
    case 3: tile_of_rows(p, s, mr, 3); break;
    default: tile_of_rows(p, s, mr, 4); break;
  }
}

static void dot_gemm_bf16(const struct gemm_half *g) {
  struct product p = product_half(g, 2);
  p.mr = MR, p.nr = 16 * NV, p.kc = KC;
  p.tile = tile_dot;
  p.finish = rows_finish;
  product_run(&p);
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
    .gemm_bf16 = dot_gemm_bf16,
    .quantize_u8 = rows_quantize_u8,
    .quantize_u8_fixed = rows_quantize_u8_fixed,
    .mark_outliers = rows_mark_outliers,
    .quantize_s8 = rows_quantize_s8,
    .layernorm = rows_layernorm,
    .softmax_exp = rows_softmax_exp,
    .div = rows_div,
    .add = rows_add,
    .act = rows_act,
    .lstm = rows_lstm,
    .unpack_i16 = rows_unpack_i16,
    .unpack_nib = rows_unpack_nib,
    .transpose = avx512_transpose,
};
