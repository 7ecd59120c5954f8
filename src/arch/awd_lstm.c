// awd_lstm.c - fastai's AWD-LSTM text classifier (Merity et al. 2017; Howard & Ruder 2018), named as its state_dict is.
//   x = embedding[id];  L LSTM layers, the last one as wide as the embedding
//   p = [h of the last token, maximum over tokens, mean over tokens];  head: linear, relu, ..., linear
// Each layer of fastai's head normalizes its input by BatchNorm first; fold() below puts that into the linear.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/config.h"
#include "base/size.h"
#include "nn/lstm.h"

enum {
  EMBEDDING,
  W_X,
  B_X,
  W_H,
  B_H,
  BN_SCALE,
  BN_SHIFT,
  BN_MEAN,
  BN_VAR,
  HEAD,
  HEAD_B,
  ROWS,
};

#define CELL "0.module.rnns.%zu."
#define NORM "1.layers.%zu.0."
static const struct arch_row rows[ROWS] = {
    [EMBEDDING] = {.name = "0.module.encoder.weight", .role = ROLE_EMBEDDING, .n = D_V, .k = D_C},
    [W_X] = {.name = CELL "module.weight_ih_l0", .role = ROLE_LINEAR, .n = D_GATES, .k = D_CELL_IN, .per_layer = true},
    [B_X] = {.name = CELL "module.bias_ih_l0", .role = ROLE_BIAS, .n = D_GATES, .per_layer = true},
    // "raw": fastai drops weights of the recurrent product while it trains, and keeps the whole ones under this name.
    [W_H] = {.name = CELL "weight_hh_l0_raw",
             .alias = CELL "module.weight_hh_l0",
             .role = ROLE_LINEAR,
             .n = D_GATES,
             .k = D_CELL_OUT,
             .per_layer = true},
    [B_H] = {.name = CELL "module.bias_hh_l0", .role = ROLE_BIAS, .n = D_GATES, .per_layer = true},
    [BN_SCALE] = {.name = NORM "weight",
                  .role = ROLE_NORM,
                  .n = D_HEAD_IN,
                  .per_head_layer = true,
                  .bare = true,
                  .optional = true},
    [BN_SHIFT] = {.name = NORM "bias",
                  .role = ROLE_BIAS,
                  .n = D_HEAD_IN,
                  .per_head_layer = true,
                  .bare = true,
                  .optional = true},
    [BN_MEAN] = {.name = NORM "running_mean",
                 .role = ROLE_NORM,
                 .n = D_HEAD_IN,
                 .per_head_layer = true,
                 .bare = true,
                 .optional = true},
    [BN_VAR] = {.name = NORM "running_var",
                .role = ROLE_NORM,
                .n = D_HEAD_IN,
                .per_head_layer = true,
                .bare = true,
                .optional = true},
    // A layer without dropout has its linear one place earlier.
    [HEAD] = {.name = "1.layers.%zu.2.weight",
              .alias = "1.layers.%zu.1.weight",
              .role = ROLE_LINEAR,
              .n = D_HEAD_OUT,
              .k = D_HEAD_IN,
              .per_head_layer = true,
              .bare = true},
    [HEAD_B] = {.name = "1.layers.%zu.2.bias",
                .alias = "1.layers.%zu.1.bias",
                .role = ROLE_BIAS,
                .n = D_HEAD_OUT,
                .per_head_layer = true,
                .bare = true,
                .optional = true},
};

enum {
  MAX_LAYERS = 64,
  MIN_POSITIONS = 8192, // an LSTM has no longest text; this many tokens are taken, or the pooled ones if those are more
  DEFAULT_BPTT = 72,
};

