// rows.h - every kernel but the products, written once over 16 lanes. A table's file includes its lanes_<isa>.h first
// and this second; the formulas and their order are scalar.c's. Loops take whole vectors, then one tail of 1..15
// elements.
#ifndef PARE_KERNEL_ROWS_H
#define PARE_KERNEL_ROWS_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel/isa.h"
#include "kernel/kernel.h"
#include "kernel/poly.h"

enum { LANES = 16, MOST_WAYS = 4 };

// --- exp, tanh and the activations. Each is a long chain of dependent steps, so they take several vectors at a time
// and each step goes over all of them: ways is a constant at every call, and the arrays live in registers.

#define EACH UNROLL for (size_t i = 0; i < ways; i++)
#define ROWS_INLINE static inline __attribute__((always_inline))

// y = y by + c
ROWS_INLINE void rows_step(struct v16 *y, const struct v16 *by, float c, size_t ways) {
  EACH y[i] = v16_fma(y[i], by[i], v16_set(c));
}

// c = (2^r - 1) / r
ROWS_INLINE void rows_exp2_rest(const struct v16 *r, struct v16 *c, size_t ways) {
  EACH c[i] = v16_fma(v16_set(EXP2_C6), r[i], v16_set(EXP2_C5));
  rows_step(c, r, EXP2_C4, ways);
  rows_step(c, r, EXP2_C3, ways);
  rows_step(c, r, EXP2_C2, ways);
  rows_step(c, r, EXP2_C1, ways);
}

// x becomes r; t holds n.
ROWS_INLINE void rows_exp2_split(struct v16 *x, struct v16 *t, size_t ways) {
  const struct v16 magic = v16_set(EXP2_MAGIC);
  EACH t[i] = v16_add(x[i], magic);
  EACH x[i] = v16_sub(x[i], v16_sub(t[i], magic));
}

// x = 2^x 2^(bias - 127), x in [EXP2_MIN, EXP2_MAX]; bias - 256 gives the negative of it.
ROWS_INLINE void rows_exp2(struct v16 *x, int bias, size_t ways) {
  struct v16 t[MOST_WAYS], c[MOST_WAYS];
  rows_exp2_split(x, t, ways);
  rows_exp2_rest(x, c, ways);
  rows_step(c, x, 1.0f, ways);
  EACH x[i] = v16_mul(c[i], v16_pow2(t[i], bias));
}

// x = exp(x), x <= 0
ROWS_INLINE void rows_exp(struct v16 *x, size_t ways) {
  const struct v16 magic = v16_set(EXP2_MAGIC), hi = v16_set(EXP_LOG2E_HI), lo = v16_set(EXP_LOG2E_LO);
  struct v16 t[MOST_WAYS], r[MOST_WAYS], c[MOST_WAYS];
  EACH x[i] = v16_max(v16_set(EXP_MIN), x[i]);
  EACH t[i] = v16_fma(x[i], hi, magic);
  EACH r[i] = v16_fma(x[i], hi, v16_sub(magic, t[i]));
  EACH r[i] = v16_fma(x[i], lo, r[i]);
  rows_exp2_rest(r, c, ways);
  rows_step(c, r, 1.0f, ways);
  EACH x[i] = v16_mul(c[i], v16_pow2(t[i], 127));
}

ROWS_INLINE void rows_tanh(struct v16 *x, size_t ways) {
  struct v16 r[MOST_WAYS], t[MOST_WAYS], m[MOST_WAYS];
  EACH r[i] = v16_max(v16_set(TANH_MIN), v16_mul(v16_set(TANH_SLOPE), v16_abs(x[i])));
  rows_exp2_split(r, t, ways);
  rows_exp2_rest(r, m, ways);
  EACH m[i] = v16_mul(m[i], r[i]);
  EACH t[i] = v16_pow2(t[i], 127);
  EACH m[i] = v16_fma(t[i], m[i], v16_sub(t[i], v16_set(1.0f)));
  // copysign drops the sign of m, so -m is not needed
  EACH x[i] = v16_copysign(v16_div(m[i], v16_add(m[i], v16_set(2.0f))), x[i]);
}

