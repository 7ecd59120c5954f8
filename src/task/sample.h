// sample.h - one token from a row of logits, by the rules transformers applies, in its order: repetition penalty,
// temperature, top-k, top-p, min-p, then a draw. OpenAI's presence and frequency penalties and its bias come between
// the first two. Ties go to the lower id, so greedy answers are the same everywhere; top-k keeps all that tie with the
// K-th, as transformers does.
#ifndef PARE_TASK_SAMPLE_H
#define PARE_TASK_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "pare.h"

struct sampler_scratch; // (V) candidates, and which ids were seen
enum pare_status sampler_scratch_new(size_t V, struct sampler_scratch **out, struct pare_error *err);
void sampler_scratch_free(struct sampler_scratch *s);

// PARE_USAGE naming the option that is out of range, for a vocabulary of V ids.
enum pare_status sample_check(const struct pare_generate_options *o, size_t V, struct pare_error *err);
// PARE_UNAVAILABLE when the caller, asked between two steps, does not want to go on.
enum pare_status sample_go_on(const struct pare_generate_options *o, struct pare_error *err);
// False: a NaN or an infinity is among the logits, and no answer is to be made of them. To be asked before what is
// below, which bans ids by -infinity.
bool sample_are_numbers(const float *logits, size_t V);
// Divides (positive) or multiplies (negative) the logits of ids seen so far by the penalty (Keskar et al. 2019), each
// once.
void sample_penalize(float *logits, size_t V, const uint32_t *ids, size_t n, double penalty,
                     struct sampler_scratch *scratch);
// Takes `presence` off the logit of every id that is among ids, and `frequency` for each time it is.
void sample_discourage(float *logits, size_t V, const uint32_t *ids, size_t n, double presence, double frequency,
                       struct sampler_scratch *scratch);
// The id of the highest logit, the lowest of those that tie.
uint32_t sample_highest(const float *logits, size_t V);
// The next token. A logit that is NaN is passed over, so the answer's own is NaN only when all are.
uint32_t sample_token(const float *logits, size_t V, const struct pare_generate_options *o, struct rng *rng,
                      struct sampler_scratch *scratch);

#endif
