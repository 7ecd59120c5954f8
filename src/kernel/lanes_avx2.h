// lanes_avx2.h - 16 floats in two registers: the vocabulary rows.h is written in, as lanes_avx512.h has it. AVX2, FMA,
// F16C.
#ifndef PARE_KERNEL_LANES_AVX2_H
#define PARE_KERNEL_LANES_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { V16_WAYS = 2 }; // how many the registers hold while one polynomial runs over all of them

struct v16 {
  __m256 lo, hi;
};
struct v16_mask {
  __m256 lo, hi; // all ones where true
};

static inline struct v16_mask lanes_first(size_t n) {
  static const int32_t bits[32] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  const int32_t *p = bits + 16 - n;
  return (struct v16_mask){_mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)p)),
                           _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(p + 8)))};
}
static inline struct v16 v16_pick(struct v16_mask mask, struct v16 yes, struct v16 no) {
  return (struct v16){_mm256_blendv_ps(no.lo, yes.lo, mask.lo), _mm256_blendv_ps(no.hi, yes.hi, mask.hi)};
}

static inline struct v16 v16_set(float x) {
  return (struct v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline struct v16 v16_load(const float *p) {
  return (struct v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
// Lanes from n on (0 < n < 16) come from other; memory there is not touched.
static inline struct v16 v16_load_n(const float *p, size_t n, struct v16 other) {
  struct v16_mask mask = lanes_first(n);
  struct v16 x = {_mm256_maskload_ps(p, _mm256_castps_si256(mask.lo)),
                  _mm256_maskload_ps(p + 8, _mm256_castps_si256(mask.hi))};
  return v16_pick(mask, x, other);
}
static inline void v16_store(float *p, struct v16 x) {
  _mm256_storeu_ps(p, x.lo);
  _mm256_storeu_ps(p + 8, x.hi);
}
static inline void v16_store_n(float *p, size_t n, struct v16 x) {
  struct v16_mask mask = lanes_first(n);
  _mm256_maskstore_ps(p, _mm256_castps_si256(mask.lo), x.lo);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(mask.hi), x.hi);
}

static inline struct v16 v16_add(struct v16 a, struct v16 b) {
  return (struct v16){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
static inline struct v16 v16_sub(struct v16 a, struct v16 b) {
  return (struct v16){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
static inline struct v16 v16_mul(struct v16 a, struct v16 b) {
  return (struct v16){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
static inline struct v16 v16_div(struct v16 a, struct v16 b) {
  return (struct v16){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
// a b + c, rounded once
static inline struct v16 v16_fma(struct v16 a, struct v16 b, struct v16 c) {
  return (struct v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
// a > b ? a : b, which is also what the instruction does with NaN and with zeros of two signs
static inline struct v16 v16_max(struct v16 a, struct v16 b) {
  return (struct v16){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
static inline struct v16 v16_min(struct v16 a, struct v16 b) {
  return (struct v16){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}
static inline struct v16 v16_rint(struct v16 x) {
  return (struct v16){_mm256_round_ps(x.lo, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                      _mm256_round_ps(x.hi, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline struct v16 v16_abs(struct v16 x) {
  __m256 bit = _mm256_set1_ps(-0.0f);
  return (struct v16){_mm256_andnot_ps(bit, x.lo), _mm256_andnot_ps(bit, x.hi)};
}
static inline struct v16 v16_copysign(struct v16 size, struct v16 sign) {
  __m256 bit = _mm256_set1_ps(-0.0f);
  return (struct v16){_mm256_or_ps(_mm256_andnot_ps(bit, size.lo), _mm256_and_ps(bit, sign.lo)),
                      _mm256_or_ps(_mm256_andnot_ps(bit, size.hi), _mm256_and_ps(bit, sign.hi))};
}
// The float whose bits are (bits of t << 23) + (bias << 23): 2^(n + bias - 127) for t = EXP2_MAGIC + n.
static inline struct v16 v16_pow2(struct v16 t, int bias) {
  __m256i one = _mm256_set1_epi32(bias * (1 << 23));
  __m256i lo = _mm256_slli_epi32(_mm256_castps_si256(t.lo), 23), hi = _mm256_slli_epi32(_mm256_castps_si256(t.hi), 23);
  return (struct v16){_mm256_castsi256_ps(_mm256_add_epi32(lo, one)), _mm256_castsi256_ps(_mm256_add_epi32(hi, one))};
}

static inline struct v16_mask v16_less(struct v16 a, struct v16 b) {
  return (struct v16_mask){_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
static inline struct v16 v16_first(struct v16 x, size_t n, struct v16 other) { // lanes from n on come from other
  return v16_pick(lanes_first(n), x, other);
}

// Lane i and lane i + half, 16 -> 8 -> 4 -> 2 -> 1.
static inline float v16_fold_add(struct v16 x) {
  __m256 x8 = _mm256_add_ps(x.lo, x.hi);
  __m128 x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  __m128 x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)));
}
static inline float v16_fold_max(struct v16 x) {
  __m256 x8 = _mm256_max_ps(x.lo, x.hi);
  __m128 x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  __m128 x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)));
}
static inline float v16_fold_min(struct v16 x) {
  __m256 x8 = _mm256_min_ps(x.lo, x.hi);
  __m128 x4 = _mm_min_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps(x8, 1));
  __m128 x2 = _mm_min_ps(x4, _mm_movehl_ps(x4, x4));
  return _mm_cvtss_f32(_mm_min_ss(x2, _mm_movehdup_ps(x2)));
}

// 16 integers, cut to [0, 255] by the packs' saturation; the pack of 32 bits works within 128-bit halves, which
// the permutation orders.
static inline void lanes_store_u8(uint8_t *q, __m256i lo, __m256i hi) {
  __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xd8); // 0 2 1 3
  __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128((__m128i *)q, bytes);
}
// Values are integers in [0, 255].
static inline void v16_store_u8(uint8_t *q, struct v16 x) {
  lanes_store_u8(q, _mm256_cvttps_epi32(x.lo), _mm256_cvttps_epi32(x.hi));
}
// x rounded half to even, plus zero, cut to [0, 255]; |x| + zero < 2^31.
static inline void v16_store_near_u8(uint8_t *q, struct v16 x, int32_t zero) {
  __m256i shift = _mm256_set1_epi32(zero);
  lanes_store_u8(q, _mm256_add_epi32(_mm256_cvtps_epi32(x.lo), shift),
                 _mm256_add_epi32(_mm256_cvtps_epi32(x.hi), shift));
}

// Rounded to f16, half to even, and widened again.
static inline struct v16 v16_round_f16(struct v16 x) {
  enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
  return (struct v16){_mm256_cvtph_ps(_mm256_cvtps_ph(x.lo, NEAREST)), _mm256_cvtph_ps(_mm256_cvtps_ph(x.hi, NEAREST))};
}
// 16 bytes, 0 or 255, as a mask; and a mask laid over such bytes.
static inline struct v16_mask v16_mask_load(const uint8_t *p) {
  __m256i lo = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
  __m256i hi = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 8)));
  return (struct v16_mask){_mm256_castsi256_ps(lo), _mm256_castsi256_ps(hi)};
}
static inline void v16_mask_or(uint8_t *p, struct v16_mask mask) {
  __m256i words = _mm256_packs_epi32(_mm256_castps_si256(mask.lo), _mm256_castps_si256(mask.hi));
  words = _mm256_permute4x64_epi64(words, 0xd8); // 0 2 1 3: packs works within 128-bit halves
  __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128((__m128i *)p, _mm_or_si128(bytes, _mm_loadu_si128((const __m128i *)p)));
}

static inline struct v16 v16_from_i16(const int16_t *p) {
  __m256i lo = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p));
  __m256i hi = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(p + 8)));
  return (struct v16){_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};
}

// (float)(sums - zero * wsum)
static inline struct v16 v16_less_product(const int32_t *sums, int32_t zero, const int32_t *wsum) {
  const __m256i z = _mm256_set1_epi32(zero);
  const __m256i *s = (const __m256i *)sums, *w = (const __m256i *)wsum;
  __m256i lo = _mm256_sub_epi32(_mm256_loadu_si256(s), _mm256_mullo_epi32(z, _mm256_loadu_si256(w)));
  __m256i hi = _mm256_sub_epi32(_mm256_loadu_si256(s + 1), _mm256_mullo_epi32(z, _mm256_loadu_si256(w + 1)));
  return (struct v16){_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};
}

#endif