ROWS_INLINE void rows_gelu(struct v16 *x, size_t ways) {
  struct v16 u[MOST_WAYS], p[MOST_WAYS];
  EACH u[i] = v16_min(v16_set(TAIL_MAX), v16_abs(x[i]));
  EACH p[i] = v16_fma(v16_set(TAIL_T9), u[i], v16_set(TAIL_T8));
  rows_step(p, u, TAIL_T7, ways);
  rows_step(p, u, TAIL_T6, ways);
  rows_step(p, u, TAIL_T5, ways);
  rows_step(p, u, TAIL_T4, ways);
  rows_step(p, u, TAIL_T3, ways);
  rows_step(p, u, TAIL_T2, ways);
  rows_step(p, u, TAIL_T1, ways);
  rows_step(p, u, TAIL_T0, ways);
  rows_step(p, u, -1.0f, ways);
  rows_exp2(p, 127 - 256, ways);
  EACH x[i] = v16_fma(u[i], p[i], v16_max(v16_set(-0.0f), x[i]));
}

// x = x / (1 + 2^t)
ROWS_INLINE void rows_gated(struct v16 *x, struct v16 *t, size_t ways) {
  EACH t[i] = v16_max(v16_set(EXP2_MIN), v16_min(v16_set(EXP2_MAX), t[i]));
  rows_exp2(t, 127, ways);
  EACH x[i] = v16_div(v16_max(v16_set(GATE_MIN), x[i]), v16_add(v16_set(1.0f), t[i]));
}

ROWS_INLINE void rows_gelu_tanh(struct v16 *x, size_t ways) {
  struct v16 t[MOST_WAYS];
  EACH t[i] = v16_fma(v16_set(GELU_TANH_G3), v16_mul(x[i], x[i]), v16_set(GELU_TANH_G1));
  EACH t[i] = v16_mul(x[i], t[i]);
  rows_gated(x, t, ways);
}

ROWS_INLINE void rows_quick_gelu(struct v16 *x, size_t ways) {
  struct v16 t[MOST_WAYS];
  EACH t[i] = v16_mul(x[i], v16_set(QUICK_GELU_G));
  rows_gated(x, t, ways);
}

ROWS_INLINE void rows_relu(struct v16 *x, size_t ways) {
  EACH x[i] = v16_max(v16_set(0.0f), x[i]);
}

ROWS_INLINE void rows_silu(struct v16 *x, size_t ways) {
  struct v16 t[MOST_WAYS];
  EACH t[i] = v16_mul(x[i], v16_set(SIGMOID_G));
  rows_gated(x, t, ways);
}

// f is a constant at every call, so it is inlined.
ROWS_INLINE void rows_map(void (*f)(struct v16 *, size_t), float *x, size_t n) {
  struct v16 v[V16_WAYS];
  size_t k = 0;
  for (; k + V16_WAYS * LANES <= n; k += V16_WAYS * LANES) {
    UNROLL
    for (size_t i = 0; i < V16_WAYS; i++) v[i] = v16_load(x + k + i * LANES);
    f(v, V16_WAYS);
    UNROLL
    for (size_t i = 0; i < V16_WAYS; i++) v16_store(x + k + i * LANES, v[i]);
  }
  for (; k < n; k += LANES) {
    bool whole = n - k >= LANES;
    v[0] = whole ? v16_load(x + k) : v16_load_n(x + k, n - k, v16_set(0.0f));
    f(v, 1);
    if (whole) {
      v16_store(x + k, v[0]);
    } else {
      v16_store_n(x + k, n - k, v[0]);
    }
  }
}

