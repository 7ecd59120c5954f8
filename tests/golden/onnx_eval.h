// onnx_eval.h - a small ONNX interpreter, for tests only: it computes an exported graph by the text of the operators'
// specification, every value in double, so that what a graph means is checked where onnxruntime is not installed.
#ifndef PARE_TESTS_ONNX_EVAL_H
#define PARE_TESTS_ONNX_EVAL_H

#include "golden.h"

#include <math.h>
#include <onnx.pb-c.h>

#include "export/onnx_graph.h"

enum { EVAL_RANK = 6, EVAL_MAX = 4000 };

struct value {
  const char *name;
  size_t rank, dims[EVAL_RANK], count;
  double *x; // owned
};

struct eval {
  const Onnx__GraphProto *g;
  struct value values[EVAL_MAX];
  size_t count;
};

static inline struct value *eval_find(struct eval *e, const char *name) {
  for (size_t i = e->count; i-- > 0;)
    if (!strcmp(e->values[i].name, name)) return &e->values[i];
  fail_msg("no value %s", name);
  return NULL;
}

static inline struct value *eval_new(struct eval *e, const char *name, size_t rank, const size_t *dims) {
  assert_true(e->count < EVAL_MAX && rank <= EVAL_RANK);
  struct value *v = &e->values[e->count++];
  *v = (struct value){.name = name, .rank = rank, .count = 1};
  for (size_t i = 0; i < rank; i++) v->count *= v->dims[i] = dims[i];
  v->x = calloc(v->count + 1, sizeof *v->x);
  return v;
}

static inline void eval_close(struct eval *e) {
  for (size_t i = 0; i < e->count; i++) free(e->values[i].x);
  e->count = 0;
}

static inline void eval_initializer(struct eval *e, const Onnx__TensorProto *t) {
  size_t dims[EVAL_RANK];
  for (size_t i = 0; i < t->n_dims; i++) dims[i] = (size_t)t->dims[i];
  struct value *v = eval_new(e, t->name, t->n_dims, dims);
  const uint8_t *p = t->raw_data.data;
  for (size_t i = 0; i < v->count; i++) {
    float f;
    uint16_t h;
    int32_t w;
    int64_t l;
    switch (t->data_type) {
      case ONNX_F32: memcpy(&f, p + 4 * i, 4), v->x[i] = (double)f; break;
      case ONNX_F16: memcpy(&h, p + 2 * i, 2), v->x[i] = (double)f16_to_f32(h); break;
      case ONNX_BF16: memcpy(&h, p + 2 * i, 2), v->x[i] = (double)bf16_to_f32(h); break;
      case ONNX_I32: memcpy(&w, p + 4 * i, 4), v->x[i] = w; break;
      case ONNX_I64: memcpy(&l, p + 8 * i, 8), v->x[i] = (double)l; break;
      case ONNX_I8: v->x[i] = (int8_t)p[i]; break;
      case ONNX_U8: v->x[i] = p[i]; break;
      default: fail_msg("initializer of type %d", t->data_type);
    }
  }
}

// One node: its inputs, and attributes by name.
struct op {
  struct eval *e;
  const Onnx__NodeProto *node;
};

static inline const struct value *op_in(const struct op *o, size_t i) {
  return eval_find(o->e, o->node->input[i]);
}
static inline bool op_has(const struct op *o, size_t i) {
  return i < o->node->n_input && *o->node->input[i];
}
static inline const Onnx__AttributeProto *op_attribute(const struct op *o, const char *name) {
  for (size_t i = 0; i < o->node->n_attribute; i++)
    if (!strcmp(o->node->attribute[i]->name, name)) return o->node->attribute[i];
  return NULL;
}
static inline int64_t op_int(const struct op *o, const char *name, int64_t fallback) {
  const Onnx__AttributeProto *a = op_attribute(o, name);
  return a ? a->i : fallback;
}
static inline struct value *op_out(const struct op *o, size_t rank, const size_t *dims) {
  return eval_new(o->e, o->node->output[0], rank, dims);
}

