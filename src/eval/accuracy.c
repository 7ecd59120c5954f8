// accuracy.c - see accuracy.h.
#include "eval/accuracy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "task/classify.h"

// ---- labels ----

static int find_label(const char *label, const char *const *names, size_t classes) {
  for (size_t i = 0; i < classes; i++) {
    if (strcmp(label, names[i]) == 0) return (int)i;
  }
  for (size_t i = 0; i < classes; i++) {
    if (strcasecmp(label, names[i]) == 0) return (int)i;
  }
  char *end;
  errno = 0;
  unsigned long index = strtoul(label, &end, 10);
  bool number = label[0] >= '0' && label[0] <= '9' && !*end && !errno;
  return number && index < classes ? (int)index : -1;
}

static enum pare_status unknown_label(const pare_dataset *d, const struct dataset_row *row, const char *const *names,
                                      size_t classes, struct pare_error *err) {
  struct buf list = {0};
  for (size_t i = 0; i < classes && list.len < 300; i++) buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
  error_set(err, PARE_DATA, "%s line %zu: found the label '%.80s', expected one of %s", d->path, row->line, row->label,
            list.data ? list.data : "");
  buf_free(&list);
  return PARE_DATA;
}

enum pare_status accuracy_map_labels(const pare_dataset *d, const char *const *names, size_t classes, int *label,
                                     struct pare_error *err) {
  for (size_t i = 0; i < d->count; i++) {
    const struct dataset_row *row = &d->rows[i];
    label[i] = row->label ? find_label(row->label, names, classes) : -1;
    if (row->label && label[i] < 0) return unknown_label(d, row, names, classes, err);
  }
  return PARE_OK;
}

// ---- answers ----

int accuracy_argmax(const float *scores, size_t classes) {
  size_t best = 0;
  for (size_t i = 1; i < classes; i++) best = scores[i] > scores[best] ? i : best;
  return (int)best;
}

void accuracy_shuffle(size_t *order, size_t n, struct rng *rng) {
  for (size_t i = n; i > 1; i--) {
    size_t j = rng_below(rng, i), kept = order[i - 1];
    order[i - 1] = order[j];
    order[j] = kept;
  }
}

size_t accuracy_chunks(size_t rows) {
  return size_ceil_div(rows, ACCURACY_CHUNK);
}

static enum pare_status allocate(const struct accuracy_pass *pass, struct eval_subject *s, struct pare_error *err) {
  size_t rows = pass->data->count, values;
  if (!size_mul(rows, pass->classes, &values)) return error_no_memory(err);
  s->prediction = calloc(rows, sizeof *s->prediction);
  s->scores = calloc(values, sizeof *s->scores);
  s->logits = calloc(values, sizeof *s->logits);
  s->chunk_seconds = calloc(accuracy_chunks(rows), sizeof *s->chunk_seconds);
  return s->prediction && s->scores && s->logits && s->chunk_seconds ? PARE_OK : error_no_memory(err);
}

static enum pare_status answer_chunk(const struct accuracy_pass *pass, struct eval_subject *s,
                                     const struct pare_text *texts, size_t first, size_t n, struct pare_error *err) {
  size_t classes = pass->classes;
  float *scores = s->scores + first * classes, *logits = s->logits + first * classes;
  uint64_t start = clock_ns();
  enum pare_status status = classify_run(s->session, texts, n, pass->classify, scores, logits, err);
  s->chunk_seconds[first / ACCURACY_CHUNK] = (double)(clock_ns() - start) * 1e-9;
  if (status != PARE_OK) return status;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < classes; k++) {
      if (isfinite(scores[i * classes + k]) && isfinite(logits[i * classes + k])) continue;
      return error_set(err, PARE_DATA, "%s: %s line %zu: expected finite logits, found another value for class %zu",
                       s->name, pass->data->path, pass->data->rows[first + i].line, k);
    }
    s->prediction[first + i] = accuracy_argmax(scores + i * classes, classes);
  }
  return PARE_OK;
}

enum pare_status accuracy_run(const struct accuracy_pass *pass, struct pare_error *err) {
  size_t rows = pass->data->count;
  struct pare_text texts[ACCURACY_CHUNK];
  struct rng rng;
  rng_seed(&rng, pass->seed);
  enum pare_status status = PARE_OK;
  size_t *order = calloc(pass->count, sizeof *order);
  if (!order) return error_no_memory(err);
  for (size_t i = 0; status == PARE_OK && i < pass->count; i++) {
    order[i] = i;
    status = allocate(pass, &pass->subjects[i], err);
    texts[0] = dataset_text(pass->data, 0);
    // Once unseen, so that the first chunk does not pay for touching the memory.
    if (status == PARE_OK) status = answer_chunk(pass, &pass->subjects[i], texts, 0, 1, err);
  }
  for (size_t first = 0; status == PARE_OK && first < rows; first += ACCURACY_CHUNK) {
    size_t n = size_min(ACCURACY_CHUNK, rows - first);
    for (size_t i = 0; i < n; i++) texts[i] = dataset_text(pass->data, first + i);
    accuracy_shuffle(order, pass->count, &rng);
    for (size_t i = 0; status == PARE_OK && i < pass->count; i++) {
      status = answer_chunk(pass, &pass->subjects[order[i]], texts, first, n, err);
    }
    if (pass->progress.report) pass->progress.report(pass->progress.context, "evaluating", first + n, rows);
  }
  free(order);
  return status;
}
