// outcome_classes.c - see outcome.h: answers are classes, of the model's own or, zero-shot, the phrases given.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "eval/accuracy.h"
#include "eval/outcome.h"
#include "eval/stats_fill.h"
#include "report/record.h"
#include "report/stats.h"
#include "task/classify.h"

static bool zero_shot(const struct comparison *c) {
  return c->options->classify.label_count > 0;
}

// ---- answers ----

static enum pare_status prepare(struct comparison *c, struct pare_error *err) {
  const struct pare_classify_options *classify = &c->options->classify;
  const pare_model *m = c->subjects[0].model;
  const struct pare_generate_options *how = &c->options->generate;
  struct class_question *q = &c->classes;
  if (how->temperature > 0 || how->repetition_penalty > 0 || how->stop_count)
    return error_set(err, PARE_USAGE, "%s classifies: expected no options of models that write text", m->path);
  q->count = classify_label_count(m, classify);
  q->names = calloc(q->count, sizeof *q->names);
  q->label = calloc(c->data->count, sizeof *q->label);
  q->scratch = calloc(q->count, sizeof *q->scratch);
  if (!q->names || !q->label || !q->scratch) return error_no_memory(err);
  for (size_t i = 0; i < q->count; i++) {
    bool renamed = classify->label_count && c->options->data_labels;
    q->names[i] = renamed ? c->options->data_labels[i] : classify_label(m, classify, i);
  }
  return accuracy_map_labels(c->data, q->names, q->count, q->label, err);
}

// Zero-shot phrases are the same for all by construction; a model's own labels must be the original's.
static enum pare_status accept(const struct comparison *c, const struct eval_subject *s, struct pare_error *err) {
  const pare_model *m = s->model, *base = c->subjects[0].model;
  if (m->config.N != base->config.N) {
    return error_set(err, PARE_DATA, "%s: expected the original's %zu labels, found %zu", s->path, base->config.N,
                     m->config.N);
  }
  for (size_t i = 0; i < m->config.N; i++) {
    if (strcmp(m->labels[i], base->labels[i]) == 0) continue;
    return error_set(err, PARE_DATA, "%s: label %zu: expected the original's %.80s, found %.80s", s->path, i,
                     base->labels[i], m->labels[i]);
  }
  return PARE_OK;
}

static enum pare_status begin(const struct comparison *c, struct eval_subject *s, struct pare_error *err) {
  struct class_answers *a = &s->classes;
  size_t rows = c->data->count, values;
  if (!size_mul(rows, c->classes.count, &values)) return error_no_memory(err);
  a->prediction = calloc(rows, sizeof *a->prediction);
  a->scores = calloc(values, sizeof *a->scores);
  a->logits = calloc(values, sizeof *a->logits);
  return a->prediction && a->scores && a->logits ? PARE_OK : error_no_memory(err);
}

static enum pare_status answer(const struct comparison *c, struct eval_subject *s, const struct pare_text *texts,
                               size_t first, size_t n, struct pare_error *err) {
  size_t K = c->classes.count;
  float *scores = s->classes.scores + first * K, *logits = s->classes.logits + first * K;
  enum pare_status status = classify_run(s->session, texts, n, &c->options->classify, scores, logits, err);
  if (status != PARE_OK) return status;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < K; k++) {
      if (isfinite(scores[i * K + k]) && isfinite(logits[i * K + k])) continue;
      return error_set(err, PARE_DATA, "%s: %s line %zu: expected finite logits, found another value for class %zu",
                       s->name, c->data->path, c->data->rows[first + i].line, k);
    }
    s->classes.prediction[first + i] = accuracy_argmax(scores + i * K, K);
  }
  return PARE_OK;
}

static enum pare_status time_one(const struct comparison *c, const struct eval_subject *s, size_t row, size_t *tokens,
                                 struct pare_error *err) {
  struct pare_text text = dataset_text(c->data, row);
  *tokens = 0;
  return classify_run(s->session, &text, 1, &c->options->classify, c->classes.scratch, NULL, err);
}

// ---- record ----

static struct fill_data fill_data_of(const struct comparison *c) {
  return (struct fill_data){.label = c->classes.label,
                            .names = c->classes.names,
                            .n = c->data->count,
                            .classes = c->classes.count,
                            .seed = c->options->seed};
}

// Independent scores are no distribution, so their logits are not compared as one.
static struct fill_answers answers_of(const struct comparison *c, const struct eval_subject *s) {
  bool independent = classify_multi_label(s->model, &c->options->classify);
  return (struct fill_answers){.prediction = s->classes.prediction,
                               .scores = s->classes.scores,
                               .logits = independent ? NULL : s->classes.logits};
}

// ---- one model ----

