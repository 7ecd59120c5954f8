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
#include "quant/save.h"

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
    json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:o, s:o}", "name", item->weight->name, "encoding",
                                          r->stored.encoding->name, "method", item->scheme->method_name, "bytes",
                                          (json_int_t)stored_bytes(&r->stored), "sqnr_db", number(r->sqnr_db), "cosine",
                                          number(r->cosine)));
  }
  return list;
}

struct run {
  pare_engine *engine;
  const pare_model *m;
  const struct plan *plan;
  const struct result *results;
  const struct tensor_list *tensors;
  const struct pare_quantize_options *options;
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
  enum pare_status s = written_answer(r->engine, dir, &test, err);
  if (!s) s = source_files(r->m, &source, err);
  if (s) {
    json_decref(test);
    json_decref(source);
    return s;
  }
  json_t *j = json_pack("{s:s, s:s, s:b, s:o, s:s, s:o, s:o}", "pare_version", PARE_VERSION, "scheme",
                        r->plan->scheme->name, "portable", r->plan->portable, "source", source, "sha256", sha256,
                        "tensors", tensor_rows(r->plan, r->results), "self_test", test);
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
  json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:o, s:n, s:b}", "scheme", r->plan->scheme->name, "bytes_before",
                        (json_int_t)before, "bytes_after", (json_int_t)after, "f32_bytes", (json_int_t)f32, "tensors",
                        tensor_rows(r->plan, r->results), "sha256", "dry_run", r->options->dry_run);
  if (!j) return error_no_memory(err);
  if (after >= before && !r->options->even_if_larger && !r->options->dry_run) {
    s = error_set(err, PARE_REFUSED,
                  "%s: %s is not smaller (%zu bytes, was %zu): not written; --even-if-larger writes it anyway",
                  r->m->path, r->plan->scheme->name, after, before);
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
  return PARE_OK;
}

enum pare_status quantize_model(pare_engine *engine, const char *path, const char *out,
                                const struct pare_quantize_options *options, json_t **record, struct pare_error *err) {
  *record = NULL;
  const struct scheme *scheme;
  struct plan plan = {0};
  struct tensor_list tensors = {0};
  struct result *results = NULL;
  pare_model *m = NULL;
  enum pare_status s = check_options(out, options, err);
  if (!s) s = scheme_find(options->scheme, &scheme, err);
  if (!s) s = model_open_stored(engine, path, &m, err);
  if (!s) s = plan_make(m, scheme, options, &plan, err);
  if (!s && !(results = calloc(plan.count ? plan.count : 1, sizeof *results))) s = error_no_memory(err);
  if (!s) s = quantize_all(m, &plan, results, &options->progress, err);
  if (!s) s = save_list(&plan, results, &tensors, err);
  struct run run = {engine, m, &plan, results, &tensors, options};
  if (!s) s = finish(&run, out, record, err);
  tensor_list_free(&tensors);
  for (size_t i = 0; results && i < plan.count; i++) stored_free(&results[i].stored);
  free(results);
  plan_free(&plan);
  model_close(m);
  return s;
}
