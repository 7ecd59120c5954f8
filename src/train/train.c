// train.c - see train.h. Texts -> features -> weights learnt from nine tenths, the precision chosen by the tenth that
// was held out -> weights learnt from all -> a directory.
#include "train/train.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "eval/dataset.h"
#include "model/features.h"
#include "model/selftest.h"
#include "report/stats.h"
#include "train/corpus.h"
#include "train/store.h"

enum { CANDIDATES = 3 };
static const unsigned precisions[CANDIDATES] = {32, 16, 8};

struct candidate {
  const char *encoding;
  size_t bytes, correct;
};

struct run {
  pare_engine *engine;
  const struct pare_train_options *o;
  struct corpus corpus;
  struct design_options design;
  struct fit_options fit;
  struct candidate candidates[CANDIDATES]; // measured on the rows held out
  size_t chosen;                           // of precisions
  char because[200];
};

static enum pare_status check_options(const struct pare_train_options *o, struct pare_error *err) {
  if (o->precision != 0 && o->precision != 8 && o->precision != 16 && o->precision != 32)
    return error_set(err, PARE_USAGE, "a precision of %zu bits: 8, 16 or 32 expected", o->precision);
  if (!(o->prune >= 0 && o->prune < 1)) return error_set(err, PARE_USAGE, "prune: expected a share from 0 to below 1");
  if (!(o->c >= 0 && o->c <= 1e9)) return error_set(err, PARE_USAGE, "c: expected a number from 0 to 1e9");
  if (o->seed >> 53) return error_set(err, PARE_USAGE, "the seed must be below 2^53");
  return PARE_OK;
}

static enum pare_status read_options(struct run *r, struct pare_error *err) {
  const struct pare_train_options *o = r->o;
  bool none = !o->word_max && !o->char_max;
  size_t limit = NGRAM_MAX_N + 1, bits = o->bits ? o->bits : 20;
  r->design = (struct design_options){.ngrams = {.lowercase = !o->keep_case,
                                                 .word_min = none ? 1 : (unsigned)size_min(o->word_min, limit),
                                                 .word_max = none ? 2 : (unsigned)size_min(o->word_max, limit),
                                                 .char_min = (unsigned)size_min(o->char_min, limit),
                                                 .char_max = (unsigned)size_min(o->char_max, limit),
                                                 .bits = (unsigned)size_min(bits, NGRAM_MAX_BITS + 1)},
                                      .min_count = o->min_count ? o->min_count : 2,
                                      .unit = !o->unnormalized};
  const char *problem = ngram_settings_problem(&r->design.ngrams);
  if (problem) return error_set(err, PARE_USAGE, "n-grams: %s", problem);
  r->fit = (struct fit_options){.kernels = r->engine->kernels,
                                .pool = r->engine->pool,
                                .c = o->c,
                                .max_iterations = o->max_iterations ? o->max_iterations : 100,
                                .unit = r->design.unit,
                                .value_bytes = o->precision ? o->precision / 8 : 1,
                                .max_bytes = o->max_bytes,
                                .prune = o->prune,
                                .progress = o->progress};
  return check_options(o, err);
}

// Learns from the first `rows` of the corpus; `checked` rows after them choose the penalty when it is not given.
static enum pare_status learn(struct run *r, size_t rows, size_t checked, struct fit *out, struct pare_error *err) {
  struct design design;
  r->design.counted = rows;
  enum pare_status s = design_build(r->engine->pool, r->corpus.texts, r->corpus.rows, &r->design, &design, err);
  if (s) return s;
  r->fit.label = r->corpus.label;
  r->fit.labels = r->corpus.label_count;
  r->fit.rows = rows;
  r->fit.checked = checked;
  if (!checked && r->fit.c <= 0) r->fit.c = 10; // too few rows to hold any out
  return fit_learn(&design, &r->fit, out, err);
}

// What the fit gets right of the rows held out, with its weights as they are stored at this precision.
static enum pare_status measure(const struct run *r, const struct fit *f, unsigned precision, struct candidate *out,
                                struct pare_error *err) {
  struct store_weights w;
  struct objective objective = {0};
  size_t first = r->corpus.learnt, n = r->corpus.rows - first;
  enum pare_status s = store_encode(r->engine->kernels, f, precision, &w, err);
  if (s) return s;
  float *values = malloc((f->design.columns + 1) * f->outputs * sizeof *values);
  uint32_t *answer = malloc((n + 1) * sizeof *answer);
  s = values && answer ? store_decode(r->engine->kernels, &w, values, err) : error_no_memory(err);
  if (!s)
    s = objective_init(&objective, r->engine->kernels, r->engine->pool, &f->design, r->corpus.label,
                       r->corpus.label_count, err);
  if (!s) objective_answers(&objective, values, first, n, answer, NULL);
  *out = (struct candidate){.encoding = w.weight.encoding->name, .bytes = w.file_bytes};
  for (size_t i = 0; !s && i < n; i++) out->correct += answer[i] == r->corpus.label[first + i];
  objective_free(&objective);
  free(values);
  free(answer);
  store_free(&w);
  return s;
}