static inline void rows_act(enum act act, float *x, size_t n) {
  switch (act) {
    case ACT_NONE: break;
    case ACT_GELU: rows_map(rows_gelu, x, n); break;
    case ACT_GELU_TANH: rows_map(rows_gelu_tanh, x, n); break;
    case ACT_QUICK_GELU: rows_map(rows_quick_gelu, x, n); break;
    case ACT_RELU: rows_map(rows_relu, x, n); break;
    case ACT_SILU: rows_map(rows_silu, x, n); break;
    case ACT_TANH: rows_map(rows_tanh, x, n); break;
  }
}

static inline struct v16 rows_gate(const float *x, const float *r, size_t left) {
  if (left >= LANES) return v16_add(v16_load(x), v16_load(r));
  return v16_add(v16_load_n(x, left, v16_set(0.0f)), v16_load_n(r, left, v16_set(0.0f)));
}

// x = 1 / (1 + exp(-x)), for each of the three
ROWS_INLINE void rows_sigmoid(struct v16 x[3]) {
  struct v16 one[3];
  UNROLL
  for (size_t i = 0; i < 3; i++) {
    one[i] = v16_set(1.0f);
    x[i] = v16_mul(x[i], v16_set(SIGMOID_G));
  }
  rows_gated(one, x, 3);
  UNROLL
  for (size_t i = 0; i < 3; i++) x[i] = one[i];
}

static inline void rows_lstm(const float *x, const float *r, size_t n, float *c, float *h) {
  for (size_t j = 0; j < n; j += LANES) {
    size_t left = n - j;
    struct v16 ifo[3] = {rows_gate(x + j, r + j, left), rows_gate(x + n + j, r + n + j, left),
                         rows_gate(x + 3 * n + j, r + 3 * n + j, left)};
    struct v16 g = rows_gate(x + 2 * n + j, r + 2 * n + j, left);
    struct v16 before = left >= LANES ? v16_load(c + j) : v16_load_n(c + j, left, v16_set(0.0f));
    rows_sigmoid(ifo);
    rows_tanh(&g, 1);
    struct v16 state = v16_fma(ifo[1], before, v16_mul(ifo[0], g)), out = state;
    rows_tanh(&out, 1);
    out = v16_mul(ifo[2], out);
    if (left >= LANES) {
      v16_store(c + j, state);
      v16_store(h + j, out);
    } else {
      v16_store_n(c + j, left, state);
      v16_store_n(h + j, left, out);
    }
  }
}

static inline void rows_add(float *x, const float *y, size_t n) {
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) v16_store(x + i, v16_add(v16_load(x + i), v16_load(y + i)));
  if (i < n) {
    struct v16 zero = v16_set(0.0f);
    v16_store_n(x + i, n - i, v16_add(v16_load_n(x + i, n - i, zero), v16_load_n(y + i, n - i, zero)));
  }
}

static inline void rows_finish(float *c, size_t n, const float *bias, enum act act) {
  if (bias) rows_add(c, bias, n);
  rows_act(act, c, n);
}

static inline void rows_div(float *x, size_t n, float d) {
  struct v16 by = v16_set(d);
  size_t i = 0;
  for (; i + LANES <= n; i += LANES) v16_store(x + i, v16_div(v16_load(x + i), by));
  if (i < n) v16_store_n(x + i, n - i, v16_div(v16_load_n(x + i, n - i, by), by));
}

// --- reductions. A tail's missing elements are chosen to leave their lanes as they are: a sum that started at +0 is
// never -0, so +0 may be added to it; the mean makes a deviation of +0; a maximum meets itself.

