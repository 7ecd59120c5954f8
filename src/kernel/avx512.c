// avx512.c - the table for AVX-512 F, BW, DQ, VL (Skylake-X, Zen 4 and later), without the int8 and bf16 dot products.
#include "kernel/lanes_avx512.h"
#include "kernel/rows.h"

#include "kernel/avx512_i8.h"
#include "kernel/isa.h"

void avx512_finish(float *c, size_t n, const float *bias, enum act act) {
  rows_finish(c, n, bias, act);
}

void avx512_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums) {
  rows_i8_finish(g, m, mr, sums, I8_PANEL);
}

const struct kernels kernels_avx512 = {
    .name = "avx512",
    .supported = isa_has_avx512,
    .f32_mr = 6,
    .f32_nr = 64,
    .i8_mr = 6,
    .i8_nr = 64,
    .i8_kg = 2,
    .bf16_dot = false,
    .gemm_f32 = avx512_gemm_f32,
    .gemm_i8 = avx512_gemm_i8,
    .gemm_half = avx512_gemm_half,
    .gemm_i4 = avx512_gemm_i4,
    .gemm_nf4 = avx512_gemm_nf4,
    ROWS_KERNELS,
    .transpose = avx512_transpose,
};