// The precision asked for, or the smallest file whose accuracy is not too far below that of 32 bits.
static void choose(struct run *r) {
  size_t n = r->corpus.rows - r->corpus.learnt, chosen = CANDIDATES;
  const struct candidate *c = r->candidates;
  double lost = 0;
  for (size_t i = 0; i < CANDIDATES; i++) {
    double drop = n ? ((double)c[0].correct - (double)c[i].correct) / (double)n : 0;
    bool wanted = r->o->precision ? precisions[i] == r->o->precision : drop <= r->o->max_accuracy_drop;
    if (!wanted || (r->o->max_bytes && c[i].bytes > r->o->max_bytes)) continue;
    if (chosen < CANDIDATES && c[i].bytes >= c[chosen].bytes) continue;
    chosen = i;
    lost = drop;
  }
  bool found = chosen < CANDIDATES;
  r->chosen = found ? chosen : CANDIDATES - 1;
  char *text = r->because;
  size_t cap = sizeof r->because;
  if (r->o->precision) {
    snprintf(text, cap, "%u bits were asked for", precisions[r->chosen]);
  } else if (!found) {
    snprintf(text, cap, "8 bits: nothing else fits");
  } else if (!r->chosen && (c[1].bytes < c[0].bytes || c[2].bytes < c[0].bytes)) {
    snprintf(text, cap, "32 bits: smaller files lose more than %.2f points", 100 * r->o->max_accuracy_drop);
  } else if (!r->chosen) {
    snprintf(text, cap, "32 bits: no other file is smaller");
  } else {
    snprintf(text, cap,
             "%u bits: the smallest file that loses no more than %.2f points, %zu bytes instead of %zu, %.2f %s",
             precisions[r->chosen], 100 * r->o->max_accuracy_drop, c[r->chosen].bytes, c[0].bytes, 100 * fabs(lost),
             lost > 0 ? "lost" : "gained or equal");
  }
}

static json_t *config_of(const struct run *r, const struct fit *f) {
  json_t *names = json_object();
  for (size_t i = 0; i < r->corpus.label_count; i++) {
    char key[32];
    snprintf(key, sizeof key, "%zu", i);
    json_object_set_new(names, key, json_string(r->corpus.labels[i]));
  }
  return json_pack("{s:[s], s:s, s:o, s:I, s:b, s:o}", "architectures", "LinearForTextClassification", "model_type",
                   "linear", "id2label", names, "vocab_size", (json_int_t)f->design.columns, "normalize",
                   r->design.unit, "ngrams", features_settings(&r->design.ngrams));
}

// What the model came from: no time and no absolute path, so that the same command gives the same file.
static enum pare_status write_provenance(const struct run *r, const struct fit *f, const char *dir, const char *sha256,
                                         struct pare_error *err) {
  pare_model *written;
  json_t *test = NULL;
  enum pare_status s = model_open(r->engine, dir, &written, err);
  if (s) return s;
  s = selftest_make(written, &test, err);
  json_t *j =
      json_pack("{s:s, s:s, s:{s:s, s:s, s:I, s:f, s:I, s:f, s:I}, s:s, s:o?}", "pare_version", PARE_VERSION, "scheme",
                written->scheme, "trained", "data", path_base(r->corpus.data->path), "sha256", r->corpus.data->sha256,
                "rows", (json_int_t)r->corpus.data->count, "c", f->c, "min_count", (json_int_t)r->design.min_count,
                "prune", r->o->prune, "seed", (json_int_t)r->o->seed, "sha256", sha256, "self_test", test);
  model_close(written);
  if (j && r->o->command) json_object_set_new(j, "command", json_string(r->o->command));
  char *path = path_join(dir, "pare.json"), *text = j ? json_dumps(j, JSON_INDENT(1) | JSON_ENSURE_ASCII) : NULL;
  if (!s) s = path && text ? file_write_all(path, text, strlen(text), err) : error_no_memory(err);
  free(path);
  free(text);
  json_decref(j);
  return s;
}

