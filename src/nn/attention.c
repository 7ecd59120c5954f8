// attention.c - softmax(q k^T * scale) v over ragged sequences, f32 throughout.
// One job is one head of one sequence. Keys are transposed once so that a score is one lane of the f32 kernel; the
// values are used where they lie, an output column being one lane. A row's softmax runs over its keys in order, counted
// from position 0, so the answer does not depend on how queries are blocked, on the other sequences or on the thread.
#include "nn/attention.h"

#include <string.h>

#include "base/size.h"

struct attention_job {
  struct nn_ctx *ctx;
  const struct nn_attention *a;
  uint8_t *scratch;
  size_t scratch_bytes; // per thread
};

static size_t scratch_per_thread(size_t longest, size_t D) {
  size_t ld = size_round_up(longest, KEY_BLOCK);
  return arena_need(D * ld * sizeof(float)) + arena_need(QUERY_BLOCK * ld * sizeof(float));
}

size_t nn_attention_scratch_bytes(size_t threads, size_t longest, size_t D) {
  return threads * scratch_per_thread(longest, D);
}

// Where the block of the key at a position begins.
static size_t block_at(size_t position, size_t D) {
  return position / KEY_BLOCK * D * KEY_BLOCK;
}

void attention_put_keys(const struct kernels *k, const float *from, size_t ldk, size_t first, size_t T, size_t D,
                        float *keys) {
  for (size_t t = 0, n; t < T; t += n) {
    size_t at = first + t;
    n = size_min(T - t, KEY_BLOCK - at % KEY_BLOCK);
    k->transpose(&(struct transpose){.size = sizeof(float),
                                     .rows = n,
                                     .columns = D,
                                     .src = (const uint8_t *)(from + t * ldk),
                                     .src_stride = ldk * sizeof(float),
                                     .dst = (uint8_t *)(keys + block_at(at, D) + at % KEY_BLOCK),
                                     .dst_stride = KEY_BLOCK * sizeof(float)});
  }
}

// M <= QUERY_BLOCK rows, the last of which sees all k_count keys.
static void block_of_rows(const struct kernels *k, const struct attention_rows *r, float *scores, size_t ld) {
  float sums[QUERY_BLOCK];
  for (size_t first = 0; first < r->k_count; first += KEY_BLOCK) {
    struct gemm_f32 qk = {.M = r->M,
                          .N = size_min(KEY_BLOCK, r->k_count - first),
                          .K = r->D,
                          .a = r->q,
                          .lda = r->ldq,
                          .w = r->keys + block_at(first, r->D),
                          .ldw = KEY_BLOCK,
                          .c = scores + first,
                          .ldc = ld};
    k->gemm_f32(&qk);
  }
  for (size_t m = 0; m < r->M; m++) {
    size_t n = r->causal ? r->first + m + 1 : r->k_count;
    sums[m] = k->softmax_exp(scores + m * ld, n, r->scale);
    if (n < r->k_count) memset(scores + m * ld + n, 0, (r->k_count - n) * sizeof(float)); // a weight of 0 adds nothing
  }
  struct gemm_f32 pv = {.M = r->M,
                        .N = r->D,
                        .K = r->k_count,
                        .a = scores,
                        .lda = ld,
                        .w = r->values,
                        .ldw = r->ldv,
                        .c = r->out,
                        .ldc = r->ldo};
  k->gemm_f32(&pv);
  for (size_t m = 0; m < r->M; m++) k->div(r->out + m * r->ldo, r->D, sums[m]);
}

void attention_rows(const struct kernels *k, const struct attention_rows *r, float *scores, size_t ld) {
  for (size_t i0 = 0; i0 < r->M; i0 += QUERY_BLOCK) {
    struct attention_rows block = *r;
    block.q += i0 * r->ldq;
    block.out += i0 * r->ldo;
    block.M = size_min(QUERY_BLOCK, r->M - i0);
    block.first += i0;
    if (r->causal) block.k_count = block.first + block.M;
    block_of_rows(k, &block, scores, ld);
  }
}

static void head_job(void *context, size_t job, size_t thread) {
  const struct attention_job *j = context;
  const struct nn_attention *a = j->a;
  size_t b = job / a->H, column = job % a->H * a->D, r0 = a->offsets[b], T = a->offsets[b + 1] - r0;
  const size_t *kv = a->kv_offsets ? a->kv_offsets : a->offsets;
  size_t k0 = kv[b], keys = kv[b + 1] - k0, first = a->first ? a->first[b] : 0;
  if (a->causal) keys = first + T;
  size_t ld = size_round_up(keys, KEY_BLOCK);
  float *blocks = (float *)(void *)(j->scratch + thread * j->scratch_bytes);
  float *scores = blocks + arena_need(a->D * ld * sizeof(float)) / sizeof(float);
  attention_put_keys(j->ctx->kernels, a->k + k0 * a->ldk + column, a->ldk, 0, keys, a->D, blocks);
  struct attention_rows r = {.q = a->q + r0 * a->ldq + column,
                             .keys = blocks,
                             .values = a->v + k0 * a->ldv + column,
                             .out = a->out + r0 * a->ldo + column,
                             .ldq = a->ldq,
                             .ldv = a->ldv,
                             .ldo = a->ldo,
                             .M = T,
                             .D = a->D,
                             .first = first,
                             .k_count = keys,
                             .causal = a->causal,
                             .scale = a->scale};
  attention_rows(j->ctx->kernels, &r, scores, ld);
}

void nn_attention(struct nn_ctx *ctx, const struct nn_attention *a) {
  size_t mark = arena_mark(ctx->arena), longest = 0;
  const size_t *kv = a->kv_offsets ? a->kv_offsets : a->offsets;
  for (size_t b = 0; b < a->B; b++) {
    size_t T = a->offsets[b + 1] - a->offsets[b], keys = kv[b + 1] - kv[b], first = a->first ? a->first[b] : 0;
    longest = size_max(longest, keys);
    ctx->counters.operations += 4 * (uint64_t)a->H * a->D * T * (a->causal ? first + (T + 1) / 2 : keys);
  }
  struct attention_job j = {ctx, a, NULL, scratch_per_thread(longest, a->D)};
  j.scratch = arena_take(ctx->arena, pool_threads(ctx->pool) * j.scratch_bytes);
  pool_run(ctx->pool, head_job, &j, a->B * a->H);
  arena_reset(ctx->arena, mark);
}
