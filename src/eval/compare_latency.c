// compare_latency.c - see compare.h. Models take turns so that drift of the machine (frequency, neighbours) falls on
// all alike.
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/compare.h"
#include "eval/outcome.h"

struct timing {
  struct comparison *c;
  size_t *texts, text_count; // rows to draw from, shuffled
  size_t done, place;        // timed runs per model, timed runs of all models
};

static enum pare_status run_text(const struct timing *t, const struct eval_subject *s, size_t index, size_t *tokens,
                                 struct pare_error *err) {
  return t->c->kind->time(t->c, s, t->texts[index % t->text_count], tokens, err);
}

static enum pare_status run_block(struct timing *t, struct eval_subject *s, size_t n, struct pare_error *err) {
  size_t tokens;
  enum pare_status status = run_text(t, s, t->done, &tokens, err); // untimed
  for (size_t i = 0; status == PARE_OK && i < n; i++) {
    uint64_t start = clock_ns();
    status = run_text(t, s, t->done + i, &tokens, err);
    s->latency_ms[t->done + i] = (double)(clock_ns() - start) * 1e-6;
    s->latency_order[t->done + i] = t->place++;
    s->latency_tokens += tokens;
  }
  return status;
}

static enum pare_status run_rounds(struct timing *t, size_t *order, struct rng *rng, struct pare_error *err) {
  struct comparison *c = t->c;
  const struct pare_progress *p = &c->options->progress;
  for (size_t round = 0; t->done < c->iterations; round++) {
    size_t n = size_min(COMPARE_BLOCK, c->iterations - t->done);
    rng_shuffle(rng, order, c->count);
    for (size_t i = 0; i < c->count; i++) {
      enum pare_status status = run_block(t, &c->subjects[order[i]], n, err);
      if (status != PARE_OK) return status;
    }
    if (round < COMPARE_WARM_UP_ROUNDS) {
      t->place = 0; // what was timed is written over
      for (size_t i = 0; i < c->count; i++) c->subjects[i].latency_tokens = 0;
      continue;
    }
    t->done += n;
    if (p->report) p->report(p->context, "measuring latency", t->done, c->iterations);
  }
  return PARE_OK;
}

enum pare_status compare_latency(struct comparison *c, struct pare_error *err) {
  struct rng rng;
  rng_seed(&rng, c->options->seed + 1); // apart from the evaluation's draws
  size_t rows = c->data->count;
  struct timing t = {.c = c, .texts = calloc(rows, sizeof *t.texts), .text_count = size_min(rows, c->iterations)};
  size_t *order = calloc(c->count, sizeof *order);
  enum pare_status status = t.texts && order ? PARE_OK : error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < c->count; i++) {
    struct eval_subject *s = &c->subjects[i];
    order[i] = i;
    s->latency_ms = calloc(c->iterations, sizeof *s->latency_ms);
    s->latency_order = calloc(c->iterations, sizeof *s->latency_order);
    if (!s->latency_ms || !s->latency_order) status = error_no_memory(err);
  }
  if (status == PARE_OK) {
    for (size_t i = 0; i < rows; i++) t.texts[i] = i;
    rng_shuffle(&rng, t.texts, rows);
    status = run_rounds(&t, order, &rng, err);
  }
  free(t.texts);
  free(order);
  return status;
}