static enum pare_status read_config(const struct json_t *json, const char *file, struct config *out,
                                    struct pare_error *err) {
  struct config_reader r = {json, file, err};
  static const struct config_classes names = {.classify = "AWDLSTMForSequenceClassification"};
  *out = (struct config){.H = 1, .eps = 1e-5f}; // eps: PyTorch's BatchNorm, not said in any file
  enum pare_status s = config_common(&r, &names, out);
  if (!s && out->task != ARCH_CLASSIFY)
    s = error_set(err, PARE_UNAVAILABLE, "%s: architectures: expected AWDLSTMForSequenceClassification", file);
  if (!s) s = config_must_be(&r, "bidirectional", false);
  if (!s) s = config_must_be(&r, "qrnn", false);
  if (!s) s = config_must_be(&r, "backwards", false);
  if (!s) s = config_size(&r, "vocab_size", NULL, CONFIG_REQUIRED, 1 << 24, &out->V);
  if (!s) s = config_size(&r, "emb_size", NULL, 400, ARCH_MAX_K / 3, &out->C); // three times C is pooled
  if (!s) s = config_size(&r, "hidden_size", NULL, 1152, ARCH_MAX_K, &out->F);
  if (!s) s = config_size(&r, "num_layers", NULL, 3, MAX_LAYERS, &out->L);
  if (!s) s = config_size(&r, "bptt", NULL, DEFAULT_BPTT, 1 << 20, &out->bptt);
  if (!s && !config_absent(&r, "max_length"))
    s = config_size(&r, "max_length", NULL, CONFIG_REQUIRED, 1 << 20, &out->window);
  if (!s && out->window && out->window < out->bptt)
    s = error_set(err, PARE_DATA, "%s: max_length: %zu is less than bptt, %zu: nothing would be pooled", file,
                  out->window, out->bptt);
  out->P = size_max(MIN_POSITIONS, out->window);
  if (!s) s = config_sizes(&r, "head_layers", ARCH_MAX_HEAD - 1, ARCH_MAX_K, out->head + 1, &out->head_count);
  if (s) return s;
  out->head[0] = 3 * out->C;
  out->head[++out->head_count] = out->N;
  return PARE_OK;
}

// --- BatchNorm into the linear behind it. With a = scale / sqrt(var + eps) per input:
//   W (a (x - mean) + shift) = (W a) x + W (shift - a mean)

// The name of the bias that folding makes, kept behind the values in the block that owns them.
static enum pare_status make_bias(const struct weight *w, struct weight *bias, struct pare_error *err) {
  size_t len = strlen(w->name) + 1, end = strlen(".weight"); // the table's names end so
  float *values = calloc(1, w->N * sizeof(float) + len);
  if (!values) return error_no_memory(err);
  char *name = (char *)(values + w->N);
  snprintf(name, len, "%.*s.bias", (int)(len - 1 - end), w->name);
  *bias = (struct weight){.name = name, .N = w->N, .K = 1, .present = true};
  bias->stored = (struct stored){.encoding = &encoding_f32, .N = 1, .K = w->N, .part_count = 1, .owned = values};
  bias->stored.parts[0] = (struct part){
      .suffix = "", .type = PART_F32, .rank = 1, .shape = {w->N}, .data = values, .bytes = w->N * sizeof(float)};
  return PARE_OK;
}

// False: a value is no number, as the root of a negative variance is none, or too large for a float.
static bool fold_values(const struct kernels *k, const float *norm, float eps, struct weight *w, float *folded,
                        float *bias) {
  const float *scale = norm, *shift = norm + w->K, *mean = norm + 2 * w->K, *var = norm + 3 * w->K;
  bool finite = true;
  for (size_t n = 0; n < w->N; n++) {
    float *row = folded + n * w->K;
    stored_row(k, &w->stored, n, row);
    double sum = 0;
    for (size_t i = 0; i < w->K; i++) {
      double a = (double)scale[i] / sqrt((double)var[i] + (double)eps), x = (double)row[i];
      sum += x * ((double)shift[i] - a * (double)mean[i]);
      row[i] = (float)(x * a);
      finite &= isfinite(row[i]) != 0;
    }
    bias[n] = (float)sum;
    finite &= isfinite(bias[n]) != 0;
  }
  return finite;
}

