// scalar.c - the definition of every kernel, as plain loops. The other tables must give these bits; kernel.h states the
// order of operations, poly.h derives the constants. Written to be read and compared with, not to be fast.
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"
#include "kernel/poly.h"

enum { LANES = 16 };

static uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static float float_of(uint32_t u) {
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

static float max_of(float a, float b) {
  return a > b ? a : b;
}

static float min_of(float a, float b) {
  return a < b ? a : b;
}

static float fold_add(float lane[LANES]) {
  for (size_t half = LANES / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; i++) lane[i] += lane[i + half];
  }
  return lane[0];
}

static float fold_max(float lane[LANES]) {
  for (size_t half = LANES / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; i++) lane[i] = max_of(lane[i], lane[i + half]);
  }
  return lane[0];
}

// --- exp, tanh and the activations. Where a clamp has x second, a NaN passes through it.

// t = n + EXP2_MAGIC: 2^n, with another bias than the 127 of a float.
static float pow2_of(float t, uint32_t bias) {
  return float_of((bits_of(t) << 23) + (bias << 23));
}

// (2^r - 1) / r
static float exp2_rest(float r) {
  float c = fmaf(EXP2_C6, r, EXP2_C5);
  c = fmaf(c, r, EXP2_C4);
  c = fmaf(c, r, EXP2_C3);
  c = fmaf(c, r, EXP2_C2);
  return fmaf(c, r, EXP2_C1);
}

// 2^x, x in [EXP2_MIN, EXP2_MAX]
static float exp2_of(float x) {
  float t = x + EXP2_MAGIC, r = x - (t - EXP2_MAGIC);
  return fmaf(exp2_rest(r), r, 1.0f) * pow2_of(t, 127);
}

// exp(x), x <= 0
static float exp_of(float x) {
  x = max_of(EXP_MIN, x);
  float t = fmaf(x, EXP_LOG2E_HI, EXP2_MAGIC);
  float r = fmaf(x, EXP_LOG2E_LO, fmaf(x, EXP_LOG2E_HI, EXP2_MAGIC - t));
  return fmaf(exp2_rest(r), r, 1.0f) * pow2_of(t, 127);
}

static float tanh_of(float x) {
  float y = max_of(TANH_MIN, TANH_SLOPE * fabsf(x));
  float t = y + EXP2_MAGIC, r = y - (t - EXP2_MAGIC), scale = pow2_of(t, 127);
  float m = fmaf(scale, exp2_rest(r) * r, scale - 1.0f);
  return copysignf(-m / (m + 2.0f), x);
}

static float gelu_of(float x) {
  float u = min_of(TAIL_MAX, fabsf(x));
  float p = fmaf(TAIL_T9, u, TAIL_T8);
  p = fmaf(p, u, TAIL_T7);
  p = fmaf(p, u, TAIL_T6);
  p = fmaf(p, u, TAIL_T5);
  p = fmaf(p, u, TAIL_T4);
  p = fmaf(p, u, TAIL_T3);
  p = fmaf(p, u, TAIL_T2);
  p = fmaf(p, u, TAIL_T1);
  p = fmaf(p, u, TAIL_T0);
  return fmaf(u, -exp2_of(fmaf(p, u, -1.0f)), max_of(-0.0f, x));
}

// x / (1 + 2^t)
static float gated(float x, float t) {
  return max_of(GATE_MIN, x) / (1.0f + exp2_of(max_of(EXP2_MIN, min_of(EXP2_MAX, t))));
}

static float act_of(enum act act, float x) {
  switch (act) {
    case ACT_NONE: return x;
    case ACT_GELU: return gelu_of(x);
    case ACT_GELU_TANH: return gated(x, x * fmaf(GELU_TANH_G3, x * x, GELU_TANH_G1));
    case ACT_QUICK_GELU: return gated(x, x * QUICK_GELU_G);
    case ACT_RELU: return max_of(0.0f, x);
    case ACT_SILU: return gated(x, x * SIGMOID_G);
    case ACT_TANH: return tanh_of(x);
  }
  return x;
}

static void scalar_act(enum act act, float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = act_of(act, x[i]);
}

static float sigmoid_of(float x) {
  return gated(1.0f, x * SIGMOID_G);
}

