// outcome.c - see outcome.h.
#include "eval/outcome.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/size.h"

enum pare_status outcome_of(const struct eval_subject *s, const struct outcome_kind **out, struct pare_error *err) {
  switch (s->model->config.task) {
    case ARCH_CLASSIFY: *out = &outcome_classes; return PARE_OK;
    case ARCH_LANGUAGE_MODEL:
    case ARCH_SEQ2SEQ: *out = &outcome_texts; return PARE_OK;
    case ARCH_ENCODE: break;
  }
  return error_set(err, PARE_UNAVAILABLE,
                   "%s is an encoder without a head: expected a model that classifies or writes text", s->path);
}

static enum pare_status answer_chunk(const struct comparison *c, struct eval_subject *s, size_t first, size_t n,
                                     struct pare_error *err) {
  struct pare_text texts[OUTCOME_CHUNK];
  for (size_t i = 0; i < n; i++) texts[i] = dataset_text(c->data, first + i);
  uint64_t start = clock_ns();
  enum pare_status status = c->kind->answer(c, s, texts, first, n, err);
  s->chunk_seconds[first / OUTCOME_CHUNK] = (double)(clock_ns() - start) * 1e-9;
  return status;
}

static enum pare_status begin(struct comparison *c, struct eval_subject *s, struct pare_error *err) {
  s->chunk_seconds = calloc(size_ceil_div(c->data->count, OUTCOME_CHUNK), sizeof *s->chunk_seconds);
  if (!s->chunk_seconds) return error_no_memory(err);
  enum pare_status status = c->kind->begin(c, s, err);
  // Once unseen, so that the first chunk does not pay for touching the memory.
  return status == PARE_OK ? answer_chunk(c, s, 0, 1, err) : status;
}

enum pare_status outcome_run(struct comparison *c, struct pare_error *err) {
  size_t rows = c->data->count;
  const struct pare_progress *p = &c->options->progress;
  struct rng rng;
  rng_seed(&rng, c->options->seed);
  enum pare_status status = PARE_OK;
  size_t *order = calloc(c->count, sizeof *order);
  if (!order) return error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < c->count; i++) {
    order[i] = i;
    status = begin(c, &c->subjects[i], err);
  }
  for (size_t first = 0; status == PARE_OK && first < rows; first += OUTCOME_CHUNK) {
    size_t n = size_min(OUTCOME_CHUNK, rows - first);
    rng_shuffle(&rng, order, c->count);
    for (size_t i = 0; status == PARE_OK && i < c->count; i++)
      status = answer_chunk(c, &c->subjects[order[i]], first, n, err);
    if (p->report) p->report(p->context, "evaluating", first + n, rows);
  }
  free(order);
  return status == PARE_OK && c->kind->score ? c->kind->score(c, err) : status;
}
