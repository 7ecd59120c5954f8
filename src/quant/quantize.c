// quantize.c - see quantize.h. Open -> plan -> quantize every weight (or, converting, take it as it is) -> write beside
// the target -> open what was written, store its answer -> rename into place. Same input, scheme and version: same
// bytes.
#include "quant/quantize.h"

#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/selftest.h"
#include "pack/sparse.h"
#include "quant/prune.h"

struct job {
  const pare_model *m;
  const struct plan *plan;
  const struct calibration_range *ranges; // (plan items), or NULL
  struct result *results;
  enum pare_status *status;
  struct pare_error *errors;
};

// Signal-to-quantization-noise ratio and cosine of the whole matrix, in double.
static enum pare_status measure(const struct kernels *k, const struct stored *a, struct result *r,
                                struct pare_error *err) {
  float *x = malloc(2 * a->K * sizeof(float));
  if (!x) return error_no_memory(err);
  float *y = x + a->K;
  double xx = 0, yy = 0, xy = 0, dd = 0;
  size_t zeros = 0;
  for (size_t n = 0; n < a->N; n++) {
    stored_row(k, a, n, x);
    stored_row(k, &r->stored, n, y);
    for (size_t i = 0; i < a->K; i++) {
      double p = (double)x[i], q = (double)y[i];
      xx += p * p;
      yy += q * q;
      xy += p * q;
      dd += (p - q) * (p - q);
      zeros += q == 0;
    }
  }
  free(x);
  r->sqnr_db = dd > 0 ? 10 * log10(xx / dd) : INFINITY;
  r->zeros = (double)zeros / ((double)a->N * (double)a->K); // every dimension is at least 1
  r->cosine = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 1;
  return PARE_OK;
}

static enum pare_status make(const struct job *j, const struct plan_item *item, const struct stored *source,
                             struct stored *out, struct pare_error *err) {
  const struct encoding *e = item->scheme ? item->scheme->encoding : item->vector;
  const struct method *method = item->scheme ? item->scheme->method : &method_cast;
  struct stored pruned = {0};
  enum pare_status s = PARE_OK;
  if (item->prune > 0) {
    s = prune_matrix(j->m->kernels, source, item->prune, &pruned, err);
    source = &pruned;
  }
  if (!s) s = method->quantize(j->m->kernels, source, e, item->weight->name, out, err);
  stored_free(&pruned);
  return s;
}

static enum pare_status quantize_from(const struct job *j, size_t i, const struct stored *source,
                                      struct pare_error *err) {
  const struct plan_item *item = &j->plan->items[i];
  struct result *r = &j->results[i];
  enum pare_status s = make(j, item, source, &r->stored, err);
  if (!s && item->scheme) s = measure(j->m->kernels, source, r, err);
  // A set's weights are added one by one, so their zeros need not be there.
  if (!s && item->row->role == ROLE_BAG) s = sparse_if_smaller(&r->stored, err);
  if (s) return s;
  if (item->scheme && item->scheme->calibrated) calibration_store(&j->ranges[i], &r->stored);
  if (item->scheme) return PARE_OK;
  // A vector was one row of width N: write it with the shape it came with.
  r->stored.parts[0].rank = source->parts[0].rank;
  memcpy(r->stored.parts[0].shape, source->parts[0].shape, sizeof source->parts[0].shape);
  return PARE_OK;
}

static void quantize_one(void *context, size_t i, size_t thread) {
  (void)thread;
  const struct job *j = context;
  const struct stored *source = &j->plan->items[i].weight->stored;
  struct stored dense = {0};
  if (sparse_is(source)) { // methods read row by row, and a sparse row is found by reading all before it
    j->status[i] = sparse_to_f32(source, &dense, &j->errors[i]);
    source = &dense;
  }
  if (!j->status[i]) j->status[i] = quantize_from(j, i, source, &j->errors[i]);
  stored_free(&dense);
}