static enum pare_status fold_layer(const struct kernels *k, const struct config *c, struct weight *layer,
                                   const char *file, struct pare_error *err) {
  struct weight *w = &layer[HEAD], *bias = &layer[HEAD_B];
  float *norm = calloc(4 * w->K, sizeof *norm);
  struct stored folded = {0};
  enum pare_status s = norm ? stored_new(&encoding_f32, w->N, w->K, &folded, err) : error_no_memory(err);
  if (!s) s = make_bias(w, bias, err);
  for (size_t i = 0; !s && i < 4; i++) stored_row(k, &layer[BN_SCALE + i].stored, 0, norm + i * w->K);
  if (!s && !fold_values(k, norm, c->eps, w, folded.owned, bias->stored.owned))
    s = error_set(err, PARE_DATA,
                  "%s: tensor %s and its batch norm: a value is not a number or too large (a variance below 0?)", file,
                  w->name);
  if (s) {
    stored_free(&folded);
    free(norm);
    return s;
  }
  w->stored = folded;
  for (size_t i = 0; i < 4; i++) layer[BN_SCALE + i].present = false;
  free(norm);
  return PARE_OK;
}

// fastai's linear has a bias exactly when no BatchNorm stands before it, and so has ours once that is folded.
static enum pare_status fold(const struct kernels *k, const struct config *c, struct weights *w, const char *file,
                             struct pare_error *err) {
  for (size_t l = 0; l < c->head_count; l++) {
    struct weight *layer = &w->layers[l * w->row_count];
    size_t norms = 0;
    for (size_t i = 0; i < 4; i++) norms += layer[BN_SCALE + i].present;
    if (norms == 0 && layer[HEAD_B].present) continue;
    if (norms != 4 || layer[HEAD_B].present)
      return error_set(err, PARE_DATA,
                       "%s: head layer %zu: expected either %s's bias or the four tensors of the batch norm " NORM
                       "*, found %zu of the four%s",
                       file, l, layer[HEAD].name, l, norms, layer[HEAD_B].present ? " and a bias" : "");
    const struct encoding *e = layer[HEAD].stored.encoding;
    if (e != &encoding_f32 && e != &encoding_f16 && e != &encoding_bf16)
      return error_set(err, PARE_DATA, "%s: tensor %s is %s, yet its batch norm is not folded", file, layer[HEAD].name,
                       e->name);
    enum pare_status s = fold_layer(k, c, layer, file, err);
    if (s) return s;
    w->folded += 4 - 1; // four vectors in, a bias out
  }
  return PARE_OK;
}

// --- forward. Sequences are taken in groups, a group's tokens in blocks of steps, so scratch does not grow with a
// text.

enum { GROUP = 64, BLOCK_ROWS = 1024 };

struct text {
  size_t first, len;        // rows of the batch
  size_t index;             // which answer
  size_t pooled, last, end; // pooled from here on; the token whose h counts as the last; tokens in the mean
};

struct group {
  struct text *texts; // (count), longest first
  size_t count;
  struct nn_lstm_state *states; // (L)
  uint32_t *ids;                // (rows of a block)
  size_t *active;               // (steps of a block)
  float *x, *y;                 // (rows of a block, width)
  float *pool;                  // (count, 3 C): last, maximum, mean
};

static size_t width_of(const struct config *c) {
  return c->L > 1 ? size_max(c->C, c->F) : c->C;
}

// What fastai's SentenceEncoder and masked_concat_pool take of a text: the chunks that begin among the last `window`
// tokens; of those every token that is not padding. The last token is found by counting padding back from the end.
static struct text text_of(const struct config *c, const struct sequences *s, size_t b) {
  struct text t = {.first = s->offsets[b], .len = s->offsets[b + 1] - s->offsets[b], .index = b};
  if (c->window && t.len > c->window) t.pooled = size_round_up(t.len - c->window, c->bptt);
  size_t pads = 0, late = 0;
  for (size_t i = t.pooled; i < t.len; i++) {
    bool pad = c->pad_id >= 0 && s->ids[t.first + i] == (uint64_t)c->pad_id;
    pads += pad;
    late += pad && t.len - i <= c->bptt;
  }
  t.end = t.len - t.pooled - pads;
  t.last = t.len - 1 - size_min(late, t.len - 1 - t.pooled);
  return t;
}

