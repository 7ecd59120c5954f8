// beam.h - beam search over one text: which sequences stay open, which are finished, when to stop. It sees
// log-probabilities only; search.c computes them and moves the decoder's streams.
//
// With N beams, a step takes the best max(2, 1 + end-of-text ids) * N of all N * V continuations. Those that end
// (an end-of-text id, or the greatest length) may enter the N finished ones if they are among the first N, scored
// sum log p / length^length_penalty; the best N of the others stay open. These are the rules of transformers 5's
// generate(num_beams = N), in the same 32-bit arithmetic; equal scores go to the lower beam, then the lower id.
#ifndef PARE_TASK_BEAM_H
#define PARE_TASK_BEAM_H

#include "task/generation_config.h"

struct beam; // one text's search, in one block

// prompt (prompt_len): what every beam begins with; max_len > prompt_len: most ids of a sequence, prompt included.
// config gives beams, end-of-text ids, length penalty and early stopping, and outlives the search.
enum pare_status beam_open(const struct generation_config *config, const uint32_t *prompt, size_t prompt_len,
                           size_t max_len, struct beam **out, struct pare_error *err);
void beam_close(struct beam *b); // accepts NULL

size_t beam_length(const struct beam *b);                    // ids of each open sequence
const uint32_t *beam_ids(const struct beam *b, size_t beam); // (beam_length), until the next step

// rows[i] (V): log p of what follows open sequence i. Afterwards parents[i] says which old sequence the new i continues
// and beam_ids(b, i) ends with its new id. Returns false when the search is over.
bool beam_step(struct beam *b, const float *const *rows, size_t V, size_t *parents);

// The best finished sequence without its prompt; *len 0 when there is none.
const uint32_t *beam_best(const struct beam *b, size_t *len);

#endif
