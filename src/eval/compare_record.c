// compare_record.c - what was measured, as the record every report is computed from.
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/size.h"
#include "base/utf8.h"
#include "eval/outcome.h"
#include "eval/stats_fill.h"
#include "model/info.h"
#include "report/record.h"
#include "report/stats.h"

enum { EXCERPT_BYTES = 300 };

json_t *compare_excerpt(const char *text, size_t len) {
  if (len > EXCERPT_BYTES) {
    size_t cut = 0;
    for (size_t n; cut < EXCERPT_BYTES; cut += n) n = utf8_sequence_len((const unsigned char *)text + cut, len - cut);
    len = cut;
  }
  return json_stringn(text, len);
}

// ---- one model ----

// Runs are the whole chunks; with fewer items than one chunk, the one there is.
static enum pare_status fill_rate(const struct comparison *c, const struct eval_subject *s, json_t *model,
                                  struct pare_error *err) {
  size_t rows = c->data->count, whole = rows / OUTCOME_CHUNK;
  return fill_throughput(model, s->chunk_seconds, whole ? whole : 1, whole ? OUTCOME_CHUNK : rows, err);
}

static int fill_rest(const struct comparison *c, const struct eval_subject *s, json_t *model) {
  size_t n = c->data->count;
  struct stats_interval none = stats_wilson(0, n, 0.95);
  int bad = json_object_set_new(model, "errors",
                                json_pack("{s:f, s:[f, f], s:i, s:I}", "value", 0.0, "ci95", none.low, none.high,
                                          "count", 0, "n", (json_int_t)n));
  if (!s->latency_ms) bad |= record_set_null(model, "latency_ms", "no latency runs: compare or bench do them");
  if (s == &c->subjects[0]) bad |= record_set_null(model, "against_base", "this is the original");
  return bad;
}

// What a candidate's ranges were calibrated on, from its pare.json, and whether that is what it is now judged on.
static int fill_preparation(const struct comparison *c, const struct eval_subject *s, json_t *model) {
  json_t *calibration = json_copy(json_object_get(s->model->provenance, "calibration"));
  json_t *pruning = json_object_get(s->model->provenance, "pruning");
  int bad = 0;
  if (json_is_object(calibration)) {
    const char *sha256 = json_string_value(json_object_get(calibration, "sha256"));
    bad = json_object_set_new(calibration, "same_data", json_boolean(sha256 && !strcmp(sha256, c->data->sha256)));
    bad |= json_object_set(model, "calibration", calibration);
  }
  json_decref(calibration);
  return json_is_object(pruning) ? bad | json_object_set(model, "pruning", pruning) : bad;
}

static enum pare_status model_json(const struct comparison *c, const struct eval_subject *s, json_t **out,
                                   struct pare_error *err) {
  const struct eval_subject *base = &c->subjects[0];
  json_t *model = *out = eval_subject_json(s, base);
  if (!model) return error_no_memory(err);
  enum pare_status status = c->kind->fields(c, s, model, err);
  if (status == PARE_OK) status = fill_rate(c, s, model, err);
  if (status == PARE_OK && s->latency_ms) status = fill_latency(model, s->latency_ms, c->iterations, err);
  if (status == PARE_OK && s->latency_ms && s != base)
    status = fill_speedup(model, base->latency_ms, s->latency_ms, c->iterations, c->options->seed, err);
  if (status == PARE_OK && (fill_rest(c, s, model) || fill_preparation(c, s, model))) status = error_no_memory(err);
  return status;
}

// ---- the whole ----

enum pare_status compare_truncated(const struct comparison *c, size_t max_tokens, json_t *dataset,
                                   struct pare_error *err) {
  struct encoded e = {0};
  enum pare_status status = PARE_OK;
  json_int_t count = 0;
  for (size_t i = 0; status == PARE_OK && i < c->data->count; i++) {
    struct pare_text text = dataset_text(c->data, i);
    status = model_tokenize(c->subjects[0].model, &text, max_tokens, false, &e, err);
    count += status == PARE_OK && e.truncated;
  }
  encoded_free(&e);
  if (status == PARE_OK && json_object_set_new(dataset, "truncated", json_integer(count)))
    status = error_no_memory(err);
  return status;
}

static json_t *dataset_json(const struct comparison *c) {
  json_t *json = json_pack("{s:o, s:s, s:I, s:I}", "path", eval_text_json(c->data->path), "sha256", c->data->sha256,
                           "n", (json_int_t)c->data->count, "labelled", (json_int_t)c->data->labelled);
  if (!json) return NULL;
  int bad = c->options->data.limit
                ? json_object_set_new(json, "limit", json_integer((json_int_t)c->options->data.limit))
                : record_set_null(json, "limit", "all rows");
  if (!bad) return json;
  json_decref(json);
  return NULL;
}

static int set_head(const struct comparison *c, json_t *record) {
  const pare_model *m = c->subjects[0].model;
  char created[32] = "";
  time_t now = time(NULL);
  struct tm utc;
  if (gmtime_r(&now, &utc)) strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
  int bad = json_object_set_new(record, "task", json_string(model_task_name(m)));
  bad |= json_object_set_new(record, "outcome", json_string(c->kind->name));
  bad |= json_object_set_new(record, "pare_version", json_string(PARE_VERSION));
  bad |= json_object_set_new(record, "created", json_string(created));
  bad |= json_object_set_new(record, "command", eval_text_json(c->options->command));
  bad |= json_object_set_new(record, "arch", json_string(m->arch->name));
  bad |= json_object_set_new(record, "parameters", json_integer((json_int_t)m->parameters));
  bad |= json_object_set_new(record, "f32_bytes", json_integer(4 * (json_int_t)m->parameters));
  bad |= json_object_set_new(record, "seed", json_integer((json_int_t)c->options->seed));
  bad |= json_object_set_new(record, "latency_includes", json_string(c->kind->latency_includes));
  return bad | json_object_set_new(record, "machine", cost_machine(c->engine));
}

enum pare_status compare_record(const struct comparison *c, json_t **record, struct pare_error *err) {
  json_t *tree = json_object(), *data = dataset_json(c), *models = json_array();
  enum pare_status status = tree && data && models && !set_head(c, tree) ? PARE_OK : error_no_memory(err);
  if (status == PARE_OK) status = c->kind->head(c, tree, data, err);
  for (size_t i = 0; status == PARE_OK && i < c->count; i++) {
    json_t *model = NULL;
    status = model_json(c, &c->subjects[i], &model, err);
    if (json_array_append_new(models, model) && status == PARE_OK) status = error_no_memory(err);
  }
  // Both take the reference even when they fail.
  int bad = json_object_set_new(tree, "dataset", data);
  bad |= json_object_set_new(tree, "models", models);
  if (status == PARE_OK && bad) status = error_no_memory(err);
  if (status != PARE_OK) {
    json_decref(tree);
    return status;
  }
  *record = tree;
  return PARE_OK;
}
