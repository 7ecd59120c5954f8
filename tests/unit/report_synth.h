// report_synth.h - a made-up comparison for tests: random logits, answers and timings, and the record filled from them.
#ifndef PARE_TESTS_REPORT_SYNTH_H
#define PARE_TESTS_REPORT_SYNTH_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "eval/stats_fill.h"
#include "report/record.h"
#include "report/report.h"

enum { SYNTH_MODELS_MAX = 16, SYNTH_CLASSES_MAX = 32 };

struct synth {
  size_t n, classes, models, runs;
  uint64_t seed;
  double noise;                   // added to the original's logits, more for each further candidate
  bool unlabelled;                // no labels at all
  const char *const *class_names; // NULL: c0, c1, ...
  const char *const *model_names; // NULL: original, m1, ...
  // filled by synth_make
  int *label, *prediction[SYNTH_MODELS_MAX];
  float *logits[SYNTH_MODELS_MAX], *scores[SYNTH_MODELS_MAX];
  double *ms[SYNTH_MODELS_MAX];
  char names[SYNTH_CLASSES_MAX][16];
  const char *name_pointers[SYNTH_CLASSES_MAX];
};

static const char *synth_model_name(const struct synth *s, size_t m, char buffer[32]) {
  if (s->model_names) return s->model_names[m];
  if (m == 0) return "original";
  snprintf(buffer, 32, "m%zu", m);
  return buffer;
}

static void synth_scores(struct synth *s, size_t m) {
  for (size_t i = 0; i < s->n; i++) {
    float *row = s->logits[m] + i * s->classes, *p = s->scores[m] + i * s->classes;
    double sum = 0;
    size_t best = 0;
    for (size_t k = 0; k < s->classes; k++) {
      sum += exp(row[k]);
      if (row[k] > row[best]) best = k;
    }
    for (size_t k = 0; k < s->classes; k++) p[k] = (float)(exp(row[k]) / sum);
    s->prediction[m][i] = (int)best;
  }
}

static void synth_make(struct synth *s) {
  struct rng r;
  rng_seed(&r, s->seed);
  s->label = calloc(s->n, sizeof *s->label);
  for (size_t k = 0; k < s->classes; k++) {
    snprintf(s->names[k], sizeof s->names[k], "c%zu", k);
    s->name_pointers[k] = s->class_names ? s->class_names[k] : s->names[k];
  }
  for (size_t m = 0; m < s->models; m++) {
    s->prediction[m] = calloc(s->n, sizeof *s->prediction[m]);
    s->logits[m] = calloc(s->n * s->classes, sizeof *s->logits[m]);
    s->scores[m] = calloc(s->n * s->classes, sizeof *s->scores[m]);
    s->ms[m] = calloc(s->runs ? s->runs : 1, sizeof *s->ms[m]);
  }
  for (size_t i = 0; i < s->n; i++) {
    s->label[i] = (int)rng_below(&r, s->classes);
    for (size_t k = 0; k < s->classes; k++) {
      float x = rng_normal(&r) + (k == (size_t)s->label[i] ? 3.2f : 0);
      for (size_t m = 0; m < s->models; m++) {
        s->logits[m][i * s->classes + k] = x + (float)(s->noise * (double)(m * m)) * rng_normal(&r);
      }
    }
  }
  for (size_t i = 0; i < s->runs; i++) {
    double round = 1 + 0.1 * rng_unit(&r); // what a whole round shares
    for (size_t m = 0; m < s->models; m++)
      s->ms[m][i] = round * 20 / (1 + 0.35 * (double)m) * exp(0.08 * rng_normal(&r));
  }
  for (size_t m = 0; m < s->models; m++) synth_scores(s, m);
}

static void synth_free(struct synth *s) {
  free(s->label);
  for (size_t m = 0; m < s->models; m++) {
    free(s->prediction[m]);
    free(s->logits[m]);
    free(s->scores[m]);
    free(s->ms[m]);
  }
}

static void synth_examples(const struct synth *s, size_t m, json_t *model) {
  json_t *rows = json_array();
  for (size_t i = 0; i < s->n && json_array_size(rows) < 5; i++) {
    int b = s->prediction[0][i], c = s->prediction[m][i];
    if (b == c) continue;
    char text[128];
    snprintf(text, sizeof text, "Synthetic item %zu: nothing was said here, by nobody, about nothing in particular.",
             i);
    json_array_append_new(
        rows, json_pack("{s:I, s:s, s:s?, s:s, s:s, s:f, s:f}", "row", (json_int_t)i, "text", text, "label",
                        s->unlabelled ? NULL : s->name_pointers[s->label[i]], "base", s->name_pointers[b], "candidate",
                        s->name_pointers[c], "base_score", (double)s->scores[0][i * s->classes + (size_t)b], "score",
                        (double)s->scores[m][i * s->classes + (size_t)c]));
  }
  json_object_set_new(model, "flip_examples", rows);
}

