// avx2.c - the table for AVX2 + FMA + F16C (Haswell, Zen and later): 16 lanes as two registers.
#include "kernel/lanes_avx2.h"
#include "kernel/rows.h"

#include "kernel/isa.h"

void avx2_finish(float *c, size_t n, const float *bias, enum act act) {
  rows_finish(c, n, bias, act);
}

void avx2_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums) {
  rows_i8_finish(g, m, mr, sums, I8_PANEL);
}

const struct kernels kernels_avx2 = {
    .name = "avx2",
    .supported = isa_has_avx2,
    .f32_mr = 6,
    .f32_nr = 32, // two tiles of 16 columns
    .i8_mr = 6,
    .i8_nr = I8_PANEL,
    .i8_kg = 2,
    .bf16_dot = false,
    .gemm_f32 = avx2_gemm_f32,
    .gemm_i8 = avx2_gemm_i8,
    .gemm_half = avx2_gemm_half,
    .gemm_i4 = avx2_gemm_i4,
    .gemm_nf4 = avx2_gemm_nf4,
    ROWS_KERNELS,
    .transpose = avx2_transpose,
};
