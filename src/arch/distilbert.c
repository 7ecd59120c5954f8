// distilbert.c - DistilBERT (Sanh et al. 2019): BERT's encoder without token types and without a pooler.
//   x = ln(word[id] + position[i]);  encoder layers;  logits = classifier(relu(pre_classifier(x[first])))
#include <string.h>

#include "arch/config.h"
#include "arch/encoder.h"

enum {
  WORD,
  POSITION,
  NORM,
  NORM_B,
  Q,
  Q_B,
  K,
  K_B,
  V,
  V_B,
  OUT,
  OUT_B,
  LN1,
  LN1_B,
  W1,
  W1_B,
  W2,
  W2_B,
  LN2,
  LN2_B,
  PRE,
  PRE_B,
  CLS,
  CLS_B,
  ROWS
};

#define LAYER "transformer.layer.%zu."
static const struct arch_row rows[ROWS] = {
    [WORD] = {.name = "embeddings.word_embeddings.weight", .role = ROLE_EMBEDDING, .n = D_V, .k = D_C},
    [POSITION] = {.name = "embeddings.position_embeddings.weight", .role = ROLE_EMBEDDING, .n = D_P, .k = D_C},
    [NORM] = {.name = "embeddings.LayerNorm.weight", .role = ROLE_NORM, .n = D_C},
    [NORM_B] = {.name = "embeddings.LayerNorm.bias", .role = ROLE_BIAS, .n = D_C},
    [Q] = {.name = LAYER "attention.q_lin.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [Q_B] = {.name = LAYER "attention.q_lin.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [K] = {.name = LAYER "attention.k_lin.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [K_B] = {.name = LAYER "attention.k_lin.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [V] = {.name = LAYER "attention.v_lin.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [V_B] = {.name = LAYER "attention.v_lin.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [OUT] = {.name = LAYER "attention.out_lin.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [OUT_B] = {.name = LAYER "attention.out_lin.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [LN1] = {.name = LAYER "sa_layer_norm.weight", .role = ROLE_NORM, .n = D_C, .per_layer = true},
    [LN1_B] = {.name = LAYER "sa_layer_norm.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [W1] = {.name = LAYER "ffn.lin1.weight", .role = ROLE_LINEAR, .n = D_F, .k = D_C, .per_layer = true},
    [W1_B] = {.name = LAYER "ffn.lin1.bias", .role = ROLE_BIAS, .n = D_F, .per_layer = true},
    [W2] = {.name = LAYER "ffn.lin2.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_F, .per_layer = true},
    [W2_B] = {.name = LAYER "ffn.lin2.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [LN2] = {.name = LAYER "output_layer_norm.weight", .role = ROLE_NORM, .n = D_C, .per_layer = true},
    [LN2_B] = {.name = LAYER "output_layer_norm.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [PRE] = {.name = "pre_classifier.weight",
             .role = ROLE_LINEAR,
             .n = D_C,
             .k = D_C,
             .bare = true,
             .head = true,
             .task = ARCH_CLASSIFY},
    [PRE_B] =
        {.name = "pre_classifier.bias", .role = ROLE_BIAS, .n = D_C, .bare = true, .head = true, .task = ARCH_CLASSIFY},
    [CLS] = {.name = "classifier.weight",
             .role = ROLE_LINEAR,
             .n = D_N,
             .k = D_C,
             .bare = true,
             .head = true,
             .task = ARCH_CLASSIFY},
    [CLS_B] =
        {.name = "classifier.bias", .role = ROLE_BIAS, .n = D_N, .bare = true, .head = true, .task = ARCH_CLASSIFY},
};
static const struct encoder_rows layer_rows = {
    .q = Q, .k = K, .v = V, .o = OUT, .ln1 = LN1, .w1 = W1, .w2 = W2, .ln2 = LN2};

static enum pare_status read_config(const struct json_t *json, const char *file, struct config *out,
                                    struct pare_error *err) {
  struct config_reader r = {json, file, err};
  static const struct config_classes names = {.classify = "DistilBertForSequenceClassification",
                                              .encode = "DistilBertModel"};
  *out = (struct config){0};
  enum pare_status s = config_common(&r, &names, out);
  if (!s) s = config_size(&r, "vocab_size", NULL, 30522, 1 << 24, &out->V);
  if (!s) s = config_size(&r, "dim", "hidden_size", 768, ARCH_MAX_K / 3, &out->C);
  if (!s) s = config_size(&r, "n_layers", "num_hidden_layers", 6, 1024, &out->L);
  if (!s) s = config_size(&r, "n_heads", "num_attention_heads", 12, 1024, &out->H);
  if (!s) s = config_size(&r, "max_position_embeddings", NULL, 512, 1 << 20, &out->P);
  if (!s) s = config_size(&r, "hidden_dim", NULL, 3072, ARCH_MAX_K, &out->F);
  if (!s) s = config_act(&r, "activation", "gelu", &out->act);
  out->eps = 1e-12f; // fixed in the architecture, not in its config
  if (!s) s = config_check(&r, out, "dim", "n_heads");
  return s;
}

static size_t scratch_bytes(const struct kernels *k, const struct config *c, size_t R, size_t B, size_t longest,
                            size_t threads) {
  (void)B; // see encoder_scratch_bytes
  return encoder_scratch_bytes(k, c, R, longest, threads);
}

static void forward(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                    float *out) {
  size_t R = s->rows, C = c->C, mark = arena_mark(ctx->arena);
  float *x = c->task == ARCH_ENCODE ? out : arena_take(ctx->arena, R * C * 4);
  nn_embed(ctx, weight_at(w, WORD), s->ids, R, false, x);
  nn_embed(ctx, weight_at(w, POSITION), s->positions, R, true, x);
  nn_add_norm(ctx, x, NULL, weight_at(w, NORM), weight_at(w, NORM_B), c->eps, R, C, x);
  encoder_layers(ctx, c, w, &layer_rows, s, c->task == ARCH_CLASSIFY, x);
  if (c->task == ARCH_CLASSIFY) {
    float *h = arena_take(ctx->arena, s->B * C * 4);
    nn_project(ctx, weight_at(w, PRE), weight_at(w, PRE_B), x, s->B, ACT_RELU, h);
    nn_project(ctx, weight_at(w, CLS), weight_at(w, CLS_B), h, s->B, ACT_NONE, out);
  }
  arena_reset(ctx->arena, mark);
}

static const char *const prefixes[] = {"distilbert.", "", NULL};
const struct arch arch_distilbert = {.name = "distilbert",
                                     .prefixes = prefixes,
                                     .rows = rows,
                                     .row_count = ROWS,
                                     .read_config = read_config,
                                     .forward = forward,
                                     .scratch_bytes = scratch_bytes,
                                     .pass_rows = TRANSFORMER_PASS_ROWS};
