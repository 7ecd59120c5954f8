// kernel.h - the compute kernels as data: one struct of function pointers and tile sizes per instruction set.
// scalar.c defines the answer; every other table gives the same bits (the one exception is gemm_bf16, where it is
// there).
//
// Order of operations, the promise behind "same bits":
//   product    each output is one lane: acc = 0 (or the stored c), then acc = fma(a[k], w[k], acc) for k ascending;
//              4-bit products say theirs below
//   reduction  16 lanes: lane j takes elements j, j+16, j+32, ... in order; lanes fold 16 -> 8 -> 4 -> 2 -> 1 by adding
//              (or taking the maximum of) lane i and lane i + half
//   max, min   a > b ? a : b and a < b ? a : b;  rounding to integer is half to even, after clamping
//   functions  2^x, tanh and the normal distribution's tail are the polynomials of poly.h, fma throughout; division and
//              sqrt are the IEEE operations
// Kernels cannot fail, allocate nothing and check nothing: nn/ asserts the preconditions. Rows are never read or
// written outside [row, row + length). Pointers of different arguments do not overlap unless said.
#ifndef PARE_KERNEL_KERNEL_H
#define PARE_KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum act {
  ACT_NONE,
  ACT_GELU,       // 0.5 x (1 + erf(x / sqrt 2))
  ACT_GELU_TANH,  // gelu_new, gelu_pytorch_tanh: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  ACT_QUICK_GELU, // x sigmoid(1.702 x)
  ACT_RELU,
  ACT_SILU,
  ACT_TANH,
};

// c[m][n] = act(start + sum_k a[m][k] w[k][n] + bias[n]); start is c[m][n] when accumulate, else 0.
// The bias is one addition after the sum; NULL leaves it out. N is any size: columns past a multiple of the vector are
// masked.
struct gemm_f32 {
  size_t M, N, K;
  const float *a; // (M, lda)
  size_t lda;
  const float *w; // (K, ldw), a packed panel or any row-major matrix
  size_t ldw;
  float *c; // (M, ldc)
  size_t ldc;
  bool accumulate;
  const float *bias; // (N) or NULL
  enum act act;
};

// One panel of int8 weights times unsigned 8-bit activations with a zero point per row (exact in int32 for K <= 65536):
//   i = sum_k (a[m][k] - azero[m]) w[n][k], computed as sum_k a w - azero[m] wsum[n]
//   c[m][n] = act(fma((float)i, ascale[m] * wscale[n], bias[n]))       (bias NULL: + 0)
struct gemm_i8 {
  size_t M, N, K;   // N <= i8_nr; K already rounded up to i8_kg, padded with a = 0 and w = 0
  const uint8_t *a; // (M, lda), lda >= K
  size_t lda;
  const int8_t *w;      // (K / i8_kg, i8_nr, i8_kg): one packed panel
  const int32_t *wsum;  // (N) sum over k of w
  const float *wscale;  // (N)
  const float *ascale;  // (M)
  const int32_t *azero; // (M)
  const float *bias;    // (N) or NULL
  enum act act;
  float *c; // (M, ldc)
  size_t ldc;
  const int8_t *ahead; // the panel that will be multiplied next, to be fetched early, or NULL: changes no answer
};

// As gemm_f32 with weights of 16 bits, w (K, ldw), read whole whatever N is, ldw a multiple of 16; each weight is
// widened (which is exact) where it is multiplied.
struct gemm_half {
  size_t M, N, K;
  const float *a; // (M, lda)
  size_t lda;
  const uint16_t *w;
  size_t ldw;
  bool bf16; // else f16
  float *c;  // (M, ldc)
  size_t ldc;
  const float *bias; // (N) or NULL
  enum act act;
};

// Both sides bf16, in pairs of k: VDPBF16PS adds two products a step. c = act(sum + bias). w is read whole, as above.
struct gemm_bf16 {
  size_t M, N, K;    // K even
  const uint16_t *a; // (M, lda), lda even
  size_t lda;
  const uint16_t *w; // (K / 2, ldw, 2)
  size_t ldw;
  float *c; // (M, ldc)
  size_t ldc;
  const float *bias; // (N) or NULL
  enum act act;
};

