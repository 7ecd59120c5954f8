// fit.c - see fit.h.
#include "train/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "train/lbfgs.h"
#include "train/store.h"

void fit_free(struct fit *f) {
  design_free(&f->design);
  free(f->w);
  free(f->fixed);
  *f = (struct fit){0};
}

static const double TOLERANCE = 1e-4; // share of the objective that an iteration must still gain

static enum pare_status minimise(struct fit *f, const struct fit_options *o, struct objective *objective,
                                 struct pare_error *err) {
  objective->rows = o->rows;
  objective->l2 = 1 / (f->c * (double)o->rows);
  objective->fixed = f->fixed;
  struct lbfgs l = {objective_eval, objective, o->pool, objective_size(objective), o->max_iterations, TOLERANCE};
  return lbfgs_minimise(&l, f->w, &f->iterations, err);
}

// Mean loss of the rows that are checked.
static enum pare_status check(const struct fit *f, const struct fit_options *o, const struct objective *objective,
                              double *mean, struct pare_error *err) {
  double *loss = malloc((o->checked + 1) * sizeof *loss), sum = 0;
  if (!loss) return error_no_memory(err);
  objective_answers(objective, f->w, o->rows, o->checked, NULL, loss);
  for (size_t i = 0; i < o->checked; i++) sum += loss[i];
  *mean = sum / (double)o->checked;
  free(loss);
  return PARE_OK;
}

// From a strong penalty to a weak one, each from the weights of the one before, until one is no better. By
// loss, not by what is right: of few rows many choices get the same number right.
static enum pare_status learn_all(struct fit *f, const struct fit_options *o, struct pare_error *err) {
  static const double list[] = {0.3, 1, 3, 10, 30};
  enum { COUNT = sizeof list / sizeof list[0] };
  struct objective objective;
  double best_loss = INFINITY;
  bool worse = false;
  enum pare_status s = objective_init(&objective, o->kernels, o->pool, &f->design, o->label, o->labels, err);
  if (s) return s;
  size_t n = objective_size(&objective);
  float *best = o->c > 0 ? NULL : malloc(n * sizeof *best);
  f->c = o->c;
  if (o->c > 0) {
    s = minimise(f, o, &objective, err);
  } else if (!best) {
    s = error_no_memory(err);
  }
  double best_c = f->c;
  for (size_t i = 0; !s && best && i < COUNT && !worse; i++) {
    double loss = 0;
    f->c = list[i];
    if (o->progress.report) o->progress.report(o->progress.context, "penalty", i, COUNT);
    s = minimise(f, o, &objective, err);
    if (!s) s = check(f, o, &objective, &loss, err);
    worse = !(loss < best_loss);
    if (s || worse) continue;
    best_loss = loss;
    best_c = f->c;
    memcpy(best, f->w, n * sizeof *best);
  }
  if (!s && best) memcpy(f->w, best, n * sizeof *best);
  f->c = best_c;
  free(best);
  objective_free(&objective);
  return s;
}

struct ranked {
  float score;
  uint32_t column, output;
};

static int by_score(const void *a, const void *b) {
  const struct ranked *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  if (x->column != y->column) return x->column < y->column ? -1 : 1;
  return (x->output > y->output) - (x->output < y->output);
}

static enum pare_status rank(const struct fit *f, struct ranked **out, size_t *count, struct pare_error *err) {
  size_t C = f->outputs, total = f->design.columns * C;
  struct ranked *list = *out = reallocarray(NULL, total + 1, sizeof *list);
  *count = 0;
  if (!list) return error_no_memory(err);
  for (size_t i = 0; i < total; i++) {
    size_t column = i / C;
    float texts = (float)(f->design.column_start[column + 1] - f->design.column_start[column]);
    if (f->w[i] != 0)
      list[(*count)++] = (struct ranked){fabsf(f->w[i]) * sqrtf(texts), (uint32_t)column, (uint32_t)(i % C)};
  }
  qsort(list, *count, sizeof *list, by_score);
  return PARE_OK;
}

