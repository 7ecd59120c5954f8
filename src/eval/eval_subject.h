// eval_subject.h - one model under evaluation: where it is, what it costs, what it answered and how long that took.
#ifndef PARE_EVAL_EVAL_SUBJECT_H
#define PARE_EVAL_EVAL_SUBJECT_H

#include <jansson.h>

#include "base/buf.h"
#include "eval/cost.h"
#include "model/session.h"

// Answers of a classifier.
struct class_answers {
  int *prediction;        // (rows)
  float *scores, *logits; // (rows, classes)
};

// Answers of a model that writes text, and how it scores the texts of others.
struct text_answers {
  struct pare_generation *answer; // (rows)
  size_t rows;
  double *nll;           // (rows) of the row's text, or reference: -ln of its tokens, summed
  double *kl, *same_top; // (rows) on the original's answer, against the original, summed over its tokens
};

struct eval_subject {
  char *name; // unique in its comparison
  char *path;
  bool temporary; // quantized for this comparison: the path is not worth recording
  struct cost cost;
  pare_model *model;
  pare_session *session;
  struct class_answers classes; // one of these two
  struct text_answers texts;
  double *chunk_seconds; // (chunks)
  double *latency_ms;    // (iterations) in the order measured, or NULL
  size_t *latency_order; // (iterations) place of each run among all models' runs
  size_t latency_tokens; // generated in all those runs
};

enum pare_status eval_subject_open(struct eval_subject *s, pare_engine *engine, struct pare_error *err);
void eval_subject_close(struct eval_subject *s); // accepts a zeroed struct

// {name, path, scheme, size_bytes, size_percent_of_f32, bytes{}, compression, not_smaller, load_ms, open_ms, rss_bytes,
// coverage[]}; NULL when out of memory. base: the original, may be s itself.
json_t *eval_subject_json(const struct eval_subject *s, const struct eval_subject *base);

// What a model at path is called: the last part, trailing slashes apart; *len bytes within path.
const char *eval_path_name(const char *path, size_t *len);

// Runs per model: more would take days, and their times more memory than the models.
enum { EVAL_ITERATIONS_MAX = 100000 };
enum pare_status eval_check_iterations(size_t iterations, struct pare_error *err); // PARE_USAGE

// A string that may not be UTF-8 (a path, a command line) as JSON, other bytes as '?'; null for NULL.
json_t *eval_text_json(const char *text);
json_t *eval_bytes_json(const char *text, size_t len); // the same with a length; a NUL stays
// The same as the characters of a JSON string, quotes included.
void eval_add_quoted(struct buf *out, const char *text, size_t len);

#endif
