// kvcache.c - see kvcache.h.
#include "nn/kvcache.h"

#include <string.h>

#include "base/size.h"
#include "nn/attention.h"

size_t kvcache_bytes(size_t L, size_t C, size_t slots, size_t positions) {
  size_t values = L * slots * size_round_up(positions, 16) * C;
  return 2 * arena_need(values * sizeof(float)) + arena_need(slots * sizeof(size_t));
}

void kvcache_init(struct kvcache *c, struct arena *a, size_t L, size_t H, size_t D, size_t slots, size_t positions) {
  *c = (struct kvcache){.L = L, .H = H, .D = D, .slots = slots, .cap = size_round_up(positions, 16)};
  size_t values = L * slots * c->cap * H * D;
  c->keys = arena_take(a, values * sizeof(float));
  c->values = arena_take(a, values * sizeof(float));
  c->len = arena_take(a, slots * sizeof(size_t));
  memset(c->len, 0, slots * sizeof(size_t));
}

static float *keys_of(const struct kvcache *c, size_t layer, size_t slot) {
  return c->keys + (layer * c->slots + slot) * c->H * c->D * c->cap;
}
static float *values_of(const struct kvcache *c, size_t layer, size_t slot) {
  return c->values + (layer * c->slots + slot) * c->cap * c->H * c->D;
}

struct cached_job {
  struct nn_ctx *ctx;
  const struct nn_attention *a;
  const struct kvcache *c;
  const size_t *slots;
  size_t layer;
  float *scratch; // (threads, QUERY_BLOCK, cap)
};

size_t nn_attention_cached_scratch_bytes(size_t threads, size_t positions) {
  return threads * arena_need(QUERY_BLOCK * size_round_up(positions, 16) * sizeof(float));
}

// One head of one stream: append its columns of the new keys and values, then attend.
static void head_job(void *context, size_t job, size_t thread) {
  const struct cached_job *j = context;
  const struct nn_attention *a = j->a;
  const struct kvcache *c = j->c;
  size_t b = job / a->H, h = job % a->H, column = h * a->D, C = c->H * c->D;
  size_t r0 = a->offsets[b], T = a->offsets[b + 1] - r0, slot = j->slots[b], past = c->len[slot];
  float *keys_t = keys_of(c, j->layer, slot) + h * c->D * c->cap, *values = values_of(c, j->layer, slot) + column;
  for (size_t t = 0; t < T; t++) {
    const float *k = a->k + (r0 + t) * a->ldk + column;
    for (size_t d = 0; d < a->D; d++) keys_t[d * c->cap + past + t] = k[d];
    memcpy(values + (past + t) * C, a->v + (r0 + t) * a->ldv + column, a->D * sizeof(float));
  }
  float *scores = j->scratch + thread * QUERY_BLOCK * c->cap;
  for (size_t i0 = 0; i0 < T; i0 += QUERY_BLOCK) {
    size_t M = size_min(QUERY_BLOCK, T - i0);
    struct attention_rows r = {.q = a->q + (r0 + i0) * a->ldq + column,
                               .keys_t = keys_t,
                               .values = values,
                               .out = a->out + (r0 + i0) * a->ldo + column,
                               .ldq = a->ldq,
                               .ldk = c->cap,
                               .ldv = C,
                               .ldo = a->ldo,
                               .M = M,
                               .D = a->D,
                               .first = past + i0,
                               .keys = past + i0 + M,
                               .causal = true,
                               .scale = a->scale};
    attention_rows(j->ctx->kernels, &r, scores, c->cap);
  }
}

void nn_attention_cached(struct nn_ctx *ctx, const struct nn_attention *a, struct kvcache *c, size_t layer,
                         const size_t *slots) {
  size_t mark = arena_mark(ctx->arena);
  struct cached_job j = {.ctx = ctx, .a = a, .c = c, .slots = slots, .layer = layer};
  j.scratch = arena_take(ctx->arena, pool_threads(ctx->pool) * QUERY_BLOCK * c->cap * sizeof(float));
  pool_run(ctx->pool, head_job, &j, a->B * a->H);
  arena_reset(ctx->arena, mark);
  for (size_t b = 0; b < a->B; b++) {
    size_t T = a->offsets[b + 1] - a->offsets[b];
    ctx->counters.operations += 4 * (uint64_t)a->H * a->D * T * (c->len[slots[b]] + (T + 1) / 2);
  }
}

void kvcache_advance(struct kvcache *c, const size_t *slots, const size_t *offsets, size_t B) {
  for (size_t b = 0; b < B; b++) c->len[slots[b]] += offsets[b + 1] - offsets[b];
}

void kvcache_copy(struct kvcache *c, size_t from, size_t to) {
  size_t n = c->len[from];
  for (size_t l = 0; l < c->L; l++) {
    for (size_t row = 0; row < c->H * c->D; row++)
      memcpy(keys_of(c, l, to) + row * c->cap, keys_of(c, l, from) + row * c->cap, n * sizeof(float));
    memcpy(values_of(c, l, to), values_of(c, l, from), n * c->H * c->D * sizeof(float));
  }
  c->len[to] = n;
}