static enum pare_status quantize_all(const pare_model *m, const struct plan *plan,
                                     const struct calibration *calibration, struct result *results,
                                     const struct pare_progress *progress, struct pare_error *err) {
  enum { CHUNK = 16 }; // weights between two reports of progress
  enum pare_status status[CHUNK], s = PARE_OK;
  struct pare_error errors[CHUNK];
  for (size_t first = 0; !s && first < plan->count; first += CHUNK) {
    struct plan part = *plan;
    part.items += first;
    part.count = size_min(CHUNK, plan->count - first);
    memset(status, 0, sizeof status);
    const struct calibration_range *ranges = calibration->ranges ? calibration->ranges + first : NULL;
    struct job j = {m, &part, ranges, results + first, status, errors};
    pool_run(m->pool, quantize_one, &j, part.count);
    for (size_t i = 0; !s && i < part.count; i++)
      if (status[i]) s = error_set(err, status[i], "%s: %s", m->path, errors[i].text);
    if (progress->report) progress->report(progress->context, "quantizing", first + part.count, plan->count);
  }
  return s;
}

static json_t *number(double x) {
  return isfinite(x) ? json_real(x) : json_null(); // an exact tensor has no noise: null
}

// The source's own values.
static void take_all(const struct plan *plan, struct result *results) {
  for (size_t i = 0; i < plan->count; i++) {
    results[i] = (struct result){.stored = plan->items[i].weight->stored, .sqnr_db = INFINITY, .cosine = 1};
    results[i].stored.owned = NULL;
  }
}

// ---- the Hugging Face directory ----

static enum pare_status prepare_hf(const struct quantized *q, void **state, const char **file, size_t *bytes,
                                   struct pare_error *err) {
  static const char *const meta[] = {"format", "pt"};
  struct tensor_list *tensors = calloc(1, sizeof *tensors);
  *state = tensors;
  *file = "model.safetensors";
  if (!tensors) return error_no_memory(err);
  enum pare_status s = save_list(q->plan, q->results, tensors, err);
  return s ? s : safetensors_file_bytes(tensors->list, tensors->count, meta, 1, bytes, err);
}

static enum pare_status write_hf(void *state, const struct quantized *q, const char *dir, struct pare_error *err) {
  return save_directory(q->m, q->plan, state, dir, err);
}

static void release_hf(void *state) {
  if (state) tensor_list_free(state);
  free(state);
}

const struct writer writer_hf = {
    .format = "hf", .self_test = true, .prepare = prepare_hf, .write = write_hf, .release = release_hf};

// ---- the drive ----

struct run {
  pare_engine *engine;
  struct quantized q;
  const struct writer *writer;
  void *state;
  const char *file;                      // the weight file's name
  const struct calibration_texts *texts; // NULL: nothing was calibrated
  const struct calibration *calibration;
};

static json_t *tensor_row(const struct run *run, size_t i) {
  const struct plan_item *item = &run->q.plan->items[i];
  const struct result *r = &run->q.results[i];
  json_t *row =
      json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "name", item->weight->name, "encoding", r->stored.encoding->name,
                "method", run->q.plan->scheme ? item->scheme->method_name : "kept", "bytes",
                (json_int_t)stored_bytes(&r->stored), "sqnr_db", number(r->sqnr_db), "cosine", number(r->cosine));
  if (item->prune > 0) json_object_set_new(row, "sparsity", json_real(r->zeros));
  if (run->calibration->ranges && item->scheme->calibrated) {
    const struct calibration_range *range = &run->calibration->ranges[i];
    json_object_set_new(row, "input_range", json_pack("[f, f]", (double)range->lo, (double)range->hi));
    json_object_set_new(row, "input_clipped", json_real(range->clipped));
  }
  return row;
}

static json_t *tensor_rows(const struct run *run) {
  json_t *list = json_array();
  for (size_t i = 0; i < run->q.plan->count; i++)
    if (run->q.plan->items[i].scheme) json_array_append_new(list, tensor_row(run, i));
  return list;
}

