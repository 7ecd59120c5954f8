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

void attention_put_keys(const struct kernels *k, const float *from, size_t ldk, size_t first, size_t T, size_t D,
                        float *keys) {
  for (size_t end = first + T, n; first < end; first += n, from += n * ldk) {
    n = size_min(end - first, KEY_BLOCK - first % KEY_BLOCK);
    k->transpose(&(struct transpose){.size = sizeof(float),
                                     .rows = n,
                                     .columns = D,
                                     .src = (const uint8_t *)from,
                                     .src_stride = ldk * sizeof(float),
                                     .dst = (uint8_t *)(attention_keys(keys, D, first) + first % KEY_BLOCK),
                                     .dst_stride = KEY_BLOCK * sizeof(float)});
  }
}

void attention_rows(const struct kernels *k, const struct attention_rows *r, float *scores, size_t ld) {
  float sums[QUERY_BLOCK];
  for (size_t first = 0; first < r->k_count; first += KEY_BLOCK) {
    struct gemm_f32 qk = {.M = r->M,
                          .N = size_min(KEY_BLOCK, r->k_count - first),
                          .K = r->D,
                          .a = r->q,
                          .lda = r->ldq,
                          .w = attention_keys(r->keys, r->D, first),
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
  for (size_t i0 = 0; i0 < T; i0 += QUERY_BLOCK) {
    size_t M = size_min(QUERY_BLOCK, T - i0);
    struct attention_rows r = {.q = a->q + (r0 + i0) * a->ldq + column,
                               .keys = blocks,
                               .values = a->v + k0 * a->ldv + column,
                               .out = a->out + (r0 + i0) * a->ldo + column,
                               .ldq = a->ldq,
                               .ldv = a->ldv,
                               .ldo = a->ldo,
                               .M = M,
                               .D = a->D,
                               .first = first + i0,
                               .k_count = a->causal ? first + i0 + M : keys,
                               .causal = a->causal,
                               .scale = a->scale};
    attention_rows(j->ctx->kernels, &r, scores, ld);
  }
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
