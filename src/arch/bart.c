// bart.c - BART (Lewis et al. 2019) and DistilBART (Shleifer and Rush 2020): a post-norm encoder and a post-norm
// decoder over one embedding.
//   encoder   x = ln(s E[id] + P_e[2 + position]);  x = ln(x + attention(x));  x = ln(x + w2(act(w1(x))))
//   decoder   y = ln(s E[id] + P_d[2 + position]);  y = ln(y + causal attention(y));
//             y = ln(y + attention(y over the encoder's x));  y = ln(y + w2(act(w1(y))))
//   logits = E . y + final_logits_bias   or, for a classifier, out_proj(tanh(dense(y at the last end-of-text token)))
// s is sqrt(C) when scale_embedding is set, else 1. E is one matrix for both stacks and the output layer; files that
// hold it several times are read once. The pre-norm relatives (mBART, Pegasus) are not this model.
#include <math.h>
#include <string.h>

#include "arch/config.h"
#include "arch/encoder.h"
#include "base/size.h"

// Bias rows follow their weight rows.
enum {
  SHARED,
  LOGITS_B,
  E_POS,
  E_LN,
  E_LN_B,
  D_POS,
  D_LN,
  D_LN_B,
  E_Q, // encoder layers
  E_K = E_Q + 2,
  E_V = E_K + 2,
  E_O = E_V + 2,
  E_LN1 = E_O + 2,
  E_W1 = E_LN1 + 2,
  E_W2 = E_W1 + 2,
  E_LN2 = E_W2 + 2,
  D_Q = E_LN2 + 2, // decoder layers
  D_K = D_Q + 2,
  D_V_ROW = D_K + 2,
  D_O = D_V_ROW + 2,
  D_LN1 = D_O + 2,
  X_Q = D_LN1 + 2, // cross-attention
  X_K = X_Q + 2,
  X_V = X_K + 2,
  X_O = X_V + 2,
  D_LN2 = X_O + 2,
  D_W1 = D_LN2 + 2,
  D_W2 = D_W1 + 2,
  D_LN3 = D_W2 + 2,
  DENSE = D_LN3 + 2, // classifiers
  OUT = DENSE + 2,
  ROWS = OUT + 2
};

