// linear.c - y = act(x W^T + b) for every encoding: the only caller of weight kernels.
// LLM.int8() adds, for the outlier columns O of the row's text, sum over O of x[k] w[k], in f32, to what the integers
// give. Work is cut into (panel of outputs, block of rows) jobs, the blocks of a panel one after another, so that a
// thread reads its panels once and in the order they lie in. A job computes its outputs whole, k ascending, so neither
// the cut nor the thread that takes it changes a bit. Panels of int16 are widened K block by K block into thread
// scratch that stays in a near cache, and each widened block serves all rows of the job; kernels widen 16-bit floats
// and 4-bit codes themselves.
#include <assert.h>

#include "base/size.h"
#include "nn/nn.h"

enum {
  LINEAR_K_BLOCK = 256,  // 256 x 64 f32 = 64 KiB of panel beside the rows: fits L2 with room
  LINEAR_K_SHORT = 64,   // few rows: 16 KiB, which stay in L1 between widening and their one use
  LINEAR_ROW_BLOCK = 48, // a multiple of 4 and 6, most tiles' heights; what a thread waits for another at most
};

struct linear_job {
  const struct kernels *k;
  const struct packed *w;
  const float *bias;
  struct nn_input *in;
  enum act act;
  float *y;
  size_t nr, row_block, row_blocks;
  float *scratch;      // per thread: (K block, nr) of weights, (row block, K block) of activations
  size_t scratch_size; // floats per thread
};

static size_t panel_floats(const struct kernels *k) {
  return LINEAR_K_BLOCK * size_max(k->f32_nr, k->i8_nr);
}

static size_t thread_floats(const struct kernels *k) {
  return panel_floats(k) + LINEAR_ROW_BLOCK * LINEAR_K_BLOCK;
}

size_t nn_linear_scratch_bytes(const struct kernels *k, size_t threads) {
  return arena_need(threads * thread_floats(k) * sizeof(float));
}

// Where the outputs of rows from m0 on in a panel lie, and what they are made of.
struct place {
  size_t n0, N; // columns
  const void *w;
  const float *bias; // or NULL
  float *c;
};
static struct place place_of(const struct linear_job *j, size_t panel, size_t m0) {
  const struct packed *w = j->w;
  size_t n0 = panel * j->nr;
  return (struct place){.n0 = n0,
                        .N = size_min(j->nr, w->N - n0),
                        .w = w->data + panel * w->panel_bytes,
                        .bias = j->bias ? j->bias + n0 : NULL,
                        .c = j->y + m0 * w->N + n0};
}

// What the thread will read next, told once for a panel; NULL at the end.
static const int8_t *next_panel(const struct packed *w, size_t panel, size_t m0) {
  return m0 || panel + 1 == w->panels ? NULL : (const int8_t *)w->data + (panel + 1) * w->panel_bytes;
}

static void integer_rows(const struct linear_job *j, size_t panel, size_t m0, size_t M, enum act act) {
  const struct packed *w = j->w;
  const struct place at = place_of(j, panel, m0);
  struct gemm_i8 g = {.M = M,
                      .N = at.N,
                      .K = size_round_up(w->K, j->k->i8_kg),
                      .a = j->in->q + m0 * j->in->ldq,
                      .lda = j->in->ldq,
                      .w = at.w,
                      .ahead = next_panel(w, panel, m0),
                      .wsum = w->sum + at.n0,
                      .wscale = w->scale + at.n0,
                      .ascale = j->in->scale + m0,
                      .azero = j->in->zero + m0,
                      .bias = at.bias,
                      .act = act,
                      .c = at.c,
                      .ldc = w->N};
  j->k->gemm_i8(&g);
}

