// avx512_vnni.c - the table for AVX-512 with VNNI (Cascade Lake, Zen 4 and later): VPDPBUSD adds four
// unsigned-by-signed products into 32 bits, without saturation. Panel (K / 4, 64, 4); tile up to 6 x 64: 24 sums, 4
// weights, 1 activation.
#include "kernel/lanes_avx512.h"
#include "kernel/rows.h"

#include "kernel/avx512_i8.h"
#include "kernel/product.h"

enum { MR = I8_MR, NV = I8_NV, NR = I8_NR, KG = 4 };

// The next panel of weights is asked for while one is multiplied: of the four cache lines that a step along k reads, so
// many of the next panel's that its tiles together ask for all. A tile that is the only one would hide nothing behind
// its own reading, and asks for none.
enum { LINE = 64, STEP_LINES = 4 };
struct ahead {
  const uint8_t *next; // what to ask for next
  size_t lines;        // a step, 0 to 2
  size_t left;         // bytes
};
static inline struct ahead ahead_of(const void *panel, size_t panel_bytes, size_t M, size_t mr) {
  size_t tiles = size_ceil_div(M, mr);
  if (!panel || tiles < 2) return (struct ahead){0};
  return (struct ahead){panel, size_ceil_div(STEP_LINES, size_min(tiles, STEP_LINES)), panel_bytes};
}
// How many lines a step the tile that comes next asks for, `steps` steps long.
static inline size_t ahead_take(struct ahead *a, size_t steps) {
  if (!a->lines) return 0;
  size_t bytes = a->lines * steps * LINE;
  if (bytes > a->left) a->lines = bytes = 0;
  a->left -= bytes;
  a->next += bytes;
  return a->lines;
}
// In a step; lines is a constant. Of few tiles, so soon: into the second level.
static inline __attribute__((always_inline)) void ahead_ask(const uint8_t *next, size_t lines) {
  if (lines == 1) __builtin_prefetch(next, 0, 3);
  if (lines == 2) {
    __builtin_prefetch(next, 0, 2);
    __builtin_prefetch(next + LINE, 0, 2);
  }
}

// mr and lines are constants at every call. acc lives in registers.
static inline __attribute__((always_inline)) void tile(const struct gemm_i8 *g, size_t m, size_t mr, size_t lines,
                                                       const uint8_t *ahead) {
  const uint8_t *a = g->a + m * g->lda;
  const int8_t *w = g->w;
  __m512i acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < NV; j++) acc[i][j] = _mm512_setzero_si512();
  }
  tile_expect(g->c + m * g->ldc, g->ldc, mr, NV);
  for (size_t k = 0; k < g->K; k += KG, w += KG * NR, ahead += lines * LINE) {
    __m512i wk[NV];
    UNROLL
    for (size_t j = 0; j < NV; j++) wk[j] = _mm512_loadu_si512(w + 16 * KG * j);
    ahead_ask(ahead, lines);
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
                                                               size_t lines, const uint8_t *ahead) {
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
  struct ahead ahead = ahead_of(g->ahead, g->K * NR, g->M, MR);
  for (size_t m = 0, mr; m < g->M; m += mr) {
    mr = tile_rows(g->M - m, MR);
    const uint8_t *next = ahead.next;
    size_t lines = ahead_take(&ahead, g->K / KG);
    switch (lines) {
      case 0: tile_of_rows(g, m, mr, 0, (const uint8_t *)g->w); break;
      case 1: tile_of_rows(g, m, mr, 1, next); break;
      default: tile_of_rows(g, m, mr, 2, next); break;
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
    ROWS_KERNELS,
    .transpose = avx512_transpose,
};
