// attention.c - softmax(q k^T * scale) v over ragged sequences, f32 throughout.
// One job is one head of one sequence. Keys are transposed once into (D, T) so that a score is one lane of the f32
// kernel; the values are used where they lie, an output column being one lane. A row's softmax runs over its keys in
// order, counted from position 0, so the answer does not depend on how queries are blocked, on the other sequences or
// on the thread.
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
  size_t ld = size_round_up(longest, 16);
  return arena_need(D * ld * sizeof(float)) + arena_need(QUERY_BLOCK * ld * sizeof(float));
}

size_t nn_attention_scratch_bytes(size_t threads, size_t longest, size_t D) {
  return threads * scratch_per_thread(longest, D);
}

typedef float four __attribute__((vector_size(16)));

static inline four load_four(const float *p) {
  four v;
  memcpy(&v, p, sizeof v);
  return v;
}

// Four keys' dimensions d to d + 3.
static inline void transpose_four(const float *k, size_t ldk, size_t ld, float *out) {
  four a = load_four(k), b = load_four(k + ldk), c = load_four(k + 2 * ldk), d = load_four(k + 3 * ldk);
  four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  four rows[4] = {
      __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5), __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7),
      __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5), __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7)};
  for (size_t i = 0; i < 4; i++) memcpy(out + i * ld, &rows[i], sizeof rows[i]);
}

static void transpose_keys(const float *k, size_t ldk, size_t T, size_t D, size_t ld, float *out) {
  size_t t = 0, whole = D / 4 * 4;
  for (; t + 4 <= T; t += 4) {
    for (size_t d = 0; d < whole; d += 4) transpose_four(k + t * ldk + d, ldk, ld, out + d * ld + t);
    for (size_t d = whole; d < D; d++)
      for (size_t i = 0; i < 4; i++) out[d * ld + t + i] = k[(t + i) * ldk + d];
  }
  for (; t < T; t++)
    for (size_t d = 0; d < D; d++) out[d * ld + t] = k[t * ldk + d];
}

void attention_rows(const struct kernels *k, const struct attention_rows *r, float *scores, size_t ld) {
  float sums[QUERY_BLOCK];
  struct gemm_f32 qk = {.M = r->M,
                        .N = r->keys,
                        .K = r->D,
                        .a = r->q,
                        .lda = r->ldq,
                        .w = r->keys_t,
                        .ldw = r->ldk,
                        .c = scores,
                        .ldc = ld};
  k->gemm_f32(&qk);
  for (size_t m = 0; m < r->M; m++) {
    size_t n = r->causal ? r->first + m + 1 : r->keys;
    sums[m] = k->softmax_exp(scores + m * ld, n, r->scale);
    if (n < r->keys) memset(scores + m * ld + n, 0, (r->keys - n) * sizeof(float)); // a weight of 0 adds nothing
  }
  struct gemm_f32 pv = {.M = r->M,
                        .N = r->D,
                        .K = r->keys,
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
  size_t ld = size_round_up(keys, 16);
  float *keys_t = (float *)(void *)(j->scratch + thread * j->scratch_bytes);
  float *scores = keys_t + arena_need(a->D * ld * sizeof(float)) / sizeof(float);
  transpose_keys(a->k + k0 * a->ldk + column, a->ldk, keys, a->D, ld, keys_t);
  for (size_t i0 = 0; i0 < T; i0 += QUERY_BLOCK) {
    size_t M = size_min(QUERY_BLOCK, T - i0);
    struct attention_rows r = {.q = a->q + (r0 + i0) * a->ldq + column,
                               .keys_t = keys_t,
                               .values = a->v + k0 * a->ldv + column,
                               .out = a->out + (r0 + i0) * a->ldo + column,
                               .ldq = a->ldq,
                               .ldk = ld,
                               .ldv = a->ldv,
                               .ldo = a->ldo,
                               .M = M,
                               .D = a->D,
                               .first = first + i0,
                               .keys = a->causal ? first + i0 + M : keys,
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
