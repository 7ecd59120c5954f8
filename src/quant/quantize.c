// quantize.c - see quantize.h. Open -> plan -> quantize every weight -> write beside the target -> open what was
// written, store its answer -> rename into place. Same input, scheme and version: same bytes.
#include "quant/quantize.h"

#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/selftest.h"
#include "quant/prune.h"
#include "quant/save.h"

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

static enum pare_status make(const struct job *j, const struct plan_item *item, struct stored *out,
                             struct pare_error *err) {
  const struct encoding *e = item->scheme ? item->scheme->encoding : item->vector;
  const struct method *method = item->scheme ? item->scheme->method : &method_cast;
  const struct stored *source = &item->weight->stored;
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

static void quantize_one(void *context, size_t i, size_t thread) {
  (void)thread;
  const struct job *j = context;
  const struct plan_item *item = &j->plan->items[i];
  struct result *r = &j->results[i];
  j->status[i] = make(j, item, &r->stored, &j->errors[i]);
  if (j->status[i]) return;
  if (item->scheme && item->scheme->calibrated) calibration_store(&j->ranges[i], &r->stored);
  if (item->scheme) {
    j->status[i] = measure(j->m->kernels, &item->weight->stored, r, &j->errors[i]);
  } else { // a vector was one row of width N: write it with the rank it came with
    r->stored.parts[0].rank = 1;
    r->stored.parts[0].shape[0] = item->weight->N;
  }
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

struct run {
  pare_engine *engine;
  const pare_model *m;
  const struct plan *plan;
  const struct result *results;
  const struct tensor_list *tensors;
  const struct pare_quantize_options *options;
  const struct calibration_texts *texts; // NULL: nothing was calibrated
  const struct calibration *calibration;
};

static json_t *tensor_row(const struct run *run, size_t i) {
  const struct plan_item *item = &run->plan->items[i];
  const struct result *r = &run->results[i];
  json_t *row =
      json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "name", item->weight->name, "encoding", r->stored.encoding->name,
                "method", item->scheme->method_name, "bytes", (json_int_t)stored_bytes(&r->stored), "sqnr_db",
                number(r->sqnr_db), "cosine", number(r->cosine));
  if (item->prune > 0) json_object_set_new(row, "sparsity", json_real(r->zeros));
  if (item->scheme->calibrated) {
    const struct calibration_range *range = &run->calibration->ranges[i];
    json_object_set_new(row, "input_range", json_pack("[f, f]", (double)range->lo, (double)range->hi));
    json_object_set_new(row, "input_clipped", json_real(range->clipped));
  }
  return row;
}

static json_t *tensor_rows(const struct run *run) {
  json_t *list = json_array();
  for (size_t i = 0; i < run->plan->count; i++)
    if (run->plan->items[i].scheme) json_array_append_new(list, tensor_row(run, i));
  return list;
}

// What was done before rounding, where something was: the texts whose ranges were taken, and the weights set to zero.
static void add_preparation(const struct run *r, json_t *record) {
  if (r->texts)
    json_object_set_new(record, "calibration", calibration_json(r->calibration, r->texts, &r->options->calibrate));
  double wanted = 0, weights = 0, zeros = 0;
  for (size_t i = 0; i < r->plan->count; i++) {
    const struct plan_item *item = &r->plan->items[i];
    if (!(item->prune > 0)) continue;
    double n = (double)item->weight->N * (double)item->weight->K;
    weights += n;
    wanted += n * item->prune;
    zeros += n * r->results[i].zeros;
  }
  if (weights > 0) // a zero takes as much room and time as any other value
    json_object_set_new(record, "pruning",
                        json_pack("{s:f, s:f, s:f, s:s}", "share", wanted / weights, "weights", weights, "sparsity",
                                  zeros / weights, "stored", "dense"));
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
  enum pare_status s = written_answer(r->engine, dir, &test, err);
  if (!s) s = source_files(r->m, &source, err);
  if (s) {
    json_decref(test);
    json_decref(source);
    return s;
  }
  json_t *j = json_pack("{s:s, s:s, s:b, s:o, s:s, s:o, s:o}", "pare_version", PARE_VERSION, "scheme", r->plan->name,
                        "portable", r->plan->portable, "source", source, "sha256", sha256, "tensors", tensor_rows(r),
                        "self_test", test);
  if (j) add_preparation(r, j);
  if (j && r->options->command) json_object_set_new(j, "command", json_string(r->options->command));
  char *path = path_join(dir, "pare.json"), *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_ENSURE_ASCII) : NULL;
  s = path && text ? file_write_all(path, text, strlen(text), err) : error_no_memory(err);
  free(path);
  free(text);
  json_decref(j);
  return s;
}

