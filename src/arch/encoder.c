// encoder.c - see encoder.h.
#include "arch/encoder.h"

#include <math.h>

#include "arch/kept.h"
#include "base/size.h"

// The layers need the most: the head's rows (C per sequence, B <= R) come after their buffers are given back.
size_t encoder_scratch_bytes(const struct kernels *k, const struct config *c, size_t R, size_t longest,
                             size_t threads) {
  size_t layers = 6 * arena_need(R * c->C * 4) + arena_need(R * c->F * 4); // x, q, k, v, attention, output; inner
  size_t input = nn_input_scratch_bytes(R, size_max(c->C, c->F));          // one at a time
  size_t inner =
      size_max(nn_linear_scratch_bytes(k, threads), nn_attention_scratch_bytes(threads, longest, c->C / c->H));
  inner = size_max(inner, nn_embed_scratch_bytes(threads, c->C));
  return layers + input + inner + kept_bytes(R);
}

void encoder_project_qkv(struct nn_ctx *ctx, const struct weights *w, size_t l, const struct encoder_rows *rows,
                         const float *x, size_t R, size_t C, float *const out[3]) {
  const size_t row[3] = {rows->q, rows->k, rows->v};
  size_t bytes = 0;
  for (int i = 0; i < 3; i++) bytes = size_max(bytes, packed_input_bytes(&weight_in(w, l, row[i])->packed));
  size_t mark = arena_mark(ctx->arena);
  struct nn_input in = nn_input_of(ctx, x, R, C, bytes);
  for (int i = 0; i < 3; i++)
    if (out[i]) nn_linear(ctx, weight_in(w, l, row[i]), weight_in(w, l, row[i] + 1)->vector, &in, ACT_NONE, out[i]);
  arena_reset(ctx->arena, mark);
}

void encoder_layers(struct nn_ctx *ctx, const struct config *c, const struct weights *w,
                    const struct encoder_rows *rows, const struct sequences *s, bool first_only, float *x) {
  size_t R = s->rows, C = c->C, D = C / c->H, mark = arena_mark(ctx->arena);
  const struct kept first = kept_first(ctx, s);
  float *q = arena_take(ctx->arena, R * C * 4), *k = arena_take(ctx->arena, R * C * 4),
        *v = arena_take(ctx->arena, R * C * 4);
  float *att = arena_take(ctx->arena, R * C * 4), *r = arena_take(ctx->arena, R * C * 4);
  float *h = arena_take(ctx->arena, R * c->F * 4);
  for (size_t l = 0; l < c->L; l++) {
    bool cut = first_only && l + 1 == c->L && kept_may_cut(w, l);
    encoder_project_qkv(ctx, w, l, rows, x, R, C, (float *const[3]){cut ? NULL : q, k, v});
    if (cut) {
      kept_gather(&first, x, C, C, x);
      R = first.B;
      nn_project(ctx, weight_in(w, l, rows->q), weight_in(w, l, rows->q + 1), x, R, ACT_NONE, q);
    }
    struct nn_attention a = {.q = q,
                             .k = k,
                             .v = v,
                             .ldq = C,
                             .ldk = C,
                             .ldv = C,
                             .offsets = cut ? first.offsets : s->offsets,
                             .kv_offsets = s->offsets,
                             .B = s->B,
                             .H = c->H,
                             .D = D,
                             .scale = 1.0f / sqrtf((float)D),
                             .out = att,
                             .ldo = C};
    nn_attention(ctx, &a);
    nn_project(ctx, weight_in(w, l, rows->o), weight_in(w, l, rows->o + 1), att, R, ACT_NONE, r);
    nn_add_norm(ctx, x, r, weight_in(w, l, rows->ln1), weight_in(w, l, rows->ln1 + 1), c->eps, R, C, x);
    nn_project(ctx, weight_in(w, l, rows->w1), weight_in(w, l, rows->w1 + 1), x, R, c->act, h);
    nn_project(ctx, weight_in(w, l, rows->w2), weight_in(w, l, rows->w2 + 1), h, R, ACT_NONE, r);
    nn_add_norm(ctx, x, r, weight_in(w, l, rows->ln2), weight_in(w, l, rows->ln2 + 1), c->eps, R, C, x);
  }
  if (first_only && R == s->rows) kept_gather(&first, x, C, C, x);
  arena_reset(ctx->arena, mark);
}
