// attention.c - softmax(q k^T * scale) v over ragged sequences, f32 throughout.
// One job is one head of one sequence. Keys are transposed once into (D, T) so that a score is one lane of the f32
// kernel; the values are used where they lie, an output column being one lane. A row's softmax runs over its keys in
// order, counted from position 0, so the answer does not depend on how queries are blocked, on the other sequences or
// on the thread.
#include <string.h>

#include "base/size.h"
#include "nn/nn.h"

enum { QUERY_BLOCK = 24 }; // rows of scores held at once: a multiple of the register tiles' heights

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

static void transpose_keys(const float *k, size_t ldk, size_t T, size_t D, size_t ld, float *out) {
  for (size_t t = 0; t < T; t++)
    for (size_t d = 0; d < D; d++) out[d * ld + t] = k[t * ldk + d];
}

// Scores of M queries starting at position i0 become weights in place; sums[m] is what each row is divided by at the
// end.
static void softmax_rows(const struct kernels *k, const struct nn_attention *a, float *scores, size_t ld, size_t i0,
                         size_t M, size_t keys, float *sums) {
  for (size_t m = 0; m < M; m++) {
    size_t n = a->causal ? i0 + m + 1 : keys;
    sums[m] = k->softmax_exp(scores + m * ld, n, a->scale);
    if (n < keys) memset(scores + m * ld + n, 0, (keys - n) * sizeof(float)); // a weight of 0 adds nothing
  }
}

static void head_job(void *context, size_t job, size_t thread) {
  const struct attention_job *j = context;
  const struct nn_attention *a = j->a;
  const struct kernels *k = j->ctx->kernels;
  size_t b = job / a->H, column = job % a->H * a->D, r0 = a->offsets[b], T = a->offsets[b + 1] - r0;
  size_t ld = size_round_up(T, 16);
  float *keys_t = (float *)(void *)(j->scratch + thread * j->scratch_bytes);
  float *scores = keys_t + arena_need(a->D * ld * sizeof(float)) / sizeof(float);
  float sums[QUERY_BLOCK];
  transpose_keys(a->k + r0 * a->ldk + column, a->ldk, T, a->D, ld, keys_t);
  for (size_t i0 = 0; i0 < T; i0 += QUERY_BLOCK) {
    size_t M = size_min(QUERY_BLOCK, T - i0), keys = a->causal ? i0 + M : T;
    struct gemm_f32 qk = {.M = M,
                          .N = keys,
                          .K = a->D,
                          .a = a->q + (r0 + i0) * a->ldq + column,
                          .lda = a->ldq,
                          .w = keys_t,
                          .ldw = ld,
                          .c = scores,
                          .ldc = ld};
    k->gemm_f32(&qk);
    softmax_rows(k, a, scores, ld, i0, M, keys, sums);
    float *out = a->out + (r0 + i0) * a->ldo + column;
    struct gemm_f32 pv = {.M = M,
                          .N = a->D,
                          .K = keys,
                          .a = scores,
                          .lda = ld,
                          .w = a->v + r0 * a->ldv + column,
                          .ldw = a->ldv,
                          .c = out,
                          .ldc = a->ldo};
    k->gemm_f32(&pv);
    for (size_t m = 0; m < M; m++) k->div(out + m * a->ldo, a->D, sums[m]);
  }
}

void nn_attention(struct nn_ctx *ctx, const struct nn_attention *a) {
  size_t mark = arena_mark(ctx->arena), longest = 0;
  for (size_t b = 0; b < a->B; b++) {
    size_t T = a->offsets[b + 1] - a->offsets[b];
    longest = size_max(longest, T);
    ctx->counters.operations += 4 * (uint64_t)a->H * a->D * T * T / (a->causal ? 2 : 1);
  }
  struct attention_job j = {ctx, a, NULL, scratch_per_thread(longest, a->D)};
  j.scratch = arena_take(ctx->arena, pool_threads(ctx->pool) * j.scratch_bytes);
  pool_run(ctx->pool, head_job, &j, a->B * a->H);
  arena_reset(ctx->arena, mark);
}
