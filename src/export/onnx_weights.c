// onnx_weights.c - stored weights as ONNX constants and the nodes that multiply by them; see onnx_build.h.
//
//   f32          MatMul
//   f16, bf16    Cast to f32, then MatMul: the file keeps 16 bits, the arithmetic is pare's
//   int8, int8-tensor
//     default    DynamicQuantizeLinear (one scale for the whole input) -> MatMulInteger -> Cast -> Mul by both scales
//     per token  q = clip(round(x / s) + z) with s, z of each token, in plain operators; MatMulInteger; minus z times
//                the column sums of the weights (int32, exact); Cast; Mul by both scales
//
// By default 8-bit weights are signed, zero point 0, as onnxruntime's own quantizer writes them: its fastest product,
// but one that saturates on x86 without VNNI unless the session asks otherwise. Per token, where the point is to have
// pare's answers, they are unsigned, q + 128 with zero point 128: the same values, and onnxruntime multiplies unsigned
// by unsigned exactly on every CPU.
#include <float.h>
#include <stdio.h>
#include <string.h>

#include "export/onnx_build.h"

enum { UNSIGNED_ZERO = 128 };

// A row's index in the table, or row_count with the failure set.
static size_t find_row(struct onnx_build *b, const char *row) {
  const struct arch *arch = b->q->m->arch;
  size_t i = 0;
  while (i < arch->row_count && strcmp(arch->rows[i].name, row) != 0) i++;
  if (i == arch->row_count && !b->status)
    b->status = error_set(b->err, PARE_BUG, "format onnx: %s has no row %s", arch->name, row);
  return i;
}

struct source {
  const char *name; // of the tensor in the file it was read from
  const struct stored *stored;
};

static bool find_at(struct onnx_build *b, size_t index, size_t layer, struct source *out) {
  const pare_model *m = b->q->m;
  if (index >= m->arch->row_count) return false;
  const struct weight *w =
      m->arch->rows[index].per_layer ? weight_in(&m->weights, layer, index) : weight_at(&m->weights, index);
  for (size_t i = 0; i < b->q->plan->count; i++) {
    if (b->q->plan->items[i].weight != w) continue;
    *out = (struct source){w->name, &b->q->results[i].stored};
    return true;
  }
  return false;
}

static bool find(struct onnx_build *b, const char *row, size_t layer, struct source *out) {
  if (find_at(b, find_row(b, row), layer, out)) return true;
  if (!b->status) b->status = error_set(b->err, PARE_BUG, "format onnx: %s is not in the model", row);
  return false;
}

static const char *suffixed(struct onnx_build *b, const char *name, const char *suffix) {
  size_t size = strlen(name) + strlen(suffix) + 1;
  char *full = onnx_take(b->g, size);
  if (full) snprintf(full, size, "%s%s", name, suffix);
  return full ? full : "";
}

static bool is_int8(const struct stored *s) {
  return s->encoding == &encoding_int8 || s->encoding == &encoding_int8_tensor;
}

static enum onnx_type type_of(const struct onnx_build *b, const struct stored *s) {
  if (is_int8(s)) return b->type8;
  return s->encoding == &encoding_f32 ? ONNX_F32 : s->encoding == &encoding_f16 ? ONNX_F16 : ONNX_BF16;
}

const char *onnx_cast(struct onnx_build *b, const char *x, enum onnx_type type) {
  const char *y = onnx_1(b->g, "Cast", x);
  onnx_set_int(b->g, "to", type);
  return y;
}

// ---- constants ----

// A norm or bias: f32, whatever the file holds.
static const char *vector(struct onnx_build *b, const struct source *w) {
  size_t bytes = w->stored->K * sizeof(float);
  float *x = onnx_take(b->g, bytes);
  if (!x) return NULL;
  stored_row(b->q->m->kernels, w->stored, 0, x);
  return onnx_initializer(b->g, &(struct onnx_tensor){w->name, ONNX_F32, 1, {w->stored->K}, x, bytes});
}

// The values as (N, K), or as (K, N) when `turned`.
static const char *values(struct onnx_build *b, const struct source *w, bool turned) {
  const struct stored *s = w->stored;
  const struct part *p = &s->parts[0];
  size_t size = part_type_bytes(p->type), bytes = s->N * s->K * size;
  struct onnx_tensor t = {.name = is_int8(s) ? suffixed(b, w->name, "_quantized") : w->name,
                          .type = type_of(b, s),
                          .rank = 2,
                          .shape = {turned ? s->K : s->N, turned ? s->N : s->K},
                          .data = p->data,
                          .bytes = bytes};
  uint8_t flip = t.type == ONNX_U8 ? UNSIGNED_ZERO : 0; // two's complement plus 128
  if (turned == s->transposed && !flip) return onnx_initializer(b->g, &t);
  uint8_t *out = onnx_take(b->g, bytes);
  const uint8_t *in = p->data;
  for (size_t n = 0; out && n < s->N; n++) {
    for (size_t k = 0; k < s->K; k++) {
      const uint8_t *from = in + size * (s->transposed ? k * s->N + n : n * s->K + k);
      uint8_t *to = out + size * (turned ? k * s->N + n : n * s->K + k);
      memcpy(to, from, size);
      *to ^= flip;
    }
  }
  t.data = out;
  return onnx_initializer(b->g, &t);
}

