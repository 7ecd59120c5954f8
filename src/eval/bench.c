// bench.c - see bench.h. No tokenization: what is timed is the model alone.
#include "eval/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/eval_subject.h"
#include "eval/stats_fill.h"
#include "report/record.h"
#include "report/stats.h"

enum { DEFAULT_ITERATIONS = 60, WARM_UP_RUNS = 3 };
static const size_t default_batches[] = {1};

struct bench {
  pare_engine *engine;
  const struct pare_bench_options *options;
  struct eval_subject subjects[2]; // the model, and the one it is run against
  size_t count, iterations;
  const size_t *batches, *lengths;
  size_t batch_count, length_count;
  size_t default_lengths[3];
  struct rng rng;
};

struct shape {
  size_t batch, length;
  uint32_t *ids;                   // (batch, length)
  struct pare_sequence *sequences; // (batch)
  float *logits;                   // enough for either model
};

static void shape_free(struct shape *s) {
  free(s->ids);
  free(s->sequences);
  free(s->logits);
}

static size_t smallest_vocabulary(const struct bench *b) {
  size_t V = b->subjects[0].model->config.V;
  return b->count > 1 ? size_min(V, b->subjects[1].model->config.V) : V;
}

static enum pare_status shape_make(struct bench *b, size_t batch, size_t length, struct shape *s,
                                   struct pare_error *err) {
  *s = (struct shape){.batch = batch, .length = length};
  size_t tokens, values = 0;
  bool fits = size_mul(batch, length, &tokens);
  for (size_t i = 0; fits && i < b->count; i++) {
    size_t rows, each;
    const pare_model *m = b->subjects[i].model;
    fits = size_mul(batch, session_rows(m, length), &rows) && size_mul(rows, session_columns(m), &each);
    values = fits ? size_max(values, each) : 0;
  }
  s->ids = fits ? calloc(tokens, sizeof *s->ids) : NULL;
  s->sequences = fits ? calloc(batch, sizeof *s->sequences) : NULL;
  s->logits = fits ? calloc(values, sizeof *s->logits) : NULL;
  if (!s->ids || !s->sequences || !s->logits) return error_no_memory(err);
  size_t V = smallest_vocabulary(b);
  for (size_t i = 0; i < tokens; i++) s->ids[i] = (uint32_t)rng_below(&b->rng, V);
  for (size_t i = 0; i < batch; i++)
    s->sequences[i] = (struct pare_sequence){.ids = s->ids + i * length, .len = length};
  return PARE_OK;
}

// ---- timing ----

static enum pare_status run_timed(struct eval_subject *s, const struct shape *shape, size_t i, struct pare_error *err) {
  uint64_t start = clock_ns();
  enum pare_status status = session_logits(s->session, shape->sequences, shape->batch, shape->logits, err);
  s->latency_ms[i] = (double)(clock_ns() - start) * 1e-6;
  return status;
}

// One model at a time would give all of the machine's drift to one of them. Each turn starts with an untimed run when
// there are two models: the other one has just filled the cache.
static enum pare_status time_shape(struct bench *b, const struct shape *shape, struct pare_error *err) {
  size_t order[2] = {0, 1};
  enum pare_status status = PARE_OK;
  for (size_t i = 0; i < b->count; i++) {
    for (size_t k = 0; status == PARE_OK && k < WARM_UP_RUNS; k++) status = run_timed(&b->subjects[i], shape, 0, err);
    b->subjects[i].session->ctx.counters = (struct nn_counters){0};
  }
  const size_t block = 5; // timed runs per turn
  for (size_t done = 0; status == PARE_OK && done < b->iterations; done += block) {
    size_t n = size_min(block, b->iterations - done);
    rng_shuffle(&b->rng, order, b->count);
    for (size_t i = 0; i < b->count; i++) {
      struct eval_subject *s = &b->subjects[order[i]];
      if (b->count > 1) {
        struct nn_counters kept = s->session->ctx.counters;
        if (status == PARE_OK) status = run_timed(s, shape, done, err);
        s->session->ctx.counters = kept;
      }
      for (size_t k = 0; status == PARE_OK && k < n; k++) status = run_timed(s, shape, done + k, err);
    }
  }
  return status;
}

