// greedy.h - streams of ids, each continued by the id with the highest logit: what a generation costs, without a
// tokenizer and without an end. An encoder-decoder reads each prompt with its encoder and begins at its start id.
#ifndef PARE_EVAL_GREEDY_H
#define PARE_EVAL_GREEDY_H

#include "base/rng.h"
#include "model/decoder.h"

struct greedy_size {
  size_t streams, prompt, generate; // streams together, ids each is given, ids each then gets: 1 or more of each
};

// What a run took, and did, up to the first new id of every stream, and from there to the last.
struct greedy_cost {
  double first_ms, rest_ms;
  struct nn_counters first, rest;
};

struct greedy; // a decoder, prompts, one row of logits per stream

// PARE_USAGE when the model does not generate or is not read for so long.
enum pare_status greedy_check(const pare_model *m, const struct greedy_size *size, struct pare_error *err);
// Prompts are random ids below V, drawn here. The model must outlive it.
enum pare_status greedy_open(pare_model *m, const struct greedy_size *size, size_t V, struct rng *rng,
                             struct greedy **out, struct pare_error *err);
void greedy_close(struct greedy *g); // accepts NULL
// All prompts in one step, then a step per further id, all streams in each.
enum pare_status greedy_run(struct greedy *g, struct greedy_cost *out, struct pare_error *err);
const uint32_t *greedy_ids(const struct greedy *g);     // (streams, generate) of the last run
const uint32_t *greedy_prompts(const struct greedy *g); // (streams, prompt)

#endif
