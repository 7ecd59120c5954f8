// onnx_gpt2.c - GPT-2 as ONNX: arch/gpt2.c over a padded batch, without a cache. Positions count the tokens that are
// not padding, so padding may stand on either side of a text.
#include <math.h>

#include "export/onnx_build.h"

// (batch, sequence): how many tokens that are not padding stand before; 0 in padding on the left.
static const char *positions(struct onnx_build *b, const char *mask) {
  struct onnx_graph *g = b->g;
  const char *read = onnx_2(g, "CumSum", mask, onnx_i64(g, 1));
  return onnx_2(g, "Max", onnx_2(g, "Sub", read, onnx_i64(g, 1)), onnx_i64(g, 0));
}

// Position i sees the columns up to its own that are not padding: (batch, 1, sequence, sequence).
static const char *causal_bias(struct onnx_build *b, const char *columns, const char *keys) {
  static const int64_t row[] = {1}, column[] = {2}, heads[] = {1, 2};
  struct onnx_graph *g = b->g;
  const char *key = onnx_2(g, "Unsqueeze", columns, onnx_i64s(g, row, 1));      // (1, 1, sequence)
  const char *query = onnx_2(g, "Unsqueeze", columns, onnx_i64s(g, column, 1)); // (1, sequence, 1)
  const char *before = onnx_2(g, "Unsqueeze", onnx_2(g, "LessOrEqual", key, query), onnx_i64s(g, row, 1));
  return onnx_attention_bias(b, onnx_2(g, "And", before, onnx_2(g, "Unsqueeze", keys, onnx_i64s(g, heads, 2))));
}

// The hidden row a classifier reads: the last column that is neither padding nor the padding token; the first when
// there is none.
static const char *deciding_row(struct onnx_build *b, const char *x, const char *ids, const char *columns,
                                const char *keys) {
  static const int64_t last[] = {-1};
  struct onnx_graph *g = b->g;
  int64_t pad = b->q->m->config.pad_id;
  if (pad >= 0) keys = onnx_2(g, "And", keys, onnx_1(g, "Not", onnx_2(g, "Equal", ids, onnx_i64(g, pad))));
  const char *at = onnx_1(g, "ReduceMax", onnx_2(g, "Mul", onnx_cast(b, keys, ONNX_I64), columns)); // (batch, 1)
  onnx_set_ints(g, "axes", last, 1);
  const char *picked = onnx_2(g, "GatherND", x, at);
  onnx_set_int(g, "batch_dims", 1);
  return picked;
}

static void head(struct onnx_build *b, const char *x, const char *ids, const char *columns, const char *keys) {
  const struct config *c = &b->q->m->config;
  struct onnx_dim dims[] = {{"batch", 0}, {"sequence", 0}, {NULL, c->V}};
  if (c->task == ARCH_CLASSIFY) {
    const char *row = deciding_row(b, x, ids, columns, keys);
    dims[1] = (struct onnx_dim){NULL, c->N};
    onnx_output(b->g, onnx_linear(b, "score.weight", ONNX_NO_LAYER, row, ACT_NONE), "logits", ONNX_F32, dims, 2);
    return;
  }
  const char *logits =
      c->tied ? onnx_tied_output(b, "wte.weight", x) : onnx_linear(b, "lm_head.weight", ONNX_NO_LAYER, x, ACT_NONE);
  onnx_output(b->g, logits, "logits", ONNX_F32, dims, 3);
}

void onnx_gpt2(struct onnx_build *b) {
  const struct config *c = &b->q->m->config;
  struct onnx_graph *g = b->g;
  const int64_t widths[] = {(int64_t)c->C, (int64_t)c->C, (int64_t)c->C};
  const char *ids = onnx_token_input(b, "input_ids"), *mask = onnx_token_input(b, "attention_mask");
  const char *keys = onnx_cast(b, mask, ONNX_BOOL), *columns = onnx_columns(b, ids);
  const char *bias = causal_bias(b, columns, keys);
  const char *x = onnx_embedding(b, "wte.weight", ids);
  x = onnx_2(g, "Add", x, onnx_embedding(b, "wpe.weight", positions(b, mask)));
  size_t width = c->C / c->H; // of a head
  for (size_t l = 0; l < c->L; l++) {
    float scale = c->scale_attn ? 1.0f / sqrtf((float)width) : 1.0f;
    if (c->scale_attn_by_layer) scale /= (float)(l + 1);
    const char *y = onnx_norm(b, "h.%zu.ln_1.weight", l, x);
    const char *const split[] = {onnx_linear(b, "h.%zu.attn.c_attn.weight", l, y, ACT_NONE), onnx_i64s(g, widths, 3)};
    const char *q = onnx_node(g, "Split", 2, split, 3), *k = onnx_result(g, 1), *v = onnx_result(g, 2);
    onnx_set_int(g, "axis", -1);
    const char *a = onnx_attention(b, q, k, v, bias, scale);
    x = onnx_2(g, "Add", x, onnx_linear(b, "h.%zu.attn.c_proj.weight", l, a, ACT_NONE));
    y = onnx_norm(b, "h.%zu.ln_2.weight", l, x);
    y = onnx_linear(b, "h.%zu.mlp.c_fc.weight", l, y, c->act);
    x = onnx_2(g, "Add", x, onnx_linear(b, "h.%zu.mlp.c_proj.weight", l, y, ACT_NONE));
  }
  head(b, onnx_norm(b, "ln_f.weight", ONNX_NO_LAYER, x), ids, columns, keys);
}
