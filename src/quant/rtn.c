// rtn.c - method "rtn": each value rounded to the nearest the encoding can hold, the scale set by the largest magnitude
// it covers.
//   int8, int16   scale = max |w| of the output channel / 127 (32767), q = round(w / scale), half to even
//   int8-tensor   the same with one scale for the tensor
//   int8-static   as int8; the range of its input is calibrate.c's to fill in
//   int4          scale = max |w| of the group of 128 / 7.5, q = round(w / scale clamped to [-8, 7]), half to even:
//                 compressed-tensors' bytes
//   llm-int8      w rounded to f16 first, q = round(w * ((1 / max |w|) * 127)): bitsandbytes' bytes
//   nf4, nf4-dq   bitsandbytes' blockwise NF4: magnitude of each 64 weights, code = bounds below w / magnitude (a tie
//   takes the
//                 lower code); in a full block w is multiplied by the rounded reciprocal, in a short last block
//                 divided, as there
// Bytes equal the reference's for nf4; the double-quantized magnitudes too, up to the last bit of their mean (the order
// of PyTorch's sum is its own).
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "quant/scheme.h"

static float row_max(const float *x, size_t n) {
  float m = 0;
  for (size_t i = 0; i < n; i++) m = fabsf(x[i]) > m || isnan(x[i]) ? fabsf(x[i]) : m;
  return m;
}

static enum pare_status check_finite(const char *name, float m, struct pare_error *err) {
  if (isfinite(m)) return PARE_OK;
  return error_set(err, PARE_DATA, "tensor %s: holds a value that is not a number, or infinite: it cannot be quantized",
                   name);
}

static float rounded(float x, float scale, float limit) {
  float q = rintf(x / scale);
  return q > limit ? limit : q < -limit ? -limit : q;
}

static void put_integers(const struct stored *out, size_t n, const float *row, float scale) {
  uint8_t *q = (uint8_t *)out->owned;
  for (size_t i = 0; i < out->K; i++) {
    size_t at = n * out->K + i;
    if (out->encoding == &encoding_int16) {
      int16_t v = (int16_t)rounded(row[i], scale, 32767);
      memcpy(q + 2 * at, &v, 2);
    } else {
      q[at] = (uint8_t)(int8_t)rounded(row[i], scale, 127);
    }
  }
}

// Parts of a fresh stored weight are ours to write.
static float *part_floats(const struct stored *s, size_t part) {
  return (float *)(uintptr_t)s->parts[part].data;
}

static enum pare_status integers(const struct kernels *k, const struct stored *source, const char *name, float *row,
                                 struct stored *out, struct pare_error *err) {
  float limit = out->encoding == &encoding_int16 ? 32767.0f : 127.0f, *scale = part_floats(out, 1), all = 0;
  bool one = out->encoding == &encoding_int8_tensor;
  for (size_t n = 0; n < source->N; n++) {
    stored_row(k, source, n, row);
    float m = row_max(row, source->K);
    enum pare_status s = check_finite(name, m, err);
    if (s) return s;
    all = m > all ? m : all;
    float row_scale = m / limit;
    if (!one) scale[n] = row_scale > 0 ? row_scale : 1.0f; // a row of zeros, or of numbers too small to divide
  }
  if (one) scale[0] = all / limit > 0 ? all / limit : 1.0f;
  for (size_t n = 0; n < source->N; n++) {
    stored_row(k, source, n, row);
    put_integers(out, n, row, scale[one ? 0 : n]);
  }
  return PARE_OK;
}

// Values in f16 as bitsandbytes takes them: each row's magnitude, and codes by the reciprocal's product.
static enum pare_status llm_int8(const struct kernels *k, const struct stored *source, const char *name, float *row,
                                 struct stored *out, struct pare_error *err) {
  float *magnitude = part_floats(out, 1);
  for (size_t n = 0; n < source->N; n++) {
    int8_t *q = (int8_t *)out->owned + n * out->K;
    stored_row(k, source, n, row);
    for (size_t i = 0; i < out->K; i++) row[i] = f16_to_f32(f16_from_f32(row[i]));
    magnitude[n] = row_max(row, out->K);
    if (!isfinite(magnitude[n]))
      return error_set(err, PARE_DATA, "tensor %s: row %zu holds a value that f16 cannot hold", name, n);
    float inverse = 1.0f / magnitude[n] * 127.0f; // in this order
    for (size_t i = 0; i < out->K; i++) q[i] = magnitude[n] > 0 ? (int8_t)rintf(row[i] * inverse) : 0;
  }
  return PARE_OK;
}

static const float INT4_EMPTY_SCALE = 0x1p-23f; // of the reference: of a group of zeros

static enum pare_status int4(const struct kernels *k, const struct stored *source, const char *name, float *row,
                             struct stored *out, struct pare_error *err) {
  size_t K = out->K, groups = out->parts[1].shape[1], word_bytes = out->parts[0].shape[1] * 4;
  float *scale = part_floats(out, 1);
  int64_t shape[2] = {(int64_t)out->N, (int64_t)K};
  memcpy((void *)(uintptr_t)out->parts[2].data, shape, sizeof shape);
  for (size_t n = 0; n < out->N; n++) {
    uint8_t *codes = (uint8_t *)out->owned + n * word_bytes;
    stored_row(k, source, n, row);
    for (size_t i = 0; i < K; i++) {
      float *s = &scale[n * groups + i / I4_GROUP];
      if (i % I4_GROUP == 0) {
        float m = row_max(row + i, size_min(I4_GROUP, K - i));
        enum pare_status status = check_finite(name, m, err);
        if (status) return status;
        *s = m / 7.5f > 0 ? m / 7.5f : INT4_EMPTY_SCALE;
      }
      float v = row[i] / *s; // +-7.5 at most, but for what rounding a subnormal scale does
      codes[i / 2] |= (uint8_t)((int)rintf(v < -8 ? -8 : v > 7 ? 7 : v) + 8) << i % 2 * 4;
    }
  }
  return PARE_OK;
}

