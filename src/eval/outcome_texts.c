// outcome_texts.c - see outcome.h: answers are texts that a model writes.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/outcome.h"
#include "eval/texts.h"
#include "report/record.h"
#include "task/generate.h"

enum { TEXT_TOKENS = 32 }; // of an answer, unless asked otherwise: enough to see where two models part

static enum pare_status prepare(struct comparison *c, struct pare_error *err) {
  const struct pare_classify_options *classify = &c->options->classify;
  struct text_question *q = &c->texts;
  if (classify->label_count || classify->multi_label)
    return error_set(err, PARE_USAGE, "labels to choose from: expected a classifier, %s writes text",
                     c->subjects[0].path);
  q->how = c->options->generate;
  q->how.on_text = NULL;
  // An encoder-decoder knows itself when to stop.
  if (!q->how.max_tokens && c->subjects[0].model->config.task == ARCH_LANGUAGE_MODEL) q->how.max_tokens = TEXT_TOKENS;
  q->scored = calloc(c->data->count, sizeof *q->scored);
  q->forced = calloc(c->data->count, sizeof *q->forced);
  return q->scored && q->forced ? PARE_OK : error_no_memory(err);
}

// Ids are compared with ids: they must mean the same.
static enum pare_status accept(const struct comparison *c, const struct eval_subject *s, struct pare_error *err) {
  const pare_model *m = s->model, *base = c->subjects[0].model;
  if (m->config.V == base->config.V) return PARE_OK;
  return error_set(err, PARE_DATA, "%s: expected the original's vocabulary of %zu tokens, found %zu", s->path,
                   base->config.V, m->config.V);
}

static enum pare_status begin(const struct comparison *c, struct eval_subject *s, struct pare_error *err) {
  struct text_answers *a = &s->texts;
  size_t rows = c->data->count;
  a->answer = calloc(rows, sizeof *a->answer);
  a->nll = calloc(rows, sizeof *a->nll);
  a->kl = calloc(rows, sizeof *a->kl);
  a->same_top = calloc(rows, sizeof *a->same_top);
  if (!a->answer || !a->nll || !a->kl || !a->same_top) return error_no_memory(err);
  a->rows = rows;
  return PARE_OK;
}

// A row draws from seed + row, whatever the chunk: the same answer here and on the clock.
static enum pare_status generate(const struct comparison *c, const struct eval_subject *s,
                                 const struct pare_text *texts, size_t first, size_t n, struct pare_generation *out,
                                 struct pare_error *err) {
  struct pare_generate_options how = c->texts.how;
  how.seed += first;
  struct pare_error inner = {0};
  enum pare_status status = generate_run(s->model, texts, n, &how, out, &inner);
  if (status == PARE_OK) return status;
  return error_set(err, status, "%s, rows from line %zu on: %.300s", c->data->path, c->data->rows[first].line,
                   inner.text);
}

static enum pare_status answer(const struct comparison *c, struct eval_subject *s, const struct pare_text *texts,
                               size_t first, size_t n, struct pare_error *err) {
  for (size_t i = 0; i < n; i++) generation_free(&s->texts.answer[first + i]);
  return generate(c, s, texts, first, n, s->texts.answer + first, err);
}

static enum pare_status time_one(const struct comparison *c, const struct eval_subject *s, size_t row, size_t *tokens,
                                 struct pare_error *err) {
  struct pare_text text = dataset_text(c->data, row);
  struct pare_generation out = {0};
  enum pare_status status = generate(c, s, &text, row, 1, &out, err);
  *tokens = out.count;
  generation_free(&out);
  return status;
}

// 0: as the model's own configuration says, else off.
static json_t *how_json(const struct pare_generate_options *o) {
  return json_pack("{s:I, s:f, s:I, s:f, s:f, s:f, s:I}", "max_tokens", (json_int_t)o->max_tokens, "temperature",
                   o->temperature, "top_k", (json_int_t)o->top_k, "top_p", o->top_p, "min_p", o->min_p,
                   "repetition_penalty", o->repetition_penalty, "beams", (json_int_t)o->beams);
}

static enum pare_status head(const struct comparison *c, json_t *record, json_t *dataset, struct pare_error *err) {
  int bad = record_set_null(record, "labels", "the model writes text");
  bad |= json_object_set_new(record, "generation", how_json(&c->texts.how));
  bad |= json_object_set_new(dataset, "references", json_integer((json_int_t)c->data->references));
  return bad ? error_no_memory(err) : compare_truncated(c, 0, dataset, err);
}

static enum pare_status sample(const struct comparison *c, const struct eval_subject *s, size_t row, struct buf *out,
                               struct pare_error *err) {
  (void)err;
  static const char *const finish[] = {
      [PARE_FINISH_LENGTH] = "length", [PARE_FINISH_EOS] = "eos", [PARE_FINISH_STOP] = "stop"};
  const struct pare_generation *g = &s->texts.answer[row];
  const struct dataset_row *r = &c->data->rows[row];
  buf_puts(out, ",\"answer\":");
  eval_add_quoted(out, g->text, g->text_len);
  if (r->reference) {
    buf_puts(out, ",\"reference\":");
    eval_add_quoted(out, r->reference, r->reference_len);
  }
  buf_puts(out, ",\"ids\":[");
  for (size_t i = 0; i < g->count; i++) buf_printf(out, "%s%u", i ? "," : "", g->ids[i]);
  buf_printf(out,
             "],\"finish_reason\":\"%s\",\"scored\":%zu,\"nll\":%.17g,\"forced\":%zu,\"same_top\":%.0f,\"kl\":%.17g",
             finish[g->finish], c->texts.scored[row], s->texts.nll[row], c->texts.forced[row], s->texts.same_top[row],
             s->texts.kl[row]);
  return PARE_OK;
}

const struct outcome_kind outcome_texts = {.name = "text",
                                           .latency_includes = "tokenization and setting up the caches",
                                           .prepare = prepare,
                                           .accept = accept,
                                           .begin = begin,
                                           .answer = answer,
                                           .time = time_one,
                                           .score = texts_score,
                                           .head = head,
                                           .fields = texts_fields,
                                           .sample = sample};
