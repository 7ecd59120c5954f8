// isa.h - private to kernel/: the tables by name, CPU questions, and what one table borrows from another.
#ifndef PARE_KERNEL_ISA_H
#define PARE_KERNEL_ISA_H

#include "kernel/kernel.h"

// Before a loop over a register tile: unroll all of it (at most 8 times), early enough that the tile's array becomes
// registers. Left to itself gcc keeps a copy of the array in memory; clang does it unasked.
#if defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

extern const struct kernels kernels_scalar;

// Also of tables that have no products by 4-bit codes of their own.
void scalar_gemm_i4_of(const struct gemm_i4 *g, size_t nr); // for a table whose panels are nr wide
void scalar_gemm_nf4(const struct gemm_nf4 *g);
void scalar_transpose(const struct transpose *t);
// For tables that move whole blocks of rows x columns words: what is left at the right and below is scalar's.
void scalar_transpose_rest(const struct transpose *t, size_t block_rows, size_t block_columns);

#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512_vnni;
extern const struct kernels kernels_avx512_bf16;

// CPU and operating system both. Defined in select.c, which is compiled without -m flags: code that asks may run
// anywhere.
bool isa_has_avx2(void);
bool isa_has_avx512(void);
bool isa_has_avx512_vnni(void);
bool isa_has_avx512_bf16(void);

// A product's last step on n finished sums: c = act(c + bias), bias NULL leaves the addition out.
void avx2_finish(float *c, size_t n, const float *bias, enum act act);
void avx512_finish(float *c, size_t n, const float *bias, enum act act);

enum { I8_PANEL = 64 }; // columns of an int8 panel

// The same of an int8 product: sums (mr, I8_PANEL) are those of rows m to m + mr - 1 and become c's values.
void avx2_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums);
void avx512_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums);

void avx2_gemm_f32(const struct gemm_f32 *g);
void avx2_gemm_half(const struct gemm_half *g);
void avx2_gemm_i8(const struct gemm_i8 *g);
void avx2_gemm_i4(const struct gemm_i4 *g);
void avx2_gemm_nf4(const struct gemm_nf4 *g);
void avx512_gemm_f32(const struct gemm_f32 *g);
void avx512_gemm_half(const struct gemm_half *g);
void avx512_gemm_i8(const struct gemm_i8 *g);
void avx512_gemm_i4(const struct gemm_i4 *g);
void avx512_gemm_nf4(const struct gemm_nf4 *g);
void avx512_vnni_gemm_i8(const struct gemm_i8 *g);
void avx512_vnni_gemm_i4(const struct gemm_i4 *g);
void avx2_transpose(const struct transpose *t);
void avx512_transpose(const struct transpose *t);

#elif defined(__aarch64__)
extern const struct kernels kernels_neon;
extern const struct kernels kernels_neon_dot;
extern const struct kernels kernels_neon_i8mm;

bool isa_has_neon(void);
bool isa_has_neon_dot(void);
bool isa_has_neon_i8mm(void);

enum { I8_PANEL = 16 };

// As above for x86.
void neon_finish(float *c, size_t n, const float *bias, enum act act);
void neon_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums);

void neon_gemm_f32(const struct gemm_f32 *g);
void neon_gemm_half(const struct gemm_half *g);
void neon_gemm_i8(const struct gemm_i8 *g);
void neon_dot_gemm_i8(const struct gemm_i8 *g);
void neon_i8mm_gemm_i8(const struct gemm_i8 *g);
#endif

#endif
