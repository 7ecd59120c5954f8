// input.c - an input's other form: bf16, or 8 bits, per token, in a range fixed beforehand, or LLM.int8()'s, whose
// outlier columns are those of one text. Rows, or columns, are split over threads; each text's answer is its own.
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/size.h"
#include "nn/nn.h"

enum { ROWS_PER_JOB = 16, COLUMNS_PER_JOB = 256, ZERO_S8 = 128 };

struct quantize_job {
  const struct kernels *k;
  struct nn_input *in;
};

size_t nn_input_scratch_bytes(size_t rows, size_t K) {
  return arena_need(rows * 2 * size_round_up(K, NIB_BLOCK)) + arena_need(rows * K) + 3 * arena_need(rows * 4);
}

struct nn_input nn_input_of(struct nn_ctx *ctx, const float *x, size_t rows, size_t K, size_t bytes) {
  struct nn_input in = {.x = x, .rows = rows, .K = K, .B = rows};
  if (!bytes) return in;
  static_assert(NIB_BLOCK % KERNEL_I8_KG_MAX == 0, "rows are padded for every table's groups of k");
  if (ctx->offsets && ctx->offsets[ctx->B] == rows) {
    in.offsets = ctx->offsets;
    in.B = ctx->B;
  }
  in.q = arena_take(ctx->arena, rows * bytes * size_round_up(K, NIB_BLOCK));
  in.scale = arena_take(ctx->arena, rows * sizeof(float));
  in.zero = arena_take(ctx->arena, rows * sizeof(int32_t));
  in.mask = arena_take(ctx->arena, in.B * K); // B <= rows: every text has a row
  in.outliers = arena_take(ctx->arena, in.B * sizeof(uint32_t));
  return in;
}

size_t nn_input_text(const struct nn_input *in, size_t row) {
  if (!in->offsets) return row;
  size_t first = 0, end = in->B; // offsets[first] <= row < offsets[end]
  while (end - first > 1) {
    size_t middle = first + (end - first) / 2;
    *(in->offsets[middle] <= row ? &first : &end) = middle;
  }
  return first;
}

size_t nn_input_text_end(const struct nn_input *in, size_t b) {
  return in->offsets ? in->offsets[b + 1] : b + 1;
}

static void quantize_row(const struct kernels *k, const struct nn_input *in, size_t r) {
  const float *x = in->x + r * in->K;
  uint8_t *q = in->q + r * in->ldq;
  const struct activation *form = &in->form;
  if (form->kind == ACTIVATION_BF16) {
    k->round_bf16(x, in->K, (uint16_t *)(void *)q);
  } else if (form->kind == ACTIVATION_TOKEN) {
    k->quantize_u8(x, in->K, in->ldq, q, &in->scale[r], &in->zero[r]);
  } else if (form->kind == ACTIVATION_STATIC) {
    bool good = k->quantize_u8_fixed(x, in->K, in->ldq, 1.0f / form->scale, form->zero, q);
    in->scale[r] = good ? form->scale : NAN; // shows in the answer
    in->zero[r] = form->zero;
  } else {
    k->quantize_s8(x, in->mask + nn_input_text(in, r) * in->K, in->K, in->ldq, form->limit, q, &in->scale[r]);
    in->zero[r] = ZERO_S8;
  }
}

static void quantize_rows(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct quantize_job *j = context;
  for (size_t r = job * ROWS_PER_JOB; r < size_min(j->in->rows, (job + 1) * ROWS_PER_JOB); r++)
    quantize_row(j->k, j->in, r);
}

// A block of one text's columns.
static void mark_columns(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct quantize_job *j = context;
  const struct nn_input *in = j->in;
  size_t b = job % in->B, k0 = job / in->B * COLUMNS_PER_JOB, n = size_min(COLUMNS_PER_JOB, in->K - k0);
  size_t first = in->offsets ? in->offsets[b] : b, end = nn_input_text_end(in, b);
  uint8_t *mask = in->mask + b * in->K + k0;
  memset(mask, 0, n);
  if (!in->form.outliers) return;
  for (size_t r = first; r < end; r++) j->k->mark_outliers(in->x + r * in->K + k0, n, in->form.limit, mask);
}

static void count_columns(void *context, size_t b, size_t thread) {
  (void)thread;
  const struct nn_input *in = ((const struct quantize_job *)context)->in;
  uint32_t count = 0;
  for (size_t k = 0; k < in->K; k++) count += in->mask[b * in->K + k] & 1;
  in->outliers[b] = count;
}

static bool same_form(const struct activation *a, const struct activation *b) {
  return a->kind == b->kind && a->scale == b->scale && a->zero == b->zero && a->limit == b->limit &&
         a->outliers == b->outliers;
}

void nn_input_quantize(struct nn_ctx *ctx, struct nn_input *in, const struct activation *form) {
  if (same_form(&in->form, form)) return;
  in->form = *form;
  in->ldq = form->kind == ACTIVATION_BF16 ? 2 * in->K : size_round_up(in->K, NIB_BLOCK); // 8 bits, for any product
  struct quantize_job j = {ctx->kernels, in};
  if (form->kind == ACTIVATION_OUTLIER) {
    pool_run(ctx->pool, mark_columns, &j, in->B * size_ceil_div(in->K, COLUMNS_PER_JOB));
    pool_run(ctx->pool, count_columns, &j, in->B);
  }
  pool_run(ctx->pool, quantize_rows, &j, size_ceil_div(in->rows, ROWS_PER_JOB));
}
