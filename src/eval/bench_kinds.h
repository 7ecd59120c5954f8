// bench_kinds.h - what a benchmark runs: one table per kind of run, a line of the record per row of it. Private to
// bench*.c.
#ifndef PARE_EVAL_BENCH_KINDS_H
#define PARE_EVAL_BENCH_KINDS_H

#include "base/rng.h"
#include "eval/dataset.h"
#include "eval/eval_subject.h"
#include "eval/greedy.h"

struct bench;

// Functions are called in this order; begin, run, fill and end once per row.
struct bench_kind {
  // Sets rows, and the work whose memory is measured; PARE_USAGE for what a model cannot take.
  enum pare_status (*choose)(struct bench *b, struct pare_error *err);
  enum pare_status (*begin)(struct bench *b, size_t row, struct pare_error *err);
  // Once, with model k: its latency_ms[i] is set.
  enum pare_status (*run)(struct bench *b, size_t k, size_t i, struct pare_error *err);
  // The fields of model k's line that the kind has beside latency_ms: shape, tokens_per_s, gops, gb_per_s and more.
  enum pare_status (*fill)(const struct bench *b, size_t k, json_t *line, struct pare_error *err);
  // The ratios beside that of the latencies, into the line of the other model; NULL: none.
  enum pare_status (*compare)(const struct bench *b, json_t *against, struct pare_error *err);
  void (*end)(struct bench *b); // of a row, begun or not
};
extern const struct bench_kind bench_ids, bench_texts, bench_generation;

// The sequences of one run, and where the answer goes.
struct bench_batch {
  struct pare_sequence *sequences; // (count)
  struct encoded *texts;           // (count), of texts
  uint32_t *ids;                   // random ones, all sequences'
  float *logits;
  size_t count, tokens, longest;
};

// One model's share in a row of generation.
struct bench_stream {
  struct greedy *greedy;
  double *first_ms, *token_ms; // (iterations) to the first new token; per token after it
  struct greedy_cost cost;     // of the last run: what it counts is the same every time
};

struct bench {
  pare_engine *engine;
  const struct pare_bench_options *options;
  const struct bench_kind *kind;
  struct eval_subject subjects[2]; // the model, and the one it is run against
  size_t count, iterations, rows;
  size_t batches_default, prompts_default, lengths_default[3]; // where the options name none
  const size_t *across, *along; // the two lists whose pairs are the rows: batches or streams, lengths or prompts
  size_t across_count, along_count;
  struct cost_work work;
  size_t session_tokens; // of all sequences of a run; 0: no session is needed
  struct rng rng;
  pare_dataset *data;
  struct bench_batch batch[2];
  struct bench_stream stream[2];
  struct greedy_size size;
};

size_t bench_smallest_vocabulary(const struct bench *b);
size_t bench_longest_input(const struct bench *b);
size_t bench_largest(const size_t *x, size_t n);
// {value, ci95} of median(theirs) over median(ours), the runs being paired; NULL when out of memory.
json_t *bench_ratio(const struct bench *b, const double *ours, const double *theirs);

#endif
