// compare_record.c - what was measured, as the record every report is computed from.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/size.h"
#include "base/utf8.h"
#include "eval/compare.h"
#include "eval/stats_fill.h"
#include "model/info.h"
#include "report/record.h"
#include "report/stats.h"
#include "task/classify.h"

static bool zero_shot(const struct comparison *c) {
  return c->options->classify.label_count > 0;
}

static struct fill_data fill_data_of(const struct comparison *c) {
  return (struct fill_data){
      .label = c->label, .names = c->names, .n = c->data->count, .classes = c->classes, .seed = c->options->seed};
}

// Independent scores are no distribution, so their logits are not compared as one.
static struct fill_answers answers_of(const struct comparison *c, const struct eval_subject *s) {
  bool independent = classify_multi_label(s->model, &c->options->classify);
  return (struct fill_answers){
      .prediction = s->prediction, .scores = s->scores, .logits = independent ? NULL : s->logits};
}

// ---- one model ----

enum { EXAMPLES = 10, EXAMPLE_BYTES = 300 };

static json_t *shortened(const char *text, size_t len) {
  if (len > EXAMPLE_BYTES) {
    size_t cut = 0;
    for (size_t n; cut < EXAMPLE_BYTES; cut += n) n = utf8_sequence_len((const unsigned char *)text + cut, len - cut);
    len = cut;
  }
  return json_stringn(text, len);
}

static json_t *example_json(const struct comparison *c, const struct eval_subject *s, size_t row) {
  const struct eval_subject *base = &c->subjects[0];
  const struct dataset_row *r = &c->data->rows[row];
  size_t K = c->classes, said = (size_t)s->prediction[row], was = (size_t)base->prediction[row];
  json_t *json =
      json_pack("{s:I, s:I, s:o, s:s?, s:s, s:s, s:f, s:f}", "row", (json_int_t)row, "line", (json_int_t)r->line,
                "text", shortened(r->text, r->len), "label", c->label[row] < 0 ? NULL : c->names[c->label[row]], "base",
                c->names[was], "candidate", c->names[said], "base_score", (double)base->scores[row * K + was], "score",
                (double)s->scores[row * K + said]);
  if (json && r->pair) json_object_set_new(json, "pair", shortened(r->pair, r->pair_len));
  return json;
}

// Changed answers, those that were right before first.
static json_t *examples_json(const struct comparison *c, const struct eval_subject *s) {
  const int *base = c->subjects[0].prediction;
  json_t *rows = json_array();
  for (int lost = 1; lost >= 0; lost--) {
    for (size_t i = 0; i < c->data->count && json_array_size(rows) < EXAMPLES; i++) {
      bool was_right = c->label[i] >= 0 && base[i] == c->label[i];
      if (base[i] != s->prediction[i] && was_right == (lost == 1)) json_array_append_new(rows, example_json(c, s, i));
    }
  }
  return rows;
}

// 99th percentile of KL over items, beside the mean and the largest; null under the number of items that makes it a
// statement.
static enum pare_status fill_kl_p99(const struct comparison *c, const struct eval_subject *s, json_t *model,
                                    struct pare_error *err) {
  json_t *against = json_object_get(model, "against_base");
  size_t n = c->data->count, needed = stats_percentile_runs(0.99);
  const struct eval_subject *base = &c->subjects[0];
  struct fill_answers a = answers_of(c, base), b = answers_of(c, s);
  int bad;
  if (!a.logits || !b.logits) {
    bad = record_set_null(against, "kl_p99", "the answers are not one softmax distribution");
  } else if (n < needed) {
    bad = record_set_null(against, "kl_p99", "n too small: %zu items, %zu needed", n, needed);
  } else {
    double *kl = calloc(n, sizeof *kl);
    if (!kl) return error_no_memory(err);
    for (size_t i = 0; i < n; i++) kl[i] = stats_kl(a.logits + i * c->classes, b.logits + i * c->classes, c->classes);
    stats_sort(kl, n);
    bad = json_object_set_new(against, "kl_p99", json_real(stats_percentile_sorted(kl, n, 0.99)));
    free(kl);
  }
  return bad ? error_no_memory(err) : PARE_OK;
}

static enum pare_status fill_candidate(const struct comparison *c, const struct eval_subject *s, json_t *model,
                                       struct pare_error *err) {
  const struct eval_subject *base = &c->subjects[0];
  struct fill_data data = fill_data_of(c);
  struct fill_answers of_base = answers_of(c, base), answers = answers_of(c, s);
  enum pare_status status = fill_against_base(model, &data, &of_base, &answers, err);
  if (status == PARE_OK) status = fill_kl_p99(c, s, model, err);
  if (status == PARE_OK && s->latency_ms) {
    status = fill_speedup(model, base->latency_ms, s->latency_ms, c->iterations, c->options->seed, err);
  }
  if (status == PARE_OK && json_object_set_new(model, "flip_examples", examples_json(c, s)))
    status = error_no_memory(err);
  return status;
}