static void scalar_lstm(const float *x, const float *r, size_t n, float *c, float *h) {
  for (size_t j = 0; j < n; j++) {
    float i = sigmoid_of(x[j] + r[j]), f = sigmoid_of(x[n + j] + r[n + j]);
    float g = tanh_of(x[2 * n + j] + r[2 * n + j]), o = sigmoid_of(x[3 * n + j] + r[3 * n + j]);
    c[j] = fmaf(f, c[j], i * g);
    h[j] = o * tanh_of(c[j]);
  }
}

// --- products

static void scalar_gemm_f32(const struct gemm_f32 *g) {
  for (size_t m = 0; m < g->M; m++) {
    for (size_t n = 0; n < g->N; n++) {
      float *c = &g->c[m * g->ldc + n];
      float acc = g->accumulate ? *c : 0.0f;
      for (size_t k = 0; k < g->K; k++) acc = fmaf(g->a[m * g->lda + k], g->w[k * g->ldw + n], acc);
      if (g->bias) acc += g->bias[n];
      *c = act_of(g->act, acc);
    }
  }
}

static float float_of_f16(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 0) return copysignf((float)fraction * 0x1p-24f, float_of(sign)); // subnormal in f16, exact in f32
  if (exponent == 31) return float_of(sign | 0x7f800000 | fraction << 13);
  return float_of(sign | (exponent + 127 - 15) << 23 | fraction << 13);
}

static void scalar_gemm_half(const struct gemm_half *g) {
  for (size_t m = 0; m < g->M; m++) {
    for (size_t n = 0; n < g->N; n++) {
      float acc = 0.0f;
      for (size_t k = 0; k < g->K; k++) {
        uint16_t h = g->w[k * g->ldw + n];
        acc = fmaf(g->a[m * g->lda + k], g->bf16 ? float_of((uint32_t)h << 16) : float_of_f16(h), acc);
      }
      if (g->bias) acc += g->bias[n];
      g->c[m * g->ldc + n] = act_of(g->act, acc);
    }
  }
}

enum { F32_NR = 32, I8_NR = 32, I8_KG = 4 };

// No overflow: |sum a w| and |azero wsum| are at most 255 * 128 * 65536 < 2^31, and so is their difference.
static void scalar_gemm_i8(const struct gemm_i8 *g) {
  for (size_t m = 0; m < g->M; m++) {
    for (size_t n = 0; n < g->N; n++) {
      int32_t acc = 0;
      for (size_t k = 0; k < g->K; k++) {
        acc += (int32_t)g->a[m * g->lda + k] * g->w[(k / I8_KG * I8_NR + n) * I8_KG + k % I8_KG];
      }
      float i = (float)(acc - g->azero[m] * g->wsum[n]);
      float sum = fmaf(i, g->ascale[m] * g->wscale[n], g->bias ? g->bias[n] : 0.0f);
      g->c[m * g->ldc + n] = act_of(g->act, sum);
    }
  }
}

// Values of a panel, which may lie unaligned.
static float float_at(const uint8_t *p, size_t i) {
  float x;
  memcpy(&x, p + i * sizeof x, sizeof x);
  return x;
}

// w[k] of output n of a group's codes.
static int32_t i4_weight(const uint8_t *codes, size_t nr, size_t n, size_t k) {
  size_t i = k % NIB_BLOCK;
  uint8_t byte = codes[(k / NIB_BLOCK * nr + n) * 4 + i % 4];
  int32_t code = i < 4 ? byte & 15 : byte >> 4;
  return code < 8 ? code : code - 16;
}

static float i4_sum(const struct gemm_i4 *g, size_t nr, size_t m, size_t n) {
  const uint8_t *group = g->w;
  float acc = 0.0f;
  for (size_t k0 = 0; k0 < g->K; k0 += I4_GROUP) {
    size_t kn = size_min(I4_GROUP, g->K - k0);
    const uint8_t *a = g->a + m * g->lda + k0;
    int32_t i = 0;
    for (size_t k = 0; k < kn; k++) i += ((int32_t)a[k] - g->azero[m]) * i4_weight(group, nr, n, k);
    acc = fmaf((float)i, float_at(group + kn / 2 * nr, n), acc);
    group += i4_group_bytes(nr, kn);
  }
  return acc;
}