// 4-bit panels hold k in blocks of 8: one 32-bit word for each of the panel's nr outputs, side by side, made of 8
// codes.
enum { NIB_BLOCK = 8 };

// One panel of int4 weights, w in [-8, 7], times unsigned 8-bit activations as in gemm_i8, with a scale per group of
// I4_GROUP k. For each group g, whose sum is exact (below 2^18):
//   i_g = sum_k (a[m][k] - azero[m]) w[n][k], computed as sum_k a w - azero[m] wsum[g][n]
//   acc = fma((float)i_g, wscale[g][n], acc), g ascending, from 0
//   c[m][n] = act(fma(acc, ascale[m], bias[n]))       (bias NULL: + 0)
// The panel, group after group of kn k (the last may be shorter), is one stream, nr = i8_nr:
//   codes  (kn / 8, nr, 4 bytes): byte i holds k = i in its low and k = i + 4 in its high nibble, two's complement
//   wscale (nr) f32
//   wsum   (nr) i16, the sum over the group's k of w
enum { I4_GROUP = 128 };
struct gemm_i4 {
  size_t M, N, K;   // N <= i8_nr; K already rounded up to NIB_BLOCK, padded with w = 0 (and any a)
  const uint8_t *a; // (M, lda), lda >= K
  size_t lda;
  const uint8_t *w;     // one packed panel
  const float *ascale;  // (M)
  const int32_t *azero; // (M)
  const float *bias;    // (N) or NULL
  enum act act;
  float *c; // (M, ldc)
  size_t ldc;
};
static inline size_t i4_group_bytes(size_t nr, size_t kn) {
  return nr * (kn / 2 + sizeof(float) + sizeof(int16_t));
}

// One panel of 4-bit codes into a codebook, with a magnitude per `block` weights along k, a power of two up to 64 that
// divides K. For each block b:
//   p = fma(a[m][k], codebook[code[n][k]], p), k ascending within the block, from 0
//   acc = fma(p, absmax[b][n], acc), b ascending, from 0
//   c[m][n] = act(acc + bias[n])
// The panel is one stream of units of max(block, 8) k, nr = f32_nr:
//   codes  (unit / 8, nr) 32-bit words: k = i in bits 4 i to 4 i + 3
//   absmax (unit / block, nr) f32; past the end of K anything
struct gemm_nf4 {
  size_t M, N, K;
  const float *a; // (M, lda)
  size_t lda;
  const uint8_t *w;      // one packed panel
  const float *codebook; // (16)
  size_t block;
  float *c; // (M, ldc)
  size_t ldc;
  const float *bias; // (N) or NULL
  enum act act;
};
static inline size_t nf4_unit(size_t block) {
  return block < NIB_BLOCK ? NIB_BLOCK : block;
}
static inline size_t nf4_unit_bytes(size_t nr, size_t block) {
  size_t unit = nf4_unit(block);
  return nr * (unit / 2 + unit / block * sizeof(float));
}

struct transpose;

enum {
  KERNEL_I8_KG_MAX = 8, // the largest i8_kg of any table: rows of 8-bit inputs are padded for it
  KERNEL_NR_MAX = 64,   // the widest panel of any table
};

struct kernels {
  const char *name;           // as --isa takes it
  bool (*supported)(void);    // does this CPU (and OS) have it
  size_t f32_mr, f32_nr;      // register tile of gemm_f32; f32_nr is the width weights are packed to
  size_t i8_mr, i8_nr, i8_kg; // register tile of gemm_i8; kg: how many k lie together
  bool bf16_dot;              // has gemm_bf16

  void (*gemm_f32)(const struct gemm_f32 *g);
  void (*gemm_i8)(const struct gemm_i8 *g);
  void (*gemm_half)(const struct gemm_half *g);
  void (*gemm_bf16)(const struct gemm_bf16 *g);                // NULL without bf16_dot
  void (*round_bf16)(const float *x, size_t K, uint16_t *out); // a row of gemm_bf16's a; NULL without bf16_dot
  void (*gemm_i4)(const struct gemm_i4 *g);
  void (*gemm_nf4)(const struct gemm_nf4 *g);

