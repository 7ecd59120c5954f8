// bench.c - see bench.h. Models are opened, their cost is measured, then each row is run in turns. No tokenization:
// what is timed is the model alone.
#include "eval/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "eval/bench_kinds.h"
#include "eval/stats_fill.h"
#include "report/record.h"
#include "report/stats.h"

enum { DEFAULT_ITERATIONS = 60, WARM_UP_RUNS = 3 };

size_t bench_smallest_vocabulary(const struct bench *b) {
  size_t V = b->subjects[0].model->config.V;
  return b->count > 1 ? size_min(V, b->subjects[1].model->config.V) : V;
}

size_t bench_longest_input(const struct bench *b) {
  size_t n = b->subjects[0].model->config.P;
  return b->count > 1 ? size_min(n, b->subjects[1].model->config.P) : n;
}

size_t bench_largest(const size_t *x, size_t n) {
  size_t most = 0;
  for (size_t i = 0; i < n; i++) most = size_max(most, x[i]);
  return most;
}

// ---- timing ----

// One model at a time would give all of the machine's drift to one of them. Each turn starts with an untimed run when
// there are two models: the other one has just filled the cache.
static enum pare_status time_row(struct bench *b, struct pare_error *err) {
  size_t order[2] = {0, 1};
  enum pare_status status = PARE_OK;
  for (size_t k = 0; k < b->count; k++) {
    for (size_t i = 0; status == PARE_OK && i < WARM_UP_RUNS; i++) status = b->kind->run(b, k, 0, err);
  }
  const size_t block = 5; // timed runs per turn
  for (size_t done = 0; status == PARE_OK && done < b->iterations; done += block) {
    size_t n = size_min(block, b->iterations - done);
    rng_shuffle(&b->rng, order, b->count);
    for (size_t k = 0; k < b->count; k++) {
      if (status == PARE_OK && b->count > 1) status = b->kind->run(b, order[k], done, err);
      for (size_t i = 0; status == PARE_OK && i < n; i++) status = b->kind->run(b, order[k], done + i, err);
    }
  }
  return status;
}

// ---- record ----

static enum pare_status fill_line(const struct bench *b, size_t k, json_t *line, struct pare_error *err) {
  const struct eval_subject *s = &b->subjects[k];
  enum pare_status status = fill_latency(line, s->latency_ms, b->iterations, err);
  if (status == PARE_OK) status = b->kind->fill(b, k, line, err);
  if (status != PARE_OK) return status;
  int bad = json_object_set_new(line, "model", eval_text_json(s->name));
  bad |= json_object_set_new(line, "scheme", json_string(s->model->scheme));
  bad |= json_object_set_new(line, "rss_bytes", json_integer((json_int_t)s->cost.rss_bytes));
  bad |= json_object_set_new(line, "size_bytes", json_integer((json_int_t)s->model->tensors.file_bytes));
  bad |= json_object_set_new(line, "load_ms", json_real(s->cost.load_ms));
  bad |= json_object_set_new(line, "tokenizer_ms", json_real(s->cost.tokenizer_ms));
  bad |= json_object_set_new(line, "self_test_ms", json_real(s->cost.self_test_ms));
  bad |= json_object_set_new(line, "open_ms", json_real(s->cost.open_ms));
  return bad ? error_no_memory(err) : PARE_OK;
}

static double median_of(const double *x, size_t n, double *scratch) {
  memcpy(scratch, x, n * sizeof *x);
  stats_sort(scratch, n);
  return stats_median_sorted(scratch, n);
}

json_t *bench_ratio(const struct bench *b, const double *ours, const double *theirs) {
  double *scratch = calloc(2 * b->iterations + STATS_RESAMPLES, sizeof *scratch);
  if (!scratch) return NULL;
  struct rng rng;
  rng_seed(&rng, b->options->seed);
  double value = median_of(theirs, b->iterations, scratch) / median_of(ours, b->iterations, scratch);
  struct stats_interval i =
      stats_bootstrap_median_ratio(theirs, ours, b->iterations, STATS_RESAMPLES, 0.95, &rng, scratch);
  free(scratch);
  return fill_value(value, i);
}

static enum pare_status row_json(const struct bench *b, json_t *row, struct pare_error *err) {
  enum pare_status status = fill_line(b, 0, row, err);
  if (status != PARE_OK) return status;
  int bad = json_object_set_new(row, "isa", json_string(b->engine->kernels->name));
  bad |= json_object_set_new(row, "threads", json_integer((json_int_t)pool_threads(b->engine->pool)));
  json_t *against = b->count > 1 ? json_object() : json_null();
  bad |= json_object_set_new(row, "against", against);
  if (bad) return error_no_memory(err);
  if (b->count == 1) return PARE_OK;
  if ((status = fill_line(b, 1, against, err)) != PARE_OK) return status;
  json_t *ratio = bench_ratio(b, b->subjects[0].latency_ms, b->subjects[1].latency_ms);
  if (json_object_set_new(against, "ratio", ratio)) return error_no_memory(err);
  return b->kind->compare ? b->kind->compare(b, against, err) : PARE_OK;
}

