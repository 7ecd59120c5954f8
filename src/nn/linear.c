// linear.c - y = act(x W^T + b) for every encoding: the only caller of weight kernels.
// Work is cut into (panel of outputs, block of rows) jobs. A job computes its outputs whole, k ascending, so neither
// the cut nor the thread that takes it changes a bit. Float panels that are not f32 are widened K block by K block into
// thread scratch that stays in a near cache, and each widened block serves all rows of the job; not so 16-bit floats,
// which the kernel widens in registers.
#include <assert.h>
#include <stdatomic.h>

#include "base/size.h"
#include "nn/nn.h"

enum {
  LINEAR_K_BLOCK = 256,  // 256 x 64 f32 = 64 KiB of panel beside the rows: fits L2 with room
  LINEAR_K_SHORT = 64,   // few rows: 16 KiB, which stay in L1 between widening and their one use
  LINEAR_ROW_BLOCK = 96, // a multiple of every register tile's height
};

struct linear_job {
  const struct kernels *k;
  struct pool *pool;
  const struct packed *w;
  const float *bias;
  const struct nn_input *in;
  enum act act;
  float *y;
  size_t nr, panels, row_block;
  float *scratch;          // (threads, K block, nr)
  struct nn_share *shares; // (threads), or NULL: jobs are taken as they come
};

// The panels of one thread that are still to do: low half the first, high half one past the last. On a line of its own.
struct nn_share {
  _Alignas(64) _Atomic uint64_t left;
};

size_t nn_linear_scratch_bytes(const struct kernels *k, size_t threads) {
  return arena_need(threads * LINEAR_K_BLOCK * k->f32_nr * sizeof(float));
}

size_t nn_input_scratch_bytes(size_t rows, size_t K) {
  return arena_need(rows * size_round_up(K, 4)) + 2 * arena_need(rows * 4);
}

static void integer_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  size_t n0 = panel * j->nr, Kpad = size_round_up(w->K, j->k->i8_kg);
  struct gemm_i8 g = {.M = M,
                      .N = size_min(j->nr, w->N - n0),
                      .K = Kpad,
                      .a = j->in->q + m0 * j->in->ldq,
                      .lda = j->in->ldq,
                      .w = (const int8_t *)w->data + panel * w->panel_bytes,
                      .wsum = w->sum + n0,
                      .wscale = w->scale + n0,
                      .ascale = j->in->scale + m0,
                      .azero = j->in->zero + m0,
                      .bias = j->bias ? j->bias + n0 : NULL,
                      .act = j->act,
                      .c = j->y + m0 * w->N + n0,
                      .ldc = w->N};
  j->k->gemm_i8(&g);
}

static void float_job(const struct linear_job *j, size_t panel, size_t m0, size_t M, size_t thread) {
  const struct packed *w = j->w;
  size_t n0 = panel * j->nr;
  float *scratch = j->scratch + thread * LINEAR_K_BLOCK * j->nr;
  const float *bias = j->bias ? j->bias + n0 : NULL;
  size_t most = M <= j->k->f32_mr && w->encoding->unpack_panel ? LINEAR_K_SHORT : LINEAR_K_BLOCK;
  for (size_t k0 = 0; k0 < w->K; k0 += most) {
    size_t kn = size_min(most, w->K - k0);
    const float *block = scratch;
    if (w->encoding->unpack_panel) {
      w->encoding->unpack_panel(j->k, w, panel, k0, kn, scratch);
    } else {
      block = (const float *)(const void *)(w->data + panel * w->panel_bytes) + k0 * j->nr;
    }
    bool last = k0 + kn == w->K;
    struct gemm_f32 g = {.M = M,
                         .N = size_min(j->nr, w->N - n0),
                         .K = kn,
                         .a = j->in->x + m0 * j->in->K + k0,
                         .lda = j->in->K,
                         .w = block,
                         .ldw = j->nr,
                         .c = j->y + m0 * w->N + n0,
                         .ldc = w->N,
                         .accumulate = k0 > 0,
                         .bias = last ? bias : NULL,
                         .act = last ? j->act : ACT_NONE};
    j->k->gemm_f32(&g);
  }
}

