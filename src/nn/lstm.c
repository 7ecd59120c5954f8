// lstm.c - see lstm.h.
#include "nn/lstm.h"

#include <string.h>

#include "base/size.h"

enum { SEQUENCES_PER_JOB = 4 };

struct cell_job {
  const struct kernels *k;
  size_t rows, width;
  const float *x, *r; // (rows, 4 width)
  float *c, *h;       // (rows, width)
};

static void run_cells(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct cell_job *j = context;
  size_t w = j->width, end = size_min(j->rows, (job + 1) * SEQUENCES_PER_JOB);
  for (size_t s = job * SEQUENCES_PER_JOB; s < end; s++)
    j->k->lstm(j->x + s * 4 * w, j->r + s * 4 * w, w, j->c + s * w, j->h + s * w);
}

// The recurrent product of a step. Before a text's first word h is zero: what is left is the bias.
static void recur(struct nn_ctx *ctx, const struct nn_lstm *layer, const float *h, size_t rows, float *r) {
  size_t N = layer->h->N;
  if (h) {
    nn_project(ctx, layer->h, layer->h_bias, h, rows, ACT_NONE, r);
    return;
  }
  for (size_t s = 0; s < rows; s++) memcpy(r + s * N, layer->h_bias->vector, N * sizeof(float));
}

void nn_lstm(struct nn_ctx *ctx, const struct nn_lstm *layer, const struct nn_steps *steps, const float *x,
             struct nn_lstm_state *state, float *y) {
  size_t width = layer->h->K, N = 4 * width, most = steps->active[0], mark = arena_mark(ctx->arena);
  float *gates = arena_take(ctx->arena, steps->rows * N * sizeof(float));
  float *r = arena_take(ctx->arena, most * N * sizeof(float));
  nn_project(ctx, layer->x, layer->x_bias, x, steps->rows, ACT_NONE, gates);
  if (state->fresh) memset(state->c, 0, most * width * sizeof(float));
  const float *h = state->fresh ? NULL : state->h;
  for (size_t t = 0, row = 0; t < steps->count; row += steps->active[t++]) {
    size_t rows = steps->active[t];
    recur(ctx, layer, h, rows, r);
    struct cell_job j = {ctx->kernels, rows, width, gates + row * N, r, state->c, y + row * width};
    pool_run(ctx->pool, run_cells, &j, size_ceil_div(rows, SEQUENCES_PER_JOB));
    h = j.h;
  }
  // Sequences that ended earlier are not asked again, so the last step's rows are the state.
  memcpy(state->h, h, steps->active[steps->count - 1] * width * sizeof(float));
  state->fresh = false;
  arena_reset(ctx->arena, mark);
}

size_t nn_lstm_scratch_bytes(const struct kernels *k, size_t rows, size_t sequences, size_t width, size_t threads) {
  return arena_need(rows * 4 * width * sizeof(float)) + arena_need(sequences * 4 * width * sizeof(float)) +
         nn_input_scratch_bytes(size_max(rows, sequences), width) + nn_linear_scratch_bytes(k, threads);
}
