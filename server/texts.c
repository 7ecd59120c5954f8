// texts.c - a turn of a model that reads texts: one ragged batch of what waits, in the order of arrival.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "runner.h"

enum { UNITS_MAX = 256, PASS_MAX = 1024 }; // units in a batch; sequences in a pass, however short

struct batch {
  struct unit *units[UNITS_MAX];
  size_t count, tokens;
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

bool are_numbers(const float *x, size_t n) {
  float sum = 0; // NaN and infinity stay what they are when multiplied by 0
  for (size_t i = 0; i < n; i++) sum += x[i] * 0.0f;
  return sum == 0.0f;
}

static void take(struct runner *r, struct batch *b) {
  size_t count;
  b->count = b->tokens = 0;
  struct unit *u = runner_take(r, r->s->server->config->batch_tokens, UNITS_MAX, &count);
  for (struct unit *next; u; u = next) {
    next = u->next;
    b->units[b->count++] = u;
    b->tokens += u->tokens;
  }
}

static enum job_failure failure_of(enum pare_status status) {
  return !status ? JOB_FINE : status == PARE_DATA || status == PARE_USAGE ? JOB_BAD : JOB_BROKEN;
}

double highest(const float *scores, size_t n) {
  float best = scores[0];
  for (size_t i = 1; i < n; i++) best = scores[i] > best ? scores[i] : best;
  return (double)best;
}

// The unit's rows are the model's answer.
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
  unit_finish(r, u, failure_of(status), err.text);
}

// ---- passes -------------------------------------------------------------------------------------------------------

struct pass {
  struct pare_sequence sequences[PASS_MAX];
  size_t count, tokens, texts; // texts: that the sequences are of
};

static void pass_begin(struct pass *p, size_t texts) {
  p->count = p->tokens = 0;
  p->texts = texts;
}

static void pass_add(struct pass *p, const struct pare_tokens *t) {
  p->sequences[p->count++] = (struct pare_sequence){.ids = t->ids, .types = t->types, .len = t->len};
  p->tokens += t->len;
}

static enum pare_status run_pass(struct runner *r, const struct pass *p, float *rows, double *seconds,
                                 struct pare_error *err) {
  uint64_t start = clock_ns();
  enum pare_status status = pare_session_logits(r->session, p->sequences, p->count, rows, err);
  double took = (double)(clock_ns() - start) * 1e-9;
  metric_observe(r->metrics.inference_seconds, took);
  metric_observe(r->metrics.batch_tokens, (double)p->tokens);
  metric_observe(r->metrics.batch_texts, (double)p->texts);
  *seconds += took;
  // Not "+=", which would look after floating-point exceptions (gcc: in libatomic); one thread at a time is here.
  double lately = r->tokens_per_second, now = took > 0 ? (double)p->tokens / took : lately;
  r->tokens_per_second = lately > 0 ? lately + 0.2 * (now - lately) : now;
  return status;
}

static size_t rows_of(const struct unit *u) {
  return u->job->op == JOB_CLASSIFY ? u->sequence_count : u->tokens;
}

static enum pare_status ready(struct runner *r, size_t rows, struct pare_error *err) {
  enum pare_status status = session_ready(r, err);
  size_t values;
  if (status) return status;
  if (!size_mul(rows, pare_model_output_width(r->form->model), &values) || !rows_ready(r, values))
    return error_no_memory(err);
  return PARE_OK;
}

static _Thread_local struct pass pass; // the computing thread's; too large for a stack
static _Thread_local bool in_passes;   // a turn that is taken between the passes of another gives none away itself

// One unit, in passes of what a batch may hold: between them other forms take turns, and it is looked whether somebody
// still waits. A sequence's row is the same whatever is beside it.
static void run_alone(struct runner *r, struct unit *u) {
  size_t columns = pare_model_output_width(r->form->model), most = r->s->server->config->batch_tokens, next = 0;
  struct pare_error err = {0};
  double seconds = 0;
  enum pare_status status = ready(r, rows_of(u), &err);
  while (!status && next < u->sequence_count) {
    size_t first = next;
    if (first && !in_passes) {
      in_passes = true;
      run_another(r);
      in_passes = false;
    }
    if (first && unit_give_up(r, u)) return;
    pass_begin(&pass, 1);
    while (next < u->sequence_count && pass.count < PASS_MAX &&
           (!pass.count || pass.tokens + u->sequences[next].len <= most))
      pass_add(&pass, &u->sequences[next++]);
    status = run_pass(r, &pass, r->rows + first * columns, &seconds, &err);
  }
  if (status) {
    unit_finish(r, u, failure_of(status), err.text);
  } else {
    finish_unit(r, u, r->rows, rows_of(u) * columns, seconds);
  }
}

// All of them in one pass. False: there are too many sequences for that, or some text is one that the model cannot
// take, which is not to be held against the others; nothing was answered.
static bool run_together(struct runner *r, const struct batch *b) {
  size_t columns = pare_model_output_width(r->form->model), sequences = 0, rows = 0;
  struct pare_error err = {0};
  double seconds = 0;
  for (size_t i = 0; i < b->count; i++) {
    sequences += b->units[i]->sequence_count;
    rows += rows_of(b->units[i]);
  }
  if (sequences > PASS_MAX) return false;
  pass_begin(&pass, b->count);
  for (size_t i = 0; i < b->count; i++)
    for (size_t k = 0; k < b->units[i]->sequence_count; k++) pass_add(&pass, &b->units[i]->sequences[k]);
  enum pare_status status = ready(r, rows, &err);
  if (!status) status = run_pass(r, &pass, r->rows, &seconds, &err);
  if (status == PARE_DATA) return false;
  const float *at = r->rows;
  for (size_t i = 0; i < b->count; i++) {
    struct unit *u = b->units[i];
    size_t values = rows_of(u) * columns;
    if (status) {
      unit_finish(r, u, failure_of(status), err.text);
    } else {
      finish_unit(r, u, at, values, seconds / (double)b->count);
    }
    at += values;
  }
  return true;
}

void run_texts(struct runner *r) {
  struct batch b;
  take(r, &b);
  if (b.count > 1 && run_together(r, &b)) return;
  for (size_t i = 0; i < b.count; i++) run_alone(r, b.units[i]);
}