// ---- elementwise, with broadcasting ----

static inline double unary(const char *op, double a) {
  if (!strcmp(op, "Relu")) return a > 0 ? a : 0;
  if (!strcmp(op, "Tanh")) return tanh(a);
  if (!strcmp(op, "Erf")) return erf(a);
  if (!strcmp(op, "Sigmoid")) return 1 / (1 + exp(-a));
  if (!strcmp(op, "Round")) return nearbyint(a);
  if (!strcmp(op, "Neg")) return -a;
  if (!strcmp(op, "Not")) return a == 0;
  return NAN;
}

static inline double combine(const char *op, double a, double b, double c) {
  if (!strcmp(op, "Add")) return a + b;
  if (!strcmp(op, "Sub")) return a - b;
  if (!strcmp(op, "Mul")) return a * b;
  if (!strcmp(op, "Div")) return a / b;
  if (!strcmp(op, "Max")) return fmax(a, b);
  if (!strcmp(op, "Min")) return fmin(a, b);
  if (!strcmp(op, "Less")) return a < b;
  if (!strcmp(op, "LessOrEqual")) return a <= b;
  if (!strcmp(op, "Equal")) return a == b;
  if (!strcmp(op, "And")) return a != 0 && b != 0;
  if (!strcmp(op, "Where")) return a != 0 ? b : c;
  if (!strcmp(op, "Clip")) return fmin(fmax(a, b), c);
  if (!strcmp(op, "DequantizeLinear")) return (a - c) * b;
  return NAN;
}

// Index into v of output element `at`.
static inline size_t broadcast_at(const struct value *v, const struct value *out, size_t at) {
  size_t index = 0, step = 1;
  for (size_t i = 0; i < out->rank; i++) {
    size_t d = out->dims[out->rank - 1 - i], k = at % d;
    at /= d;
    if (i >= v->rank) continue;
    size_t own = v->dims[v->rank - 1 - i];
    index += step * (own == 1 ? 0 : k);
    step *= own;
  }
  return index;
}

static inline void run_elementwise(const struct op *o) {
  size_t n = o->node->n_input, dims[EVAL_RANK], rank = 0;
  struct value in[3];
  for (size_t i = 0; i < n; i++) in[i] = *op_in(o, i), rank = in[i].rank > rank ? in[i].rank : rank;
  for (size_t d = 0; d < rank; d++) dims[d] = 1;
  for (size_t i = 0; i < n; i++) {
    for (size_t d = 0; d < in[i].rank; d++) {
      size_t *to = &dims[rank - in[i].rank + d];
      assert_true(*to == 1 || in[i].dims[d] == 1 || *to == in[i].dims[d]);
      if (in[i].dims[d] != 1) *to = in[i].dims[d];
    }
  }
  struct value *out = op_out(o, rank, dims);
  for (size_t at = 0; at < out->count; at++) {
    double x[3] = {0};
    for (size_t i = 0; i < n; i++) x[i] = in[i].x[broadcast_at(&in[i], out, at)];
    out->x[at] = n == 1 ? unary(o->node->op_type, x[0]) : combine(o->node->op_type, x[0], x[1], x[2]);
    if (isnan(out->x[at])) fail_msg("%s: not computed, or no number", o->node->name);
  }
}

// ---- shapes ----

static inline void run_reshape(const struct op *o) {
  struct value in = *op_in(o, 0);
  const struct value *shape = op_in(o, 1);
  size_t dims[EVAL_RANK], rank = shape->count, known = 1, open = EVAL_RANK;
  for (size_t i = 0; i < rank; i++) {
    dims[i] = shape->x[i] == 0 ? in.dims[i] : (size_t)fmax(shape->x[i], 1);
    if (shape->x[i] < 0) open = i;
    known *= dims[i];
  }
  if (open < EVAL_RANK) dims[open] = in.count / known;
  struct value *out = op_out(o, rank, dims);
  assert_int_equal(out->count, in.count);
  memcpy(out->x, in.x, in.count * sizeof *in.x);
}