static bool is_pooled(const struct config *c, const struct text *t, size_t step, uint32_t id) {
  // A text of nothing but padding is pooled whole: fastai would divide by zero.
  return step >= t->pooled && (t->end == 0 || c->pad_id < 0 || id != (uint64_t)c->pad_id);
}

static void pool_block(struct nn_ctx *ctx, const struct config *c, const struct group *g, const struct nn_steps *steps,
                       size_t step, const float *h) {
  size_t C = c->C;
  for (size_t t = 0, row = 0; t < steps->count; t++) {
    for (size_t b = 0; b < steps->active[t]; b++, row++) {
      const struct text *text = &g->texts[b];
      float *last = g->pool + b * 3 * C, *most = last + C, *sum = most + C;
      const float *now = h + row * C;
      if (step + t == text->last) memcpy(last, now, C * sizeof(float));
      if (!is_pooled(c, text, step + t, g->ids[row])) continue;
      for (size_t i = 0; i < C; i++) most[i] = now[i] > most[i] ? now[i] : most[i];
      ctx->kernels->add(sum, now, C);
    }
  }
}

// As many steps from `step` on as fit a block; their ids.
static struct nn_steps block_of(const struct sequences *s, struct group *g, size_t step) {
  struct nn_steps steps = {.active = g->active};
  size_t running = g->count;
  for (; step + steps.count < g->texts[0].len; steps.count++) {
    size_t t = step + steps.count;
    while (g->texts[running - 1].len <= t) running--;
    if (steps.rows + running > BLOCK_ROWS) break;
    for (size_t b = 0; b < running; b++) g->ids[steps.rows++] = s->ids[g->texts[b].first + t];
    g->active[steps.count] = running;
  }
  return steps;
}

static void encode_group(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                         struct group *g) {
  for (size_t b = 0; b < g->count; b++) {
    float *last = g->pool + b * 3 * c->C;
    for (size_t i = 0; i < 3 * c->C; i++) last[i] = i / c->C == 1 ? -INFINITY : 0.0f;
  }
  for (size_t l = 0; l < c->L; l++) g->states[l].fresh = true;
  for (size_t step = 0; step < g->texts[0].len;) {
    struct nn_steps steps = block_of(s, g, step);
    nn_embed(ctx, weight_at(w, EMBEDDING), g->ids, steps.rows, false, g->x);
    float *x = g->x, *y = g->y;
    for (size_t l = 0; l < c->L; l++) {
      struct nn_lstm layer = {weight_in(w, l, W_X), weight_in(w, l, B_X), weight_in(w, l, W_H), weight_in(w, l, B_H)};
      nn_lstm(ctx, &layer, &steps, x, &g->states[l], y);
      float *swap = x;
      x = y;
      y = swap;
    }
    pool_block(ctx, c, g, &steps, step, x);
    step += steps.count;
  }
  for (size_t b = 0; b < g->count; b++) {
    const struct text *t = &g->texts[b];
    ctx->kernels->div(g->pool + b * 3 * c->C + 2 * c->C, c->C, (float)(t->end ? t->end : t->len - t->pooled));
  }
}

static void classify_group(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct group *g,
                           float *out) {
  size_t widest = 0, mark = arena_mark(ctx->arena);
  for (size_t l = 1; l <= c->head_count; l++) widest = size_max(widest, c->head[l]);
  float *a = arena_take(ctx->arena, g->count * widest * sizeof(float)),
        *b = arena_take(ctx->arena, g->count * widest * sizeof(float));
  const float *x = g->pool;
  for (size_t l = 0; l < c->head_count; l++) {
    float *y = l % 2 ? b : a;
    nn_project(ctx, weight_in(w, l, HEAD), weight_in(w, l, HEAD_B), x, g->count,
               l + 1 < c->head_count ? ACT_RELU : ACT_NONE, y);
    x = y;
  }
  for (size_t i = 0; i < g->count; i++) memcpy(out + g->texts[i].index * c->N, x + i * c->N, c->N * sizeof(float));
  arena_reset(ctx->arena, mark);
}