static inline void rows_quantize_u8(const float *x, size_t K, size_t Kpad, uint8_t *q, float *scale, int32_t *zero) {
  const struct v16 none = v16_set(0.0f);
  struct v16 lo = none, hi = none, bad = none;
  size_t whole = K / LANES * LANES, tail = K - whole;
  for (size_t i = 0; i < whole; i += LANES) {
    struct v16 v = v16_load(x + i);
    lo = v16_min(v, lo);
    hi = v16_max(v, hi);
    bad = v16_fma(v, none, bad);
  }
  if (tail) {
    struct v16 v = v16_load_n(x + whole, tail, none);
    lo = v16_min(v, lo);
    hi = v16_max(v, hi);
    bad = v16_fma(v, none, bad);
  }
  float low = v16_fold_min(lo), s = (v16_fold_max(hi) - low) / 255.0f;
  bool broken = v16_fold_add(bad) != 0.0f || s > FLT_MAX;
  if (broken || s < FLT_MIN) {
    memset(q, 0, Kpad);
    *scale = broken ? NAN : 1.0f;
    *zero = 0;
    return;
  }
  int32_t z = (int32_t)rintf(-low / s);
  struct v16 inverse = v16_set(1.0f / s); // times a value of the row: not far beyond 255
  for (size_t i = 0; i < whole; i += LANES) v16_store_near_u8(q + i, v16_mul(v16_load(x + i), inverse), z);
  if (tail) {
    uint8_t last[LANES];
    v16_store_near_u8(last, v16_mul(v16_load_n(x + whole, tail, none), inverse), z);
    memcpy(q + whole, last, tail);
  }
  memset(q + K, 0, Kpad - K);
  *scale = s;
  *zero = z;
}

static inline bool rows_quantize_u8_fixed(const float *x, size_t K, size_t Kpad, float inverse, int32_t zero,
                                          uint8_t *q) {
  const struct v16 none = v16_set(0.0f), top = v16_set(255.0f), by = v16_set(inverse), shift = v16_set((float)zero);
  size_t whole = K / LANES * LANES, tail = K - whole;
  struct v16 bad = none;
  for (size_t i = 0; i < whole; i += LANES) {
    struct v16 v = v16_load(x + i);
    bad = v16_fma(v, none, bad);
    v16_store_u8(q + i, v16_min(v16_max(v16_add(v16_rint(v16_mul(v, by)), shift), none), top));
  }
  if (tail) {
    uint8_t last[LANES];
    struct v16 v = v16_load_n(x + whole, tail, none);
    bad = v16_fma(v, none, bad);
    v16_store_u8(last, v16_min(v16_max(v16_add(v16_rint(v16_mul(v, by)), shift), none), top));
    memcpy(q + whole, last, tail);
  }
  bool good = v16_fold_add(bad) == 0.0f;
  memset(good ? q + K : q, 0, good ? Kpad - K : Kpad);
  return good;
}

static inline void rows_mark_outliers(const float *x, size_t K, float limit, uint8_t *mask) {
  const struct v16 below = v16_set(nextafterf(limit, 0.0f)); // above it is the same as at the limit or above
  size_t i = 0;
  for (; i + LANES <= K; i += LANES) v16_mask_or(mask + i, v16_less(below, v16_abs(v16_load(x + i))));
  if (i < K) {
    uint8_t last[LANES] = {0};
    memcpy(last, mask + i, K - i);
    v16_mask_or(last, v16_less(below, v16_abs(v16_load_n(x + i, K - i, v16_set(0.0f)))));
    memcpy(mask + i, last, K - i);
  }
}

// 16 values: those below the limit count for the maximum; bad becomes 1 where one outside the mask is not.
static inline void rows_s8_largest(struct v16 x, const uint8_t *mask, struct v16 limit, struct v16 *m,
                                   struct v16 *bad) {
  const struct v16 none = v16_set(0.0f);
  struct v16 size = v16_abs(x);
  struct v16_mask fits = v16_less(size, limit);
  *m = v16_max(v16_pick(fits, v16_round_f16(size), none), *m);
  struct v16 wrong = v16_pick(fits, none, v16_set(1.0f));
  *bad = v16_max(v16_pick(v16_mask_load(mask), none, wrong), *bad);
}