// Scales of an 8-bit weight: (N, 1) beside an embedding, (N) beside a linear weight, a scalar for one per tensor.
static const char *scales(struct onnx_build *b, const struct source *w, bool column) {
  const struct stored *s = w->stored;
  bool one = s->encoding == &encoding_int8_tensor;
  struct onnx_tensor t = {.name = suffixed(b, w->name, "_scale"),
                          .type = ONNX_F32,
                          .rank = one      ? 0
                                  : column ? 2
                                           : 1,
                          .shape = {s->N, 1},
                          .data = s->parts[1].data,
                          .bytes = one ? 4 : 4 * s->N};
  return onnx_initializer(b->g, &t);
}

static const char *zero_point(struct onnx_build *b) {
  static const uint8_t zeros[] = {0, UNSIGNED_ZERO};
  const uint8_t *zero = &zeros[b->type8 == ONNX_U8];
  return onnx_initializer(b->g, &(struct onnx_tensor){"weight_zero_point", b->type8, 0, {0}, zero, 1});
}

// Sum of each output's weights, as the activations' zero point multiplies it. |sum| <= 127 * 65536 < 2^31.
static const char *column_sums(struct onnx_build *b, const struct source *w) {
  const struct stored *s = w->stored;
  const int8_t *q = s->parts[0].data;
  int32_t *sum = onnx_take(b->g, s->N * sizeof *sum);
  for (size_t n = 0; sum && n < s->N; n++)
    for (size_t k = 0; k < s->K; k++) sum[n] += q[n * s->K + k];
  return onnx_initializer(
      b->g, &(struct onnx_tensor){suffixed(b, w->name, "_sum"), ONNX_I32, 1, {s->N}, sum, s->N * sizeof *sum});
}

// ---- products ----

// The formula of pare's own activations (docs/schemes/int8.md), token by token: over the last axis.
static void quantize_tokens(struct onnx_build *b, const char *x) {
  static const int64_t last[] = {-1};
  struct onnx_graph *g = b->g;
  const char *zero = onnx_f32(g, 0), *most = onnx_f32(g, 255), *one = onnx_f32(g, 1);
  const char *high = onnx_1(g, "ReduceMax", x);
  onnx_set_ints(g, "axes", last, 1);
  const char *low = onnx_1(g, "ReduceMin", x);
  onnx_set_ints(g, "axes", last, 1);
  high = onnx_2(g, "Max", high, zero);
  low = onnx_2(g, "Min", low, zero);
  const char *s = onnx_2(g, "Div", onnx_2(g, "Sub", high, low), most);
  s = onnx_3(g, "Where", onnx_2(g, "Less", s, onnx_f32(g, FLT_MIN)), one, s); // a token of zeros
  const char *z = onnx_1(g, "Round", onnx_2(g, "Div", onnx_1(g, "Neg", low), s));
  const char *steps = onnx_1(g, "Round", onnx_2(g, "Mul", x, onnx_2(g, "Div", one, s)));
  b->u8 = onnx_cast(b, onnx_3(g, "Clip", onnx_2(g, "Add", steps, z), zero, most), ONNX_U8);
  b->scale = s;
  b->zero = onnx_cast(b, z, ONNX_I32);
}

static void quantize_input(struct onnx_build *b, const char *x) {
  if (x == b->quantized) return;
  b->quantized = x;
  if (b->per_token) {
    quantize_tokens(b, x);
    return;
  }
  b->u8 = onnx_node(b->g, "DynamicQuantizeLinear", 1, &x, 3);
  b->scale = onnx_result(b->g, 1);
  b->zero = onnx_result(b->g, 2);
}

// matrix: 8 bits (K, N); scale broadcasts over N.
static const char *integer_product(struct onnx_build *b, const struct source *w, const char *matrix, const char *scale,
                                   const char *x) {
  struct onnx_graph *g = b->g;
  quantize_input(b, x);
  const char *const inputs[] = {b->u8, matrix, b->per_token ? "" : b->zero, zero_point(b)};
  const char *sum = onnx_node(g, "MatMulInteger", 4, inputs, 1);
  if (b->per_token) sum = onnx_2(g, "Sub", sum, onnx_2(g, "Mul", b->zero, column_sums(b, w)));
  sum = onnx_cast(b, sum, ONNX_F32);
  return onnx_2(g, "Mul", sum, onnx_2(g, "Mul", b->scale, scale));
}

