// onnx_layers.c - inputs, masks and attention, shared by the graphs; see onnx_build.h.
#include <float.h>

#include "export/onnx_build.h"

const char *onnx_token_input(struct onnx_build *b, const char *name) {
  static const struct onnx_dim dims[] = {{"batch", 0}, {"sequence", 0}};
  return onnx_input(b->g, name, ONNX_I64, dims, 2);
}

const char *onnx_columns(struct onnx_build *b, const char *ids) {
  struct onnx_graph *g = b->g;
  const char *count = onnx_2(g, "Gather", onnx_1(g, "Shape", ids), onnx_i64(g, 1));
  const char *columns = onnx_3(g, "Range", onnx_i64(g, 0), count, onnx_i64(g, 1));
  static const int64_t first[] = {0};
  return onnx_2(g, "Unsqueeze", columns, onnx_i64s(g, first, 1));
}

const char *onnx_attention_bias(struct onnx_build *b, const char *may) {
  return onnx_3(b->g, "Where", may, onnx_f32(b->g, 0), onnx_f32(b->g, -FLT_MAX));
}

// (batch, sequence, C) -> (batch, H, ...) with the axes of one head in the order asked for.
static const char *split_heads(struct onnx_build *b, const char *x, const int64_t perm[4]) {
  const struct config *c = &b->q->m->config;
  const int64_t shape[] = {0, 0, (int64_t)c->H, (int64_t)(c->C / c->H)}; // 0: as it is
  const char *heads = onnx_1(b->g, "Transpose", onnx_2(b->g, "Reshape", x, onnx_i64s(b->g, shape, 4)));
  onnx_set_ints(b->g, "perm", perm, 4);
  return heads;
}

const char *onnx_attention(struct onnx_build *b, const char *q, const char *k, const char *v, const char *bias,
                           float scale) {
  static const int64_t rows[] = {0, 2, 1, 3}, columns[] = {0, 2, 3, 1};
  const int64_t joined[] = {0, 0, (int64_t)b->q->m->config.C};
  struct onnx_graph *g = b->g;
  const char *query = split_heads(b, q, rows), *key = split_heads(b, k, columns), *value = split_heads(b, v, rows);
  const char *scores = onnx_2(g, "Mul", onnx_2(g, "MatMul", query, key), onnx_f32(g, scale));
  const char *share = onnx_1(g, "Softmax", onnx_2(g, "Add", scores, bias));
  onnx_set_int(g, "axis", -1);
  const char *mixed = onnx_1(g, "Transpose", onnx_2(g, "MatMul", share, value));
  onnx_set_ints(g, "perm", rows, 4);
  return onnx_2(g, "Reshape", mixed, onnx_i64s(g, joined, 3));
}
