// bert.c - BERT (Devlin et al. 2019): word, position and token-type embeddings, post-norm encoder, pooler.
//   x = ln(word[id] + type[t] + position[i]);  encoder layers;  logits = classifier(tanh(pooler(x[first])))
#include <string.h>

#include "arch/config.h"
#include "arch/encoder.h"

enum {
  WORD,
  POSITION,
  TYPE,
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
  POOL,
  POOL_B,
  CLS,
  CLS_B,
  ROWS
};

#define LAYER "encoder.layer.%zu."
// Checkpoints converted from the first release name norms gamma and beta.
static const struct arch_row rows[ROWS] = {
    [WORD] = {.name = "embeddings.word_embeddings.weight", .role = ROLE_EMBEDDING, .n = D_V, .k = D_C},
    [POSITION] = {.name = "embeddings.position_embeddings.weight", .role = ROLE_EMBEDDING, .n = D_P, .k = D_C},
    [TYPE] = {.name = "embeddings.token_type_embeddings.weight", .role = ROLE_EMBEDDING, .n = D_Y, .k = D_C},
    [NORM] = {.name = "embeddings.LayerNorm.weight",
              .alias = "embeddings.LayerNorm.gamma",
              .role = ROLE_NORM,
              .n = D_C},
    [NORM_B] = {.name = "embeddings.LayerNorm.bias", .alias = "embeddings.LayerNorm.beta", .role = ROLE_BIAS, .n = D_C},
    [Q] = {.name = LAYER "attention.self.query.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [Q_B] = {.name = LAYER "attention.self.query.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [K] = {.name = LAYER "attention.self.key.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [K_B] = {.name = LAYER "attention.self.key.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [V] = {.name = LAYER "attention.self.value.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [V_B] = {.name = LAYER "attention.self.value.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [OUT] = {.name = LAYER "attention.output.dense.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .per_layer = true},
    [OUT_B] = {.name = LAYER "attention.output.dense.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [LN1] = {.name = LAYER "attention.output.LayerNorm.weight",
             .alias = LAYER "attention.output.LayerNorm.gamma",
             .role = ROLE_NORM,
             .n = D_C,
             .per_layer = true},
    [LN1_B] = {.name = LAYER "attention.output.LayerNorm.bias",
               .alias = LAYER "attention.output.LayerNorm.beta",
               .role = ROLE_BIAS,
               .n = D_C,
               .per_layer = true},
    [W1] = {.name = LAYER "intermediate.dense.weight", .role = ROLE_LINEAR, .n = D_F, .k = D_C, .per_layer = true},
    [W1_B] = {.name = LAYER "intermediate.dense.bias", .role = ROLE_BIAS, .n = D_F, .per_layer = true},
    [W2] = {.name = LAYER "output.dense.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_F, .per_layer = true},
    [W2_B] = {.name = LAYER "output.dense.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [LN2] = {.name = LAYER "output.LayerNorm.weight",
             .alias = LAYER "output.LayerNorm.gamma",
             .role = ROLE_NORM,
             .n = D_C,
             .per_layer = true},
    [LN2_B] = {.name = LAYER "output.LayerNorm.bias",
               .alias = LAYER "output.LayerNorm.beta",
               .role = ROLE_BIAS,
               .n = D_C,
               .per_layer = true},
    [POOL] =
        {.name = "pooler.dense.weight", .role = ROLE_LINEAR, .n = D_C, .k = D_C, .head = true, .task = ARCH_CLASSIFY},
    [POOL_B] = {.name = "pooler.dense.bias", .role = ROLE_BIAS, .n = D_C, .head = true, .task = ARCH_CLASSIFY},
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
  static const struct config_classes names = {.classify = "BertForSequenceClassification", .encode = "BertModel"};
  *out = (struct config){0};
  enum pare_status s = config_common(&r, &names, out);
  if (!s) s = config_size(&r, "vocab_size", NULL, 30522, 1 << 24, &out->V);
  if (!s) s = config_size(&r, "hidden_size", NULL, 768, ARCH_MAX_K / 3, &out->C);
  if (!s) s = config_size(&r, "num_hidden_layers", NULL, 12, 1024, &out->L);
  if (!s) s = config_size(&r, "num_attention_heads", NULL, 12, 1024, &out->H);
  if (!s) s = config_size(&r, "max_position_embeddings", NULL, 512, 1 << 20, &out->P);
  if (!s) s = config_size(&r, "intermediate_size", NULL, 3072, ARCH_MAX_K, &out->F);
  if (!s) s = config_size(&r, "type_vocab_size", NULL, 2, 256, &out->Y);
  if (!s) s = config_eps(&r, "layer_norm_eps", 1e-12f, &out->eps);
  if (!s) s = config_act(&r, "hidden_act", "gelu", &out->act);
  if (!s) s = config_must_be_text(&r, "position_embedding_type", "absolute");
  if (!s) s = config_must_be(&r, "add_cross_attention", false);
  if (!s) s = config_must_be(&r, "is_decoder", false);
  if (!s) s = config_check(&r, out, "hidden_size", "num_attention_heads");
  return s;
}

static size_t scratch_bytes(const struct kernels *k, const struct config *c, size_t R, size_t B, size_t longest,
                            size_t threads) {
  (void)B; // see encoder_scratch_bytes
  return encoder_scratch_bytes(k, c, R, longest, threads) + arena_need(R * sizeof(uint32_t));
}

static void embed(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                  float *x) {
  size_t mark = arena_mark(ctx->arena);
  uint32_t *types = arena_take(ctx->arena, s->rows * sizeof(uint32_t));
  for (size_t i = 0; i < s->rows; i++) types[i] = s->types ? s->types[i] : 0;
  nn_embed(ctx, weight_at(w, WORD), s->ids, s->rows, false, x);
  nn_embed(ctx, weight_at(w, TYPE), types, s->rows, true, x);
  nn_embed(ctx, weight_at(w, POSITION), s->positions, s->rows, true, x);
  nn_add_norm(ctx, x, NULL, weight_at(w, NORM), weight_at(w, NORM_B), c->eps, s->rows, c->C, x);
  arena_reset(ctx->arena, mark);
}

static void forward(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                    float *out) {
  size_t R = s->rows, C = c->C, mark = arena_mark(ctx->arena);
  float *x = c->task == ARCH_ENCODE ? out : arena_take(ctx->arena, R * C * 4);
  embed(ctx, c, w, s, x);
  encoder_layers(ctx, c, w, &layer_rows, s, c->task == ARCH_CLASSIFY, x);
  if (c->task == ARCH_CLASSIFY) {
    float *h = arena_take(ctx->arena, s->B * C * 4);
    nn_project(ctx, weight_at(w, POOL), weight_at(w, POOL_B), x, s->B, ACT_TANH, h);
    nn_project(ctx, weight_at(w, CLS), weight_at(w, CLS_B), h, s->B, ACT_NONE, out);
  }
  arena_reset(ctx->arena, mark);
}

static const char *const prefixes[] = {"bert.", "", NULL};
const struct arch arch_bert = {.name = "bert",
                               .prefixes = prefixes,
                               .rows = rows,
                               .row_count = ROWS,
                               .read_config = read_config,
                               .forward = forward,
                               .scratch_bytes = scratch_bytes,
                               .pass_rows = TRANSFORMER_PASS_ROWS};