static enum pare_status run_rows(struct bench *b, json_t *rows, struct pare_error *err) {
  const struct pare_progress *p = &b->options->progress;
  enum pare_status status = PARE_OK;
  for (size_t i = 0; status == PARE_OK && i < b->rows; i++) {
    if (p->report) p->report(p->context, "measuring", i, b->rows);
    json_t *row = json_object();
    status = b->kind->begin(b, i, err);
    if (status == PARE_OK) status = time_row(b, err);
    if (status == PARE_OK) status = row_json(b, row, err);
    b->kind->end(b);
    if (json_array_append_new(rows, row) && status == PARE_OK) status = error_no_memory(err);
  }
  return status;
}

// ---- the whole ----

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

// Memory is measured before this process has sessions of its own.
static enum pare_status measure_cost(struct bench *b, size_t baseline, struct pare_error *err) {
  enum pare_status status = PARE_OK;
  for (size_t k = 0; status == PARE_OK && k < b->count; k++) {
    struct eval_subject *s = &b->subjects[k];
    status = cost_measure(b->engine, s->path, &b->work, baseline, &s->cost, err);
  }
  for (size_t k = 0; status == PARE_OK && b->session_tokens && k < b->count; k++) {
    status = session_open(b->subjects[k].model, b->session_tokens, &b->subjects[k].session, err);
  }
  return status;
}

static enum pare_status run(struct bench *b, const char *path, json_t *rows, struct pare_error *err) {
  size_t baseline = cost_resident_bytes();
  const char *against = b->options->against;
  b->count = against ? 2 : 1;
  enum pare_status status = open_subject(b, &b->subjects[0], path, err);
  if (status == PARE_OK && against) status = open_subject(b, &b->subjects[1], against, err);
  if (status == PARE_OK) status = b->kind->choose(b, err);
  if (status == PARE_OK) status = measure_cost(b, baseline, err);
  if (status == PARE_OK) status = run_rows(b, rows, err);
  b->kind->end(b);
  for (size_t k = 0; k < 2; k++) eval_subject_close(&b->subjects[k]);
  return status;
}

// Options of one kind of run would do nothing in another.
static enum pare_status check(const struct bench *b, struct pare_error *err) {
  const struct pare_bench_options *o = b->options;
  if (!o->generate && (o->prompt_count || o->stream_count))
    return error_set(err, PARE_USAGE, "expected new tokens to generate: prompts and streams are for that");
  if (o->generate && (o->data || o->batch_count || o->length_count || o->max_tokens))
    return error_set(err, PARE_USAGE,
                     "generation has prompts and streams; expected no batches, lengths, longest text "
                     "or data with it");
  if (o->data && (o->batch_count || o->length_count))
    return error_set(err, PARE_USAGE, "the texts of a file are one batch; expected no batches or lengths with it");
  return eval_check_iterations(b->iterations, err);
}

static json_t *dataset_json(const pare_dataset *d) {
  if (!d) return json_null();
  return json_pack("{s:o, s:s, s:I}", "path", eval_text_json(d->path), "sha256", d->sha256, "n", (json_int_t)d->count);
}

enum pare_status bench_run(pare_engine *engine, const char *path, const struct pare_bench_options *options,
                           json_t **record, struct pare_error *err) {
  *record = NULL;
  struct bench b = {.engine = engine,
                    .options = options,
                    .kind = options->generate ? &bench_generation
                            : options->data   ? &bench_texts
                                              : &bench_ids,
                    .iterations = options->iterations ? options->iterations : DEFAULT_ITERATIONS};
  enum pare_status status = check(&b, err);
  if (status != PARE_OK) return status;
  rng_seed(&b.rng, options->seed);
  json_t *rows = json_array();
  json_t *tree = json_pack("{s:o, s:I, s:o, s:o, s:s, s:o}", "machine", cost_machine(engine), "seed",
                           (json_int_t)options->seed, "model", eval_text_json(path), "against",
                           eval_text_json(options->against), "latency_includes", "the model alone", "rows", rows);
  status = tree ? run(&b, path, rows, err) : error_no_memory(err);
  if (status == PARE_OK && json_object_set_new(tree, "dataset", dataset_json(b.data))) status = error_no_memory(err);
  dataset_close(b.data);
  if (status != PARE_OK) {
    json_decref(tree);
    return status;
  }
  *record = tree;
  return PARE_OK;
}