static uint8_t nf4_code(float x) {
  uint8_t code = 0;
  for (int i = 0; i < 15; i++) code += (nf4_codebook[i] + nf4_codebook[i + 1]) / 2.0f < x;
  return code;
}

static const float SMALLEST_DIVISOR = 1e-38f; // of the reference: blocks below it are scaled by its reciprocal

static float nf4_block(const float *x, size_t n, size_t base, uint8_t *codes) {
  float m = row_max(x, n), divisor = m > SMALLEST_DIVISOR ? m : SMALLEST_DIVISOR, inverse = 1.0f / divisor;
  for (size_t i = 0; i < n; i++) {
    float v = n == NF4_BLOCK ? x[i] * inverse : x[i] / divisor;
    v = v < -1 ? -1 : v > 1 ? 1 : v;
    size_t at = base + i;
    codes[at / 2] |= (uint8_t)(nf4_code(v) << (at % 2 ? 0 : 4));
  }
  return n == NF4_BLOCK ? m : divisor;
}

// The reference looks codes up in 65,536 steps of [-1, 1] rather than comparing: same rounding here.
static uint8_t nested_code(const float map[256], float v) {
  uint16_t step = (uint16_t)((v + 1.0f) * 0.5f * 65535.0f + 0.5f);
  float x = -1.0f + (2.0f * (float)step) / 65535.0f;
  size_t lo = 0, hi = 255; // number of midpoints below x
  while (lo < hi) {
    size_t mid = (lo + hi) / 2;
    if (0.5f * (map[mid] + map[mid + 1]) < x) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return (uint8_t)lo;
}

static void double_quantize(const float *absmax, size_t blocks, struct stored *out) {
  float *nested = part_floats(out, 3), *map = part_floats(out, 4);
  uint8_t *codes = (uint8_t *)(uintptr_t)out->parts[1].data;
  double sum = 0;
  for (size_t b = 0; b < blocks; b++) sum += (double)absmax[b];
  out->nested_offset = (float)(sum / (double)blocks);
  nf4_nested_map(map);
  for (size_t b0 = 0; b0 < blocks; b0 += NF4_NESTED_BLOCK) {
    size_t n = size_min(NF4_NESTED_BLOCK, blocks - b0);
    float m = 0;
    for (size_t i = 0; i < n; i++) m = fmaxf(m, fabsf(absmax[b0 + i] - out->nested_offset));
    nested[b0 / NF4_NESTED_BLOCK] = m;
    float inverse = 1.0f / m; // infinite where the magnitudes are all (nearly) the mean
    for (size_t i = 0; i < n; i++) {
      float v = isfinite(inverse) ? (absmax[b0 + i] - out->nested_offset) * inverse : 0;
      codes[b0 + i] = m > 0 ? nested_code(map, v < -1 ? -1 : v > 1 ? 1 : v) : 0;
    }
  }
}

static enum pare_status nf4(const struct kernels *k, const struct stored *source, const char *name, struct stored *out,
                            struct pare_error *err) {
  size_t N = source->N, K = source->K, total = N * K, blocks = size_ceil_div(total, NF4_BLOCK);
  float *flat = malloc(total * sizeof(float)), *absmax = malloc(blocks * sizeof(float));
  enum pare_status s = flat && absmax ? PARE_OK : error_no_memory(err);
  for (size_t n = 0; !s && n < N; n++) {
    stored_row(k, source, n, flat + n * K);
    s = check_finite(name, row_max(flat + n * K, K), err);
  }
  if (!s) {
    for (size_t b = 0; b < blocks; b++)
      absmax[b] =
          nf4_block(flat + b * NF4_BLOCK, size_min(NF4_BLOCK, total - b * NF4_BLOCK), b * NF4_BLOCK, out->owned);
    if (total % 2) ((uint8_t *)out->owned)[total / 2] |= 7; // the nibble past the end holds the code of 0
    memcpy(part_floats(out, 2), nf4_codebook, sizeof nf4_codebook);
    if (out->encoding == &encoding_nf4) {
      memcpy(part_floats(out, 1), absmax, blocks * sizeof(float));
    } else {
      double_quantize(absmax, blocks, out);
    }
  }
  free(flat);
  free(absmax);
  return s;
}

static enum pare_status quantize(const struct kernels *k, const struct stored *source, const struct encoding *e,
                                 const char *name, struct stored *out, struct pare_error *err) {
  enum pare_status s = stored_new(e, source->N, source->K, out, err);
  if (s) return s;
  if (e == &encoding_nf4 || e == &encoding_nf4_dq) return nf4(k, source, name, out, err);
  float *row = malloc(source->K * sizeof(float));
  if (!row) return error_no_memory(err);
  s = (e == &encoding_llm_int8 ? llm_int8 : e == &encoding_int4 ? int4 : integers)(k, source, name, row, out, err);
  free(row);
  return s;
}

const struct method method_rtn = {.name = "rtn", .quantize = quantize};