// What was done before rounding, where something was: the texts whose ranges were taken, and the weights set to zero.
static void add_preparation(const struct run *r, json_t *record) {
  if (r->texts)
    json_object_set_new(record, "calibration", calibration_json(r->calibration, r->texts, &r->q.options->calibrate));
  double wanted = 0, weights = 0, zeros = 0;
  bool sparse = false;
  for (size_t i = 0; i < r->q.plan->count; i++) {
    const struct plan_item *item = &r->q.plan->items[i];
    if (!(item->prune > 0)) continue;
    double n = (double)item->weight->N * (double)item->weight->K;
    weights += n;
    wanted += n * item->prune;
    zeros += n * r->q.results[i].zeros;
    sparse |= sparse_is(&r->q.results[i].stored);
  }
  if (weights > 0) // dense: a zero takes as much room and time as any other value
    json_object_set_new(record, "pruning",
                        json_pack("{s:f, s:f, s:f, s:s}", "share", wanted / weights, "weights", weights, "sparsity",
                                  zeros / weights, "stored", sparse ? "sparse" : "dense"));
}

// [{file, sha256}]: the weight files the source was read from, shards in the order of their first tensor.
static enum pare_status source_files(const pare_model *m, json_t **out, struct pare_error *err) {
  *out = json_array();
  json_t *seen = json_object();
  enum pare_status s = *out && seen ? PARE_OK : error_no_memory(err);
  for (size_t i = 0; !s && i < m->tensors.count; i++) {
    const char *file = m->tensors.list[i].file;
    char sha256[65];
    if (json_object_get(seen, file)) continue;
    s = file_sha256(file, sha256, err);
    if (!s) json_array_append_new(*out, json_pack("{s:s, s:s}", "file", path_base(file), "sha256", sha256));
    json_object_set_new(seen, file, json_true());
  }
  json_decref(seen);
  return s;
}

// Answer of the model as written: what every later load is held to.
static enum pare_status written_answer(pare_engine *engine, const char *dir, json_t **out, struct pare_error *err) {
  pare_model *written;
  enum pare_status s = model_open(engine, dir, &written, err);
  if (s) return s;
  s = selftest_make(written, out, err);
  model_close(written);
  return s;
}

// Provenance holds no time and no absolute path: the same command gives the same file.
static enum pare_status write_provenance(const struct run *r, const char *dir, const char *sha256,
                                         struct pare_error *err) {
  json_t *test = NULL, *source = NULL;
  enum pare_status s = r->writer->self_test ? written_answer(r->engine, dir, &test, err) : PARE_OK;
  if (!s) s = source_files(r->q.m, &source, err);
  if (s) {
    json_decref(test);
    json_decref(source);
    return s;
  }
  const struct plan *plan = r->q.plan;
  json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:o, s:s, s:s, s:o}", "pare_version", PARE_VERSION, "scheme", plan->name,
                        "format", r->writer->format, "portable", plan->portable, "source", source, "file", r->file,
                        "sha256", sha256, "tensors", tensor_rows(r));
  if (j) add_preparation(r, j);
  if (j && test) json_object_set_new(j, "self_test", test);
  if (j && r->q.options->command) json_object_set_new(j, "command", json_string(r->q.options->command));
  return save_json(dir, "pare.json", j, err);
}

static enum pare_status write_output(const struct run *r, const char *out, json_t *record, struct pare_error *err) {
  struct outdir dir;
  enum pare_status s = dir_create(out, "pare.json", &dir, err);
  if (s) return s;
  char sha256[65], *file = path_join(dir.temp, r->file);
  s = file ? r->writer->write(r->state, &r->q, dir.temp, err) : error_no_memory(err);
  if (!s) s = file_sha256(file, sha256, err);
  if (!s) s = write_provenance(r, dir.temp, sha256, err);
  if (!s) s = dir_commit(&dir, err);
  if (!s) json_object_set_new(record, "sha256", json_string(sha256));
  dir_discard(&dir);
  free(file);
  return s;
}

static enum pare_status finish(struct run *r, const char *out, json_t **record, struct pare_error *err) {
  const struct quantized *q = &r->q;
  size_t before = q->m->tensors.file_bytes, f32 = 4 * q->m->parameters, after;
  bool dry = q->options->dry_run, smaller_wanted = q->plan->scheme && !q->options->even_if_larger && !dry;
  enum pare_status s = r->writer->prepare(q, &r->state, &r->file, &after, err);
  if (s) return s;
  json_t *j =
      json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:n, s:b}", "scheme", q->plan->name, "format", r->writer->format,
                "file", r->file, "bytes_before", (json_int_t)before, "bytes_after", (json_int_t)after, "f32_bytes",
                (json_int_t)f32, "tensors", tensor_rows(r), "sha256", "dry_run", dry);
  if (!j) return error_no_memory(err);
  add_preparation(r, j);
  if (after >= before && smaller_wanted) {
    s = error_set(err, PARE_REFUSED,
                  "%s: %s is not smaller (%zu bytes, was %zu): not written; --even-if-larger writes it anyway",
                  q->m->path, q->plan->name, after, before);
  } else if (!dry) {
    s = write_output(r, out, j, err);
  }
  if (s && s != PARE_REFUSED) {
    json_decref(j);
    return s;
  }
  *record = j;
  return s;
}