// y += x W^T over the outlier columns of text b, a block of columns at a time, k ascending; then act.
static void outlier_rows(const struct linear_job *j, size_t panel, size_t b, size_t m0, size_t M, size_t thread) {
  const struct nn_input *in = j->in;
  const struct packed *w = j->w;
  const uint8_t *mask = in->mask + b * in->K;
  float *panel_block = j->scratch + thread * j->scratch_size, *x_block = panel_block + panel_floats(j->k);
  const struct place at = place_of(j, panel, m0);
  size_t left = in->outliers[b];
  for (size_t k = 0; left;) {
    uint32_t columns[LINEAR_K_BLOCK];
    size_t n = 0;
    for (; n < size_min(left, LINEAR_K_BLOCK); k++)
      if (mask[k]) columns[n++] = (uint32_t)k;
    left -= n;
    int8_panel_columns(j->k, w, panel, columns, n, panel_block);
    for (size_t m = 0; m < M; m++)
      for (size_t c = 0; c < n; c++) x_block[m * n + c] = in->x[(m0 + m) * in->K + columns[c]];
    struct gemm_f32 g = {.M = M,
                         .N = at.N,
                         .K = n,
                         .a = x_block,
                         .lda = n,
                         .w = panel_block,
                         .ldw = j->nr,
                         .c = at.c,
                         .ldc = w->N,
                         .accumulate = true,
                         .act = left ? ACT_NONE : j->act};
    j->k->gemm_f32(&g);
  }
}

// Texts with outliers one by one, neighbours without any together.
static void integer_job(const struct linear_job *j, size_t panel, size_t m0, size_t M, size_t thread) {
  const struct nn_input *in = j->in;
  if (in->form.kind != ACTIVATION_OUTLIER) {
    integer_rows(j, panel, m0, M, j->act);
    return;
  }
  for (size_t end = m0 + M, next; m0 < end; m0 = next) {
    size_t b = nn_input_text(in, m0);
    bool outliers = in->outliers[b];
    next = size_min(nn_input_text_end(in, b), end);
    while (!outliers && next < end && !in->outliers[b + 1]) next = size_min(nn_input_text_end(in, ++b), end);
    integer_rows(j, panel, m0, next - m0, outliers ? ACT_NONE : j->act);
    if (outliers) outlier_rows(j, panel, b, m0, next - m0, thread);
  }
}

static void int4_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  const struct place at = place_of(j, panel, m0);
  struct gemm_i4 g = {.M = M,
                      .N = at.N,
                      .K = size_round_up(w->K, NIB_BLOCK),
                      .a = j->in->q + m0 * j->in->ldq,
                      .lda = j->in->ldq,
                      .w = at.w,
                      .ascale = j->in->scale + m0,
                      .azero = j->in->zero + m0,
                      .bias = at.bias,
                      .act = j->act,
                      .c = at.c,
                      .ldc = w->N};
  j->k->gemm_i4(&g);
}

static void nf4_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  const struct place at = place_of(j, panel, m0);
  struct gemm_nf4 g = {.M = M,
                       .N = at.N,
                       .K = w->K,
                       .a = j->in->x + m0 * j->in->K,
                       .lda = j->in->K,
                       .w = at.w,
                       .codebook = nf4_codebook,
                       .block = w->block,
                       .c = at.c,
                       .ldc = w->N,
                       .bias = at.bias,
                       .act = j->act};
  j->k->gemm_nf4(&g);
}

static void float_job(const struct linear_job *j, size_t panel, size_t m0, size_t M, size_t thread) {
  const struct packed *w = j->w;
  const struct place at = place_of(j, panel, m0);
  float *scratch = j->scratch + thread * j->scratch_size;
  size_t most = M <= j->k->f32_mr && w->encoding->unpack_panel ? LINEAR_K_SHORT : LINEAR_K_BLOCK;
  for (size_t k0 = 0; k0 < w->K; k0 += most) {
    size_t kn = size_min(most, w->K - k0);
    const float *block = scratch;
    if (w->encoding->unpack_panel) {
      w->encoding->unpack_panel(j->k, w, panel, k0, kn, scratch);
    } else {
      block = (const float *)at.w + k0 * j->nr;
    }
    bool last = k0 + kn == w->K;
    struct gemm_f32 g = {.M = M,
                         .N = at.N,
                         .K = kn,
                         .a = j->in->x + m0 * j->in->K + k0,
                         .lda = j->in->K,
                         .w = block,
                         .ldw = j->nr,
                         .c = at.c,
                         .ldc = w->N,
                         .accumulate = k0 > 0,
                         .bias = last ? at.bias : NULL,
                         .act = last ? j->act : ACT_NONE};
    j->k->gemm_f32(&g);
  }
}