// The sequences from `first` on, at most GROUP of them, longest first.
static void fill_group(const struct config *c, const struct sequences *s, size_t first, struct group *g) {
  g->count = size_min(GROUP, s->B - first);
  for (size_t n = 0; n < g->count; n++) {
    struct text t = text_of(c, s, first + n);
    size_t at = n;
    for (; at > 0 && g->texts[at - 1].len < t.len; at--) g->texts[at] = g->texts[at - 1];
    g->texts[at] = t;
  }
}

static void forward(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                    float *out) {
  size_t B = size_min(s->B, GROUP), R = size_min(s->rows, BLOCK_ROWS), W = width_of(c), mark = arena_mark(ctx->arena);
  struct group g = {.texts = arena_take(ctx->arena, B * sizeof *g.texts),
                    .states = arena_take(ctx->arena, c->L * sizeof *g.states),
                    .ids = arena_take(ctx->arena, R * sizeof *g.ids),
                    .active = arena_take(ctx->arena, R * sizeof *g.active),
                    .x = arena_take(ctx->arena, R * W * sizeof(float)),
                    .y = arena_take(ctx->arena, R * W * sizeof(float)),
                    .pool = arena_take(ctx->arena, B * 3 * c->C * sizeof(float))};
  for (size_t l = 0; l < c->L; l++) {
    g.states[l].h = arena_take(ctx->arena, B * W * sizeof(float));
    g.states[l].c = arena_take(ctx->arena, B * W * sizeof(float));
  }
  // Rows go step by step, not text by text: each picks its own outlier columns, so that no step waits for later ones.
  const size_t *offsets = ctx->offsets, texts = ctx->B;
  nn_ctx_texts(ctx, NULL, 0);
  for (size_t first = 0; first < s->B; first += GROUP) {
    fill_group(c, s, first, &g);
    encode_group(ctx, c, w, s, &g);
    classify_group(ctx, c, w, &g, out);
  }
  nn_ctx_texts(ctx, offsets, texts);
  arena_reset(ctx->arena, mark);
}

static size_t scratch_bytes(const struct kernels *k, const struct config *c, size_t rows_all, size_t sequences,
                            size_t longest, size_t threads) {
  (void)longest;
  size_t B = size_min(sequences, GROUP), R = size_min(rows_all, BLOCK_ROWS), W = width_of(c), widest = 0, input = 0;
  for (size_t l = 1; l <= c->head_count; l++) widest = size_max(widest, c->head[l]);
  for (size_t l = 0; l < c->head_count; l++) input = size_max(input, c->head[l]);
  size_t group = arena_need(B * sizeof(struct text)) + arena_need(c->L * sizeof(struct nn_lstm_state)) +
                 arena_need(R * sizeof(uint32_t)) + arena_need(R * sizeof(size_t)) +
                 2 * arena_need(R * W * sizeof(float)) + arena_need(B * 3 * c->C * sizeof(float)) +
                 2 * c->L * arena_need(B * W * sizeof(float));
  size_t head = 2 * arena_need(B * widest * sizeof(float)) + nn_input_scratch_bytes(B, input) +
                nn_linear_scratch_bytes(k, threads);
  size_t inner = size_max(head, nn_lstm_scratch_bytes(k, R, B, W, threads));
  return group + size_max(inner, nn_embed_scratch_bytes(threads, c->C));
}

static const char *const prefixes[] = {"", NULL};
const struct arch arch_awd_lstm = {.name = "awd_lstm",
                                   .prefixes = prefixes,
                                   .rows = rows,
                                   .row_count = ROWS,
                                   .read_config = read_config,
                                   .forward = forward,
                                   .scratch_bytes = scratch_bytes,
                                   .ours = true,
                                   .fold = fold};
