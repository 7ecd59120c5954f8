// neon_gemm.c - float products for NEON. The tile is up to 5 rows x 16 columns: 20 registers of sums, 4 of weights (one
// k), 5 of activations (four k, multiplied by lane). Each output is one lane with k ascending.
#include <arm_neon.h>

#include "kernel/isa.h"
#include "kernel/product.h"

enum {
  MR = 5,
  NV = 4,   // vectors of 4 columns
  KV = 4,   // k of one vector of activations
  KC = 128, // of one strip, 128 k are 8 KiB: a quarter of a small core's L1
};

// The first n lanes, 1 to 4; memory past them is not touched, and their lanes are 0.
static inline float32x4_t load(const float *p, size_t n) {
  const float32x2_t none = vdup_n_f32(0.0f);
  switch (n) {
    case 1: return vcombine_f32(vld1_lane_f32(p, none, 0), none);
    case 2: return vcombine_f32(vld1_f32(p), none);
    case 3: return vcombine_f32(vld1_f32(p), vld1_lane_f32(p + 2, none, 0));
    default: return vld1q_f32(p);
  }
}

static inline void store(float *p, size_t n, float32x4_t x) {
  switch (n) {
    case 1: vst1q_lane_f32(p, x, 0); break;
    case 2: vst1_f32(p, vget_low_f32(x)); break;
    case 3:
      vst1_f32(p, vget_low_f32(x));
      vst1q_lane_f32(p + 2, x, 2);
      break;
    default: vst1q_f32(p, x); break;
  }
}

// Vector j of one k. 16-bit weights are readable to the end of the vector.
static inline __attribute__((always_inline)) float32x4_t weights(const uint8_t *w, size_t j, enum weight_type type,
                                                                 size_t n) {
  if (type == WEIGHT_F32) return load((const float *)(const void *)(w + 16 * j), n);
  uint16x4_t half = vld1_u16((const uint16_t *)(const void *)(w + 8 * j));
  if (type == WEIGHT_F16) return vcvt_f32_f16(vreinterpret_f16_u16(half));
  return vreinterpretq_f32_u32(vshll_n_u16(half, 16));
}

// acc + w x[lane]; lane is a constant at every call.
static inline __attribute__((always_inline)) float32x4_t fma_lane(float32x4_t acc, float32x4_t w, float32x4_t x,
                                                                  size_t lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(acc, w, x, 0);
    case 1: return vfmaq_laneq_f32(acc, w, x, 1);
    case 2: return vfmaq_laneq_f32(acc, w, x, 2);
    default: return vfmaq_laneq_f32(acc, w, x, 3);
  }
}

// One k: its weights times the lane of every row's activations.
static inline __attribute__((always_inline)) void step(float32x4_t acc[MR][NV], const float32x4_t x[MR], size_t lane,
                                                       const uint8_t *w, enum weight_type type, size_t mr, size_t nv,
                                                       size_t last) {
  float32x4_t wk[NV];
  UNROLL
  for (size_t j = 0; j < nv; j++) wk[j] = weights(w, j, type, j + 1 < nv ? 4 : last);
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) acc[i][j] = fma_lane(acc[i][j], wk[j], x[i], lane);
  }
}

static inline __attribute__((always_inline)) void multiply(float32x4_t acc[MR][NV], const struct product *p,
                                                           const struct spot *s, enum weight_type type, size_t mr,
                                                           size_t nv, size_t last) {
  const uint8_t *w = s->w;
  float32x4_t x[MR];
  size_t k = 0;
  for (; k + KV <= s->kc; k += KV) {
    UNROLL
    for (size_t i = 0; i < mr; i++) x[i] = vld1q_f32(s->a + i * p->lda + k);
    step(acc, x, 0, w, type, mr, nv, last);
    step(acc, x, 1, w + p->w_k_bytes, type, mr, nv, last);
    step(acc, x, 2, w + 2 * p->w_k_bytes, type, mr, nv, last);
    step(acc, x, 3, w + 3 * p->w_k_bytes, type, mr, nv, last);
    w += KV * p->w_k_bytes;
  }
  for (; k < s->kc; k++, w += p->w_k_bytes) {
    UNROLL
    for (size_t i = 0; i < mr; i++) x[i] = vdupq_n_f32(s->a[i * p->lda + k]);
    step(acc, x, 0, w, type, mr, nv, last);
  }
}

// type, mr, nv are constants at every call, and last, the lanes of the last vector, is one where it is 4. acc lives in
// registers.
static inline __attribute__((always_inline)) void tile(const struct product *p, const struct spot *s,
                                                       enum weight_type type, size_t mr, size_t nv, size_t last) {
  float32x4_t acc[MR][NV];
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) {
      acc[i][j] = s->resume ? load(s->c + i * p->ldc + 4 * j, j + 1 < nv ? 4 : last) : vdupq_n_f32(0.0f);
    }
  }
  multiply(acc, p, s, type, mr, nv, last);
  UNROLL
  for (size_t i = 0; i < mr; i++) {
    UNROLL
    for (size_t j = 0; j < nv; j++) store(s->c + i * p->ldc + 4 * j, j + 1 < nv ? 4 : last, acc[i][j]);
  }
}

static inline __attribute__((always_inline)) void tile_of_rows(const struct product *p, const struct spot *s,
                                                               enum weight_type type, size_t mr, size_t nv,
                                                               size_t last) {
  switch (mr) {
    case 1: tile(p, s, type, 1, nv, last); break;
    case 2: tile(p, s, type, 2, nv, last); break;
    case 3: tile(p, s, type, 3, nv, last); break;
    case 4: tile(p, s, type, 4, nv, last); break;
    default: tile(p, s, type, MR, nv, last); break;
  }
}

static inline __attribute__((always_inline)) void tile_of_columns(const struct product *p, const struct spot *s,
                                                                  enum weight_type type, size_t mr) {
  if (s->width == 4 * NV) {
    tile_of_rows(p, s, type, mr, NV, 4);
    return;
  }
  size_t nv = size_ceil_div(s->width, 4), last = s->width - (nv - 1) * 4;
  switch (nv) {
    case 1: tile_of_rows(p, s, type, mr, 1, last); break;
    case 2: tile_of_rows(p, s, type, mr, 2, last); break;
    case 3: tile_of_rows(p, s, type, mr, 3, last); break;
    default: tile_of_rows(p, s, type, mr, NV, last); break;
  }
}

static void tile_of_type(const struct product *p, const struct spot *s, size_t mr) {
  switch (p->type) {
    case WEIGHT_F32: tile_of_columns(p, s, WEIGHT_F32, mr); break;
    case WEIGHT_F16: tile_of_columns(p, s, WEIGHT_F16, mr); break;
    case WEIGHT_BF16: tile_of_columns(p, s, WEIGHT_BF16, mr); break;
  }
}

static void run(struct product p) {
  p.mr = MR, p.nr = 4 * NV, p.kc = KC;
  p.tile = tile_of_type;
  p.finish = neon_finish;
  product_run(&p);
}

void neon_gemm_f32(const struct gemm_f32 *g) {
  run(product_f32(g));
}

void neon_gemm_half(const struct gemm_half *g) {
  run(product_half(g));
}