// ---- record ----

static enum pare_status fill_row(const struct bench *b, const struct eval_subject *s, const struct shape *shape,
                                 json_t *row, struct pare_error *err) {
  enum pare_status status = fill_latency(row, s->latency_ms, b->iterations, err);
  double median = 0;
  if (status != PARE_OK) return status;
  if (!record_number(row, "latency_ms.median", &median) || median <= 0)
    return error_set(err, PARE_BUG, "a run took no time");
  double runs = (double)b->iterations, tokens = (double)(shape->batch * shape->length);
  const struct nn_counters *n = &s->session->ctx.counters;
  int bad = json_object_set_new(row, "model", eval_text_json(s->name));
  bad |= json_object_set_new(row, "scheme", json_string(s->model->scheme));
  bad |= json_object_set_new(row, "tokens_per_s", json_real(tokens / (median * 1e-3)));
  bad |= json_object_set_new(row, "gops", json_real((double)n->operations / runs / (median * 1e6)));
  bad |= json_object_set_new(row, "gb_per_s", json_real((double)n->weight_bytes / runs / (median * 1e6)));
  bad |= json_object_set_new(row, "rss_bytes", json_integer((json_int_t)s->cost.rss_bytes));
  bad |= json_object_set_new(row, "load_ms", json_real(s->cost.load_ms));
  return bad ? error_no_memory(err) : PARE_OK;
}

static enum pare_status fill_ratio(const struct bench *b, json_t *against, double value, struct pare_error *err) {
  double *scratch = calloc(2 * b->iterations + STATS_RESAMPLES, sizeof *scratch);
  if (!scratch) return error_no_memory(err);
  struct rng rng;
  rng_seed(&rng, b->options->seed);
  struct stats_interval i = stats_bootstrap_median_ratio(b->subjects[1].latency_ms, b->subjects[0].latency_ms,
                                                         b->iterations, STATS_RESAMPLES, 0.95, &rng, scratch);
  free(scratch);
  int bad = json_object_set_new(against, "ratio", json_pack("{s:f, s:[f, f]}", "value", value, "ci95", i.low, i.high));
  return bad ? error_no_memory(err) : PARE_OK;
}

static enum pare_status shape_json(const struct bench *b, const struct shape *shape, json_t *row,
                                   struct pare_error *err) {
  enum pare_status status = fill_row(b, &b->subjects[0], shape, row, err);
  if (status != PARE_OK) return status;
  int bad = json_object_set_new(row, "isa", json_string(b->engine->kernels->name));
  bad |= json_object_set_new(row, "threads", json_integer((json_int_t)pool_threads(b->engine->pool)));
  bad |= json_object_set_new(
      row, "shape", json_pack("{s:I, s:I}", "batch", (json_int_t)shape->batch, "length", (json_int_t)shape->length));
  json_t *against = b->count > 1 ? json_object() : json_null();
  bad |= json_object_set_new(row, "against", against);
  if (bad) return error_no_memory(err);
  if (b->count == 1) return PARE_OK;
  status = fill_row(b, &b->subjects[1], shape, against, err);
  double ours = 0, theirs = 0;
  record_number(row, "latency_ms.median", &ours);
  record_number(against, "latency_ms.median", &theirs);
  return status == PARE_OK ? fill_ratio(b, against, theirs / ours, err) : status;
}

static enum pare_status run_shapes(struct bench *b, json_t *rows, struct pare_error *err) {
  const struct pare_progress *p = &b->options->progress;
  size_t total = b->batch_count * b->length_count;
  for (size_t i = 0; i < total; i++) {
    if (p->report) p->report(p->context, "measuring", i, total);
    struct shape shape;
    enum pare_status status =
        shape_make(b, b->batches[i / b->length_count], b->lengths[i % b->length_count], &shape, err);
    json_t *row = json_object();
    if (status == PARE_OK) status = time_shape(b, &shape, err);
    if (status == PARE_OK) status = shape_json(b, &shape, row, err);
    shape_free(&shape);
    if (json_array_append_new(rows, row) && status == PARE_OK) status = error_no_memory(err);
    if (status != PARE_OK) return status;
  }
  return PARE_OK;
}

