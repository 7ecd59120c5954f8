// neon.c - the tables for 64-bit Arm: NEON, which every such CPU has; with dot products (Cortex-A76, Neoverse N1 and
// later); with int8 matrix multiplication (Neoverse V1, Cortex-A710 and later). They differ in their int8 products.
#include "kernel/lanes_neon.h"
#include "kernel/rows.h"

#include "kernel/isa.h"

void neon_finish(float *c, size_t n, const float *bias, enum act act) {
  rows_finish(c, n, bias, act);
}

void neon_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums) {
  rows_i8_finish(g, m, mr, sums, I8_PANEL);
}

static void gemm_i4(const struct gemm_i4 *g) {
  scalar_gemm_i4_of(g, I8_PANEL);
}

// What does not differ; f32_nr: two tiles of 16 columns.
#define SHARED                                                                                \
  .f32_mr = 5, .f32_nr = 32, .i8_nr = I8_PANEL, .bf16_dot = false, .gemm_f32 = neon_gemm_f32, \
  .gemm_half = neon_gemm_half, .gemm_i4 = gemm_i4, .gemm_nf4 = scalar_gemm_nf4, ROWS_KERNELS, \
  .transpose = scalar_transpose

const struct kernels kernels_neon = {
    .name = "neon",
    .supported = isa_has_neon,
    .i8_mr = 5,
    .i8_kg = 1,
    .gemm_i8 = neon_gemm_i8,
    SHARED,
};

const struct kernels kernels_neon_dot = {
    .name = "neon_dot",
    .supported = isa_has_neon_dot,
    .i8_mr = 5,
    .i8_kg = 4,
    .gemm_i8 = neon_dot_gemm_i8,
    SHARED,
};

const struct kernels kernels_neon_i8mm = {
    .name = "neon_i8mm",
    .supported = isa_has_neon_i8mm,
    .i8_mr = 4,
    .i8_kg = 8,
    .gemm_i8 = neon_i8mm_gemm_i8,
    SHARED,
};
