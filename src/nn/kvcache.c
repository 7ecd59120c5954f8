// kvcache.c - see kvcache.h.
#include "nn/kvcache.h"

#include <assert.h>
#include <string.h>

#include "base/size.h"
#include "nn/attention.h"

size_t kvcache_bytes(size_t L, size_t C, size_t slots, size_t positions) {
  size_t values = L * slots * size_round_up(positions, KEY_BLOCK) * C;
  return 2 * arena_need(values * sizeof(float)) + arena_need(slots * sizeof(size_t));
}

void kvcache_init(struct kvcache *c, struct arena *a, size_t L, size_t H, size_t D, size_t slots, size_t positions) {
  *c = (struct kvcache){.L = L, .H = H, .D = D, .slots = slots, .cap = size_round_up(positions, KEY_BLOCK)};
  size_t values = L * slots * c->cap * H * D;
  c->keys = arena_take(a, values * sizeof(float));
  c->values = arena_take(a, values * sizeof(float));
  c->len = arena_take(a, slots * sizeof(size_t));
  memset(c->len, 0, slots * sizeof(size_t));
}

static float *keys_of(const struct kvcache *c, size_t layer, size_t slot, size_t h) {
  return c->keys + ((layer * c->slots + slot) * c->H + h) * c->cap * c->D;
}
static float *values_of(const struct kvcache *c, size_t layer, size_t slot, size_t h) {
  return c->values + ((layer * c->slots + slot) * c->H + h) * c->cap * c->D;
}

struct cached_job {
  struct nn_ctx *ctx;
  const struct nn_attention *a;
  const struct kvcache *c;
  const size_t *slots;
  size_t layer;
  float *scratch; // (threads, QUERY_BLOCK, cap)
};

// Columns of one head of T new rows go behind the slot's `past` positions.
static void append_head(const struct nn_ctx *ctx, const struct kvcache *c, size_t layer, size_t slot, size_t h,
                        const float *k, size_t ldk, const float *v, size_t ldv, size_t T) {
  size_t past = c->len[slot];
  attention_put_keys(ctx->kernels, k, ldk, past, T, c->D, keys_of(c, layer, slot, h));
  float *values = values_of(c, layer, slot, h) + past * c->D;
  for (size_t t = 0; t < T; t++) memcpy(values + t * c->D, v + t * ldv, c->D * sizeof(float));
}

size_t nn_attention_cached_scratch_bytes(size_t threads, size_t positions) {
  return threads * arena_need(QUERY_BLOCK * size_round_up(positions, KEY_BLOCK) * sizeof(float));
}

// One head of one stream: append its columns of the new keys and values, then attend; not causal: attend only.
static void head_job(void *context, size_t job, size_t thread) {
  const struct cached_job *j = context;
  const struct nn_attention *a = j->a;
  const struct kvcache *c = j->c;
  size_t b = job / a->H, h = job % a->H, column = h * a->D;
  size_t r0 = a->offsets[b], T = a->offsets[b + 1] - r0, slot = j->slots[b], past = c->len[slot];
  if (a->causal) {
    const size_t *kv = a->kv_offsets ? a->kv_offsets : a->offsets;
    append_head(j->ctx, c, j->layer, slot, h, a->k + kv[b] * a->ldk + column, a->ldk, a->v + kv[b] * a->ldv + column,
                a->ldv, kv[b + 1] - kv[b]);
    if (a->first) past += a->first[b];
  }
  float *scores = j->scratch + thread * QUERY_BLOCK * c->cap;
  struct attention_rows r = {.q = a->q + r0 * a->ldq + column,
                             .keys = keys_of(c, j->layer, slot, h),
                             .values = values_of(c, j->layer, slot, h),
                             .out = a->out + r0 * a->ldo + column,
                             .ldq = a->ldq,
                             .ldv = c->D,
                             .ldo = a->ldo,
                             .M = T,
                             .D = a->D,
                             .first = past,
                             .k_count = a->causal ? past + T : past,
                             .causal = a->causal,
                             .scale = a->scale};
  attention_rows(j->ctx->kernels, &r, scores, c->cap);
}

static void attend(struct nn_ctx *ctx, const struct nn_attention *a, const struct kvcache *c, size_t layer,
                   const size_t *slots) {
  size_t mark = arena_mark(ctx->arena);
  struct cached_job j = {.ctx = ctx, .a = a, .c = c, .slots = slots, .layer = layer};
  j.scratch = arena_take(ctx->arena, pool_threads(ctx->pool) * QUERY_BLOCK * c->cap * sizeof(float));
  pool_run(ctx->pool, head_job, &j, a->B * a->H);
  arena_reset(ctx->arena, mark);
  for (size_t b = 0; b < a->B; b++) {
    size_t T = a->offsets[b + 1] - a->offsets[b], past = c->len[slots[b]];
    if (a->causal) past += (a->first ? a->first[b] : 0) + (T + 1) / 2;
    ctx->counters.operations += 4 * (uint64_t)a->H * a->D * T * past;
  }
}

void nn_attention_cached(struct nn_ctx *ctx, const struct nn_attention *a, struct kvcache *c, size_t layer,
                         const size_t *slots) {
  assert(a->causal);
  attend(ctx, a, c, layer, slots);
}

void nn_attention_stored(struct nn_ctx *ctx, const struct nn_attention *a, const struct kvcache *c, size_t layer,
                         const size_t *slots) {
  assert(!a->causal);
  for (size_t b = 0; b < a->B; b++) assert(c->len[slots[b]] > 0); // a softmax needs something to weigh
  attend(ctx, a, c, layer, slots);
}

struct append_job {
  const struct nn_ctx *ctx;
  struct kvcache *c;
  size_t layer;
  const float *k, *v;
  const size_t *offsets, *slots;
};

static void append_job(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct append_job *j = context;
  size_t b = job / j->c->H, h = job % j->c->H, C = j->c->H * j->c->D, at = j->offsets[b] * C + h * j->c->D;
  append_head(j->ctx, j->c, j->layer, j->slots[b], h, j->k + at, C, j->v + at, C, j->offsets[b + 1] - j->offsets[b]);
}

void kvcache_append(struct nn_ctx *ctx, struct kvcache *c, size_t layer, const float *k, const float *v,
                    const size_t *offsets, const size_t *slots, size_t B) {
  struct append_job j = {ctx, c, layer, k, v, offsets, slots};
  pool_run(ctx->pool, append_job, &j, B * c->H);
}

void kvcache_advance(struct kvcache *c, const size_t *slots, const size_t *offsets, size_t B) {
  for (size_t b = 0; b < B; b++) c->len[slots[b]] += offsets[b + 1] - offsets[b];
}

void kvcache_copy(struct kvcache *c, size_t from, size_t to, size_t n) {
  assert(n <= c->len[from]);
  size_t key_bytes = size_round_up(n, KEY_BLOCK) * c->D * sizeof(float), value_bytes = n * c->D * sizeof(float);
  for (size_t l = 0; l < c->L; l++)
    for (size_t h = 0; h < c->H; h++) {
      memcpy(keys_of(c, l, to, h), keys_of(c, l, from, h), key_bytes);
      memcpy(values_of(c, l, to, h), values_of(c, l, from, h), value_bytes);
    }
  c->len[to] = n;
}