static inline void run_transpose(const struct op *o) {
  struct value in = *op_in(o, 0);
  const Onnx__AttributeProto *perm = op_attribute(o, "perm");
  size_t dims[EVAL_RANK], step[EVAL_RANK], all = 1;
  assert_int_equal(perm->n_ints, in.rank);
  for (size_t i = in.rank; i-- > 0; all *= in.dims[i]) step[i] = all;
  for (size_t i = 0; i < in.rank; i++) dims[i] = in.dims[perm->ints[i]];
  struct value *out = op_out(o, in.rank, dims);
  for (size_t at = 0; at < out->count; at++) {
    size_t rest = at, from = 0;
    for (size_t i = in.rank; i-- > 0; rest /= dims[i]) from += rest % dims[i] * step[perm->ints[i]];
    out->x[at] = in.x[from];
  }
}

static inline void run_unsqueeze(const struct op *o) {
  struct value in = *op_in(o, 0);
  const struct value *axes = op_in(o, 1);
  size_t dims[EVAL_RANK], rank = in.rank + axes->count, from = 0;
  for (size_t i = 0; i < rank; i++) {
    bool added = false;
    for (size_t a = 0; a < axes->count; a++) added |= axes->x[a] == (double)i;
    dims[i] = added ? 1 : in.dims[from++];
  }
  memcpy(op_out(o, rank, dims)->x, in.x, in.count * sizeof *in.x);
}

// Rows along an axis; ids of any rank.
static inline void run_gather(const struct op *o) {
  const struct value *in = op_in(o, 0), *ids = op_in(o, 1);
  size_t axis = (size_t)op_int(o, "axis", 0), dims[EVAL_RANK], rank = 0, outer = 1, inner = 1;
  for (size_t i = 0; i < axis; i++) outer *= dims[rank++] = in->dims[i];
  for (size_t i = 0; i < ids->rank; i++) dims[rank++] = ids->dims[i];
  for (size_t i = axis + 1; i < in->rank; i++) inner *= dims[rank++] = in->dims[i];
  struct value *out = op_out(o, rank, dims);
  for (size_t b = 0; b < outer; b++) {
    for (size_t i = 0; i < ids->count; i++) {
      assert_true(ids->x[i] >= 0 && ids->x[i] < (double)in->dims[axis]);
      size_t row = b * in->dims[axis] + (size_t)ids->x[i];
      memcpy(out->x + (b * ids->count + i) * inner, in->x + row * inner, inner * sizeof *in->x);
    }
  }
}

static inline void run_gather_nd(const struct op *o) { // (B, T, C), (B, 1), batch_dims 1 -> (B, C)
  struct value in = *op_in(o, 0), at = *op_in(o, 1);
  assert_int_equal(op_int(o, "batch_dims", 0), 1);
  assert_true(in.rank == 3 && at.rank == 2 && at.dims[1] == 1);
  struct value *out = op_out(o, 2, (size_t[]){in.dims[0], in.dims[2]});
  for (size_t b = 0; b < in.dims[0]; b++)
    memcpy(out->x + b * in.dims[2], in.x + (b * in.dims[1] + (size_t)at.x[b]) * in.dims[2], in.dims[2] * sizeof *in.x);
}

