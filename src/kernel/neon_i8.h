// neon_i8.h - what the int8 products of the NEON tables share: the width of a panel and the last step.
#ifndef PARE_KERNEL_NEON_I8_H
#define PARE_KERNEL_NEON_I8_H

#include <arm_neon.h>
#include <math.h>

#include "kernel/isa.h"

enum { I8_NR = 16 };

// sums (mr, I8_NR) are sum_k (a - shift) w of rows m to m + mr - 1: takes what is left of the zero points out, scales,
// adds the bias, applies act. Columns past a whole vector go one by one, with the same operations.
static inline void neon_i8_finish(const struct gemm_i8 *g, size_t m, size_t mr, const int32_t *sums, int32_t shift) {
  for (size_t i = 0; i < mr; i++, sums += I8_NR) {
    float *c = g->c + (m + i) * g->ldc;
    const int32_t zero = g->azero[m + i] - shift;
    const float ascale = g->ascale[m + i];
    size_t n = 0;
    for (; n + 4 <= g->N; n += 4) {
      int32x4_t sum = vmlsq_n_s32(vld1q_s32(sums + n), vld1q_s32(g->wsum + n), zero);
      float32x4_t scale = vmulq_n_f32(vld1q_f32(g->wscale + n), ascale);
      float32x4_t bias = g->bias ? vld1q_f32(g->bias + n) : vdupq_n_f32(0.0f);
      vst1q_f32(c + n, vfmaq_f32(bias, vcvtq_f32_s32(sum), scale));
    }
    for (; n < g->N; n++) {
      float sum = (float)(sums[n] - zero * g->wsum[n]);
      c[n] = fmaf(sum, ascale * g->wscale[n], g->bias ? g->bias[n] : 0.0f);
    }
    neon_finish(c, g->N, NULL, g->act);
  }
}

#endif
