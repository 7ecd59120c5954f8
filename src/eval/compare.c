// compare.c - see compare.h: quantize -> measure each model's cost in a process of its own -> open all -> answers ->
// latency -> record -> recommendations -> gate.
#include "eval/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "eval/outcome.h"
#include "model/info.h"
#include "report/gate.h"
#include "report/record.h"
#include "report/report.h"

static void tell(const struct comparison *c, const char *stage, size_t done, size_t total) {
  const struct pare_progress *p = &c->options->progress;
  if (p->report) p->report(p->context, stage, done, total);
}

static void close_all(struct comparison *c) {
  for (size_t i = 0; i < c->count; i++) eval_subject_close(&c->subjects[i]);
  free(c->subjects);
  free(c->classes.names);
  free(c->classes.label);
  free(c->classes.scratch);
  free(c->texts.scored);
  free(c->texts.forced);
  dataset_close(c->data);
  dir_discard(&c->temp);
}

// ---- what is compared ----

// base, base-2, base-3 ... until no subject before s bears it.
static enum pare_status name_subject(struct comparison *c, struct eval_subject *s, const char *base, size_t base_len,
                                     struct pare_error *err) {
  for (size_t number = 1;; number++) {
    char *name = malloc(base_len + 24);
    if (!name) return error_no_memory(err);
    if (number == 1) {
      snprintf(name, base_len + 24, "%.*s", (int)base_len, base);
    } else {
      snprintf(name, base_len + 24, "%.*s-%zu", (int)base_len, base, number);
    }
    bool taken = false;
    for (size_t i = 0; i < (size_t)(s - c->subjects); i++) taken |= strcmp(c->subjects[i].name, name) == 0;
    if (!taken) {
      s->name = name;
      return PARE_OK;
    }
    free(name);
  }
}

static enum pare_status add_path(struct comparison *c, const char *path, struct pare_error *err) {
  struct eval_subject *s = &c->subjects[c->count++];
  size_t len;
  const char *name = eval_path_name(path, &len);
  s->path = strdup(path);
  if (!s->path) return error_no_memory(err);
  return name_subject(c, s, name, len, err);
}

// Progress of a part of the work, under a stage name of ours.
struct relay {
  const struct comparison *c;
  char stage[64];
};

static void relay_progress(void *context, const char *stage, size_t done, size_t total) {
  (void)stage;
  const struct relay *r = context;
  tell(r->c, r->stage, done, total);
}

static enum pare_status add_scheme(struct comparison *c, const char *scheme, struct pare_error *err) {
  struct eval_subject *s = &c->subjects[c->count++];
  char folder[32];
  snprintf(folder, sizeof folder, "%zu", c->count);
  s->temporary = true;
  s->path = path_join(c->temp.temp, folder);
  if (!s->path) return error_no_memory(err);
  enum pare_status status = name_subject(c, s, scheme, strlen(scheme), err);
  if (status != PARE_OK) return status;
  struct relay relay = {.c = c};
  snprintf(relay.stage, sizeof relay.stage, "quantizing %s", scheme);
  // A candidate that is not smaller is worth a row in the report, which says so.
  struct pare_quantize_options options = {.scheme = scheme,
                                          .even_if_larger = true,
                                          .command = c->options->command,
                                          .calibrate = c->options->calibrate,
                                          .progress = {.report = relay_progress, .context = &relay}};
  json_t *record = NULL;
  status = c->quantize(c->engine, c->subjects[0].path, s->path, &options, &record, err);
  json_decref(record);
  return status;
}

static enum pare_status add_candidates(struct comparison *c, struct pare_error *err) {
  enum pare_status status = c->options->scheme_count ? dir_create_temp(&c->temp, err) : PARE_OK;
  for (size_t i = 0; status == PARE_OK && i < c->options->scheme_count; i++)
    status = add_scheme(c, c->options->schemes[i], err);
  for (size_t i = 0; status == PARE_OK && i < c->options->candidate_count; i++) {
    status = add_path(c, c->options->candidates[i], err);
  }
  return status;
}

// ---- what they are compared on ----

static enum pare_status open_original(struct comparison *c, const char *data, struct pare_error *err) {
  enum pare_status status = eval_subject_open(&c->subjects[0], c->engine, err);
  if (status == PARE_OK) status = outcome_of(&c->subjects[0], &c->kind, err);
  if (status == PARE_OK) status = dataset_open(data, &c->options->data, &c->data, err);
  return status == PARE_OK ? c->kind->prepare(c, err) : status;
}

static enum pare_status check_kind(const struct comparison *c, const struct eval_subject *s, struct pare_error *err) {
  const struct outcome_kind *kind;
  enum pare_status status = outcome_of(s, &kind, err);
  if (status != PARE_OK || kind == c->kind) return status;
  return error_set(err, PARE_DATA, "%s: expected a model of the original's task, %s, found %s", s->path,
                   model_task_name(c->subjects[0].model), model_task_name(s->model));
}