static inline void run_split(const struct op *o) { // along the last axis
  struct value in = *op_in(o, 0), widths = *op_in(o, 1);
  size_t K = in.dims[in.rank - 1], begin = 0;
  assert_int_equal(op_int(o, "axis", 0), -1);
  for (size_t part = 0; part < widths.count; part++) {
    size_t dims[EVAL_RANK], width = (size_t)widths.x[part];
    memcpy(dims, in.dims, sizeof dims);
    dims[in.rank - 1] = width;
    struct value *out = eval_new(o->e, o->node->output[part], in.rank, dims);
    for (size_t r = 0; r < in.count / K; r++) memcpy(out->x + r * width, in.x + r * K + begin, width * sizeof *in.x);
    begin += width;
  }
  assert_int_equal(begin, K);
}

// ---- sums ----

// (..., M, K) x (..., K, N), leading dimensions equal or those of a plain matrix; za, zb: zero points.
static inline void run_product(const struct op *o) {
  struct value a = *op_in(o, 0), b = *op_in(o, 1);
  double za = op_has(o, 2) ? op_in(o, 2)->x[0] : 0, zb = op_has(o, 3) ? op_in(o, 3)->x[0] : 0;
  size_t K = a.dims[a.rank - 1], N = b.dims[b.rank - 1], dims[EVAL_RANK];
  assert_int_equal(b.dims[b.rank - 2], K);
  memcpy(dims, a.dims, sizeof dims);
  dims[a.rank - 1] = N;
  struct value *out = op_out(o, a.rank, dims);
  size_t rows = a.count / K, rows_of_one = b.rank == 2 ? rows : a.dims[a.rank - 2];
  assert_true(b.rank == 2 || b.count / (K * N) == rows / rows_of_one);
  for (size_t r = 0; r < rows; r++) {
    const double *matrix = b.x + r / rows_of_one * K * N;
    for (size_t n = 0; n < N; n++) {
      double sum = 0;
      for (size_t k = 0; k < K; k++) sum += (a.x[r * K + k] - za) * (matrix[k * N + n] - zb);
      out->x[r * N + n] = sum;
    }
  }
}

static inline void softmax_row(double *x, size_t K) {
  double top = -INFINITY, sum = 0;
  for (size_t k = 0; k < K; k++) top = fmax(top, x[k]);
  for (size_t k = 0; k < K; k++) sum += x[k] = exp(x[k] - top);
  for (size_t k = 0; k < K; k++) x[k] /= sum;
}

static inline void norm_row(double *x, size_t K, double eps, const double *gamma, const double *beta) {
  double mean = 0, var = 0;
  for (size_t k = 0; k < K; k++) mean += x[k] / (double)K;
  for (size_t k = 0; k < K; k++) var += (x[k] - mean) * (x[k] - mean) / (double)K;
  for (size_t k = 0; k < K; k++) x[k] = (x[k] - mean) / sqrt(var + eps) * gamma[k] + beta[k];
}

static inline void run_rows(
    const struct op *o) { // Softmax, LayerNormalization, CumSum: same shape, along the last axis
  const char *op = o->node->op_type;
  struct value in = *op_in(o, 0);
  size_t K = in.dims[in.rank - 1];
  struct value *out = op_out(o, in.rank, in.dims);
  memcpy(out->x, in.x, in.count * sizeof *in.x);
  if (strcmp(op, "CumSum") != 0) assert_int_equal(op_int(o, "axis", 0), -1);
  for (size_t r = 0; r < in.count / K; r++) {
    double *x = out->x + r * K;
    if (!strcmp(op, "Softmax")) softmax_row(x, K);
    if (!strcmp(op, "LayerNormalization"))
      norm_row(x, K, (double)op_attribute(o, "epsilon")->f, op_in(o, 1)->x, op_in(o, 2)->x);
    for (size_t k = 1; !strcmp(op, "CumSum") && k < K; k++) x[k] += x[k - 1];
  }
}

