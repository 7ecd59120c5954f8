// lanes_neon.h - 16 floats in four registers: the vocabulary rows.h is written in, as lanes_avx2.h has it. Armv8-A
// alone. Where an instruction's NaN, zeros or rounding would differ from kernel.h's words, it is not used: FMAX and
// FMAXNM are not a > b ? a : b, which is a comparison and a choice here.
#ifndef PARE_KERNEL_LANES_NEON_H
#define PARE_KERNEL_LANES_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { V16_WAYS = 2 }; // how many the registers hold while one polynomial runs over all of them

struct v16 {
  float32x4_t q0, q1, q2, q3;
};
struct v16_mask {
  uint32x4_t q0, q1, q2, q3; // all ones where true
};

static inline struct v16_mask lanes_first(size_t n) {
  static const uint32_t lane[4] = {0, 1, 2, 3};
  const uint32x4_t first = vld1q_u32(lane), end = vdupq_n_u32((uint32_t)n);
  return (struct v16_mask){vcltq_u32(first, end), vcltq_u32(vaddq_u32(first, vdupq_n_u32(4)), end),
                           vcltq_u32(vaddq_u32(first, vdupq_n_u32(8)), end),
                           vcltq_u32(vaddq_u32(first, vdupq_n_u32(12)), end)};
}
static inline struct v16 v16_pick(struct v16_mask mask, struct v16 yes, struct v16 no) {
  return (struct v16){vbslq_f32(mask.q0, yes.q0, no.q0), vbslq_f32(mask.q1, yes.q1, no.q1),
                      vbslq_f32(mask.q2, yes.q2, no.q2), vbslq_f32(mask.q3, yes.q3, no.q3)};
}

