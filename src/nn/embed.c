// embed.c - embedding rows and the residual-plus-norm step.
#include <string.h>

#include "base/size.h"
#include "nn/nn.h"

enum { ROWS_PER_JOB = 16 };

struct embed_job {
  struct nn_ctx *ctx;
  const struct weight *w;
  const uint32_t *ids;
  size_t n;
  bool add;
  float *y, *scratch; // scratch (threads, K): a row to be added
};

static void embed_rows(void *context, size_t job, size_t thread) {
  const struct embed_job *j = context;
  const struct kernels *k = j->ctx->kernels;
  size_t C = j->w->K;
  for (size_t i = job * ROWS_PER_JOB; i < size_min(j->n, (job + 1) * ROWS_PER_JOB); i++) {
    float *row = j->add ? j->scratch + thread * C : j->y + i * C;
    // A tied embedding is packed for the output layer: rows are read from there, so one copy serves both.
    if (j->w->packed.data) {
      j->w->packed.encoding->packed_row(k, &j->w->packed, j->ids[i], row);
    } else {
      stored_row(k, &j->w->stored, j->ids[i], row);
    }
    if (j->add) k->add(j->y + i * C, row, C);
  }
}

void nn_embed(struct nn_ctx *ctx, const struct weight *w, const uint32_t *ids, size_t n, bool add, float *y) {
  size_t mark = arena_mark(ctx->arena);
  struct embed_job j = {ctx, w, ids, n, add, y, NULL};
  j.scratch = arena_take(ctx->arena, pool_threads(ctx->pool) * w->K * sizeof(float));
  pool_run(ctx->pool, embed_rows, &j, size_ceil_div(n, ROWS_PER_JOB));
  arena_reset(ctx->arena, mark);
}

size_t nn_embed_scratch_bytes(size_t threads, size_t C) {
  return arena_need(threads * C * sizeof(float));
}

struct norm_job {
  const struct kernels *k;
  float *x, *y;
  const float *r, *gamma, *beta;
  float eps;
  size_t rows, C;
};

static void norm_rows(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct norm_job *j = context;
  for (size_t i = job * ROWS_PER_JOB; i < size_min(j->rows, (job + 1) * ROWS_PER_JOB); i++) {
    float *x = j->x + i * j->C;
    if (j->r) j->k->add(x, j->r + i * j->C, j->C);
    j->k->layernorm(x, j->gamma, j->beta, j->eps, j->C, j->y + i * j->C);
  }
}

void nn_add_norm(struct nn_ctx *ctx, float *x, const float *r, const struct weight *gamma, const struct weight *beta,
                 float eps, size_t rows, size_t C, float *y) {
  struct norm_job j = {ctx->kernels, x, y, r, gamma->vector, beta->vector, eps, rows, C};
  pool_run(ctx->pool, norm_rows, &j, size_ceil_div(rows, ROWS_PER_JOB));
}
