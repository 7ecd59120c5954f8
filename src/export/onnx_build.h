// onnx_build.h - a model's weights and layers as ONNX nodes: what onnx_encoder.c and onnx_gpt2.c are written in.
// Weights are asked for by the name their row has in the architecture's table ("h.%zu.attn.c_attn.weight"); how one is
// stored decides which nodes it becomes, as DESIGN's nn/linear.c decides which kernel runs.
#ifndef PARE_EXPORT_ONNX_BUILD_H
#define PARE_EXPORT_ONNX_BUILD_H

#include "export/onnx_graph.h"
#include "quant/quantize.h"

struct onnx_build {
  struct onnx_graph *g;
  const struct quantized *q;
  bool per_token;        // activations quantized per token, as pare computes, instead of DynamicQuantizeLinear
  enum onnx_type type8;  // of 8-bit weights
  const char *quantized; // the value whose u8 form is at hand, for the projections that share an input
  const char *u8, *scale, *zero;
  enum pare_status status; // first failure
  struct pare_error *err;
};

enum { ONNX_NO_LAYER = 0 }; // layer of a row that is not per layer

// y = act(x W^T + bias); the bias is the table's next row where that is one.
const char *onnx_linear(struct onnx_build *b, const char *row, size_t layer, const char *x, enum act act);
// x times a tied embedding, transposed: the output layer that shares its weights.
const char *onnx_tied_output(struct onnx_build *b, const char *row, const char *x);
// Rows `ids` of an embedding, as f32.
const char *onnx_embedding(struct onnx_build *b, const char *row, const char *ids);
// Layer normalization over the last axis; the bias is the next row.
const char *onnx_norm(struct onnx_build *b, const char *row, size_t layer, const char *x);

// Self-attention of H heads: q, k, v (batch, sequence, C), bias added to the scores (0, or the lowest float where a
// position may not look), scores = q . k * scale + bias.
const char *onnx_attention(struct onnx_build *b, const char *q, const char *k, const char *v, const char *bias,
                           float scale);
// 0 where `may` (bool) holds, the lowest float elsewhere: finite, so that a row that sees nothing is no NaN.
const char *onnx_attention_bias(struct onnx_build *b, const char *may);
const char *onnx_cast(struct onnx_build *b, const char *x, enum onnx_type type);
// (1, 1): 0, 1 ... as many as `ids` (batch, sequence) has columns.
const char *onnx_columns(struct onnx_build *b, const char *ids);
// An int64 input (batch, sequence).
const char *onnx_token_input(struct onnx_build *b, const char *name);

// The graphs.
void onnx_bert(struct onnx_build *b);
void onnx_distilbert(struct onnx_build *b);
void onnx_gpt2(struct onnx_build *b);

#endif
