// avx512_vnni.c - the table for AVX-512 with VNNI (Cascade Lake, Zen 4 and later): VPDPBUSD adds four
// unsigned-by-signed products into 32 bits, without saturation. Panel (K / 4, 64, 4); tile up to 6 x 64: 24 sums, 4
// weights, 1 activation.
#include "kernel/lanes_avx512.h"
#include "kernel/rows.h"

#include "kernel/avx512_i8.h"
#include "kernel/product.h"

enum { MR = I8_MR, NV = I8_NV, NR = I8_NR, KG = 4 };

// A step of k reads LINES cache lines of weights. The next panel is asked for while this one is multiplied, so many
// lines a step that its tiles together ask for all: a tile that is the only one would hide nothing behind its own
// reading.
enum { LINE = 64, LINES = KG * NR / LINE };

// mr and lines are constants at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, size_t m, size_t mr, size_t lines,
                                                       const int8_t *ahead) {
  const uint8_t *a = g->a + m * g->lda;
  const int8_t *w = g->w;
  __m512i acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = _mm512_setzero_si512();
  }
  for (size_t k = 0; k < g->K; k += KG, w += KG * NR, ahead += lines * LINE) {
    __m512i wk[NV];
    UNROLL
    for (size_t j = 0; j < NV; j++) wk[j] = _mm512_loadu_si512(w + 16 * KG * j);
    if (lines == 1) _mm_prefetch((const char *)ahead, _MM_HINT_T0);
    if (lines == 2) { // few tiles, so soon: into the second level
      _mm_prefetch((const char *)ahead, _MM_HINT_T1);
      _mm_prefetch((const char *)ahead + LINE, _MM_HINT_T1);
    }
    UNROLL
    for (size_t i = 0; i < mr; i++) {
      int32_t four;
      memcpy(&four, a + i * g->lda + k, sizeof four);
      __m512i x = _mm512_set1_epi32(four);
      UNROLL
      for (size_t j = 0; j < NV; j++) acc[i][j] = _mm512_dpbusd_epi32(acc[i][j], x, wk[j]);
    }
  }
  int32_t sums[MR * NR];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) _mm512_storeu_si512(sums + i * NR + 16 * j, acc[i][j]);
  }
  avx512_i8_finish(g, m, mr, sums);
}

static inline __attribute__((always_inline)) void tile_of_rows(const struct gemm_i8 *g, size_t m, size_t mr,
                                                               size_t lines, const int8_t *ahead) {
  switch (mr) {
    case 1: tile(g, m, 1, lines, ahead); break;
    case 2: tile(g, m, 2, lines, ahead); break;
    case 3: tile(g, m, 3, lines, ahead); break;
    case 4: tile(g, m, 4, lines, ahead); break;
    case 5: tile(g, m, 5, lines, ahead); break;
    default: tile(g, m, 6, lines, ahead); break;
  }
}

void avx512_vnni_gemm_i8(const struct gemm_i8 *g) {
  size_t tiles = size_ceil_div(g->M, MR),
         lines = g->ahead && tiles > 1 ? size_ceil_div(LINES, size_min(tiles, LINES)) : 0;
  size_t step = g->K / KG * lines * LINE, asked = 0; // bytes
  for (size_t m = 0, mr; m < g->M; m += mr, asked += step) {
    mr = tile_rows(g->M - m, MR);
    if (lines == 0 || asked + step > g->K * NR) {
      tile_of_rows(g, m, mr, 0, g->w);
    } else if (lines == 1) {
      tile_of_rows(g, m, mr, 1, g->ahead + asked);
    } else {
      tile_of_rows(g, m, mr, 2, g->ahead + asked);
    }
  }
}

const struct kernels kernels_avx512_vnni = {
    .name = "avx512_vnni",
    .supported = isa_has_avx512_vnni,
    .f32_mr = 6,
    .f32_nr = 64,
    .i8_mr = MR,
    .i8_nr = NR,
    .i8_kg = KG,
    .bf16_dot = false,
    .gemm_f32 = avx512_gemm_f32,
    .gemm_i8 = avx512_vnni_gemm_i8,
    .gemm_half = avx512_gemm_half,
    .gemm_i4 = avx512_vnni_gemm_i4,
    .gemm_nf4 = avx512_gemm_nf4,
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
    .transpose = avx512_transpose,
};
