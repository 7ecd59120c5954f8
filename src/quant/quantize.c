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

struct job {
  const pare_model *m;
  const struct plan *plan;
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
  for (size_t n = 0; n < a->N; n++) {
    stored_row(k, a, n, x);
    stored_row(k, &r->stored, n, y);
    for (size_t i = 0; i < a->K; i++) {
      double p = (double)x[i], q = (double)y[i];
      xx += p * p;
      yy += q * q;
      xy += p * q;
      dd += (p - q) * (p - q);
    }
  }
  free(x);
  r->sqnr_db = dd > 0 ? 10 * log10(xx / dd) : INFINITY;
  r->cosine = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 1;
  return PARE_OK;
}

static void quantize_one(void *context, size_t i, size_t thread) {
  (void)thread;
  const struct job *j = context;
  const struct plan_item *item = &j->plan->items[i];
  const struct encoding *e = item->scheme ? item->scheme->encoding : item->vector;
  const struct method *method = item->scheme ? item->scheme->method : &method_cast;
  struct result *r = &j->results[i];
  j->status[i] =
      method->quantize(j->m->kernels, &item->weight->stored, e, item->weight->name, &r->stored, &j->errors[i]);
  if (j->status[i]) return;
  if (item->scheme) {
    j->status[i] = measure(j->m->kernels, &item->weight->stored, r, &j->errors[i]);
  } else { // a vector was one row of width N: write it with the shape it came with
    const struct part *source = &item->weight->stored.parts[0];
    r->stored.parts[0].rank = source->rank;
    memcpy(r->stored.parts[0].shape, source->shape, sizeof source->shape);
  }
}

static enum pare_status quantize_all(const pare_model *m, const struct plan *plan, struct result *results,
                                     const struct pare_progress *progress, struct pare_error *err) {
  enum { CHUNK = 16 }; // weights between two reports of progress
  enum pare_status status[CHUNK], s = PARE_OK;
  struct pare_error errors[CHUNK];
  for (size_t first = 0; !s && first < plan->count; first += CHUNK) {
    struct plan part = *plan;
    part.items += first;
    part.count = size_min(CHUNK, plan->count - first);
    memset(status, 0, sizeof status);
    struct job j = {m, &part, results + first, status, errors};
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

static json_t *tensor_rows(const struct plan *p, const struct result *results) {
  json_t *list = json_array();
  for (size_t i = 0; i < p->count; i++) {
    const struct plan_item *item = &p->items[i];
    if (!item->scheme) continue;
    const struct result *r = &results[i];
    json_array_append_new(
        list,
        json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "name", item->weight->name, "encoding", r->stored.encoding->name,
                  "method", p->scheme ? item->scheme->method_name : "kept", "bytes",
                  (json_int_t)stored_bytes(&r->stored), "sqnr_db", number(r->sqnr_db), "cosine", number(r->cosine)));
  }
  return list;
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
  const char *file; // the weight file's name
};

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
  json_t *j = json_pack("{s:s, s:s, s:s, s:b, s:o, s:s, s:s, s:o}", "pare_version", PARE_VERSION, "scheme",
                        plan->scheme_name, "format", r->writer->format, "portable", plan->portable, "source", source,
                        "file", r->file, "sha256", sha256, "tensors", tensor_rows(plan, r->q.results));
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
  json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:n, s:b}", "scheme", q->plan->scheme_name, "format",
                        r->writer->format, "file", r->file, "bytes_before", (json_int_t)before, "bytes_after",
                        (json_int_t)after, "f32_bytes", (json_int_t)f32, "tensors", tensor_rows(q->plan, q->results),
                        "sha256", "dry_run", dry);
  if (!j) return error_no_memory(err);
  if (after >= before && smaller_wanted) {
    s = error_set(err, PARE_REFUSED,
                  "%s: %s is not smaller (%zu bytes, was %zu): not written; --even-if-larger writes it anyway",
                  q->m->path, q->plan->scheme_name, after, before);
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

// scheme NULL: nothing is quantized.
static enum pare_status drive(const struct quantize_job *job, const struct scheme *scheme, json_t **record,
                              struct pare_error *err) {
  const struct pare_quantize_options *options = job->options;
  struct plan plan = {0};
  struct result *results = NULL;
  pare_model *m = NULL;
  enum pare_status s = PARE_OK;
  if (!job->out && !options->dry_run) s = error_set(err, PARE_USAGE, "no output directory given");
  if (!s) s = model_open_stored(job->engine, job->path, &m, err);
  if (!s) s = scheme ? plan_make(m, scheme, options, &plan, err) : plan_keep(m, &plan, err);
  if (!s && job->writer->check) s = job->writer->check(m, &plan, options, err);
  if (!s && !(results = calloc(plan.count ? plan.count : 1, sizeof *results))) s = error_no_memory(err);
  if (!s && !scheme) take_all(&plan, results);
  if (!s && scheme) s = quantize_all(m, &plan, results, &options->progress, err);
  struct run run = {.engine = job->engine, .q = {m, &plan, results, options}, .writer = job->writer};
  if (!s) s = finish(&run, job->out, record, err);
  job->writer->release(run.state);
  for (size_t i = 0; results && i < plan.count; i++) stored_free(&results[i].stored);
  free(results);
  plan_free(&plan);
  model_close(m);
  return s;
}

enum pare_status quantize_write(const struct quantize_job *job, json_t **record, struct pare_error *err) {
  *record = NULL;
  if (!job->options->scheme) return error_set(err, PARE_USAGE, "no scheme given");
  const struct scheme *scheme;
  enum pare_status s = scheme_find(job->options->scheme, &scheme, err);
  return s ? s : drive(job, scheme, record, err);
}

enum pare_status quantize_convert(const struct quantize_job *job, json_t **record, struct pare_error *err) {
  *record = NULL;
  return drive(job, NULL, record, err);
}

enum pare_status quantize_model(pare_engine *engine, const char *path, const char *out,
                                const struct pare_quantize_options *options, json_t **record, struct pare_error *err) {
  return quantize_write(&(struct quantize_job){engine, path, out, options, &writer_hf}, record, err);
}
