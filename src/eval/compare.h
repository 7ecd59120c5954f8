// compare.h - the main job: every candidate against the original on the same texts, in turns.
#ifndef PARE_EVAL_COMPARE_H
#define PARE_EVAL_COMPARE_H

#include "base/file.h"
#include "eval/dataset.h"
#include "eval/eval_subject.h"

// How a candidate is made from the original: quantizing, handed in because quantizing lies beside evaluation, not
// below it.
typedef enum pare_status compare_quantizer(pare_engine *engine, const char *path, const char *out,
                                           const struct pare_quantize_options *options, json_t **record,
                                           struct pare_error *err);

// Refuses schemes there are not, and calibration texts that are missing or that none needs.
typedef enum pare_status compare_checker(const struct pare_compare_options *options, struct pare_error *err);

// See pare_compare and pare_eval. *record: the contract's compare JSON; set on PARE_OK, PARE_REFUSED and
// PARE_INCONCLUSIVE.
enum pare_status compare_run(pare_engine *engine, const char *original, const char *data,
                             const struct pare_compare_options *options, compare_quantizer *quantize, json_t **record,
                             struct pare_error *err);
enum pare_status eval_run(pare_engine *engine, const char *model, const char *data,
                          const struct pare_compare_options *options, json_t **record, struct pare_error *err);

// ---- shared by compare*.c ----

// What classifiers choose from.
struct class_question {
  const char **names; // (count) as the data calls them; borrowed from the options or the original
  size_t count;
  int *label;     // (rows) class or -1
  float *scratch; // (count)
};

// What models that write text are scored on.
struct text_question {
  struct pare_generate_options how;
  size_t *scored, *forced; // (rows) tokens that nll is of; of the original's answer
};

struct outcome_kind;
struct comparison {
  pare_engine *engine;
  const struct pare_compare_options *options;
  compare_quantizer *quantize;
  pare_dataset *data;
  struct eval_subject *subjects; // [0] is the original
  size_t count;
  const struct outcome_kind *kind; // of answers: which of the next two is filled
  struct class_question classes;
  struct text_question texts;
  size_t iterations;  // latency runs per model; 0: none
  struct outdir temp; // quantized candidates, until they are open
};

// Latency of one text at a time, tokenization included. A round takes every model once, in an order drawn anew: one
// untimed run, which brings the model's weights back into the cache as they would be if it ran alone, then up to
// COMPARE_BLOCK timed ones on texts drawn from the data, the same for all models. Fills latency_ms and latency_order.
enum { COMPARE_BLOCK = 5, COMPARE_WARM_UP_ROUNDS = 2, COMPARE_ITERATIONS = 300 };
enum pare_status compare_latency(struct comparison *c, struct pare_error *err);

// The record without recommendations and gate.
enum pare_status compare_record(const struct comparison *c, json_t **record, struct pare_error *err);

// dataset.truncated: how many texts the original's tokenizer cuts to max_tokens (0: the model's longest).
enum pare_status compare_truncated(const struct comparison *c, size_t max_tokens, json_t *dataset,
                                   struct pare_error *err);
// The beginning of a text of valid UTF-8, some 300 bytes, whole characters.
json_t *compare_excerpt(const char *text, size_t len);

// Raw outcomes as JSON lines, by rename: {model, row, ...} with what the kind of answer brings, and {model, order,
// latency_ms}.
enum pare_status compare_samples(const struct comparison *c, const char *path, struct pare_error *err);

#endif