void scalar_gemm_i4_of(const struct gemm_i4 *g, size_t nr) {
  for (size_t m = 0; m < g->M; m++) {
    for (size_t n = 0; n < g->N; n++) {
      float sum = fmaf(i4_sum(g, nr, m, n), g->ascale[m], g->bias ? g->bias[n] : 0.0f);
      g->c[m * g->ldc + n] = act_of(g->act, sum);
    }
  }
}

static void scalar_gemm_i4(const struct gemm_i4 *g) {
  scalar_gemm_i4_of(g, I8_NR);
}

static float nf4_sum(const struct gemm_nf4 *g, size_t m, size_t n) {
  size_t unit = nf4_unit(g->block);
  float acc = 0.0f;
  for (size_t b = 0; b < g->K / g->block; b++) {
    size_t first = b * g->block, in_unit = first % unit;
    const uint8_t *codes = g->w + first / unit * nf4_unit_bytes(F32_NR, g->block);
    const uint8_t *absmax = codes + unit / 2 * F32_NR + in_unit / g->block * F32_NR * sizeof(float);
    float p = 0.0f;
    for (size_t k = in_unit; k < in_unit + g->block; k++) {
      size_t i = k % NIB_BLOCK;
      uint8_t byte = codes[(k / NIB_BLOCK * F32_NR + n) * 4 + i / 2];
      p = fmaf(g->a[m * g->lda + first - in_unit + k], g->codebook[i % 2 ? byte >> 4 : byte & 15], p);
    }
    acc = fmaf(p, float_at(absmax, n), acc);
  }
  return acc;
}

void scalar_gemm_nf4(const struct gemm_nf4 *g) {
  for (size_t m = 0; m < g->M; m++) {
    for (size_t n = 0; n < g->N; n++) {
      float sum = nf4_sum(g, m, n);
      if (g->bias) sum += g->bias[n];
      g->c[m * g->ldc + n] = act_of(g->act, sum);
    }
  }
}

// --- rows

// Beyond kernel.h: a row holding a NaN or an infinity gets scale NaN so that it shows in every product; a row whose 1 /
// scale would overflow (all values below 1e-35) counts as all zero. Both are q = 0, zero = 0.
static void scalar_quantize_u8(const float *x, size_t K, size_t Kpad, uint8_t *q, float *scale, int32_t *zero) {
  float lo = 0.0f, hi = 0.0f, bad = 0.0f;
  for (size_t i = 0; i < K; i++) {
    lo = min_of(x[i], lo);
    hi = max_of(x[i], hi);
    bad = fmaf(x[i], 0.0f, bad); // NaN from the first NaN or infinity on
  }
  float s = (hi - lo) / 255.0f;
  bool broken = bad != 0.0f || s > FLT_MAX;
  memset(q, 0, Kpad);
  if (broken || s < FLT_MIN) {
    *scale = broken ? NAN : 1.0f;
    *zero = 0;
    return;
  }
  float inverse = 1.0f / s;
  float z = rintf(-lo / s); // in [0, 255]: -lo <= hi - lo
  for (size_t i = 0; i < K; i++) {
    float v = rintf(x[i] * inverse) + z;
    q[i] = (uint8_t)min_of(max_of(v, 0.0f), 255.0f);
  }
  *scale = s;
  *zero = (int32_t)z;
}

static bool scalar_quantize_u8_fixed(const float *x, size_t K, size_t Kpad, float inverse, int32_t zero, uint8_t *q) {
  float bad = 0.0f;
  for (size_t i = 0; i < K; i++) bad = fmaf(x[i], 0.0f, bad);
  memset(q, 0, Kpad);
  if (bad != 0.0f) return false;
  for (size_t i = 0; i < K; i++) {
    float v = rintf(x[i] * inverse) + (float)zero;
    q[i] = (uint8_t)min_of(max_of(v, 0.0f), 255.0f);
  }
  return true;
}

static void scalar_mark_outliers(const float *x, size_t K, float limit, uint8_t *mask) {
  for (size_t i = 0; i < K; i++)
    if (fabsf(x[i]) >= limit) mask[i] = 255;
}

