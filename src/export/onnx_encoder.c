// onnx_encoder.c - BERT and DistilBERT as ONNX: the layers of arch/encoder.c, bert.c and distilbert.c, over a padded
// batch. Padding goes to the right, as these models number positions from the first column.
#include <math.h>

#include "export/onnx_build.h"

struct names { // rows of one encoder layer
  const char *q, *k, *v, *out, *norm1, *w1, *w2, *norm2;
};

static const char *encoder_layers(struct onnx_build *b, const struct names *n, const char *x, const char *bias) {
  const struct config *c = &b->q->m->config;
  size_t width = c->C / c->H; // of a head
  float scale = 1.0f / sqrtf((float)width);
  for (size_t l = 0; l < c->L; l++) {
    const char *q = onnx_linear(b, n->q, l, x, ACT_NONE);
    const char *k = onnx_linear(b, n->k, l, x, ACT_NONE);
    const char *v = onnx_linear(b, n->v, l, x, ACT_NONE);
    const char *a = onnx_linear(b, n->out, l, onnx_attention(b, q, k, v, bias, scale), ACT_NONE);
    x = onnx_norm(b, n->norm1, l, onnx_2(b->g, "Add", x, a));
    const char *h = onnx_linear(b, n->w1, l, x, c->act);
    x = onnx_norm(b, n->norm2, l, onnx_2(b->g, "Add", x, onnx_linear(b, n->w2, l, h, ACT_NONE)));
  }
  return x;
}

// (batch, sequence) of 0 and 1 -> what is added to scores (batch, H, sequence, sequence).
static const char *padding_bias(struct onnx_build *b, const char *mask) {
  static const int64_t axes[] = {1, 2};
  const char *may = onnx_2(b->g, "Unsqueeze", onnx_cast(b, mask, ONNX_BOOL), onnx_i64s(b->g, axes, 2));
  return onnx_attention_bias(b, may);
}

// Logits from the first token through the linear layer `before` and the classifier; or the hidden states.
static void head(struct onnx_build *b, const char *x, const char *before, enum act act) {
  const struct config *c = &b->q->m->config;
  struct onnx_dim dims[] = {{"batch", 0}, {"sequence", 0}, {NULL, c->C}};
  if (c->task != ARCH_CLASSIFY) {
    onnx_output(b->g, x, "last_hidden_state", ONNX_F32, dims, 3);
    return;
  }
  const char *first = onnx_2(b->g, "Gather", x, onnx_i64(b->g, 0));
  onnx_set_int(b->g, "axis", 1);
  const char *h = onnx_linear(b, before, ONNX_NO_LAYER, first, act);
  dims[1] = (struct onnx_dim){NULL, c->N};
  onnx_output(b->g, onnx_linear(b, "classifier.weight", ONNX_NO_LAYER, h, ACT_NONE), "logits", ONNX_F32, dims, 2);
}

void onnx_bert(struct onnx_build *b) {
  static const struct names layer = {.q = "encoder.layer.%zu.attention.self.query.weight",
                                     .k = "encoder.layer.%zu.attention.self.key.weight",
                                     .v = "encoder.layer.%zu.attention.self.value.weight",
                                     .out = "encoder.layer.%zu.attention.output.dense.weight",
                                     .norm1 = "encoder.layer.%zu.attention.output.LayerNorm.weight",
                                     .w1 = "encoder.layer.%zu.intermediate.dense.weight",
                                     .w2 = "encoder.layer.%zu.output.dense.weight",
                                     .norm2 = "encoder.layer.%zu.output.LayerNorm.weight"};
  const char *ids = onnx_token_input(b, "input_ids"), *mask = onnx_token_input(b, "attention_mask");
  const char *types = onnx_token_input(b, "token_type_ids");
  const char *x = onnx_embedding(b, "embeddings.word_embeddings.weight", ids);
  x = onnx_2(b->g, "Add", x, onnx_embedding(b, "embeddings.token_type_embeddings.weight", types));
  x = onnx_2(b->g, "Add", x, onnx_embedding(b, "embeddings.position_embeddings.weight", onnx_columns(b, ids)));
  x = onnx_norm(b, "embeddings.LayerNorm.weight", ONNX_NO_LAYER, x);
  head(b, encoder_layers(b, &layer, x, padding_bias(b, mask)), "pooler.dense.weight", ACT_TANH);
}

void onnx_distilbert(struct onnx_build *b) {
  static const struct names layer = {.q = "transformer.layer.%zu.attention.q_lin.weight",
                                     .k = "transformer.layer.%zu.attention.k_lin.weight",
                                     .v = "transformer.layer.%zu.attention.v_lin.weight",
                                     .out = "transformer.layer.%zu.attention.out_lin.weight",
                                     .norm1 = "transformer.layer.%zu.sa_layer_norm.weight",
                                     .w1 = "transformer.layer.%zu.ffn.lin1.weight",
                                     .w2 = "transformer.layer.%zu.ffn.lin2.weight",
                                     .norm2 = "transformer.layer.%zu.output_layer_norm.weight"};
  const char *ids = onnx_token_input(b, "input_ids"), *mask = onnx_token_input(b, "attention_mask");
  const char *x = onnx_embedding(b, "embeddings.word_embeddings.weight", ids);
  x = onnx_2(b->g, "Add", x, onnx_embedding(b, "embeddings.position_embeddings.weight", onnx_columns(b, ids)));
  x = onnx_norm(b, "embeddings.LayerNorm.weight", ONNX_NO_LAYER, x);
  head(b, encoder_layers(b, &layer, x, padding_bias(b, mask)), "pre_classifier.weight", ACT_RELU);
}