static enum pare_status write_model(const struct run *r, const struct fit *f, const char *out, json_t *record,
                                    struct pare_error *err) {
  struct outdir dir = {0};
  struct store_weights w;
  char sha256[65], *file = NULL;
  json_t *config = config_of(r, f);
  enum pare_status s = store_encode(r->engine->kernels, f, precisions[r->chosen], &w, err);
  if (!s && !config) s = error_no_memory(err);
  if (!s) s = dir_create(out, "pare.json", &dir, err);
  if (!s) s = store_write(&w, config, dir.temp, err);
  if (!s && !(file = path_join(dir.temp, "model.safetensors"))) s = error_no_memory(err);
  if (!s) s = file_sha256(file, sha256, err);
  if (!s) s = write_provenance(r, f, dir.temp, sha256, err);
  if (!s) s = dir_commit(&dir, err);
  if (!s) {
    // Learnt from all texts, weights may be other ones than in the candidates: what is written counts.
    bool sparse = strncmp(w.weight.encoding->name, "sparse", 6) == 0;
    json_object_set_new(record, "because",
                        json_sprintf("%s; smallest %s", r->because, sparse ? "without its zeros" : "with every value"));
    json_object_set_new(record, "bytes", json_integer((json_int_t)w.file_bytes));
    json_object_set_new(record, "encoding", json_string(w.weight.encoding->name));
    json_object_set_new(record, "sha256", json_string(sha256));
  }
  dir_discard(&dir);
  free(file);
  json_decref(config);
  store_free(&w);
  return s;
}

static json_t *accuracy_of(size_t correct, size_t n) {
  struct stats_interval i = stats_wilson(correct, n, 0.95);
  if (!n) return json_null();
  return json_pack("{s:f, s:[f, f], s:I, s:I}", "value", (double)correct / (double)n, "ci95", i.low, i.high, "correct",
                   (json_int_t)correct, "n", (json_int_t)n);
}

static json_t *make_record(const struct run *r, const struct fit *f) {
  size_t n = r->corpus.rows - r->corpus.learnt, weights = 0;
  json_t *labels = json_array(), *list = json_array();
  for (size_t i = 0; i < r->corpus.label_count; i++) json_array_append_new(labels, json_string(r->corpus.labels[i]));
  for (size_t i = 0; i < CANDIDATES; i++) {
    const struct candidate *c = &r->candidates[i];
    json_array_append_new(list, json_pack("{s:i, s:s, s:I, s:o}", "precision", precisions[i], "encoding", c->encoding,
                                          "bytes", (json_int_t)c->bytes, "accuracy", accuracy_of(c->correct, n)));
  }
  for (size_t i = 0; i < f->design.columns * f->outputs; i++) weights += f->w[i] != 0;
  return json_pack("{s:o, s:I, s:I, s:o, s:f, s:i, s:o, s:s, s:s, s:s, s:I, s:I}", "accuracy",
                   accuracy_of(r->candidates[r->chosen].correct, n), "features", (json_int_t)f->design.columns,
                   "weights", (json_int_t)weights, "labels", labels, "c", f->c, "precision", precisions[r->chosen],
                   "candidates", list, "because", r->because, "data", r->corpus.data->path, "data_sha256",
                   r->corpus.data->sha256, "rows", (json_int_t)r->corpus.data->count, "held_out", (json_int_t)n);
}

static enum pare_status train(struct run *r, const char *out, json_t **record, struct pare_error *err) {
  struct fit fit = {0};
  size_t learnt = r->corpus.learnt, rows = r->corpus.rows;
  uint64_t start = clock_ns();
  enum pare_status s = learn(r, learnt, rows - learnt, &fit, err);
  for (size_t i = 0; !s && i < CANDIDATES; i++) s = measure(r, &fit, precisions[i], &r->candidates[i], err);
  if (!s) choose(r);
  if (!s && !r->corpus.valid && learnt < rows) { // what was held out is learnt from too
    r->fit.c = fit.c;
    fit_free(&fit);
    s = learn(r, rows, 0, &fit, err);
  }
  json_t *j = s ? NULL : make_record(r, &fit);
  if (!s && !j) s = error_no_memory(err);
  if (!s) s = write_model(r, &fit, out, j, err);
  if (!s) json_object_set_new(j, "seconds", json_real((double)(clock_ns() - start) * 1e-9));
  fit_free(&fit);
  if (s) {
    json_decref(j);
  } else {
    *record = j;
  }
  return s;
}

enum pare_status train_run(pare_engine *engine, const char *data, const char *out,
                           const struct pare_train_options *options, json_t **record, struct pare_error *err) {
  struct run r = {.engine = engine, .o = options};
  *record = NULL;
  enum pare_status s = read_options(&r, err);
  if (!s) s = corpus_open(data, options, &r.corpus, err);
  if (!s) s = train(&r, out, record, err);
  corpus_close(&r.corpus);
  return s;
}
