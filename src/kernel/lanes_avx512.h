// lanes_avx512.h - 16 floats in one register: the vocabulary rows.h is written in. Needs AVX-512 F, BW, DQ, VL and
// F16C.
#ifndef PARE_KERNEL_LANES_AVX512_H
#define PARE_KERNEL_LANES_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { V16_WAYS = 4 }; // how many the registers hold while one polynomial runs over all of them

struct v16 {
  __m512 v;
};
struct v16_mask {
  __mmask16 m;
};

// The first n of 16 lanes.
static inline __mmask16 lanes_first(size_t n) {
  return (__mmask16)((1u << n) - 1);
}

static inline struct v16 v16_set(float x) {
  return (struct v16){_mm512_set1_ps(x)};
}
static inline struct v16 v16_load(const float *p) {
  return (struct v16){_mm512_loadu_ps(p)};
}
// Lanes from n on (0 < n < 16) come from other; memory there is not touched.
static inline struct v16 v16_load_n(const float *p, size_t n, struct v16 other) {
  return (struct v16){_mm512_mask_loadu_ps(other.v, lanes_first(n), p)};
}
static inline void v16_store(float *p, struct v16 x) {
  _mm512_storeu_ps(p, x.v);
}
static inline void v16_store_n(float *p, size_t n, struct v16 x) {
  _mm512_mask_storeu_ps(p, lanes_first(n), x.v);
}

static inline struct v16 v16_add(struct v16 a, struct v16 b) {
  return (struct v16){_mm512_add_ps(a.v, b.v)};
}
static inline struct v16 v16_sub(struct v16 a, struct v16 b) {
  return (struct v16){_mm512_sub_ps(a.v, b.v)};
}
static inline struct v16 v16_mul(struct v16 a, struct v16 b) {
  return (struct v16){_mm512_mul_ps(a.v, b.v)};
}
static inline struct v16 v16_div(struct v16 a, struct v16 b) {
  return (struct v16){_mm512_div_ps(a.v, b.v)};
}
// a b + c, rounded once
static inline struct v16 v16_fma(struct v16 a, struct v16 b, struct v16 c) {
  return (struct v16){_mm512_fmadd_ps(a.v, b.v, c.v)};
}
// a > b ? a : b, which is also what the instruction does with NaN and with zeros of two signs
static inline struct v16 v16_max(struct v16 a, struct v16 b) {
  return (struct v16){_mm512_max_ps(a.v, b.v)};
}
static inline struct v16 v16_min(struct v16 a, struct v16 b) {
  return (struct v16){_mm512_min_ps(a.v, b.v)};
}
static inline struct v16 v16_rint(struct v16 x) {
  return (struct v16){_mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline struct v16 v16_abs(struct v16 x) {
  return (struct v16){_mm512_andnot_ps(_mm512_set1_ps(-0.0f), x.v)};
}
static inline struct v16 v16_copysign(struct v16 size, struct v16 sign) {
  __m512 bit = _mm512_set1_ps(-0.0f);
  return (struct v16){_mm512_or_ps(_mm512_andnot_ps(bit, size.v), _mm512_and_ps(bit, sign.v))};
}
// The float whose bits are (bits of t << 23) + (bias << 23): 2^(n + bias - 127) for t = EXP2_MAGIC + n.
static inline struct v16 v16_pow2(struct v16 t, int bias) {
  __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(t.v), 23);
  return (struct v16){_mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(bias * (1 << 23))))};
}

static inline struct v16_mask v16_less(struct v16 a, struct v16 b) {
  return (struct v16_mask){_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
static inline struct v16 v16_pick(struct v16_mask mask, struct v16 yes, struct v16 no) {
  return (struct v16){_mm512_mask_blend_ps(mask.m, no.v, yes.v)};
}
static inline struct v16 v16_first(struct v16 x, size_t n, struct v16 other) { // lanes from n on come from other
  return (struct v16){_mm512_mask_mov_ps(other.v, lanes_first(n), x.v)};
}

// Lane i and lane i + half, 16 -> 8 -> 4 -> 2 -> 1.
static inline float v16_fold_add(struct v16 x) {
  __m256 x8 = _mm256_add_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
  __m128 x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  __m128 x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)));
}
static inline float v16_fold_max(struct v16 x) {
  __m256 x8 = _mm256_max_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
  __m128 x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  __m128 x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)));
}
static inline float v16_fold_min(struct v16 x) {
  __m256 x8 = _mm256_min_ps(_mm512_castps512_ps256(x.v), _mm512_extractf32x8_ps(x.v, 1));
  __m128 x4 = _mm_min_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  __m128 x2 = _mm_min_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_min_ss(x2, _mm_movehdup_ps(x2)));
}

// Values are integers in [0, 255].
static inline void v16_store_u8(uint8_t *q, struct v16 x) {
  _mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(x.v)));
}
// x rounded half to even, plus zero, cut to [0, 255]; |x| + zero < 2^31.
static inline void v16_store_near_u8(uint8_t *q, struct v16 x, int32_t zero) {
  __m512i code = _mm512_add_epi32(_mm512_cvtps_epi32(x.v), _mm512_set1_epi32(zero));
  _mm_storeu_si128((__m128i *)q, _mm512_cvtusepi32_epi8(_mm512_max_epi32(code, _mm512_setzero_si512())));
}

// Rounded to f16, half to even, and widened again.
static inline struct v16 v16_round_f16(struct v16 x) {
  return (struct v16){_mm512_cvtph_ps(_mm512_cvtps_ph(x.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))};
}
// 16 bytes, 0 or 255, as a mask; and a mask laid over such bytes.
static inline struct v16_mask v16_mask_load(const uint8_t *p) {
  return (struct v16_mask){_mm_movepi8_mask(_mm_loadu_si128((const __m128i *)p))};
}
static inline void v16_mask_or(uint8_t *p, struct v16_mask mask) {
  _mm_storeu_si128((__m128i *)p, _mm_or_si128(_mm_movm_epi8(mask.m), _mm_loadu_si128((const __m128i *)p)));
}

static inline struct v16 v16_from_i16(const int16_t *p) {
  return (struct v16){_mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p)))};
}

// (float)(sums - zero * wsum)
static inline struct v16 v16_less_product(const int32_t *sums, int32_t zero, const int32_t *wsum) {
  __m512i product = _mm512_mullo_epi32(_mm512_set1_epi32(zero), _mm512_loadu_si512(wsum));
  return (struct v16){_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(sums), product))};
}

#endif
