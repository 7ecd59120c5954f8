// study_run.c - see study_run.h. Paths in a study file are relative to its folder.
#include "eval/study_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "eval/dataset.h"
#include "report/record.h"
#include "report/report.h"
#include "study/study.h"

struct study_part {
  const json_t *config;
  char *model, *data, *gate, *calibrate;
  const char **schemes, **phrases, **names;
  char **candidates;
  size_t scheme_count, candidate_count, label_count;
};

static void part_free(struct study_part *p) {
  for (size_t i = 0; i < p->candidate_count; i++) free(p->candidates[i]);
  free(p->candidates);
  free(p->schemes);
  free(p->phrases);
  free(p->names);
  free(p->model);
  free(p->data);
  free(p->gate);
  free(p->calibrate);
}

// A path of the study file: absolute, or below the file's folder. "x/../" is taken out, so that reports name files as
// their readers do.
static char *beside(const char *file, const char *path) {
  if (*path == '/') return strdup(path);
  size_t len = (size_t)(path_base(file) - file);
  while (!strncmp(path, "../", 3) && len > 0) {
    size_t last = len - 1; // at the slash that ends the folder
    while (last > 0 && file[last - 1] != '/') last--;
    if (!strncmp(file + last, "../", 3) || !strncmp(file + last, "./", 2) || last + 1 >= len) break;
    len = last;
    path += 3;
  }
  char *full = malloc(len + strlen(path) + 1);
  if (!full) return NULL;
  memcpy(full, file, len);
  memcpy(full + len, path, strlen(path) + 1);
  return full;
}

// A model: below the study's folder if it is there, else what the caller makes of the name.
static enum pare_status find_model(const char *file, const struct pare_study_options *o, const char *name, char **out,
                                   struct pare_error *err) {
  char *near = beside(file, name);
  if (!near) return error_no_memory(err);
  if (file_exists(near) || file_is_dir(near)) {
    *out = near;
    return PARE_OK;
  }
  free(near);
  if (o->find_model) return o->find_model(o->context, name, out, err);
  return error_set(err, PARE_NOFILE, "%s: no model %.200s", file, name);
}

static size_t size_of(const json_t *config, const char *key) {
  return (size_t)json_integer_value(json_object_get(config, key));
}

static enum pare_status copy_path(const char *file, const json_t *config, const char *key, char **out,
                                  struct pare_error *err) {
  const char *path = record_string(config, key);
  if (!path) return PARE_OK;
  *out = beside(file, path);
  return *out ? PARE_OK : error_no_memory(err);
}

static enum pare_status read_labels(struct study_part *p, struct pare_error *err) {
  json_t *labels = json_object_get(p->config, "labels"), *phrase;
  const char *name;
  if (!labels) return PARE_OK;
  p->phrases = calloc(json_object_size(labels), sizeof *p->phrases);
  p->names = calloc(json_object_size(labels), sizeof *p->names);
  if (!p->phrases || !p->names) return error_no_memory(err);
  json_object_foreach(labels, name, phrase) {
    p->names[p->label_count] = name;
    p->phrases[p->label_count++] = json_string_value(phrase);
  }
  return PARE_OK;
}

static enum pare_status part_read(const char *file, const struct pare_study_options *o, struct study_part *p,
                                  struct pare_error *err) {
  const json_t *schemes = json_object_get(p->config, "schemes"), *given = json_object_get(p->config, "candidates");
  p->schemes = calloc(json_array_size(schemes) + 1, sizeof *p->schemes);
  p->candidates = calloc(json_array_size(given) + 1, sizeof *p->candidates);
  if (!p->schemes || !p->candidates) return error_no_memory(err);
  for (size_t i = 0; i < json_array_size(schemes); i++)
    p->schemes[p->scheme_count++] = json_string_value(json_array_get(schemes, i));
  enum pare_status status = find_model(file, o, record_string(p->config, "model"), &p->model, err);
  for (size_t i = 0; !status && i < json_array_size(given); i++) {
    status = find_model(file, o, json_string_value(json_array_get(given, i)), &p->candidates[i], err);
    p->candidate_count += !status;
  }
  if (!status) status = copy_path(file, p->config, "data", &p->data, err);
  if (!status) status = copy_path(file, p->config, "gate", &p->gate, err);
  if (!status) status = copy_path(file, p->config, "calibrate", &p->calibrate, err);
  return status ? status : read_labels(p, err);
}