// Runs are the whole chunks; with fewer items than one chunk, the one there is.
static enum pare_status fill_rate(const struct comparison *c, const struct eval_subject *s, json_t *model,
                                  struct pare_error *err) {
  size_t rows = c->data->count, whole = rows / ACCURACY_CHUNK;
  return fill_throughput(model, s->chunk_seconds, whole ? whole : 1, whole ? ACCURACY_CHUNK : rows, err);
}

static int fill_rest(const struct comparison *c, const struct eval_subject *s, json_t *model) {
  size_t n = c->data->count;
  struct stats_interval none = stats_wilson(0, n, 0.95);
  int bad = json_object_set_new(model, "errors",
                                json_pack("{s:f, s:[f, f], s:i, s:I}", "value", 0.0, "ci95", none.low, none.high,
                                          "count", 0, "n", (json_int_t)n));
  if (!s->latency_ms) bad |= record_set_null(model, "latency_ms", "no latency runs: compare or bench do them");
  if (s == &c->subjects[0]) bad |= record_set_null(model, "against_base", "this is the original");
  return bad | record_set_null(model, "similarity", "the model classifies: no text is generated");
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
  json_t *model = *out = eval_subject_json(s, &c->subjects[0]);
  if (!model) return error_no_memory(err);
  struct fill_data data = fill_data_of(c);
  struct fill_answers answers = answers_of(c, s);
  enum pare_status status = fill_quality(model, &data, &answers, err);
  if (status == PARE_OK) status = fill_rate(c, s, model, err);
  if (status == PARE_OK && s->latency_ms) status = fill_latency(model, s->latency_ms, c->iterations, err);
  if (status == PARE_OK && s != &c->subjects[0]) status = fill_candidate(c, s, model, err);
  if (status == PARE_OK && (fill_rest(c, s, model) || fill_preparation(c, s, model))) status = error_no_memory(err);
  return status;
}

// ---- the whole ----

static enum pare_status count_truncated(const struct comparison *c, size_t *count, struct pare_error *err) {
  struct encoded e = {0};
  enum pare_status status = PARE_OK;
  *count = 0;
  for (size_t i = 0; status == PARE_OK && i < c->data->count; i++) {
    struct pare_text text = dataset_text(c->data, i);
    status = model_tokenize(c->subjects[0].model, &text, c->options->classify.max_tokens, false, &e, err);
    *count += status == PARE_OK && e.truncated;
  }
  encoded_free(&e);
  return status;
}

static enum pare_status dataset_json(const struct comparison *c, json_t **out, struct pare_error *err) {
  size_t truncated = 0;
  enum pare_status status = zero_shot(c) ? PARE_OK : count_truncated(c, &truncated, err);
  if (status != PARE_OK) return status;
  json_t *json = *out =
      json_pack("{s:o, s:s, s:I, s:I}", "path", eval_text_json(c->data->path), "sha256", c->data->sha256, "n",
                (json_int_t)c->data->count, "labelled", (json_int_t)c->data->labelled);
  if (!json) return error_no_memory(err);
  int bad = c->options->data.limit
                ? json_object_set_new(json, "limit", json_integer((json_int_t)c->options->data.limit))
                : record_set_null(json, "limit", "all rows");
  bad |= zero_shot(c)
             ? record_set_null(json, "truncated", "not counted for zero-shot, where the labels' phrases add to a text")
             : json_object_set_new(json, "truncated", json_integer((json_int_t)truncated));
  return bad ? error_no_memory(err) : PARE_OK;
}

static json_t *labels_json(const struct comparison *c) {
  json_t *labels = json_array();
  for (size_t i = 0; i < c->classes; i++) json_array_append_new(labels, eval_text_json(c->names[i]));
  return labels;
}

static int set_head(const struct comparison *c, json_t *record) {
  const pare_model *m = c->subjects[0].model;
  char created[32] = "";
  time_t now = time(NULL);
  struct tm utc;
  if (gmtime_r(&now, &utc)) strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
  int bad =
      json_object_set_new(record, "task", json_string(zero_shot(c) ? "zero-shot-classification" : model_task_name(m)));
  bad |= json_object_set_new(record, "pare_version", json_string(PARE_VERSION));
  bad |= json_object_set_new(record, "created", json_string(created));
  bad |= json_object_set_new(record, "command", eval_text_json(c->options->command));
  bad |= json_object_set_new(record, "arch", json_string(m->arch->name));
  bad |= json_object_set_new(record, "parameters", json_integer((json_int_t)m->parameters));
  bad |= json_object_set_new(record, "f32_bytes", json_integer(4 * (json_int_t)m->parameters));
  bad |= json_object_set_new(record, "labels", labels_json(c));
  bad |= json_object_set_new(record, "seed", json_integer((json_int_t)c->options->seed));
  bad |= json_object_set_new(record, "latency_includes", json_string("tokenization"));
  return bad | json_object_set_new(record, "machine", cost_machine(c->engine));
}

enum pare_status compare_record(const struct comparison *c, json_t **record, struct pare_error *err) {
  json_t *tree = json_object(), *data = NULL, *models = json_array();
  enum pare_status status = tree && models && !set_head(c, tree) ? PARE_OK : error_no_memory(err);
  if (status == PARE_OK) status = dataset_json(c, &data, err);
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