// |x| < 65520. From 2^-14 on f16 has 10 bits after the first; below, its step is 2^-24, which is that of f32 around
// 3/4.
static float rounded_to_f16(float x) {
  if (fabsf(x) < 0x1p-14f) return (x + 0.75f) - 0.75f;
  uint32_t bits = bits_of(x);
  return float_of((bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu);
}

static void scalar_quantize_s8(const float *x, const uint8_t *mask, size_t K, size_t Kpad, float limit, uint8_t *q,
                               float *scale) {
  float m = 0.0f;
  bool broken = false;
  for (size_t i = 0; i < K; i++) {
    if (fabsf(x[i]) < limit) {
      m = max_of(fabsf(rounded_to_f16(x[i])), m);
    } else if (!mask[i]) {
      broken = true;
    }
  }
  memset(q, 128, K);
  memset(q + K, 0, Kpad - K);
  *scale = broken ? NAN : m / 127.0f;
  if (broken || m == 0.0f) return;
  float inverse = 1.0f / m * 127.0f;
  for (size_t i = 0; i < K; i++)
    if (!mask[i]) q[i] = (uint8_t)(rintf(rounded_to_f16(x[i]) * inverse) + 128.0f);
}

static void scalar_layernorm(const float *x, const float *gamma, const float *beta, float eps, size_t C, float *y) {
  float sum[LANES] = {0}, square[LANES] = {0};
  for (size_t i = 0; i < C; i++) sum[i % LANES] += x[i];
  float mean = fold_add(sum) / (float)C;
  for (size_t i = 0; i < C; i++) {
    float d = x[i] - mean;
    square[i % LANES] = fmaf(d, d, square[i % LANES]);
  }
  float var = fold_add(square) / (float)C;
  float inverse = 1.0f / sqrtf(var + eps);
  for (size_t i = 0; i < C; i++) y[i] = fmaf((x[i] - mean) * inverse, gamma[i], beta[i]);
}

static float scalar_softmax_exp(float *s, size_t n, float scale) {
  float top[LANES], sum[LANES] = {0};
  for (size_t j = 0; j < LANES; j++) top[j] = -INFINITY;
  for (size_t i = 0; i < n; i++) top[i % LANES] = max_of(s[i] * scale, top[i % LANES]);
  float max = fold_max(top);
  for (size_t i = 0; i < n; i++) {
    s[i] = exp_of(s[i] * scale - max);
    sum[i % LANES] += s[i];
  }
  return fold_add(sum);
}

static void scalar_div(float *x, size_t n, float d) {
  for (size_t i = 0; i < n; i++) x[i] /= d;
}

static void scalar_add(float *x, const float *y, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] += y[i];
}

// --- widening

static void scalar_unpack_i16(const int16_t *src, const float *scale, float *dst, size_t K, size_t nr) {
  for (size_t k = 0; k < K; k++) {
    for (size_t j = 0; j < nr; j++) dst[k * nr + j] = (float)src[k * nr + j] * scale[j];
  }
}

static bool scalar_supported(void) {
  return true;
}

const struct kernels kernels_scalar = {
    .name = "scalar",
    .supported = scalar_supported,
    .f32_mr = 1,
    .f32_nr = F32_NR,
    .i8_mr = 1,
    .i8_nr = I8_NR,
    .i8_kg = I8_KG,
    .bf16_dot = false,
    .gemm_f32 = scalar_gemm_f32,
    .gemm_i8 = scalar_gemm_i8,
    .gemm_half = scalar_gemm_half,
    .gemm_i4 = scalar_gemm_i4,
    .gemm_nf4 = scalar_gemm_nf4,
    .quantize_u8 = scalar_quantize_u8,
    .quantize_u8_fixed = scalar_quantize_u8_fixed,
    .mark_outliers = scalar_mark_outliers,
    .quantize_s8 = scalar_quantize_s8,
    .layernorm = scalar_layernorm,
    .softmax_exp = scalar_softmax_exp,
    .div = scalar_div,
    .add = scalar_add,
    .act = scalar_act,
    .lstm = scalar_lstm,
    .unpack_i16 = scalar_unpack_i16,
    .transpose = scalar_transpose,
};