static enum pare_status open_candidates(struct comparison *c, struct pare_error *err) {
  for (size_t i = 1; i < c->count; i++) {
    enum pare_status status = eval_subject_open(&c->subjects[i], c->engine, err);
    if (status == PARE_OK) status = check_kind(c, &c->subjects[i], err);
    if (status == PARE_OK) status = c->kind->accept(c, &c->subjects[i], err);
    if (status != PARE_OK) return status;
  }
  // Open models are mapped: their files may go, and nothing is left behind whatever happens from here on.
  dir_discard(&c->temp);
  return PARE_OK;
}

static enum pare_status measure_costs(struct comparison *c, size_t baseline, struct pare_error *err) {
  for (size_t i = 0; i < c->count; i++) {
    tell(c, "measuring memory and load time", i, c->count);
    struct eval_subject *s = &c->subjects[i];
    enum pare_status status = cost_measure(c->engine, s->path, &(struct cost_work){0}, baseline, &s->cost, err);
    if (status != PARE_OK) return status;
  }
  return PARE_OK;
}

// ---- the whole ----

static enum pare_status check_gate(const char *path, struct pare_error *err) {
  json_t *gate = NULL;
  enum pare_status status = path ? gate_load(path, &gate, err) : PARE_OK;
  json_decref(gate);
  return status;
}

// What can be refused is refused before the long work: gate file, original, data and labels first.
static enum pare_status prepare(struct comparison *c, const char *original, const char *data, struct pare_error *err) {
  size_t baseline = cost_resident_bytes();
  size_t most = 1 + c->options->scheme_count + c->options->candidate_count;
  c->subjects = calloc(most, sizeof *c->subjects);
  if (!c->subjects) return error_no_memory(err);
  enum pare_status status = check_gate(c->options->gate, err);
  if (status == PARE_OK) status = add_path(c, original, err);
  if (status == PARE_OK) status = open_original(c, data, err);
  if (status == PARE_OK) status = add_candidates(c, err);
  if (status == PARE_OK) status = measure_costs(c, baseline, err);
  if (status == PARE_OK) status = open_candidates(c, err);
  return status;
}

static enum pare_status measure(struct comparison *c, struct pare_error *err) {
  enum pare_status status = outcome_run(c, err);
  if (status == PARE_OK && c->iterations) status = compare_latency(c, err);
  if (status == PARE_OK && c->options->samples) status = compare_samples(c, c->options->samples, err);
  return status;
}

static enum pare_status run(struct comparison *c, const char *original, const char *data, json_t **record,
                            struct pare_error *err) {
  *record = NULL;
  json_t *tree = NULL;
  enum pare_status status = prepare(c, original, data, err);
  if (status == PARE_OK) status = measure(c, err);
  if (status == PARE_OK) status = compare_record(c, &tree, err);
  if (status == PARE_OK) status = report_recommend(tree, err);
  if (status == PARE_OK && c->options->gate) {
    status = gate_apply(tree, c->options->gate, err);
    const char *verdict = status == PARE_REFUSED ? "FAIL" : status == PARE_INCONCLUSIVE ? "INCONCLUSIVE" : NULL;
    if (verdict) error_set(err, status, "gate %s: %s", c->options->gate, verdict);
  } else if (status == PARE_OK && c->count > 1) {
    if (record_set_null(tree, "gate", "no gate file")) status = error_no_memory(err);
  }
  close_all(c);
  if (status == PARE_OK || status == PARE_REFUSED || status == PARE_INCONCLUSIVE) {
    *record = tree;
  } else {
    json_decref(tree);
  }
  return status;
}

enum pare_status compare_run(pare_engine *engine, const char *original, const char *data,
                             const struct pare_compare_options *options, compare_quantizer *quantize, json_t **record,
                             struct pare_error *err) {
  *record = NULL;
  if (options->scheme_count + options->candidate_count == 0) {
    return error_set(err, PARE_USAGE, "nothing to compare: expected schemes or candidates");
  }
  size_t iterations = options->iterations ? options->iterations : COMPARE_ITERATIONS;
  enum pare_status status = eval_check_iterations(iterations, err);
  if (status != PARE_OK) return status;
  struct comparison c = {.engine = engine, .options = options, .quantize = quantize, .iterations = iterations};
  return run(&c, original, data, record, err);
}

enum pare_status eval_run(pare_engine *engine, const char *model, const char *data,
                          const struct pare_compare_options *options, json_t **record, struct pare_error *err) {
  struct pare_compare_options alone = *options;
  alone.scheme_count = alone.candidate_count = 0;
  alone.gate = NULL;
  struct comparison c = {.engine = engine, .options = &alone};
  return run(&c, model, data, record, err);
}