  // One row of activations to u8: lo = min(0, min x), hi = max(0, max x), scale = (hi - lo) / 255, zero = round(-lo /
  // scale), q = clamp(round(x / scale) + zero, 0, 255); x / scale is x * (1.0f / scale). An all-zero row: scale 1, zero
  // 0, q 0. q (Kpad) is zero-filled from K on.
  void (*quantize_u8)(const float *x, size_t K, size_t Kpad, uint8_t *q, float *scale, int32_t *zero);

  // The same into a range fixed beforehand: q = clamp(round(x * inverse) + zero, 0, 255), zero-filled from K on. False,
  // and q all 0, when the row holds a NaN or an infinity.
  bool (*quantize_u8_fixed)(const float *x, size_t K, size_t Kpad, float inverse, int32_t zero, uint8_t *q);
  // LLM.int8(), two passes. First, over the rows of a text: mask[k] = 255 where |x[k]| >= limit, else left as it is.
  void (*mark_outliers)(const float *x, size_t K, float limit, uint8_t *mask);
  // Then, row by row, with h = x rounded to f16 (half to even) and m = the largest |h| among the |x[k]| < limit:
  // q = 128 + round(h * ((1 / m) * 127)) where mask is 0, 128 elsewhere; scale = m / 127, or NaN where a column outside
  // the mask holds a value that is not below the limit, or no number. All such values 0: q 128, scale 0. limit <=
  // 65520.
  void (*quantize_s8)(const float *x, const uint8_t *mask, size_t K, size_t Kpad, float limit, uint8_t *q,
                      float *scale);

  // y = fma((x - mean) * (1 / sqrt(var + eps)), gamma, beta); var is the mean of (x - mean)^2. y may be x.
  void (*layernorm)(const float *x, const float *gamma, const float *beta, float eps, size_t C, float *y);
  // s = exp(s * scale - max(s * scale)) in place; returns the sum (16 lanes). n >= 1.
  float (*softmax_exp)(float *s, size_t n, float scale);
  void (*div)(float *x, size_t n, float d);        // x /= d
  void (*add)(float *x, const float *y, size_t n); // x += y
  void (*act)(enum act act, float *x, size_t n);   // in place
  // One step of n LSTM cells. x and r (4, n): what the input and the recurrent product give the gates i, f, g, o.
  //   gate = x + r; c = fma(sigmoid(f), c, sigmoid(i) * tanh(g)); h = sigmoid(o) * tanh(c)
  // sigmoid(t) = 1 / (1 + exp(-t)). c (n) is the state, replaced; h (n) the output.
  void (*lstm)(const float *x, const float *r, size_t n, float *c, float *h);

  // Widening. A panel of K rows and nr columns: dst[k][j] = (float)src[k][j] * scale[j]. nr is a multiple of 16.
  void (*unpack_i16)(const int16_t *src, const float *scale, float *dst, size_t K, size_t nr);
  // Rows become columns: how packed panels are made when a model is opened.
  void (*transpose)(const struct transpose *t);
};

// dst[c][r] = src[r][c], words of 1, 2, 4 or 8 bytes at any address.
struct transpose {
  size_t size;          // of a word, bytes
  size_t rows, columns; // of src
  const uint8_t *src;
  size_t src_stride; // bytes from one row to the next; so for dst, whose rows are the columns of src
  uint8_t *dst;
  size_t dst_stride;
};

// The tables this program was built with, best last; each may or may not run here.
const struct kernels *const *kernels_all(size_t *count);

// name NULL: the environment's PARE_ISA if set, else the best the CPU supports. Unknown name: PARE_USAGE listing the
// names; known but absent here (or not built in, as neon on x86): PARE_UNAVAILABLE.
enum pare_status kernels_select(const char *name, const struct kernels **out, struct pare_error *err);

#endif
