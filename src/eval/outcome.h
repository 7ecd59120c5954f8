// outcome.h - what a model's answer to a row is: a class, or a text. A kind says how rows are answered and what is made
// of the answers; taking turns, costs, latency, recommendations and gate are the same for both.
#ifndef PARE_EVAL_OUTCOME_H
#define PARE_EVAL_OUTCOME_H

#include <jansson.h>

#include "base/buf.h"
#include "eval/compare.h"

enum { OUTCOME_CHUNK = 32 }; // rows given to a model at once, and timed together

struct outcome_kind {
  const char *name;             // record.outcome
  const char *latency_includes; // record.latency_includes
  // The original and the data are open: what all answers have in common.
  enum pare_status (*prepare)(struct comparison *c, struct pare_error *err);
  // Whether a candidate answers the same question as the original.
  enum pare_status (*accept)(const struct comparison *c, const struct eval_subject *s, struct pare_error *err);
  // Memory for the answers to all rows.
  enum pare_status (*begin)(const struct comparison *c, struct eval_subject *s, struct pare_error *err);
  // Answers rows [first, first + n); rows answered before are answered anew.
  enum pare_status (*answer)(const struct comparison *c, struct eval_subject *s, const struct pare_text *texts,
                             size_t first, size_t n, struct pare_error *err);
  // Answers one row for the clock; *tokens: written, 0 when the answer has none.
  enum pare_status (*time)(const struct comparison *c, const struct eval_subject *s, size_t row, size_t *tokens,
                           struct pare_error *err);
  // What needs the answers of all models; NULL: nothing.
  enum pare_status (*score)(struct comparison *c, struct pare_error *err);
  // Fields of the record, of its dataset and of one model's entry.
  enum pare_status (*head)(const struct comparison *c, json_t *record, json_t *dataset, struct pare_error *err);
  enum pare_status (*fields)(const struct comparison *c, const struct eval_subject *s, json_t *model,
                             struct pare_error *err);
  // One row's line for --samples without braces: keys and values after "model" and "row", beginning with a comma.
  enum pare_status (*sample)(const struct comparison *c, const struct eval_subject *s, size_t row, struct buf *out,
                             struct pare_error *err);
};
extern const struct outcome_kind outcome_classes, outcome_texts;

// The kind of answer a model gives; PARE_UNAVAILABLE when it gives none that can be compared.
enum pare_status outcome_of(const struct eval_subject *s, const struct outcome_kind **out, struct pare_error *err);

// Gives every row to every model, chunk by chunk, the models in an order drawn anew for each. Fills the answers and
// chunk_seconds of every subject.
enum pare_status outcome_run(struct comparison *c, struct pare_error *err);

#endif
