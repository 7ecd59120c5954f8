// objective.c - see objective.h.
#include "train/objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"

enum { ROWS = 128, COLUMNS = 64 }; // of one job

enum pare_status objective_init(struct objective *o, const struct kernels *kernels, struct pool *pool,
                                const struct design *design, const uint32_t *label, size_t labels,
                                struct pare_error *err) {
  size_t C = labels == 2 ? 1 : labels, rows = design->rows;
  *o = (struct objective){
      .kernels = kernels, .pool = pool, .design = design, .label = label, .labels = labels, .outputs = C, .rows = rows};
  o->penalty = malloc(design->columns * sizeof *o->penalty);
  o->error = reallocarray(NULL, rows * C, sizeof *o->error);
  o->partial = reallocarray(NULL, size_ceil_div(rows, ROWS) * (C + 1), sizeof *o->partial);
  o->scratch = reallocarray(NULL, pool_threads(pool) * (labels + C), sizeof *o->scratch);
  if (!o->penalty || !o->error || !o->partial || !o->scratch) {
    objective_free(o);
    return error_no_memory(err);
  }
  for (size_t c = 0; c < design->columns; c++) {
    size_t n = design->column_start[c + 1] - design->column_start[c];
    double idf = 1 + log((1 + (double)rows) / (1 + (double)n));
    o->penalty[c] = (float)(1 / (idf * idf));
  }
  return PARE_OK;
}

void objective_free(struct objective *o) {
  free(o->penalty);
  free(o->error);
  free(o->partial);
  free(o->scratch);
  *o = (struct objective){0};
}

// logits (N) of a row; z: (C) scratch.
static void row_logits(const struct objective *o, const float *w, size_t row, float *z, float *logits) {
  const struct design *d = o->design;
  size_t C = o->outputs;
  memset(z, 0, C * sizeof *z);
  for (size_t i = d->row_start[row]; i < d->row_start[row + 1]; i++) {
    if (C == 1) {
      z[0] += w[d->row_ids[i]];
    } else {
      o->kernels->add(z, w + d->row_ids[i] * C, C);
    }
  }
  o->kernels->div(z, C, d->length[row]);
  o->kernels->add(z, w + d->columns * C, C);
  if (C == 1) {
    logits[1] = z[0] / 2;
    logits[0] = -logits[1];
  } else {
    memcpy(logits, z, C * sizeof *z);
  }
}

struct pass {
  struct objective *o;
  const float *w;
  float *g;
};

static void forward_rows(void *context, size_t job, size_t thread) {
  const struct pass *p = context;
  struct objective *o = p->o;
  size_t N = o->labels, C = o->outputs;
  float *logits = o->scratch + thread * (N + C), *z = logits + N;
  double *partial = o->partial + job * (C + 1);
  memset(partial, 0, (C + 1) * sizeof *partial);
  for (size_t r = job * ROWS; r < size_min(o->rows, (job + 1) * ROWS); r++) {
    row_logits(o, p->w, r, z, logits);
    double max = -INFINITY, right = (double)logits[o->label[r]];
    for (size_t i = 0; i < N; i++) max = fmax(max, (double)logits[i]);
    float sum = o->kernels->softmax_exp(logits, N, 1.0f);
    o->kernels->div(logits, N, sum);
    partial[C] += log((double)sum) - (right - max);
    float *e = o->error + r * C;
    if (C == 1) {
      e[0] = logits[1] - (o->label[r] == 1 ? 1.0f : 0.0f);
    } else {
      memcpy(e, logits, C * sizeof *e);
      e[o->label[r]] -= 1.0f;
    }
    for (size_t i = 0; i < C; i++) partial[i] += (double)e[i];
    o->kernels->div(e, C, o->design->length[r]);
  }
}

static void gradient_columns(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct pass *p = context;
  const struct objective *o = p->o;
  const struct design *d = o->design;
  size_t C = o->outputs;
  float scale = (float)(1.0 / (double)o->rows);
  for (size_t c = job * COLUMNS; c < size_min(d->columns, (job + 1) * COLUMNS); c++) {
    float *g = p->g + c * C, cost = (float)o->l2 * o->penalty[c];
    const float *w = p->w + c * C;
    memset(g, 0, C * sizeof *g);
    for (size_t i = d->column_start[c]; i < d->column_start[c + 1] && d->column_ids[i] < o->rows; i++) {
      const float *e = o->error + d->column_ids[i] * C;
      if (C == 1) {
        g[0] += e[0];
      } else {
        o->kernels->add(g, e, C);
      }
    }
    for (size_t i = 0; i < C; i++) g[i] = o->fixed && o->fixed[c * C + i] ? 0 : g[i] * scale + cost * w[i];
  }
}

double objective_eval(void *objective, const float *w, float *g) {
  struct objective *o = objective;
  size_t C = o->outputs, columns = o->design->columns, blocks = size_ceil_div(o->rows, ROWS);
  struct pass p = {o, w, g};
  pool_run(o->pool, forward_rows, &p, blocks);
  pool_run(o->pool, gradient_columns, &p, size_ceil_div(columns, COLUMNS));
  double loss = 0, cost = 0;
  for (size_t b = 0; b < blocks; b++) loss += o->partial[b * (C + 1) + C];
  for (size_t i = 0; i < C; i++) {
    double sum = 0;
    for (size_t b = 0; b < blocks; b++) sum += o->partial[b * (C + 1) + i];
    g[columns * C + i] = (float)(sum / (double)o->rows);
  }
  for (size_t c = 0; c < columns; c++) {
    double square = 0;
    for (size_t i = 0; i < C; i++) square += (double)w[c * C + i] * (double)w[c * C + i];
    cost += (double)o->penalty[c] * square;
  }
  return loss / (double)o->rows + o->l2 / 2 * cost;
}

struct answers {
  const struct objective *o;
  const float *w;
  size_t first, n;
  uint32_t *answer;
  double *loss;
};

static void answer_rows(void *context, size_t job, size_t thread) {
  const struct answers *a = context;
  size_t N = a->o->labels;
  float *logits = a->o->scratch + thread * (N + a->o->outputs);
  for (size_t i = job * ROWS; i < size_min(a->n, (job + 1) * ROWS); i++) {
    row_logits(a->o, a->w, a->first + i, logits + N, logits);
    size_t best = 0;
    for (size_t k = 1; k < N; k++)
      if (logits[k] > logits[best]) best = k;
    if (a->answer) a->answer[i] = (uint32_t)best;
    if (!a->loss) continue;
    double max = (double)logits[best], right = (double)logits[a->o->label[a->first + i]];
    a->loss[i] = log((double)a->o->kernels->softmax_exp(logits, N, 1.0f)) - (right - max);
  }
}

void objective_answers(const struct objective *o, const float *w, size_t first, size_t n, uint32_t *answer,
                       double *loss) {
  struct answers a = {o, w, first, n, answer, loss};
  pool_run(o->pool, answer_rows, &a, size_ceil_div(n, ROWS));
}