enum { EXAMPLES = 10 };

static json_t *example_json(const struct comparison *c, const struct eval_subject *s, size_t row) {
  const struct eval_subject *base = &c->subjects[0];
  const struct dataset_row *r = &c->data->rows[row];
  size_t K = c->classes.count, said = (size_t)s->classes.prediction[row], was = (size_t)base->classes.prediction[row];
  json_t *json =
      json_pack("{s:I, s:I, s:o, s:s?, s:s, s:s, s:f, s:f}", "row", (json_int_t)row, "line", (json_int_t)r->line,
                "text", compare_excerpt(r->text, r->len), "label",
                c->classes.label[row] < 0 ? NULL : c->classes.names[c->classes.label[row]], "base",
                c->classes.names[was], "candidate", c->classes.names[said], "base_score",
                (double)base->classes.scores[row * K + was], "score", (double)s->classes.scores[row * K + said]);
  if (json && r->pair) json_object_set_new(json, "pair", compare_excerpt(r->pair, r->pair_len));
  return json;
}

// Changed answers, those that were right before first.
static json_t *examples_json(const struct comparison *c, const struct eval_subject *s) {
  const int *base = c->subjects[0].classes.prediction;
  json_t *rows = json_array();
  for (int lost = 1; lost >= 0; lost--) {
    for (size_t i = 0; i < c->data->count && json_array_size(rows) < EXAMPLES; i++) {
      bool was_right = c->classes.label[i] >= 0 && base[i] == c->classes.label[i];
      if (base[i] != s->classes.prediction[i] && was_right == (lost == 1))
        json_array_append_new(rows, example_json(c, s, i));
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
    for (size_t i = 0; i < n; i++)
      kl[i] = stats_kl(a.logits + i * c->classes.count, b.logits + i * c->classes.count, c->classes.count);
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
  if (status == PARE_OK && json_object_set_new(model, "flip_examples", examples_json(c, s)))
    status = error_no_memory(err);
  return status;
}

static enum pare_status fields(const struct comparison *c, const struct eval_subject *s, json_t *model,
                               struct pare_error *err) {
  struct fill_data data = fill_data_of(c);
  struct fill_answers answers = answers_of(c, s);
  enum pare_status status = fill_quality(model, &data, &answers, err);
  if (status == PARE_OK && s != &c->subjects[0]) status = fill_candidate(c, s, model, err);
  if (status == PARE_OK && record_set_null(model, "similarity", "the model classifies: no text is generated"))
    status = error_no_memory(err);
  return status;
}

static enum pare_status head(const struct comparison *c, json_t *record, json_t *dataset, struct pare_error *err) {
  json_t *labels = json_array();
  for (size_t i = 0; i < c->classes.count; i++) json_array_append_new(labels, eval_text_json(c->classes.names[i]));
  int bad = json_object_set_new(record, "labels", labels);
  if (!zero_shot(c))
    return bad ? error_no_memory(err) : compare_truncated(c, c->options->classify.max_tokens, dataset, err);
  bad |= json_object_set_new(record, "task", json_string("zero-shot-classification"));
  bad |= record_set_null(dataset, "truncated", "not counted for zero-shot, where the labels' phrases add to a text");
  return bad ? error_no_memory(err) : PARE_OK;
}

// ---- samples ----

// Nine digits give the same float back.
static void add_floats(struct buf *b, const char *key, const float *x, size_t n) {
  buf_printf(b, ",\"%s\":", key);
  for (size_t i = 0; i < n; i++) buf_printf(b, "%c%.9g", i ? ',' : '[', (double)x[i]);
  buf_puts(b, "]");
}

static enum pare_status sample(const struct comparison *c, const struct eval_subject *s, size_t row, struct buf *out,
                               struct pare_error *err) {
  (void)err;
  const struct class_question *q = &c->classes;
  const char *label = q->label[row] < 0 ? NULL : q->names[q->label[row]], *said = q->names[s->classes.prediction[row]];
  buf_puts(out, ",\"label\":");
  if (label)
    eval_add_quoted(out, label, strlen(label));
  else
    buf_puts(out, "null");
  buf_puts(out, ",\"prediction\":");
  eval_add_quoted(out, said, strlen(said));
  add_floats(out, "scores", s->classes.scores + row * q->count, q->count);
  add_floats(out, "logits", s->classes.logits + row * q->count, q->count);
  return PARE_OK;
}

const struct outcome_kind outcome_classes = {.name = "class",
                                             .latency_includes = "tokenization",
                                             .prepare = prepare,
                                             .accept = accept,
                                             .begin = begin,
                                             .answer = answer,
                                             .time = time_one,
                                             .head = head,
                                             .fields = fields,
                                             .sample = sample};