static inline struct v16 rows_s8_code(struct v16 x, const uint8_t *mask, struct v16 inverse) {
  const struct v16 middle = v16_set(128.0f);
  struct v16 code = v16_add(v16_rint(v16_mul(v16_round_f16(x), inverse)), middle);
  return v16_pick(v16_mask_load(mask), middle, code);
}

static inline void rows_quantize_s8(const float *x, const uint8_t *mask, size_t K, size_t Kpad, float limit, uint8_t *q,
                                    float *scale) {
  const struct v16 none = v16_set(0.0f), top = v16_set(limit);
  size_t whole = K / LANES * LANES, tail = K - whole;
  uint8_t last_mask[LANES] = {0}, last[LANES];
  struct v16 most = none, bad = none;
  for (size_t i = 0; i < whole; i += LANES) rows_s8_largest(v16_load(x + i), mask + i, top, &most, &bad);
  if (tail) {
    memcpy(last_mask, mask + whole, tail);
    rows_s8_largest(v16_load_n(x + whole, tail, none), last_mask, top, &most, &bad);
  }
  float m = v16_fold_max(most);
  bool broken = v16_fold_max(bad) != 0.0f;
  memset(q + K, 0, Kpad - K);
  *scale = broken ? NAN : m / 127.0f;
  if (broken || m == 0.0f) {
    memset(q, 128, K);
    return;
  }
  struct v16 inverse = v16_set(1.0f / m * 127.0f);
  for (size_t i = 0; i < whole; i += LANES) v16_store_u8(q + i, rows_s8_code(v16_load(x + i), mask + i, inverse));
  if (tail) {
    v16_store_u8(last, rows_s8_code(v16_load_n(x + whole, tail, none), last_mask, inverse));
    memcpy(q + whole, last, tail);
  }
}

static inline void rows_layernorm(const float *x, const float *gamma, const float *beta, float eps, size_t C,
                                  float *y) {
  size_t whole = C / LANES * LANES, tail = C - whole;
  struct v16 sum = v16_set(0.0f), square = v16_set(0.0f);
  for (size_t i = 0; i < whole; i += LANES) sum = v16_add(sum, v16_load(x + i));
  if (tail) sum = v16_add(sum, v16_load_n(x + whole, tail, v16_set(0.0f)));
  struct v16 mean = v16_set(v16_fold_add(sum) / (float)C);
  for (size_t i = 0; i < whole; i += LANES) {
    struct v16 d = v16_sub(v16_load(x + i), mean);
    square = v16_fma(d, d, square);
  }
  if (tail) {
    struct v16 d = v16_sub(v16_load_n(x + whole, tail, mean), mean);
    square = v16_fma(d, d, square);
  }
  struct v16 inverse = v16_set(1.0f / sqrtf(v16_fold_add(square) / (float)C + eps));
  for (size_t i = 0; i < whole; i += LANES) {
    struct v16 d = v16_mul(v16_sub(v16_load(x + i), mean), inverse);
    v16_store(y + i, v16_fma(d, v16_load(gamma + i), v16_load(beta + i)));
  }
  if (tail) {
    struct v16 d = v16_mul(v16_sub(v16_load_n(x + whole, tail, mean), mean), inverse);
    struct v16 g = v16_load_n(gamma + whole, tail, mean), b = v16_load_n(beta + whole, tail, mean);
    v16_store_n(y + whole, tail, v16_fma(d, g, b));
  }
}