static void half_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  const struct place at = place_of(j, panel, m0);
  struct gemm_half g = {.M = M,
                        .N = at.N,
                        .K = w->K,
                        .a = j->in->x + m0 * j->in->K,
                        .lda = j->in->K,
                        .w = at.w,
                        .ldw = j->nr,
                        .bf16 = w->encoding == &encoding_bf16,
                        .c = at.c,
                        .ldc = w->N,
                        .bias = at.bias,
                        .act = j->act};
  j->k->gemm_half(&g);
}

static void bf16_job(const struct linear_job *j, size_t panel, size_t m0, size_t M) {
  const struct packed *w = j->w;
  const struct place at = place_of(j, panel, m0);
  struct gemm_bf16 g = {.M = M,
                        .N = at.N,
                        .K = w->K,
                        .a = (const uint16_t *)(const void *)(j->in->q + m0 * j->in->ldq),
                        .lda = w->K,
                        .w = at.w,
                        .ldw = j->nr,
                        .c = at.c,
                        .ldc = w->N,
                        .bias = at.bias,
                        .act = j->act};
  j->k->gemm_bf16(&g);
}

static void run_job(void *context, size_t job, size_t thread) {
  const struct linear_job *j = context;
  size_t panel = job / j->row_blocks, m0 = job % j->row_blocks * j->row_block;
  size_t M = size_min(j->row_block, j->in->rows - m0);
  const struct encoding *e = j->w->encoding;
  if (e == &encoding_int4) {
    int4_job(j, panel, m0, M);
  } else if (e == &encoding_nf4 || e == &encoding_nf4_dq) {
    nf4_job(j, panel, m0, M);
  } else if (e->integer) {
    integer_job(j, panel, m0, M, thread);
  } else if (j->w->input.kind == ACTIVATION_BF16) {
    bf16_job(j, panel, m0, M);
  } else if (e == &encoding_f16 || e == &encoding_bf16) {
    half_job(j, panel, m0, M);
  } else {
    float_job(j, panel, m0, M, thread);
  }
}

void nn_linear(struct nn_ctx *ctx, const struct weight *w, const float *bias, struct nn_input *in, enum act act,
               float *y) {
  const struct packed *p = &w->packed;
  assert(in->rows > 0 && in->K == p->K && p->data);
  assert(!packed_input_bytes(p) || in->q);
  if (ctx->observer) ctx->observer->linear(ctx->observer->context, w, in->x, in->rows, in->K);
  size_t mark = arena_mark(ctx->arena), threads = pool_threads(ctx->pool);
  if (p->input.kind != ACTIVATION_NONE) nn_input_quantize(ctx, in, &p->input);
  // Widening a panel is paid per job, so those jobs take all rows when there are panels enough to go round.
  bool whole = p->encoding->unpack_panel && p->panels >= 2 * threads;
  struct linear_job j = {.k = ctx->kernels,
                         .w = p,
                         .bias = bias,
                         .in = in,
                         .act = act,
                         .y = y,
                         .nr = p->encoding->integer ? ctx->kernels->i8_nr : ctx->kernels->f32_nr,
                         .row_block = whole ? in->rows : LINEAR_ROW_BLOCK,
                         .scratch_size = thread_floats(ctx->kernels)};
  j.row_blocks = size_ceil_div(in->rows, j.row_block);
  j.scratch = arena_take(ctx->arena, threads * j.scratch_size * sizeof(float));
  pool_run(ctx->pool, run_job, &j, p->panels * j.row_blocks);
  arena_reset(ctx->arena, mark);
  ctx->counters.operations += 2 * (uint64_t)in->rows * p->N * p->K;
  ctx->counters.weight_bytes += p->panels * p->panel_bytes;
}

void nn_project(struct nn_ctx *ctx, const struct weight *w, const struct weight *bias, const float *x, size_t rows,
                enum act act, float *y) {
  size_t mark = arena_mark(ctx->arena);
  struct nn_input in = nn_input_of(ctx, x, rows, w->K, packed_input_bytes(&w->packed));
  nn_linear(ctx, w, bias ? bias->vector : NULL, &in, act, y);
  arena_reset(ctx->arena, mark);
}