static const char *product(struct onnx_build *b, const struct source *w, const char *x) {
  const char *matrix = values(b, w, true);
  if (is_int8(w->stored)) return integer_product(b, w, matrix, scales(b, w, false), x);
  if (type_of(b, w->stored) != ONNX_F32) matrix = onnx_cast(b, matrix, ONNX_F32);
  return onnx_2(b->g, "MatMul", x, matrix);
}

static const char *activation(struct onnx_build *b, const char *x, enum act act) {
  struct onnx_graph *g = b->g;
  switch (act) {
    case ACT_NONE: return x;
    case ACT_RELU: return onnx_1(g, "Relu", x);
    case ACT_TANH: return onnx_1(g, "Tanh", x);
    case ACT_SILU: return onnx_2(g, "Mul", x, onnx_1(g, "Sigmoid", x));
    case ACT_QUICK_GELU: return onnx_2(g, "Mul", x, onnx_1(g, "Sigmoid", onnx_2(g, "Mul", x, onnx_f32(g, 1.702f))));
    case ACT_GELU: { // x (1 + erf(x / sqrt 2)) / 2
      const char *e = onnx_1(g, "Erf", onnx_2(g, "Div", x, onnx_f32(g, 1.41421356f)));
      return onnx_2(g, "Mul", onnx_2(g, "Mul", x, onnx_2(g, "Add", e, onnx_f32(g, 1))), onnx_f32(g, 0.5f));
    }
    case ACT_GELU_TANH: { // x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
      const char *cube = onnx_2(g, "Mul", onnx_2(g, "Mul", x, x), x);
      const char *inner = onnx_2(g, "Add", x, onnx_2(g, "Mul", cube, onnx_f32(g, 0.044715f)));
      const char *t = onnx_1(g, "Tanh", onnx_2(g, "Mul", inner, onnx_f32(g, 0.797884561f)));
      return onnx_2(g, "Mul", onnx_2(g, "Mul", x, onnx_2(g, "Add", t, onnx_f32(g, 1))), onnx_f32(g, 0.5f));
    }
  }
  return x;
}

const char *onnx_linear(struct onnx_build *b, const char *row, size_t layer, const char *x, enum act act) {
  struct source w, bias;
  if (!find(b, row, layer, &w)) return NULL;
  size_t next = find_row(b, row) + 1;
  const char *y = product(b, &w, x);
  bool has_bias = next < b->q->m->arch->row_count && b->q->m->arch->rows[next].role == ROLE_BIAS;
  if (has_bias && find_at(b, next, layer, &bias)) y = onnx_2(b->g, "Add", y, vector(b, &bias));
  return activation(b, y, act);
}

const char *onnx_tied_output(struct onnx_build *b, const char *row, const char *x) {
  static const int64_t swap[] = {1, 0}, flat[] = {-1};
  struct source w;
  if (!find(b, row, ONNX_NO_LAYER, &w)) return NULL;
  const char *matrix = onnx_1(b->g, "Transpose", values(b, &w, false));
  onnx_set_ints(b->g, "perm", swap, 2);
  if (is_int8(w.stored)) {
    const char *scale = scales(b, &w, true);
    if (w.stored->encoding == &encoding_int8) scale = onnx_2(b->g, "Reshape", scale, onnx_i64s(b->g, flat, 1));
    return integer_product(b, &w, matrix, scale, x);
  }
  if (type_of(b, w.stored) != ONNX_F32) matrix = onnx_cast(b, matrix, ONNX_F32);
  return onnx_2(b->g, "MatMul", x, matrix);
}

const char *onnx_embedding(struct onnx_build *b, const char *row, const char *ids) {
  struct source w;
  if (!find(b, row, ONNX_NO_LAYER, &w)) return NULL;
  const char *x = onnx_2(b->g, "Gather", values(b, &w, false), ids);
  if (type_of(b, w.stored) == ONNX_F32) return x;
  if (!is_int8(w.stored)) return onnx_cast(b, x, ONNX_F32);
  const char *scale = scales(b, &w, true);
  if (w.stored->encoding == &encoding_int8_tensor) return onnx_3(b->g, "DequantizeLinear", x, scale, zero_point(b));
  x = onnx_3(b->g, "DequantizeLinear", x, onnx_f32(b->g, 1), zero_point(b));
  return onnx_2(b->g, "Mul", x, onnx_2(b->g, "Gather", scale, ids));
}

const char *onnx_norm(struct onnx_build *b, const char *row, size_t layer, const char *x) {
  struct source gamma, beta = {0};
  if (!find(b, row, layer, &gamma) || !find_at(b, find_row(b, row) + 1, layer, &beta)) return NULL;
  const char *y = onnx_3(b->g, "LayerNormalization", x, vector(b, &gamma), vector(b, &beta));
  onnx_set_int(b->g, "axis", -1);
  onnx_set_float(b->g, "epsilon", b->q->m->config.eps);
  return y;
}