static void bf16_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  size_t n0 = panel * j->nr;
  struct gemm_bf16 g = {.M = M,
                        .N = size_min(j->nr, w->N - n0),
                        .K = w->K,
                        .a = j->in->x + m0 * j->in->K,
                        .lda = j->in->K,
                        .w = (const uint16_t *)(const void *)(w->data + panel * w->panel_bytes),
                        .ldw = j->nr,
                        .c = j->y + m0 * w->N + n0,
                        .ldc = w->N,
                        .bias = j->bias ? j->bias + n0 : NULL,
                        .act = j->act};
  j->k->gemm_bf16(&g);
}

static void half_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  size_t n0 = panel * j->nr;
  struct gemm_half g = {.M = M,
                        .N = size_min(j->nr, w->N - n0),
                        .K = w->K,
                        .a = j->in->x + m0 * j->in->K,
                        .lda = j->in->K,
                        .w = (const uint16_t *)(const void *)(w->data + panel * w->panel_bytes),
                        .ldw = j->nr,
                        .bf16 = w->encoding == &encoding_bf16,
                        .c = j->y + m0 * w->N + n0,
                        .ldc = w->N,
                        .bias = j->bias ? j->bias + n0 : NULL,
                        .act = j->act};
  j->k->gemm_half(&g);
}

static bool uses_bf16_dot(const struct kernels *k, const struct packed *w) {
  return w->encoding == &encoding_bf16 && bf16_in_pairs(k, w->K);
}

// The next panel of the thread's own share; when that is done, the last one of another's. One is left for every call.
static size_t claim_panel(const struct linear_job *j, size_t thread) {
  size_t threads = pool_threads(j->pool);
  for (size_t i = 0;; i++) {
    _Atomic uint64_t *share = &j->shares[(thread + i) % threads].left;
    uint64_t left = atomic_load_explicit(share, memory_order_relaxed);
    for (;;) {
      uint64_t first = left & UINT32_MAX, end = left >> 32;
      if (first == end) break;
      uint64_t after = i == 0 ? end << 32 | (first + 1) : (end - 1) << 32 | first;
      if (atomic_compare_exchange_weak_explicit(share, &left, after, memory_order_relaxed, memory_order_relaxed))
        return i == 0 ? first : end - 1;
    }
  }
}

static void run_job(void *context, size_t job, size_t thread) {
  const struct linear_job *j = context;
  size_t panel = j->shares ? claim_panel(j, thread) : job % j->panels, m0 = job / j->panels * j->row_block;
  size_t M = size_min(j->row_block, j->in->rows - m0);
  if (j->w->encoding->integer) {
    integer_job(j, panel, m0, M);
  } else if (uses_bf16_dot(j->k, j->w)) {
    bf16_job(j, panel, m0, M);
  } else if (j->w->encoding == &encoding_f16 || j->w->encoding == &encoding_bf16) {
    half_job(j, panel, m0, M);
  } else {
    float_job(j, panel, m0, M, thread);
  }
}

struct quantize_job {
  const struct kernels *k;
  struct nn_input *in;
};
enum { QUANTIZE_ROWS = 16 };

static void quantize_rows(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct quantize_job *j = context;
  struct nn_input *in = j->in;
  for (size_t r = job * QUANTIZE_ROWS; r < size_min(in->rows, (job + 1) * QUANTIZE_ROWS); r++)
    j->k->quantize_u8(in->x + r * in->K, in->K, in->ldq, in->q + r * in->ldq, &in->scale[r], &in->zero[r]);
}