#define MATRIX(row, stack, module, in, out)                    \
  [row] = {.name = #stack ".layers.%zu." module ".weight",     \
           .role = ROLE_LINEAR,                                \
           .n = (out),                                         \
           .k = (in),                                          \
           .per_layer = true,                                  \
           .encoder = IS_##stack},                             \
  [(row) + 1] = {.name = #stack ".layers.%zu." module ".bias", \
                 .role = ROLE_BIAS,                            \
                 .n = (out),                                   \
                 .per_layer = true,                            \
                 .encoder = IS_##stack}
#define NORM(row, stack, module)                               \
  [row] = {.name = #stack ".layers.%zu." module ".weight",     \
           .role = ROLE_NORM,                                  \
           .n = D_C,                                           \
           .per_layer = true,                                  \
           .encoder = IS_##stack},                             \
  [(row) + 1] = {.name = #stack ".layers.%zu." module ".bias", \
                 .role = ROLE_BIAS,                            \
                 .n = D_C,                                     \
                 .per_layer = true,                            \
                 .encoder = IS_##stack}
enum { IS_encoder = true, IS_decoder = false };
#define HEAD(row, module, out)                                  \
  [row] = {.name = "classification_head." module ".weight",     \
           .role = ROLE_LINEAR,                                 \
           .n = (out),                                          \
           .k = D_C,                                            \
           .bare = true,                                        \
           .head = true,                                        \
           .task = ARCH_CLASSIFY},                              \
  [(row) + 1] = {.name = "classification_head." module ".bias", \
                 .role = ROLE_BIAS,                             \
                 .n = (out),                                    \
                 .bare = true,                                  \
                 .head = true,                                  \
                 .task = ARCH_CLASSIFY}

static const struct arch_row rows[ROWS] = {
    [SHARED] = {.name = "shared.weight",
                .alias = "encoder.embed_tokens.weight",
                .copy = "decoder.embed_tokens.weight",
                .role = ROLE_EMBEDDING,
                .n = D_V,
                .k = D_C,
                .tied_output = true},
    [LOGITS_B] = {.name = "final_logits_bias",
                  .role = ROLE_BIAS,
                  .n = D_V,
                  .bare = true,
                  .head = true,
                  .task = ARCH_SEQ2SEQ,
                  .optional = true},
    [E_POS] = {.name = "encoder.embed_positions.weight", .role = ROLE_EMBEDDING, .n = D_P2, .k = D_C},
    [E_LN] = {.name = "encoder.layernorm_embedding.weight", .role = ROLE_NORM, .n = D_C},
    [E_LN_B] = {.name = "encoder.layernorm_embedding.bias", .role = ROLE_BIAS, .n = D_C},
    [D_POS] = {.name = "decoder.embed_positions.weight", .role = ROLE_EMBEDDING, .n = D_P2, .k = D_C},
    [D_LN] = {.name = "decoder.layernorm_embedding.weight", .role = ROLE_NORM, .n = D_C},
    [D_LN_B] = {.name = "decoder.layernorm_embedding.bias", .role = ROLE_BIAS, .n = D_C},
    MATRIX(E_Q, encoder, "self_attn.q_proj", D_C, D_C),
    MATRIX(E_K, encoder, "self_attn.k_proj", D_C, D_C),
    MATRIX(E_V, encoder, "self_attn.v_proj", D_C, D_C),
    MATRIX(E_O, encoder, "self_attn.out_proj", D_C, D_C),
    NORM(E_LN1, encoder, "self_attn_layer_norm"),
    MATRIX(E_W1, encoder, "fc1", D_C, D_EF),
    MATRIX(E_W2, encoder, "fc2", D_EF, D_C),
    NORM(E_LN2, encoder, "final_layer_norm"),
    MATRIX(D_Q, decoder, "self_attn.q_proj", D_C, D_C),
    MATRIX(D_K, decoder, "self_attn.k_proj", D_C, D_C),
    MATRIX(D_V_ROW, decoder, "self_attn.v_proj", D_C, D_C),
    MATRIX(D_O, decoder, "self_attn.out_proj", D_C, D_C),
    NORM(D_LN1, decoder, "self_attn_layer_norm"),
    MATRIX(X_Q, decoder, "encoder_attn.q_proj", D_C, D_C),
    MATRIX(X_K, decoder, "encoder_attn.k_proj", D_C, D_C),
    MATRIX(X_V, decoder, "encoder_attn.v_proj", D_C, D_C),
    MATRIX(X_O, decoder, "encoder_attn.out_proj", D_C, D_C),
    NORM(D_LN2, decoder, "encoder_attn_layer_norm"),
    MATRIX(D_W1, decoder, "fc1", D_C, D_F),
    MATRIX(D_W2, decoder, "fc2", D_F, D_C),
    NORM(D_LN3, decoder, "final_layer_norm"),
    HEAD(DENSE, "dense", D_C),
    HEAD(OUT, "out_proj", D_N),
};

// The encoder's layers as the shared encoder sees them.
static const struct encoder_rows encoder_table = {
    .q = E_Q, .k = E_K, .v = E_V, .o = E_O, .ln1 = E_LN1, .w1 = E_W1, .w2 = E_W2, .ln2 = E_LN2};
static const struct encoder_rows decoder_table = {.q = D_Q, .k = D_K, .v = D_V_ROW};

static struct config encoder_config(const struct config *c) {
  struct config e = *c;
  e.L = c->EL;
  e.H = c->EH;
  e.F = c->EF;
  return e;
}

static enum pare_status read_variant(const struct config_reader *r) {
  static const struct {
    const char *key;
    bool value;
  } needed[] = {{"normalize_before", false},   {"add_final_layer_norm", false}, {"static_position_embeddings", false},
                {"normalize_embedding", true}, {"is_encoder_decoder", true},    {"tie_word_embeddings", true},
                {"add_bias_logits", false}};
  enum pare_status s = PARE_OK;
  for (size_t i = 0; !s && i < sizeof needed / sizeof needed[0]; i++)
    s = config_must_be(r, needed[i].key, needed[i].value);
  return s;
}

static enum pare_status read_config(const struct json_t *json, const char *file, struct config *out,
                                    struct pare_error *err) {
  struct config_reader r = {json, file, err};
  static const struct config_classes names = {.classify = "BartForSequenceClassification",
                                              .seq2seq = "BartForConditionalGeneration"};
  *out = (struct config){.eps = 1e-5f};
  enum pare_status s = config_common(&r, &names, out);
  if (!s) s = read_variant(&r);
  if (!s) s = config_size(&r, "vocab_size", NULL, 50265, 1 << 24, &out->V);
  if (!s) s = config_size(&r, "d_model", NULL, 1024, ARCH_MAX_K / 3, &out->C);
  if (!s) s = config_size(&r, "encoder_layers", NULL, 12, 1024, &out->EL);
  if (!s) s = config_size(&r, "decoder_layers", NULL, 12, 1024, &out->L);
  if (!s) s = config_size(&r, "encoder_attention_heads", NULL, 16, 1024, &out->EH);
  if (!s) s = config_size(&r, "decoder_attention_heads", NULL, 16, 1024, &out->H);
  if (!s) s = config_size(&r, "encoder_ffn_dim", NULL, 4096, ARCH_MAX_K, &out->EF);
  if (!s) s = config_size(&r, "decoder_ffn_dim", NULL, 4096, ARCH_MAX_K, &out->F);
  if (!s) s = config_size(&r, "max_position_embeddings", NULL, 1024, 1 << 20, &out->P);
  if (!s) s = config_act(&r, "activation_function", "gelu", &out->act);
  if (!s) s = config_bool(&r, "scale_embedding", false, &out->scale_embedding);
  if (!s) s = config_id(&r, "decoder_start_token_id", out->V, 2, &out->start_id);
  if (!s && out->task == ARCH_CLASSIFY) s = config_id(&r, "eos_token_id", out->V, 2, &out->end_id);
  if (!s) s = config_check(&r, out, "d_model", "decoder_attention_heads");
  if (s) return s;
  struct config e = encoder_config(out);
  return config_check(&r, &e, "d_model", "encoder_attention_heads");
}

// One pass over a batch: the encoder's rows stay while the decoder's layers run.
static size_t scratch_bytes(const struct kernels *k, const struct config *c, size_t R, size_t B, size_t longest,
                            size_t threads) {
  struct config e = encoder_config(c);
  size_t wide = arena_need(R * c->C * 4), lists = 2 * arena_need(R * 4);
  size_t inner =
      size_max(nn_linear_scratch_bytes(k, threads), nn_attention_scratch_bytes(threads, longest, c->C / c->H));
  inner = size_max(inner, nn_attention_cached_scratch_bytes(threads, c->P));
  inner = size_max(inner, nn_embed_scratch_bytes(threads, c->C));
  // Decoder: x, q, k, v, attention, output; cross keys and values; the inner layer; rows of the head, twice.
  size_t decoder = 8 * wide + arena_need(R * c->F * 4) + 2 * arena_need(B * c->C * 4) +
                   nn_input_scratch_bytes(R, c->C) + nn_input_scratch_bytes(R, size_max(c->C, c->F)) + inner;
  return wide + lists + size_max(decoder, encoder_scratch_bytes(k, &e, R, longest, threads));
}

static void project(struct nn_ctx *ctx, const struct weights *w, size_t layer, size_t row, const float *x, size_t R,
                    enum act act, float *y) {
  nn_project(ctx, weight_in(w, layer, row), weight_in(w, layer, row + 1), x, R, act, y);
}

static void add_norm(struct nn_ctx *ctx, const struct config *c, const struct weights *w, size_t layer, size_t row,
                     float *x, const float *r, size_t R) {
  nn_add_norm(ctx, x, r, weight_in(w, layer, row), weight_in(w, layer, row + 1), c->eps, R, c->C, x);
}

// x = ln(s E[id] + P[2 + position]); the two rows before position 0 are a padding token's, which no text here has.
static void embed(struct nn_ctx *ctx, const struct config *c, const struct weights *w, size_t positions, size_t norm,
                  const struct sequences *s, float *x) {
  size_t R = s->rows, mark = arena_mark(ctx->arena);
  nn_embed(ctx, weight_at(w, SHARED), s->ids, R, false, x);
  float scale = (float)sqrt((double)c->C);
  for (size_t i = 0; c->scale_embedding && i < R * c->C; i++) x[i] *= scale;
  uint32_t *at = arena_take(ctx->arena, R * sizeof *at);
  for (size_t i = 0; i < R; i++) at[i] = s->positions[i] + 2;
  nn_embed(ctx, weight_at(w, positions), at, R, true, x);
  nn_add_norm(ctx, x, NULL, weight_at(w, norm), weight_at(w, norm + 1), c->eps, R, c->C, x);
  arena_reset(ctx->arena, mark);
}

// x (s->rows, C): the encoder's last hidden states.
static void run_encoder(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                        float *x) {
  struct config e = encoder_config(c);
  embed(ctx, c, w, E_POS, E_LN, s, x);
  encoder_layers(ctx, &e, w, &encoder_table, s, false, x);
}

// The encoder's states as the cross-attention layers read them: quantized once for all layers that want the same.
static struct nn_input cross_input(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const float *x,
                                   size_t R) {
  size_t bytes = 0;
  for (size_t l = 0; l < c->L; l++) {
    bytes = size_max(bytes, packed_input_bytes(&weight_in(w, l, X_K)->packed));
    bytes = size_max(bytes, packed_input_bytes(&weight_in(w, l, X_V)->packed));
  }
  return nn_input_of(ctx, x, R, c->C, bytes);
}

static void cross_keys(struct nn_ctx *ctx, const struct weights *w, size_t l, struct nn_input *in, float *k, float *v) {
  nn_linear(ctx, weight_in(w, l, X_K), weight_in(w, l, X_K + 1)->vector, in, ACT_NONE, k);
  nn_linear(ctx, weight_in(w, l, X_V), weight_in(w, l, X_V + 1)->vector, in, ACT_NONE, v);
}

static void encode(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                   struct kvcache *memory) {
  size_t mark = arena_mark(ctx->arena), bytes = s->rows * c->C * sizeof(float);
  float *x = arena_take(ctx->arena, bytes);
  run_encoder(ctx, c, w, s, x);
  float *k = arena_take(ctx->arena, bytes), *v = arena_take(ctx->arena, bytes);
  struct nn_input in = cross_input(ctx, c, w, x, s->rows);
  for (size_t l = 0; l < c->L; l++) {
    cross_keys(ctx, w, l, &in, k, v);
    kvcache_append(ctx, memory, l, k, v, s->offsets, s->slots, s->B);
  }
  kvcache_advance(memory, s->slots, s->offsets, s->B);
  arena_reset(ctx->arena, mark);
}

// What a decoder reads beside its own rows: either x, the encoder's states, or keys and values computed before.
struct cross {
  struct nn_input in;
  float *k, *v; // of the layer at work
};

// y (s->rows, C): the decoder's last hidden states.
static void run_decoder(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                        struct cross *cross, float *y) {
  size_t R = s->rows, C = c->C, D = C / c->H, mark = arena_mark(ctx->arena);
  float *q = arena_take(ctx->arena, R * C * 4), *k = arena_take(ctx->arena, R * C * 4),
        *v = arena_take(ctx->arena, R * C * 4), *att = arena_take(ctx->arena, R * C * 4),
        *r = arena_take(ctx->arena, R * C * 4), *h = arena_take(ctx->arena, R * c->F * 4);
  struct nn_attention own = {.q = q,
                             .k = k,
                             .v = v,
                             .ldq = C,
                             .ldk = C,
                             .ldv = C,
                             .offsets = s->offsets,
                             .B = s->B,
                             .H = c->H,
                             .D = D,
                             .scale = 1.0f / sqrtf((float)D),
                             .causal = true,
                             .out = att,
                             .ldo = C};
  struct nn_attention over = own; // the text
  over.causal = false;
  over.k = cross->k;
  over.v = cross->v;
  over.kv_offsets = s->memory ? NULL : s->source->offsets;

  embed(ctx, c, w, D_POS, D_LN, s, y);
  for (size_t l = 0; l < c->L; l++) {
    encoder_project_qkv(ctx, w, l, &decoder_table, y, R, C, (float *const[3]){q, k, v});
    if (s->cache) {
      nn_attention_cached(ctx, &own, s->cache, l, s->slots);
    } else {
      nn_attention(ctx, &own);
    }
    project(ctx, w, l, D_O, att, R, ACT_NONE, r);
    add_norm(ctx, c, w, l, D_LN1, y, r, R);
    project(ctx, w, l, X_Q, y, R, ACT_NONE, q);
    if (s->memory) {
      nn_attention_stored(ctx, &over, s->memory, l, s->memory_slots);
    } else {
      cross_keys(ctx, w, l, &cross->in, cross->k, cross->v);
      nn_attention(ctx, &over);
    }
    project(ctx, w, l, X_O, att, R, ACT_NONE, r);
    add_norm(ctx, c, w, l, D_LN2, y, r, R);
    project(ctx, w, l, D_W1, y, R, c->act, h);
    project(ctx, w, l, D_W2, h, R, ACT_NONE, r);
    add_norm(ctx, c, w, l, D_LN3, y, r, R);
  }
  arena_reset(ctx->arena, mark);
}

// The row a classifier reads: the last end-of-text token of the text; its last token when it has none.
static size_t deciding_row(const struct config *c, const struct sequences *s, size_t b) {
  size_t first = s->offsets[b], last = s->offsets[b + 1] - 1;
  for (size_t i = last + 1; i-- > first;)
    if (s->ids[i] == c->end_id) return i;
  return last;
}

// out: the logits of the rows wanted. s: the decoder's rows; text: what a classifier was given.
static void head(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                 const struct sequences *text, const float *y, float *out) {
  bool classify = c->task == ARCH_CLASSIFY;
  const float *x = y;
  size_t n = s->rows;
  if (classify || s->last_only) {
    float *picked = arena_take(ctx->arena, s->B * c->C * sizeof(float));
    for (size_t b = 0; b < s->B; b++) {
      size_t row = classify ? deciding_row(c, text, b) : s->offsets[b + 1] - 1;
      memcpy(picked + b * c->C, y + row * c->C, c->C * sizeof(float));
    }
    x = picked;
    n = s->B;
  }
  if (!classify) {
    nn_project(ctx, weight_at(w, SHARED), weight_at(w, LOGITS_B), x, n, ACT_NONE, out);
    return;
  }
  float *dense = arena_take(ctx->arena, n * c->C * sizeof(float));
  nn_project(ctx, weight_at(w, DENSE), weight_at(w, DENSE + 1), x, n, ACT_TANH, dense);
  nn_project(ctx, weight_at(w, OUT), weight_at(w, OUT + 1), dense, n, ACT_NONE, out);
}

// A classifier's decoder reads the text itself, one place later and after the start id.
static struct sequences shifted(struct nn_ctx *ctx, const struct config *c, const struct sequences *s) {
  uint32_t *ids = arena_take(ctx->arena, s->rows * sizeof *ids);
  for (size_t b = 0; b < s->B; b++)
    for (size_t i = s->offsets[b]; i < s->offsets[b + 1]; i++) ids[i] = i > s->offsets[b] ? s->ids[i - 1] : c->start_id;
  struct sequences d = *s;
  d.ids = ids;
  d.source = s;
  return d;
}

static void forward(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                    float *out) {
  size_t C = c->C, mark = arena_mark(ctx->arena);
  struct sequences d = c->task == ARCH_CLASSIFY ? shifted(ctx, c, s) : *s;
  struct cross cross = {.k = NULL};
  if (!d.memory) {
    size_t bytes = d.source->rows * C * sizeof(float);
    float *x = arena_take(ctx->arena, bytes);
    nn_ctx_texts(ctx, d.source->offsets, d.source->B);
    run_encoder(ctx, c, w, d.source, x);
    cross.k = arena_take(ctx->arena, bytes);
    cross.v = arena_take(ctx->arena, bytes);
    cross.in = cross_input(ctx, c, w, x, d.source->rows);
  }
  nn_ctx_texts(ctx, d.offsets, d.B);
  float *y = arena_take(ctx->arena, d.rows * C * sizeof(float));
  run_decoder(ctx, c, w, &d, &cross, y);
  head(ctx, c, w, &d, s, y, out);
  arena_reset(ctx->arena, mark);
}

static const char *const prefixes[] = {"model.", "", NULL};
const struct arch arch_bart = {.name = "bart",
                               .prefixes = prefixes,
                               .rows = rows,
                               .row_count = ROWS,
                               .read_config = read_config,
                               .forward = forward,
                               .encode = encode,
                               .scratch_bytes = scratch_bytes,
                               .pass_rows = TRANSFORMER_PASS_ROWS,
                               .decoder = true};