// Ranges where some tensor needs them; texts that none needs are a slip of the pen.
static enum pare_status watch_inputs(const struct quantize_job *job, const struct plan *plan, struct calibration *out,
                                     struct pare_error *err) {
  const struct pare_quantize_options *o = job->options;
  bool needed = plan_calibrates(plan);
  if (needed && !job->texts)
    return error_set(err, PARE_USAGE, "scheme %s needs texts to calibrate on: --calibrate FILE", plan->name);
  if (!needed && job->texts)
    return error_set(err, PARE_USAGE, "scheme %s does not calibrate: no tensor needs texts", plan->name);
  if (!needed) return PARE_OK;
  return calibrate(job->engine, job->path, plan, job->texts, &o->calibrate, &o->progress, out, err);
}

// The plan's weights as they are to be written; without a scheme, the source's own.
static enum pare_status make_results(const struct quantize_job *job, const pare_model *m, const struct plan *plan,
                                     struct calibration *calibration, struct result *results, struct pare_error *err) {
  if (!plan->scheme) {
    take_all(plan, results);
    return PARE_OK;
  }
  enum pare_status s = watch_inputs(job, plan, calibration, err);
  return s ? s : quantize_all(m, plan, calibration, results, &job->options->progress, err);
}

// quantizes: else every weight is kept.
static enum pare_status drive(const struct quantize_job *job, bool quantizes, json_t **record, struct pare_error *err) {
  const struct pare_quantize_options *options = job->options;
  struct plan plan = {0};
  struct result *results = NULL;
  struct calibration calibration = {0};
  pare_model *m = NULL;
  enum pare_status s = PARE_OK;
  if (!job->out && !options->dry_run) s = error_set(err, PARE_USAGE, "no output directory given");
  if (!s) s = model_open_stored(job->engine, job->path, &m, err);
  if (!s) s = quantizes ? plan_make(m, options, &plan, err) : plan_keep(m, &plan, err);
  if (!s && job->writer->check) s = job->writer->check(m, &plan, options, err);
  if (!s && !(results = calloc(plan.count ? plan.count : 1, sizeof *results))) s = error_no_memory(err);
  if (!s) s = make_results(job, m, &plan, &calibration, results, err);
  struct run run = {.engine = job->engine,
                    .q = {m, &plan, results, options},
                    .writer = job->writer,
                    .texts = job->texts,
                    .calibration = &calibration};
  if (!s) s = finish(&run, job->out, record, err);
  job->writer->release(run.state);
  for (size_t i = 0; results && i < plan.count; i++) stored_free(&results[i].stored);
  free(results);
  calibration_free(&calibration);
  plan_free(&plan);
  model_close(m);
  return s;
}

enum pare_status quantize_write(const struct quantize_job *job, json_t **record, struct pare_error *err) {
  *record = NULL;
  if (!job->options->scheme) return error_set(err, PARE_USAGE, "no scheme given");
  struct scheme_choice choice;
  enum pare_status s = scheme_parse(job->options->scheme, &choice, err); // before the model is opened
  return s ? s : drive(job, true, record, err);
}

enum pare_status quantize_convert(const struct quantize_job *job, json_t **record, struct pare_error *err) {
  *record = NULL;
  return drive(job, false, record, err);
}

enum pare_status quantize_model(pare_engine *engine, const char *path, const char *out,
                                const struct pare_quantize_options *options, json_t **record, struct pare_error *err) {
  struct quantize_job job = {.engine = engine, .path = path, .out = out, .options = options, .writer = &writer_hf};
  return quantize_write(&job, record, err);
}