// ---- the whole ----

static size_t longest_input(const struct bench *b) {
  size_t n = b->subjects[0].model->config.P;
  return b->count > 1 ? size_min(n, b->subjects[1].model->config.P) : n;
}

static void choose_shapes(struct bench *b) {
  const struct pare_bench_options *o = b->options;
  b->batches = o->batch_count ? o->batches : default_batches;
  b->batch_count = o->batch_count ? o->batch_count : 1;
  b->lengths = o->length_count ? o->lengths : b->default_lengths;
  b->length_count = o->length_count;
  if (o->length_count) return;
  const size_t wanted[] = {16, 64, o->max_tokens ? o->max_tokens : SIZE_MAX};
  for (size_t i = 0; i < 3; i++) {
    size_t length = size_min(size_min(wanted[i], wanted[2]), longest_input(b));
    if (b->length_count == 0 || b->default_lengths[b->length_count - 1] != length)
      b->default_lengths[b->length_count++] = length;
  }
}

static size_t largest(const size_t *x, size_t n) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++) most = size_max(most, x[i]);
  return most;
}

static enum pare_status open_subject(struct bench *b, struct eval_subject *s, const char *path,
                                     struct pare_error *err) {
  size_t len;
  const char *name = eval_path_name(path, &len);
  s->path = strdup(path);
  s->name = strndup(name, len);
  s->latency_ms = calloc(b->iterations, sizeof *s->latency_ms);
  if (!s->path || !s->name || !s->latency_ms) return error_no_memory(err);
  return model_open(b->engine, path, &s->model, err);
}

static enum pare_status open_sessions(struct bench *b, size_t baseline, struct pare_error *err) {
  size_t length = largest(b->lengths, b->length_count), tokens;
  if (length > longest_input(b)) {
    return error_set(err, PARE_USAGE, "expected lengths up to the model's %zu tokens, found %zu", longest_input(b),
                     length);
  }
  if (!size_mul(largest(b->batches, b->batch_count), length, &tokens)) return error_no_memory(err);
  enum pare_status status = PARE_OK;
  for (size_t i = 0; status == PARE_OK && i < b->count; i++) {
    status = cost_measure(b->engine, b->subjects[i].path, length, baseline, &b->subjects[i].cost, err);
  }
  for (size_t i = 0; status == PARE_OK && i < b->count; i++) {
    status = session_open(b->subjects[i].model, tokens, &b->subjects[i].session, err);
  }
  return status;
}

static enum pare_status run(struct bench *b, const char *path, json_t *rows, struct pare_error *err) {
  size_t baseline = cost_resident_bytes();
  const char *against = b->options->against;
  b->count = against ? 2 : 1;
  enum pare_status status = open_subject(b, &b->subjects[0], path, err);
  if (status == PARE_OK && against) status = open_subject(b, &b->subjects[1], against, err);
  if (status == PARE_OK) choose_shapes(b);
  if (status == PARE_OK) status = open_sessions(b, baseline, err);
  if (status == PARE_OK) status = run_shapes(b, rows, err);
  for (size_t i = 0; i < 2; i++) eval_subject_close(&b->subjects[i]);
  return status;
}

enum pare_status bench_run(pare_engine *engine, const char *path, const struct pare_bench_options *options,
                           json_t **record, struct pare_error *err) {
  *record = NULL;
  struct bench b = {.engine = engine,
                    .options = options,
                    .iterations = options->iterations ? options->iterations : DEFAULT_ITERATIONS};
  enum pare_status status = eval_check_iterations(b.iterations, err);
  if (status != PARE_OK) return status;
  rng_seed(&b.rng, options->seed);
  json_t *rows = json_array();
  json_t *tree = json_pack("{s:o, s:I, s:o, s:o, s:s, s:o}", "machine", cost_machine(engine), "seed",
                           (json_int_t)options->seed, "model", eval_text_json(path), "against",
                           eval_text_json(options->against), "latency_includes", "the model alone", "rows", rows);
  status = tree ? run(&b, path, rows, err) : error_no_memory(err);
  if (status != PARE_OK) {
    json_decref(tree);
    return status;
  }
  *record = tree;
  return PARE_OK;
}