static inline void run_reduce(const struct op *o) {
  struct value in = *op_in(o, 0);
  size_t K = in.dims[in.rank - 1], dims[EVAL_RANK];
  assert_int_equal(op_attribute(o, "axes")->ints[0], -1);
  memcpy(dims, in.dims, sizeof dims);
  dims[in.rank - 1] = 1;
  struct value *out = op_out(o, in.rank, dims);
  for (size_t r = 0; r < out->count; r++) {
    out->x[r] = in.x[r * K];
    for (size_t k = 1; k < K; k++)
      out->x[r] = combine(o->node->op_type + strlen("Reduce"), out->x[r], in.x[r * K + k], 0);
  }
}

static inline void run_dynamic_quantize(const struct op *o) {
  struct value in = *op_in(o, 0);
  double low = 0, high = 0;
  for (size_t i = 0; i < in.count; i++) low = fmin(low, in.x[i]), high = fmax(high, in.x[i]);
  double s = (high - low) / 255, z = fmin(fmax(nearbyint(-low / s), 0), 255);
  struct value *out = op_out(o, in.rank, in.dims);
  for (size_t i = 0; i < in.count; i++) out->x[i] = fmin(fmax(nearbyint(in.x[i] / s) + z, 0), 255);
  eval_new(o->e, o->node->output[1], 0, NULL)->x[0] = s;
  eval_new(o->e, o->node->output[2], 0, NULL)->x[0] = z;
}

static inline void run_cast(const struct op *o) {
  struct value in = *op_in(o, 0);
  int64_t to = op_int(o, "to", 0);
  struct value *out = op_out(o, in.rank, in.dims);
  for (size_t i = 0; i < in.count; i++)
    out->x[i] = to == ONNX_BOOL ? in.x[i] != 0 : to == ONNX_F32 ? in.x[i] : trunc(in.x[i]);
}

static inline void run_shape(const struct op *o) {
  struct value in = *op_in(o, 0);
  struct value *out = op_out(o, 1, &in.rank);
  for (size_t i = 0; i < in.rank; i++) out->x[i] = (double)in.dims[i];
}

static inline void run_range(const struct op *o) {
  size_t n = (size_t)op_in(o, 1)->x[0];
  struct value *out = op_out(o, 1, &n);
  for (size_t i = 0; i < n; i++) out->x[i] = (double)i; // from 0 by 1
}

static inline void eval_node(struct eval *e, const Onnx__NodeProto *node) {
  static const struct {
    const char *ops;
    void (*run)(const struct op *o);
  } table[] = {{" MatMul MatMulInteger ", run_product},
               {" Reshape ", run_reshape},
               {" Transpose ", run_transpose},
               {" Unsqueeze ", run_unsqueeze},
               {" Gather ", run_gather},
               {" GatherND ", run_gather_nd},
               {" Split ", run_split},
               {" Softmax LayerNormalization CumSum ", run_rows},
               {" ReduceMax ReduceMin ", run_reduce},
               {" Cast ", run_cast},
               {" Shape ", run_shape},
               {" Range ", run_range},
               {" DynamicQuantizeLinear ", run_dynamic_quantize}};
  char word[64];
  snprintf(word, sizeof word, " %s ", node->op_type);
  struct op o = {e, node};
  for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
    if (!strstr(table[i].ops, word)) continue;
    table[i].run(&o);
    return;
  }
  run_elementwise(&o);
}

// Computes the graph for one padded batch of int64 inputs (B, T); gives its first output, freed by eval_close.
static inline const struct value *eval_run(struct eval *e, const Onnx__GraphProto *g, size_t B, size_t T,
                                           const double *const *inputs) {
  e->g = g;
  for (size_t i = 0; i < g->n_initializer; i++) eval_initializer(e, g->initializer[i]);
  for (size_t i = 0; i < g->n_input; i++) {
    struct value *v = eval_new(e, g->input[i]->name, 2, (size_t[]){B, T});
    memcpy(v->x, inputs[i], v->count * sizeof *v->x);
  }
  for (size_t i = 0; i < g->n_node; i++) eval_node(e, g->node[i]);
  return eval_find(e, g->output[0]->name);
}

#endif
