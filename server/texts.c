// texts.c - a turn of a model that reads texts: one ragged batch of what waits, in the order of arrival.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "runner.h"

enum { TEXTS_MAX = 1024 }; // sequences in a batch, however short

struct batch {
  struct unit *units[TEXTS_MAX];
  struct pare_sequence sequences[TEXTS_MAX];
  size_t unit_count, sequence_count, tokens;
};

static enum pare_status session_ready(struct runner *r, struct pare_error *err) {
  return r->session ? PARE_OK : pare_session_open(r->form->model, NULL, &r->session, err);
}

static bool rows_ready(struct runner *r, size_t values) {
  if (values <= r->rows_cap) return true;
  free(r->rows);
  r->rows = malloc(values * sizeof *r->rows);
  r->rows_cap = r->rows ? values : 0;
  return r->rows != NULL;
}

static bool are_numbers(const float *x, size_t n) {
  float sum = 0; // NaN and infinity stay what they are when multiplied by 0
  for (size_t i = 0; i < n; i++) sum += x[i] * 0.0f;
  return sum == 0.0f;
}

static void take(struct runner *r, struct batch *b) {
  size_t count;
  *b = (struct batch){.unit_count = 0};
  struct unit *u = runner_take(r, r->s->server->config->batch_tokens, 256, &count);
  for (struct unit *next; u; u = next) {
    next = u->next;
    b->units[b->unit_count++] = u;
    b->tokens += u->tokens;
  }
}

static double highest(const float *scores, size_t n) {
  float best = scores[0];
  for (size_t i = 1; i < n; i++) best = fmaxf(best, scores[i]);
  return (double)best;
}

// The unit's rows are the model's answer. columns: of a row.
static void finish_unit(struct runner *r, struct unit *u, const float *rows, size_t values, double seconds) {
  struct job *job = u->job;
  struct job_item *item = &job->items[u->index];
  struct pare_error err = {0};
  enum pare_status status = PARE_OK;
  if (!are_numbers(rows, values)) {
    if (!unit_rescue(r, u, "the logits are not numbers"))
      unit_finish(r, u, JOB_BROKEN, "the model's answer is not numbers");
    return;
  }
  if (job->op == JOB_CLASSIFY) {
    status = pare_classify_scores(r->form->model, &job->classify, rows, item->scores, item->logits, &err);
    if (!status) metric_observe(r->metrics.confidence, highest(item->scores, job_labels(job)));
  } else {
    pare_embed_pool(r->form->model, r->pooling, rows, u->tokens, job->raw, item->vector);
  }
  metric_add(r->metrics.prompt_tokens, (double)u->tokens);
  if (!status) {
    answer_keep(r, job, item);
    shadow_offer(r, job, u->index, seconds);
  }
  unit_finish(r, u, status ? JOB_BAD : JOB_FINE, err.text);
}

static void finish_all(struct runner *r, struct batch *b, double seconds) {
  size_t columns = pare_model_output_width(r->form->model);
  const float *rows = r->rows;
  for (size_t i = 0; i < b->unit_count; i++) {
    struct unit *u = b->units[i];
    size_t values = columns * (u->job->op == JOB_CLASSIFY ? u->sequence_count : u->tokens);
    finish_unit(r, u, rows, values, seconds / (double)b->unit_count);
    rows += values;
  }
}

void run_texts(struct runner *r) {
  static _Thread_local struct batch b; // the computing thread's; too large for a stack
  struct pare_error err = {0};
  take(r, &b);
  if (!b.unit_count) return;
  // A unit with many candidate labels is a batch of its own, of any length.
  struct pare_sequence *sequences = b.sequences;
  size_t all = 0, rows = 0;
  for (size_t i = 0; i < b.unit_count; i++) all += b.units[i]->sequence_count;
  if (all > TEXTS_MAX) sequences = calloc(all, sizeof *sequences);
  for (size_t i = 0; sequences && i < b.unit_count; i++) {
    const struct unit *u = b.units[i];
    for (size_t k = 0; k < u->sequence_count; k++)
      sequences[b.sequence_count++] = (struct pare_sequence){
          .ids = u->sequences[k].ids, .types = u->sequences[k].types, .len = u->sequences[k].len};
    rows += u->job->op == JOB_CLASSIFY ? u->sequence_count : u->tokens;
  }
  uint64_t start = clock_ns();
  enum pare_status status = session_ready(r, &err);
  if (!status && !(sequences && rows_ready(r, rows * pare_model_output_width(r->form->model))))
    status = error_no_memory(&err);
  if (!status) status = pare_session_logits(r->session, sequences, b.sequence_count, r->rows, &err);
  double seconds = (double)(clock_ns() - start) * 1e-9;
  metric_observe(r->metrics.inference_seconds, seconds);
  metric_observe(r->metrics.batch_tokens, (double)b.tokens);
  metric_observe(r->metrics.batch_texts, (double)b.unit_count);
  // Not "+=", which would look after floating-point exceptions (gcc: in libatomic); one thread at a time is here.
  double lately = r->tokens_per_second;
  if (seconds > 0) r->tokens_per_second = lately + 0.2 * ((double)b.tokens / seconds - lately);
  if (sequences != b.sequences) free(sequences);
  if (!status) {
    finish_all(r, &b, seconds);
    return;
  }
  for (size_t i = 0; i < b.unit_count; i++)
    unit_finish(r, b.units[i], status == PARE_DATA ? JOB_BAD : JOB_BROKEN, err.text);
}