static inline struct v16 v16_set(float x) {
  float32x4_t q = vdupq_n_f32(x);
  return (struct v16){q, q, q, q};
}
static inline struct v16 v16_load(const float *p) {
  return (struct v16){vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
static inline void v16_store(float *p, struct v16 x) {
  vst1q_f32(p, x.q0);
  vst1q_f32(p + 4, x.q1);
  vst1q_f32(p + 8, x.q2);
  vst1q_f32(p + 12, x.q3);
}
// Lanes from n on (0 < n < 16) come from other; memory there is not touched.
static inline struct v16 v16_load_n(const float *p, size_t n, struct v16 other) {
  float lanes[16];
  v16_store(lanes, other);
  memcpy(lanes, p, n * sizeof *p);
  return v16_load(lanes);
}
static inline void v16_store_n(float *p, size_t n, struct v16 x) {
  float lanes[16];
  v16_store(lanes, x);
  memcpy(p, lanes, n * sizeof *p);
}

static inline struct v16 v16_add(struct v16 a, struct v16 b) {
  return (struct v16){vaddq_f32(a.q0, b.q0), vaddq_f32(a.q1, b.q1), vaddq_f32(a.q2, b.q2), vaddq_f32(a.q3, b.q3)};
}
static inline struct v16 v16_sub(struct v16 a, struct v16 b) {
  return (struct v16){vsubq_f32(a.q0, b.q0), vsubq_f32(a.q1, b.q1), vsubq_f32(a.q2, b.q2), vsubq_f32(a.q3, b.q3)};
}
static inline struct v16 v16_mul(struct v16 a, struct v16 b) {
  return (struct v16){vmulq_f32(a.q0, b.q0), vmulq_f32(a.q1, b.q1), vmulq_f32(a.q2, b.q2), vmulq_f32(a.q3, b.q3)};
}
static inline struct v16 v16_div(struct v16 a, struct v16 b) {
  return (struct v16){vdivq_f32(a.q0, b.q0), vdivq_f32(a.q1, b.q1), vdivq_f32(a.q2, b.q2), vdivq_f32(a.q3, b.q3)};
}
// a b + c, rounded once
static inline struct v16 v16_fma(struct v16 a, struct v16 b, struct v16 c) {
  return (struct v16){vfmaq_f32(c.q0, a.q0, b.q0), vfmaq_f32(c.q1, a.q1, b.q1), vfmaq_f32(c.q2, a.q2, b.q2),
                      vfmaq_f32(c.q3, a.q3, b.q3)};
}
static inline struct v16_mask v16_less(struct v16 a, struct v16 b) {
  return (struct v16_mask){vcltq_f32(a.q0, b.q0), vcltq_f32(a.q1, b.q1), vcltq_f32(a.q2, b.q2), vcltq_f32(a.q3, b.q3)};
}
// a > b ? a : b and a < b ? a : b, also with a NaN and with zeros of two signs
static inline struct v16 v16_max(struct v16 a, struct v16 b) {
  return v16_pick(v16_less(b, a), a, b);
}
static inline struct v16 v16_min(struct v16 a, struct v16 b) {
  return v16_pick(v16_less(a, b), a, b);
}
static inline struct v16 v16_rint(struct v16 x) { // half to even
  return (struct v16){vrndnq_f32(x.q0), vrndnq_f32(x.q1), vrndnq_f32(x.q2), vrndnq_f32(x.q3)};
}
static inline struct v16 v16_abs(struct v16 x) {
  return (struct v16){vabsq_f32(x.q0), vabsq_f32(x.q1), vabsq_f32(x.q2), vabsq_f32(x.q3)};
}
static inline struct v16 v16_copysign(struct v16 size, struct v16 sign) {
  const uint32x4_t bit = vdupq_n_u32(0x80000000u);
  return v16_pick((struct v16_mask){bit, bit, bit, bit}, sign, size);
}
static inline float32x4_t lanes_pow2(float32x4_t t, uint32_t add) {
  return vreinterpretq_f32_u32(vaddq_u32(vshlq_n_u32(vreinterpretq_u32_f32(t), 23), vdupq_n_u32(add)));
}
// The float whose bits are (bits of t << 23) + (bias << 23): 2^(n + bias - 127) for t = EXP2_MAGIC + n.
static inline struct v16 v16_pow2(struct v16 t, int bias) {
  const uint32_t add = (uint32_t)bias << 23;
  return (struct v16){lanes_pow2(t.q0, add), lanes_pow2(t.q1, add), lanes_pow2(t.q2, add), lanes_pow2(t.q3, add)};
}
static inline struct v16 v16_first(struct v16 x, size_t n, struct v16 other) { // lanes from n on come from other
  return v16_pick(lanes_first(n), x, other);
}

// Lane i and lane i + half, 16 -> 8 -> 4 -> 2 -> 1.
static inline float v16_fold_add(struct v16 x) {
  float32x4_t x4 = vaddq_f32(vaddq_f32(x.q0, x.q2), vaddq_f32(x.q1, x.q3));
  float32x2_t x2 = vadd_f32(vget_low_f32(x4), vget_high_f32(x4));
  return vget_lane_f32(x2, 0) + vget_lane_f32(x2, 1);
}
static inline float32x4_t lanes_max(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcgtq_f32(a, b), a, b);
}
static inline float v16_fold_max(struct v16 x) {
  float32x4_t x4 = lanes_max(lanes_max(x.q0, x.q2), lanes_max(x.q1, x.q3));
  float32x2_t lo = vget_low_f32(x4), hi = vget_high_f32(x4), x2 = vbsl_f32(vcgt_f32(lo, hi), lo, hi);
  float even = vget_lane_f32(x2, 0), odd = vget_lane_f32(x2, 1);
  return even > odd ? even : odd;
}
static inline float32x4_t lanes_min(float32x4_t a, float32x4_t b) {
  return vbslq_f32(vcltq_f32(a, b), a, b);
}
static inline float v16_fold_min(struct v16 x) {
  float32x4_t x4 = lanes_min(lanes_min(x.q0, x.q2), lanes_min(x.q1, x.q3));
  float32x2_t lo = vget_low_f32(x4), hi = vget_high_f32(x4), x2 = vbsl_f32(vclt_f32(lo, hi), lo, hi);
  float even = vget_lane_f32(x2, 0), odd = vget_lane_f32(x2, 1);
  return even < odd ? even : odd;
}

static inline uint8x16_t lanes_narrow(uint32x4_t q0, uint32x4_t q1, uint32x4_t q2, uint32x4_t q3) {
  uint16x8_t lo = vcombine_u16(vmovn_u32(q0), vmovn_u32(q1)), hi = vcombine_u16(vmovn_u32(q2), vmovn_u32(q3));
  return vcombine_u8(vmovn_u16(lo), vmovn_u16(hi));
}
// Values are integers in [0, 255].
static inline void v16_store_u8(uint8_t *q, struct v16 x) {
  vst1q_u8(q, lanes_narrow(vcvtq_u32_f32(x.q0), vcvtq_u32_f32(x.q1), vcvtq_u32_f32(x.q2), vcvtq_u32_f32(x.q3)));
}
static inline int16x4_t lanes_near(float32x4_t x, int32x4_t zero) {
  return vqmovn_s32(vaddq_s32(vcvtnq_s32_f32(x), zero));
}
// x rounded half to even, plus zero, cut to [0, 255]; |x| + zero < 2^31.
static inline void v16_store_near_u8(uint8_t *q, struct v16 x, int32_t zero) {
  const int32x4_t z = vdupq_n_s32(zero);
  vst1_u8(q, vqmovun_s16(vcombine_s16(lanes_near(x.q0, z), lanes_near(x.q1, z))));
  vst1_u8(q + 8, vqmovun_s16(vcombine_s16(lanes_near(x.q2, z), lanes_near(x.q3, z))));
}

static inline float32x4_t lanes_round_f16(float32x4_t x) {
  return vcvt_f32_f16(vcvt_f16_f32(x));
}
// Rounded to f16, half to even, and widened again.
static inline struct v16 v16_round_f16(struct v16 x) {
  return (struct v16){lanes_round_f16(x.q0), lanes_round_f16(x.q1), lanes_round_f16(x.q2), lanes_round_f16(x.q3)};
}
// 16 bytes, 0 or 255, as a mask; and a mask laid over such bytes.
static inline struct v16_mask v16_mask_load(const uint8_t *p) {
  int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(p));
  int16x8_t lo = vmovl_s8(vget_low_s8(bytes)), hi = vmovl_s8(vget_high_s8(bytes));
  return (struct v16_mask){
      vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(lo))), vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(lo))),
      vreinterpretq_u32_s32(vmovl_s16(vget_low_s16(hi))), vreinterpretq_u32_s32(vmovl_s16(vget_high_s16(hi)))};
}
static inline void v16_mask_or(uint8_t *p, struct v16_mask mask) {
  vst1q_u8(p, vorrq_u8(vld1q_u8(p), lanes_narrow(mask.q0, mask.q1, mask.q2, mask.q3)));
}

static inline struct v16 v16_from_i16(const int16_t *p) {
  int16x8_t lo = vld1q_s16(p), hi = vld1q_s16(p + 8);
  return (struct v16){vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(lo))),
                      vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(hi)))};
}

static inline float32x4_t lanes_less_product(const int32_t *sums, int32_t zero, const int32_t *wsum) {
  return vcvtq_f32_s32(vmlsq_n_s32(vld1q_s32(sums), vld1q_s32(wsum), zero));
}
// (float)(sums - zero * wsum)
static inline struct v16 v16_less_product(const int32_t *sums, int32_t zero, const int32_t *wsum) {
  return (struct v16){lanes_less_product(sums, zero, wsum), lanes_less_product(sums + 4, zero, wsum + 4),
                      lanes_less_product(sums + 8, zero, wsum + 8), lanes_less_product(sums + 12, zero, wsum + 12)};
}

#endif