static struct pare_compare_options part_options(const struct study_part *p, const struct pare_study_options *o) {
  const json_t *c = p->config;
  return (struct pare_compare_options){.schemes = p->schemes,
                                       .scheme_count = p->scheme_count,
                                       .candidates = (const char *const *)p->candidates,
                                       .candidate_count = p->candidate_count,
                                       .classify = {.labels = p->phrases,
                                                    .label_count = p->label_count,
                                                    .template_text = record_string(c, "template"),
                                                    .multi_label = json_is_true(json_object_get(c, "multi_label")),
                                                    .max_tokens = size_of(c, "max_tokens")},
                                       .generate = {.max_tokens = size_of(c, "max_tokens"), .seed = size_of(c, "seed")},
                                       .data_labels = p->names,
                                       .data = {.text_column = record_string(c, "text_column"),
                                                .label_column = record_string(c, "label_column"),
                                                .reference_column = record_string(c, "reference_column"),
                                                .limit = o->limit ? o->limit : size_of(c, "limit")},
                                       .iterations = o->iterations ? o->iterations : size_of(c, "iterations"),
                                       .seed = size_of(c, "seed"),
                                       .gate = p->gate,
                                       .calibrate = {.file = p->calibrate},
                                       .command = o->command,
                                       .progress = o->progress};
}

// The first texts of the data, for a report that lists its samples.
static enum pare_status read_samples(const struct study_part *p, json_t *out, struct pare_error *err) {
  enum { SAMPLE_BYTES = 400 };
  pare_dataset *data;
  struct pare_dataset_options options = {.text_column = record_string(p->config, "text_column"),
                                         .label_column = record_string(p->config, "label_column"),
                                         .limit = size_of(p->config, "samples")};
  if (!options.limit) return PARE_OK;
  enum pare_status status = dataset_open(p->data, &options, &data, err);
  if (status) return status;
  for (size_t i = 0; i < data->count; i++) {
    struct pare_text text = dataset_text(data, i);
    size_t len = text.len < SAMPLE_BYTES ? text.len : SAMPLE_BYTES;
    while (len && len < text.len && ((unsigned char)text.text[len] & 0xC0) == 0x80) len--;
    json_array_append_new(out, json_pack("{s:s?, s:s%}", "label", data->rows[i].label, "text", text.text, len));
  }
  dataset_close(data);
  return PARE_OK;
}

static enum pare_status run_part(pare_engine *engine, const char *file, const struct pare_study_options *o,
                                 const json_t *config, compare_checker *check, compare_quantizer *quantize,
                                 json_t *parts, struct pare_error *err) {
  struct study_part p = {.config = config};
  json_t *record = NULL, *samples = json_array();
  enum pare_status status = samples ? part_read(file, o, &p, err) : error_no_memory(err);
  if (!status) status = read_samples(&p, samples, err);
  struct pare_compare_options options = part_options(&p, o);
  if (!status) status = check(&options, err);
  if (!status) status = compare_run(engine, p.model, p.data, &options, quantize, &record, err);
  if (status == PARE_REFUSED || status == PARE_INCONCLUSIVE) status = PARE_OK; // the study's verdict counts it
  if (!status) {
    json_t *part =
        json_pack("{s:O, s:o, s:O}", "name", json_object_get(config, "name"), "record", record, "samples", samples);
    json_t *title = json_object_get(config, "title");
    if (part && title) json_object_set(part, "title", title);
    if (!part || json_array_append_new(parts, part)) status = error_no_memory(err);
  }
  json_decref(samples);
  part_free(&p);
  return status;
}

enum pare_status study_run(pare_engine *engine, const char *path, const struct pare_study_options *options,
                           compare_checker *check, compare_quantizer *quantize, json_t **record,
                           struct pare_error *err) {
  json_t *config = NULL, *parts = json_array();
  *record = NULL;
  enum pare_status status = study_load(path, &config, err);
  const json_t *list = json_object_get(config, "parts");
  for (size_t i = 0; !status && i < json_array_size(list); i++)
    status = run_part(engine, path, options, json_array_get(list, i), check, quantize, parts, err);
  if (status) {
    json_decref(config);
    json_decref(parts);
    return status;
  }
  const char *created = record_string(json_array_get(parts, 0), "record.created");
  json_t *study =
      json_pack("{s:s, s:s, s:s?, s:s?, s:s, s:o, s:o}", "kind", "study", "pare_version", PARE_VERSION, "created",
                created, "command", options->command, "file", path, "config", config, "parts", parts);
  if (!study) return error_no_memory(err);
  status = study_derive(study, err);
  if (status == PARE_REFUSED || status == PARE_INCONCLUSIVE)
    error_set(err, status, "study %s: %s", path, record_string(study, "verdict"));
  if (status == PARE_OK || status == PARE_REFUSED || status == PARE_INCONCLUSIVE) {
    *record = study;
  } else {
    json_decref(study);
  }
  return status;
}