// Keeps the first n of the ranked weights, drops columns without any.
static enum pare_status keep_first(struct fit *f, const struct ranked *list, size_t n, bool unit,
                                   struct pare_error *err) {
  size_t C = f->outputs, columns = f->design.columns, kept = 0;
  bool *keep = calloc(columns + 1, sizeof *keep);
  uint32_t *column_of = malloc((columns + 1) * sizeof *column_of);
  struct fit next = {.outputs = C, .c = f->c};
  enum pare_status s = keep && column_of ? PARE_OK : error_no_memory(err);
  for (size_t i = 0; !s && i < n; i++) keep[list[i].column] = true;
  if (!s) s = design_select(&f->design, keep, unit, &next.design, err);
  if (!s) {
    next.w = calloc((next.design.columns + 1) * C, sizeof *next.w);
    next.fixed = malloc(next.design.columns * C + 1);
    if (!next.w || !next.fixed) s = error_no_memory(err);
  }
  if (!s) {
    memset(next.fixed, 1, next.design.columns * C);
    for (size_t c = 0; c < columns; c++) column_of[c] = keep[c] ? (uint32_t)kept++ : 0;
    for (size_t i = 0; i < n; i++) {
      size_t at = column_of[list[i].column] * C + list[i].output;
      next.w[at] = f->w[list[i].column * C + list[i].output];
      next.fixed[at] = false;
    }
    memcpy(next.w + kept * C, f->w + columns * C, C * sizeof *next.w);
    fit_free(f);
    *f = next;
  } else {
    fit_free(&next);
  }
  free(keep);
  free(column_of);
  return s;
}

// The file with the first n of the ranked weights, in bytes.
static enum pare_status bytes_with(const struct fit *f, const struct fit_options *o, const struct ranked *list,
                                   size_t n, size_t *bytes, struct pare_error *err) {
  size_t C = f->outputs, columns = f->design.columns, kept = 0;
  bool *there = calloc(columns * C + 1, sizeof *there), *keep = calloc(columns + 1, sizeof *keep);
  uint32_t *buckets = malloc((columns + 1) * sizeof *buckets);
  enum pare_status s = there && keep && buckets ? PARE_OK : error_no_memory(err);
  for (size_t i = 0; !s && i < n; i++) keep[list[i].column] = there[list[i].output * columns + list[i].column] = true;
  for (size_t c = 0; !s && c < columns; c++)
    if (keep[c]) buckets[kept++] = f->design.buckets[c];
  if (!s) {
    size_t at = 0; // of the kept columns' entries, output by output
    for (size_t i = 0; i < C; i++)
      for (size_t c = 0; c < columns; c++)
        if (keep[c]) there[at++] = there[i * columns + c];
    s = store_bytes(buckets, kept, C, there, o->value_bytes, bytes, err);
  }
  free(there);
  free(keep);
  free(buckets);
  return s;
}

// How many of the ranked weights to keep: at most `limit`, and no more than fit into the file.
static enum pare_status how_many(const struct fit *f, const struct fit_options *o, const struct ranked *list,
                                 size_t limit, size_t *out, struct pare_error *err) {
  size_t low = 1, high = limit, bytes = 0;
  enum pare_status s = PARE_OK;
  if (!o->max_bytes) {
    *out = limit;
    return PARE_OK;
  }
  while (!s && low < high) {
    size_t middle = high - (high - low) / 2;
    s = bytes_with(f, o, list, middle, &bytes, err);
    if (bytes <= o->max_bytes) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  *out = low;
  if (!s) s = bytes_with(f, o, list, low, &bytes, err);
  if (!s && bytes > o->max_bytes)
    s = error_set(err, PARE_USAGE, "%zu bytes are too few: a model of one weight has %zu", o->max_bytes, bytes);
  return s;
}

// Learns again what is left. A round takes out at most three quarters.
static enum pare_status shrink(struct fit *f, const struct fit_options *o, struct pare_error *err) {
  size_t limit = 0; // weights that the pruned share leaves; 0: not known yet
  for (bool more = true; more;) {
    struct ranked *list = NULL;
    size_t count, wanted = 0;
    enum pare_status s = rank(f, &list, &count, err);
    if (!limit) limit = size_max(1, count - (size_t)(o->prune * (double)count));
    if (!s && count) s = how_many(f, o, list, size_min(limit, count), &wanted, err);
    size_t now = size_max(wanted, count / 4);
    more = !s && now > wanted;
    if (!s && now < count) {
      s = keep_first(f, list, now, o->unit, err);
      struct objective objective = {0};
      if (!s) s = objective_init(&objective, o->kernels, o->pool, &f->design, o->label, o->labels, err);
      if (!s) s = minimise(f, o, &objective, err);
      objective_free(&objective);
      if (o->progress.report) o->progress.report(o->progress.context, "pruning", wanted, now);
    }
    free(list);
    if (s) return s;
  }
  return PARE_OK;
}

enum pare_status fit_learn(struct design *design, const struct fit_options *o, struct fit *out,
                           struct pare_error *err) {
  *out = (struct fit){.design = *design, .outputs = o->labels == 2 ? 1 : o->labels};
  *design = (struct design){0};
  out->w = calloc((out->design.columns + 1) * out->outputs, sizeof *out->w);
  enum pare_status s = out->w ? learn_all(out, o, err) : error_no_memory(err);
  if (!s && (o->max_bytes || o->prune > 0)) s = shrink(out, o, err);
  if (s) fit_free(out);
  return s;
}