struct nn_input nn_input_of(struct nn_ctx *ctx, const float *x, size_t rows, size_t K, bool integer) {
  struct nn_input in = {.x = x, .rows = rows, .K = K};
  if (!integer) return in;
  in.ldq = size_round_up(K, ctx->kernels->i8_kg);
  assert(in.ldq <= size_round_up(K, 4)); // what nn_input_scratch_bytes counts on
  in.q = arena_take(ctx->arena, rows * in.ldq);
  in.scale = arena_take(ctx->arena, rows * sizeof(float));
  in.zero = arena_take(ctx->arena, rows * sizeof(int32_t));
  struct quantize_job j = {ctx->kernels, &in};
  pool_run(ctx->pool, quantize_rows, &j, size_ceil_div(rows, QUANTIZE_ROWS));
  return in;
}

static void run_linear(struct nn_ctx *ctx, const struct weight *w, struct linear_job *j) {
  const struct packed *p = &w->packed;
  const struct nn_input *in = j->in;
  assert(in->K == p->K && p->data);
  assert(!p->encoding->integer || in->q);
  if (ctx->observer) ctx->observer->linear(ctx->observer->context, w, in->x, in->rows, in->K);
  size_t mark = arena_mark(ctx->arena);
  j->k = ctx->kernels;
  j->pool = ctx->pool;
  j->w = p;
  j->panels = p->panels;
  j->nr = p->encoding->integer ? ctx->kernels->i8_nr : ctx->kernels->f32_nr;
  j->scratch = arena_take(ctx->arena, pool_threads(ctx->pool) * LINEAR_K_BLOCK * ctx->kernels->f32_nr * sizeof(float));
  // Widening a panel is paid per job, so those jobs take all rows when there are panels enough to go round.
  j->row_block = j->shares || (p->encoding->unpack_panel && p->panels >= 2 * pool_threads(ctx->pool))
                     ? in->rows
                     : LINEAR_ROW_BLOCK;
  pool_run(ctx->pool, run_job, j, p->panels * size_ceil_div(in->rows, j->row_block));
  arena_reset(ctx->arena, mark);
  ctx->counters.operations += 2 * (uint64_t)in->rows * p->N * p->K;
  ctx->counters.weight_bytes += p->panels * p->panel_bytes;
}

void nn_linear(struct nn_ctx *ctx, const struct weight *w, const float *bias, const struct nn_input *in, enum act act,
               float *y) {
  struct linear_job j = {.bias = bias, .in = in, .act = act, .y = y};
  run_linear(ctx, w, &j);
}

struct nn_share *nn_shares_take(struct nn_ctx *ctx) {
  return arena_take(ctx->arena, pool_threads(ctx->pool) * sizeof(struct nn_share));
}

size_t nn_shares_bytes(size_t threads) {
  return arena_need(threads * sizeof(struct nn_share));
}

void nn_linear_again(struct nn_ctx *ctx, const struct weight *w, const float *bias, const struct nn_input *in,
                     struct nn_share *shares, float *y) {
  size_t threads = pool_threads(ctx->pool), panels = w->packed.panels;
  assert(panels <= UINT32_MAX);
  for (size_t t = 0; t < threads; t++) {
    uint64_t first = panels * t / threads, end = panels * (t + 1) / threads;
    atomic_store_explicit(&shares[t].left, end << 32 | first, memory_order_relaxed);
  }
  struct linear_job j = {.bias = bias, .in = in, .act = ACT_NONE, .y = y, .shares = shares};
  run_linear(ctx, w, &j);
}

void nn_project(struct nn_ctx *ctx, const struct weight *w, const struct weight *bias, const float *x, size_t rows,
                enum act act, float *y) {
  size_t mark = arena_mark(ctx->arena);
  struct nn_input in = nn_input_of(ctx, x, rows, w->K, w->packed.encoding->integer);
  nn_linear(ctx, w, bias ? bias->vector : NULL, &in, act, y);
  arena_reset(ctx->arena, mark);
}