static void synth_sizes(size_t m, json_int_t parameters, json_t *model) {
  static const char *const schemes[] = {"f32", "int8", "int4", "nf4", "q8_0", "q4_k", "bf16", "int16"};
  static const double bits[] = {32, 8.1, 4.25, 4.1, 8.5, 4.5, 16, 16.1};
  const size_t kinds = sizeof bits / sizeof *bits;
  double per = bits[m % kinds] / 8, all = (double)parameters;
  json_int_t embedding = (json_int_t)(all * 0.3 * per), linear = (json_int_t)(all * 0.68 * per);
  json_int_t scale = m ? (json_int_t)(all * 0.01) : 0, other = (json_int_t)(all * 0.02 * 4);
  json_int_t size = embedding + linear + scale + other,
             base = 4 * (json_int_t)(all * 0.3) + 4 * (json_int_t)(all * 0.68) + other;
  if (m == 0) size = base;
  json_object_set_new(model, "scheme", json_string(schemes[m % kinds]));
  json_object_set_new(model, "size_bytes", json_integer(size));
  json_object_set_new(model, "bytes",
                      json_pack("{s:I, s:I, s:I, s:I}", "embedding", m ? embedding : 4 * (json_int_t)(all * 0.3),
                                "linear", m ? linear : 4 * (json_int_t)(all * 0.68), "scale", scale, "other", other));
  json_object_set_new(model, "compression", json_real((double)base / (double)size));
  json_object_set_new(model, "size_percent_of_f32", json_real(100 * (double)size / (4 * all)));
  json_object_set_new(model, "coverage",
                      json_pack("[{s:s, s:i, s:I}, {s:s, s:i, s:I}]", "encoding", schemes[m % kinds], "tensors", 38,
                                "bytes", size - other, "encoding", "f32", "tensors", 64, "bytes", other));
  json_object_set_new(model, "load_ms", json_real(40 + (double)size / 1e6));
  json_object_set_new(model, "rss_bytes", json_integer(size + 30000000));
}

// The whole record, recommendations included. NULL when a fill failed.
static json_t *synth_record(const struct synth *s) {
  const json_int_t parameters = 4385920;
  json_t *models = json_array(), *labels = json_array();
  struct fill_data data = {s->unlabelled ? NULL : s->label, s->name_pointers, s->n, s->classes, 7};
  bool bad = false;
  for (size_t k = 0; k < s->classes; k++) json_array_append_new(labels, json_string(s->name_pointers[k]));
  for (size_t m = 0; m < s->models; m++) {
    char buffer[32];
    struct fill_answers base = {s->prediction[0], s->scores[0], s->logits[0]};
    struct fill_answers own = {s->prediction[m], s->scores[m], s->logits[m]};
    json_t *model = json_pack("{s:s}", "name", synth_model_name(s, m, buffer));
    synth_sizes(m, parameters, model);
    bad |= fill_quality(model, &data, &own, NULL) != PARE_OK;
    if (m == 0) {
      record_set_null(model, "against_base", "this is the original");
    } else {
      bad |= fill_against_base(model, &data, &base, &own, NULL) != PARE_OK;
      synth_examples(s, m, model);
    }
    if (s->runs) {
      double seconds[8];
      for (size_t i = 0; i < 8; i++) seconds[i] = s->ms[m][i % s->runs] / 1000;
      bad |= fill_latency(model, s->ms[m], s->runs, NULL) != PARE_OK;
      bad |= fill_throughput(model, seconds, 8, 1, NULL) != PARE_OK;
      if (m) bad |= fill_speedup(model, s->ms[0], s->ms[m], s->runs, 7, NULL) != PARE_OK;
    } else {
      record_set_null(model, "latency_ms", "no latency runs");
      record_set_null(model, "throughput", "no latency runs");
    }
    json_array_append_new(models, model);
  }
  json_t *record = json_pack(
      "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o, s:s, s:{s:s, s:s, s:I, s:I}, s:{s:s, s:s, s:i, s:i, s:I, s:s}, s:o}",
      "task", "classify", "arch", "synthetic", "pare_version", "0.0.0", "created", "2000-01-01", "parameters",
      parameters, "f32_bytes", 4 * parameters, "seed", (json_int_t)7, "labels", labels, "command",
      "pare compare synthetic --schemes int8,int4 --data made-up.csv", "dataset", "path", "made-up.csv", "sha256",
      "0000000000000000000000000000000000000000000000000000000000000000", "n", (json_int_t)s->n, "truncated",
      (json_int_t)0, "machine", "cpu", "a made-up CPU", "isa", "scalar", "threads", 2, "cores", 2, "memory_bytes",
      (json_int_t)4000000000, "compiler", "none", "models", models);
  bad |= !record || report_recommend(record, NULL) != PARE_OK;
  if (!bad) return record;
  json_decref(record);
  return NULL;
}

#endif
