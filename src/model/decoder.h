// decoder.h - a language model read step by step: several streams, each with its own cache, advanced together in ragged
// steps. A stream's logits are the same bits whatever the others do and, but for llm-int8, however its text is cut into
// steps: llm-int8 picks outlier columns from the tokens of a step, as bitsandbytes does when it generates.
#ifndef PARE_MODEL_DECODER_H
#define PARE_MODEL_DECODER_H

#include "model/model.h"

enum { DECODER_MAX_TOKENS = 1 << 20 }; // positions of all streams together, and tokens of one step

struct decoder; // one arena: caches and scratch, sized here

// slots streams of at most `positions` tokens (0: the model's longest), at most step_tokens new tokens in one step, all
// streams together. PARE_USAGE when the model is not a decoder language model.
enum pare_status decoder_open(pare_model *m, size_t slots, size_t positions, size_t step_tokens, struct decoder **out,
                              struct pare_error *err);
void decoder_close(struct decoder *d); // accepts NULL
size_t decoder_positions(const struct decoder *d);
size_t decoder_length(const struct decoder *d, size_t slot); // tokens the stream has read
void decoder_reset(struct decoder *d, size_t slot);
void decoder_copy(struct decoder *d, size_t from, size_t to);

struct decoder_step {
  size_t slot;
  const uint32_t *ids;
  size_t len; // >= 1
};
// Each stream reads its new ids; logits (n, V): the row after each stream's last new token. Streams are distinct.
// PARE_DATA for an id outside the vocabulary, PARE_USAGE for a stream that would pass its positions or a step too
// large.
enum pare_status decoder_run(struct decoder *d, const struct decoder_step *steps, size_t n, float *logits,
                             struct pare_error *err);

#endif