static enum pare_status write_output(const struct run *r, const char *out, json_t *record, struct pare_error *err) {
  struct outdir dir;
  enum pare_status s = dir_create(out, "pare.json", &dir, err);
  if (s) return s;
  char sha256[65], *file = path_join(dir.temp, "model.safetensors");
  s = file ? save_directory(r->m, r->plan, r->tensors, dir.temp, err) : error_no_memory(err);
  if (!s) s = file_sha256(file, sha256, err);
  if (!s) s = write_provenance(r, dir.temp, sha256, err);
  if (!s) s = dir_commit(&dir, err);
  if (!s) json_object_set_new(record, "sha256", json_string(sha256));
  dir_discard(&dir);
  free(file);
  return s;
}

static enum pare_status finish(const struct run *r, const char *out, json_t **record, struct pare_error *err) {
  size_t before = r->m->tensors.file_bytes, f32 = 4 * r->m->parameters, after;
  static const char *const meta[] = {"format", "pt"};
  enum pare_status s = safetensors_file_bytes(r->tensors->list, r->tensors->count, meta, 1, &after, err);
  if (s) return s;
  json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:o, s:n, s:b}", "scheme", r->plan->name, "bytes_before",
                        (json_int_t)before, "bytes_after", (json_int_t)after, "f32_bytes", (json_int_t)f32, "tensors",
                        tensor_rows(r), "sha256", "dry_run", r->options->dry_run);
  if (!j) return error_no_memory(err);
  add_preparation(r, j);
  if (after >= before && !r->options->even_if_larger && !r->options->dry_run) {
    s = error_set(err, PARE_REFUSED,
                  "%s: %s is not smaller (%zu bytes, was %zu): not written; --even-if-larger writes it anyway",
                  r->m->path, r->plan->name, after, before);
  } else if (!r->options->dry_run) {
    s = write_output(r, out, j, err);
  }
  if (s && s != PARE_REFUSED) {
    json_decref(j);
    return s;
  }
  *record = j;
  return s;
}

static enum pare_status check_options(const char *out, const struct pare_quantize_options *o, struct pare_error *err) {
  if (!o->scheme) return error_set(err, PARE_USAGE, "no scheme given");
  if (!out && !o->dry_run) return error_set(err, PARE_USAGE, "no output directory given");
  if (o->format && strcmp(o->format, "hf") != 0) {
    bool known = !strcmp(o->format, "gguf") || !strcmp(o->format, "onnx");
    return error_set(err, known ? PARE_UNAVAILABLE : PARE_USAGE, "format %.20s %s", o->format,
                     known ? "is not built yet (hf is)" : "is not known: hf, gguf or onnx");
  }
  struct scheme_choice choice;
  return scheme_parse(o->scheme, &choice, err); // before the model is opened
}

// Ranges where some tensor needs them; texts that none needs are a slip of the pen.
static enum pare_status watch_inputs(pare_engine *engine, const char *path, const struct plan *plan,
                                     const struct pare_quantize_options *options, const struct calibration_texts *texts,
                                     struct calibration *out, struct pare_error *err) {
  bool needed = plan_calibrates(plan);
  if (needed && !texts)
    return error_set(err, PARE_USAGE, "scheme %s needs texts to calibrate on: --calibrate FILE", plan->name);
  if (!needed && texts)
    return error_set(err, PARE_USAGE, "scheme %s does not calibrate: no tensor needs texts", plan->name);
  return needed ? calibrate(engine, path, plan, texts, &options->calibrate, &options->progress, out, err) : PARE_OK;
}

enum pare_status quantize_calibrated(pare_engine *engine, const char *path, const char *out,
                                     const struct pare_quantize_options *options, const struct calibration_texts *texts,
                                     json_t **record, struct pare_error *err) {
  *record = NULL;
  struct plan plan = {0};
  struct tensor_list tensors = {0};
  struct result *results = NULL;
  struct calibration calibration = {0};
  pare_model *m = NULL;
  enum pare_status s = check_options(out, options, err);
  if (!s) s = model_open_stored(engine, path, &m, err);
  if (!s) s = plan_make(m, options, &plan, err);
  if (!s && !(results = calloc(plan.count ? plan.count : 1, sizeof *results))) s = error_no_memory(err);
  if (!s) s = watch_inputs(engine, path, &plan, options, texts, &calibration, err);
  if (!s) s = quantize_all(m, &plan, &calibration, results, &options->progress, err);
  if (!s) s = save_list(&plan, results, &tensors, err);
  struct run run = {engine, m, &plan, results, &tensors, options, texts, &calibration};
  if (!s) s = finish(&run, out, record, err);
  tensor_list_free(&tensors);
  for (size_t i = 0; results && i < plan.count; i++) stored_free(&results[i].stored);
  free(results);
  calibration_free(&calibration);
  plan_free(&plan);
  model_close(m);
  return s;
}

enum pare_status quantize_model(pare_engine *engine, const char *path, const char *out,
                                const struct pare_quantize_options *options, json_t **record, struct pare_error *err) {
  return quantize_calibrated(engine, path, out, options, NULL, record, err);
}