static inline float rows_softmax_exp(float *s, size_t n, float scale) {
  size_t whole = n / LANES * LANES, tail = n - whole;
  const struct v16 by = v16_set(scale);
  struct v16 top = v16_set(-INFINITY), sum = v16_set(0.0f);
  for (size_t i = 0; i < whole; i += LANES) top = v16_max(v16_mul(v16_load(s + i), by), top);
  if (tail) {
    struct v16 v = v16_mul(v16_load_n(s + whole, tail, by), by);
    top = v16_max(v16_first(v, tail, top), top);
  }
  struct v16 max = v16_set(v16_fold_max(top));
  size_t k = 0;
  for (; k + V16_WAYS * LANES <= n; k += V16_WAYS * LANES) {
    struct v16 e[V16_WAYS];
    UNROLL
    for (size_t i = 0; i < V16_WAYS; i++) e[i] = v16_sub(v16_mul(v16_load(s + k + i * LANES), by), max);
    rows_exp(e, V16_WAYS);
    UNROLL
    for (size_t i = 0; i < V16_WAYS; i++) {
      v16_store(s + k + i * LANES, e[i]);
      sum = v16_add(sum, e[i]);
    }
  }
  for (; k < whole; k += LANES) {
    struct v16 e = v16_sub(v16_mul(v16_load(s + k), by), max);
    rows_exp(&e, 1);
    v16_store(s + k, e);
    sum = v16_add(sum, e);
  }
  if (tail) {
    struct v16 e = v16_sub(v16_mul(v16_load_n(s + whole, tail, by), by), max);
    rows_exp(&e, 1);
    v16_store_n(s + whole, tail, e);
    sum = v16_add(sum, v16_first(e, tail, v16_set(0.0f)));
  }
  return v16_fold_add(sum);
}

// --- the last step of an int8 product

// 16 columns of one row, their sums at sums.
static inline struct v16 rows_i8_scaled(const int32_t *sums, int32_t zero, const int32_t *wsum, struct v16 scale,
                                        struct v16 bias) {
  return v16_fma(v16_less_product(sums, zero, wsum), scale, bias);
}

// sums (mr, nr) are those of rows m to m + mr - 1: takes the zero points out, scales, adds the bias, applies act. nr is
// a multiple of 16.
static inline void rows_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums, size_t nr) {
  const struct v16 none = v16_set(0.0f);
  const size_t whole = g->N / LANES * LANES, tail = g->N - whole;
  int32_t last_wsum[LANES] = {0};
  if (tail) memcpy(last_wsum, g->wsum + whole, tail * sizeof *last_wsum);
  for (size_t i = 0; i < mr; i++, sums += nr) {
    float *c = g->c + (m + i) * g->ldc;
    const int32_t zero = g->azero[m + i];
    const struct v16 ascale = v16_set(g->ascale[m + i]);
    for (size_t n = 0; n < whole; n += LANES) {
      struct v16 scale = v16_mul(ascale, v16_load(g->wscale + n)), bias = g->bias ? v16_load(g->bias + n) : none;
      v16_store(c + n, rows_i8_scaled(sums + n, zero, g->wsum + n, scale, bias));
    }
    if (tail) {
      struct v16 scale = v16_mul(ascale, v16_load_n(g->wscale + whole, tail, none));
      struct v16 bias = g->bias ? v16_load_n(g->bias + whole, tail, none) : none;
      v16_store_n(c + whole, tail, rows_i8_scaled(sums + whole, zero, last_wsum, scale, bias));
    }
    rows_act(g->act, c, g->N);
  }
}

// --- widening

static inline void rows_unpack_i16(const int16_t *src, const float *scale, float *dst, size_t K, size_t nr) {
  for (size_t j = 0; j < nr; j += LANES) {
    struct v16 by = v16_load(scale + j);
    for (size_t k = 0; k < K; k++) v16_store(dst + k * nr + j, v16_mul(v16_from_i16(src + k * nr + j), by));
  }
}

// Of a table: every kernel of this file.
#define ROWS_KERNELS                                                                                                 \
  .quantize_u8 = rows_quantize_u8, .quantize_u8_fixed = rows_quantize_u8_fixed, .mark_outliers = rows_mark_outliers, \
  .quantize_s8 = rows_quantize_s8, .layernorm = rows_layernorm, .softmax_exp = rows_softmax_exp, .div = rows_div,    \
  .add = rows_add, .act = rows_act, .lstm = rows_lstm, .unpack_i16 = rows_unpack_i16

#endif
