// gpt2.c - GPT-2 (Radford et al. 2019), pre-norm decoder:
//   x = wte[id] + wpe[position]
//   x += proj(attention(qkv(ln_1(x))))        causal
//   x += c_proj(act(c_fc(ln_2(x))))
//   logits = wte . ln_f(x)  (tied head)   or   score(ln_f(x)[last token that is not padding])
// Linear layers are Conv1D in the source: stored (in, out). Attention buffers that older files carry (attn.bias,
// attn.masked_bias) are not weights and are ignored.
#include <math.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/config.h"
#include "arch/kept.h"
#include "base/size.h"

enum {
  WTE,
  WPE,
  LN1,
  LN1_B,
  QKV,
  QKV_B,
  PROJ,
  PROJ_B,
  LN2,
  LN2_B,
  FC,
  FC_B,
  FC2,
  FC2_B,
  LNF,
  LNF_B,
  SCORE,
  LM_HEAD,
  ROWS
};

static const struct arch_row rows[ROWS] = {
    [WTE] = {.name = "wte.weight", .role = ROLE_EMBEDDING, .n = D_V, .k = D_C, .tied_output = true},
    [WPE] = {.name = "wpe.weight", .role = ROLE_EMBEDDING, .n = D_P, .k = D_C},
    [LN1] = {.name = "h.%zu.ln_1.weight", .role = ROLE_NORM, .n = D_C, .per_layer = true},
    [LN1_B] = {.name = "h.%zu.ln_1.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [QKV] = {.name = "h.%zu.attn.c_attn.weight", .role = ROLE_CONV1D, .n = D_3C, .k = D_C, .per_layer = true},
    [QKV_B] = {.name = "h.%zu.attn.c_attn.bias", .role = ROLE_BIAS, .n = D_3C, .per_layer = true},
    [PROJ] = {.name = "h.%zu.attn.c_proj.weight", .role = ROLE_CONV1D, .n = D_C, .k = D_C, .per_layer = true},
    [PROJ_B] = {.name = "h.%zu.attn.c_proj.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [LN2] = {.name = "h.%zu.ln_2.weight", .role = ROLE_NORM, .n = D_C, .per_layer = true},
    [LN2_B] = {.name = "h.%zu.ln_2.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [FC] = {.name = "h.%zu.mlp.c_fc.weight", .role = ROLE_CONV1D, .n = D_F, .k = D_C, .per_layer = true},
    [FC_B] = {.name = "h.%zu.mlp.c_fc.bias", .role = ROLE_BIAS, .n = D_F, .per_layer = true},
    [FC2] = {.name = "h.%zu.mlp.c_proj.weight", .role = ROLE_CONV1D, .n = D_C, .k = D_F, .per_layer = true},
    [FC2_B] = {.name = "h.%zu.mlp.c_proj.bias", .role = ROLE_BIAS, .n = D_C, .per_layer = true},
    [LNF] = {.name = "ln_f.weight", .role = ROLE_NORM, .n = D_C},
    [LNF_B] = {.name = "ln_f.bias", .role = ROLE_BIAS, .n = D_C},
    [SCORE] = {.name = "score.weight",
               .role = ROLE_LINEAR,
               .n = D_N,
               .k = D_C,
               .bare = true,
               .head = true,
               .task = ARCH_CLASSIFY},
    [LM_HEAD] = {.name = "lm_head.weight",
                 .role = ROLE_LINEAR,
                 .n = D_V,
                 .k = D_C,
                 .bare = true,
                 .head = true,
                 .task = ARCH_LANGUAGE_MODEL,
                 .untied = true},
};

static enum pare_status read_config(const struct json_t *json, const char *file, struct config *out,
                                    struct pare_error *err) {
  struct config_reader r = {json, file, err};
  static const struct config_classes names = {.classify = "GPT2ForSequenceClassification",
                                              .language_model = "GPT2LMHeadModel"};
  *out = (struct config){0};
  enum pare_status s = config_common(&r, &names, out);
  if (!s) s = config_size(&r, "vocab_size", NULL, 50257, 1 << 24, &out->V);
  if (!s) s = config_size(&r, "n_embd", "hidden_size", 768, ARCH_MAX_K / 3, &out->C);
  if (!s) s = config_size(&r, "n_layer", "num_hidden_layers", 12, 1024, &out->L);
  if (!s) s = config_size(&r, "n_head", "num_attention_heads", 12, 1024, &out->H);
  if (!s) s = config_size(&r, "n_positions", "n_ctx", 1024, 1 << 20, &out->P);
  if (!s) s = config_size(&r, "n_inner", NULL, 4 * out->C, ARCH_MAX_K, &out->F);
  if (!s) s = config_eps(&r, "layer_norm_epsilon", 1e-5f, &out->eps);
  if (!s) s = config_act(&r, "activation_function", "gelu_new", &out->act);
  if (!s) s = config_bool(&r, "scale_attn_weights", true, &out->scale_attn);
  if (!s) s = config_bool(&r, "scale_attn_by_inverse_layer_idx", false, &out->scale_attn_by_layer);
  if (!s) s = config_must_be(&r, "add_cross_attention", false);
  if (!s) s = config_check(&r, out, "n_embd", "n_head");
  return s;
}

// Buffers of one forward pass, carved in this order.
struct state {
  float *x, *y, *qkv, *att, *h, *r;
};

static size_t scratch_bytes(const struct kernels *k, const struct config *c, size_t R, size_t B, size_t longest,
                            size_t threads) {
  size_t layers = 4 * arena_need(R * c->C * 4) + arena_need(R * 3 * c->C * 4) + arena_need(R * c->F * 4);
  size_t input = nn_input_scratch_bytes(R, size_max(c->C, c->F));
  size_t inner =
      size_max(nn_linear_scratch_bytes(k, threads), nn_attention_scratch_bytes(threads, longest, c->C / c->H));
  inner = size_max(inner, nn_attention_cached_scratch_bytes(threads, c->P));
  inner = size_max(inner, nn_embed_scratch_bytes(threads, c->C));
  return layers + kept_bytes(B) + input + inner;
}

static void linear(struct nn_ctx *ctx, const struct weights *w, size_t layer, size_t row, const float *x, size_t R,
                   enum act act, float *y) {
  const struct weight *m = weight_in(w, layer, row), *bias = weight_in(w, layer, row + 1);
  nn_project(ctx, m, bias, x, R, act, y);
}

// The position a classifier reads: the last that is not padding (the first when all are; the last when nothing pads).
static size_t deciding(const struct config *c, const struct sequences *s, size_t b) {
  const uint32_t *ids = s->ids + s->offsets[b];
  size_t i = s->offsets[b + 1] - s->offsets[b] - 1;
  if (c->task != ARCH_CLASSIFY || c->pad_id < 0) return i;
  while (i > 0 && ids[i] == (uint64_t)c->pad_id) i--;
  return i;
}

static void forward(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                    float *out) {
  size_t R = s->rows, C = c->C, D = C / c->H, mark = arena_mark(ctx->arena);
  const bool classify = c->task == ARCH_CLASSIFY, one_each = classify || s->last_only;
  struct kept last = kept_first(ctx, s);
  for (size_t b = 0; b < s->B; b++) kept_move(&last, b, deciding(c, s, b));
  struct state t = {0};
  t.x = arena_take(ctx->arena, R * C * 4);
  t.y = arena_take(ctx->arena, R * C * 4);
  t.qkv = arena_take(ctx->arena, R * 3 * C * 4);
  t.att = arena_take(ctx->arena, R * C * 4);
  t.h = arena_take(ctx->arena, R * c->F * 4);
  t.r = arena_take(ctx->arena, R * C * 4);

  nn_embed(ctx, weight_at(w, WTE), s->ids, R, false, t.x);
  nn_embed(ctx, weight_at(w, WPE), s->positions, R, true, t.x);
  for (size_t l = 0; l < c->L; l++) {
    const float *residual = l ? t.r : NULL; // the MLP of the layer before, added as this layer's norm reads it
    nn_add_norm(ctx, t.x, residual, weight_in(w, l, LN1), weight_in(w, l, LN1_B), c->eps, R, C, t.y);
    linear(ctx, w, l, QKV, t.y, R, ACT_NONE, t.qkv);
    float scale = c->scale_attn ? 1.0f / sqrtf((float)D) : 1.0f;
    if (c->scale_attn_by_layer) scale /= (float)(l + 1);
    struct nn_attention a = {.q = t.qkv,
                             .k = t.qkv + C,
                             .v = t.qkv + 2 * C,
                             .ldq = 3 * C,
                             .ldk = 3 * C,
                             .ldv = 3 * C,
                             .offsets = s->offsets,
                             .B = s->B,
                             .H = c->H,
                             .D = D,
                             .scale = scale,
                             .causal = true,
                             .out = t.att,
                             .ldo = C};
    if (one_each && l + 1 == c->L && kept_may_cut(w, l)) {
      kept_gather(&last, t.qkv, 3 * C, C, t.y);
      kept_gather(&last, t.x, C, C, t.x);
      R = last.B;
      a.q = t.y, a.ldq = C;
      a.offsets = last.offsets, a.kv_offsets = s->offsets, a.first = last.at;
    }
    if (s->cache) {
      nn_attention_cached(ctx, &a, s->cache, l, s->slots);
    } else {
      nn_attention(ctx, &a);
    }
    linear(ctx, w, l, PROJ, t.att, R, ACT_NONE, t.r);
    nn_add_norm(ctx, t.x, t.r, weight_in(w, l, LN2), weight_in(w, l, LN2_B), c->eps, R, C, t.y);
    linear(ctx, w, l, FC, t.y, R, c->act, t.h);
    linear(ctx, w, l, FC2, t.h, R, ACT_NONE, t.r);
  }
  if (one_each && R == s->rows) {
    kept_gather(&last, t.x, C, C, t.x);
    kept_gather(&last, t.r, C, C, t.r);
    R = last.B;
  }
  nn_add_norm(ctx, t.x, t.r, weight_at(w, LNF), weight_at(w, LNF_B), c->eps, R, C, t.y);
  nn_project(ctx, weight_at(w, classify ? SCORE : c->tied ? WTE : LM_HEAD), NULL, t.y, R, ACT_NONE, out);
  arena_reset(ctx->arena, mark);
}

static const char *const prefixes[] = {"transformer.", "", NULL};
const struct arch arch_gpt2 = {.name = "gpt2",
                               .prefixes = prefixes,
                               .rows = rows,
                               .row_count = ROWS,
                               .read_config = read_config,
                               .forward = forward,
                               .scratch_bytes = scratch_bytes,
                               .pass_rows = TRANSFORMER_PASS_ROWS,
                               .decoder = true};
