// half.c - 16-bit floats, one value at a time (kernels widen as they multiply). IEEE 754-2019 binary16, and bfloat16.
#include <string.h>

#include "pack/pack.h"

static uint32_t bits_of(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}

static float of_bits(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

uint16_t bf16_from_f32(float x) {
  uint32_t u = bits_of(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u); // NaN stays NaN
  return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

float bf16_to_f32(uint16_t h) {
  return of_bits((uint32_t)h << 16);
}

uint16_t f16_from_f32(float x) {
  uint32_t u = bits_of(x), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  if (a > 0x7f800000u) return (uint16_t)(sign | 0x7e00u);
  if (a >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); // from 65520 on, rounds to infinity
  if (a < 0x38800000u) {
    // Subnormal half: adding 0.5 puts the unit of 2^-24 at the last mantissa bit, so the FPU's own rounding does the
    // work.
    uint32_t r = bits_of(of_bits(a) + 0.5f) - 0x3f000000u;
    return (uint16_t)(sign | r);
  }
  uint32_t odd = (a >> 13) & 1u;
  return (uint16_t)(sign | ((a + 0xfffu + odd - 0x38000000u) >> 13));
}

float f16_to_f32(uint16_t h) {
  uint32_t sign = (uint32_t)(h & 0x8000u) << 16, e = (h >> 10) & 31u, m = h & 0x3ffu;
  if (e == 31) return of_bits(sign | 0x7f800000u | (m << 13));
  if (e) return of_bits(sign | ((e + 112u) << 23) | (m << 13));
  float v = (float)m * 0x1p-24f;
  return sign ? -v : v;
}
