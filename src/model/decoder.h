// decoder.h - a language model read step by step: several streams, each with its own cache, advanced together in ragged
// steps. A stream's logits are the same bits whatever the others do and, but for llm-int8, however its text is cut into
// steps: llm-int8 picks outlier columns from the tokens of a step, as bitsandbytes does when it generates.
#ifndef PARE_MODEL_DECODER_H
#define PARE_MODEL_DECODER_H

#include "model/model.h"

enum { DECODER_MAX_TOKENS = 1 << 20 }; // positions of all streams together, and tokens of one step

struct decoder; // one arena: caches and scratch, sized here

// What a decoder is sized for.
struct decoder_size {
  size_t slots;         // streams
  size_t positions;     // most tokens of one; 0: the model's longest
  size_t step_tokens;   // most new tokens in one step, all streams together
  size_t texts;         // encoder-decoders: texts held encoded, else 0
  size_t source_tokens; // most tokens of one text; 0: the model's longest
};
// PARE_USAGE when the model is not a decoder language model or an encoder-decoder, or when this is more than
// DECODER_MAX_TOKENS.
enum pare_status decoder_open_sized(pare_model *m, const struct decoder_size *size, struct decoder **out,
                                    struct pare_error *err);
// Bytes of caches that one more stream, and one more text, take.
size_t decoder_stream_bytes(const pare_model *m, size_t positions);

// Language models: slots streams of at most `positions` tokens (0: the model's longest), at most step_tokens new tokens
// in one step, all streams together. PARE_USAGE when the model is not a decoder language model.
enum pare_status decoder_open(pare_model *m, size_t slots, size_t positions, size_t step_tokens, struct decoder **out,
                              struct pare_error *err);
void decoder_leave_pool(struct decoder *d); // from now on it computes on the calling thread
void decoder_close(struct decoder *d);      // accepts NULL
size_t decoder_positions(const struct decoder *d);
size_t decoder_length(const struct decoder *d, size_t slot); // tokens the stream has read
void decoder_reset(struct decoder *d, size_t slot);
// The stream goes back to its first len tokens; len <= decoder_length.
void decoder_truncate(struct decoder *d, size_t slot, size_t len);
// Stream `to` becomes a copy of the first len tokens of stream `from`; len <= decoder_length(from).
void decoder_copy(struct decoder *d, size_t from, size_t to, size_t len);
// False for llm-int8: there a step's logits depend on where steps begin and end.
bool decoder_cuts_freely(const pare_model *m);
// Encoder-decoders: reads n texts, of at most step_tokens together or one alone, and keeps each one's cross-attention
// keys and values in place texts[i].text, for any number of streams to read. slot is not used.
struct decoder_step;
enum pare_status decoder_encode(struct decoder *d, const struct decoder_step *texts, size_t n, struct pare_error *err);

struct decoder_step {
  size_t slot;
  const uint32_t *ids;
  size_t len;  // >= 1
  size_t text; // encoder-decoders: the text this stream answers
};
// Each stream reads its new ids; logits (n, V): the row after each stream's last new token. Streams are distinct.
// PARE_DATA for an id outside the vocabulary, PARE_USAGE for a stream that would pass its positions or a step too
// large.
enum pare_status decoder_run(struct decoder *d, const struct decoder_step *steps, size_t n, float *logits,
                             struct pare_error *err);
// One language model's stream reads its new ids; logits (len, V): the row after each of them.
enum pare_status decoder_run_rows(struct decoder *d, const struct decoder_step *step, float *logits,
                                  struct pare_error *err);

// Operations and weight bytes of all steps and texts since it was opened.
struct nn_counters decoder_counters(const struct decoder *d);

#endif
