// pare_serving.h - what a program that answers many clients needs beside pare.h: the steps of an answer apart, so that
// texts are read by one thread while another computes a batch of what is ready; and generation stream by stream. The
// rules of pare.h hold: status codes, ownership, threads. A model outlives its sessions and its generators.
#ifndef PARE_SERVING_H
#define PARE_SERVING_H

#include "pare.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- classification in steps ----------------------------------------------------------------------------------------
// A linear classifier over hashed n-grams: pare_classify answers in microseconds on the calling thread, and no batch
// would be faster.
PARE_API bool pare_model_is_linear(const pare_model *model);
// A sequence's token types are below this; 0: the model knows none and does not look at them.
PARE_API size_t pare_model_type_count(const pare_model *model);
// Sequences that the answer to one text takes: one, or with candidate labels one for each. options may be NULL.
PARE_API size_t pare_classify_sequence_count(const pare_model *model, const struct pare_classify_options *options);
// The ids of those sequences, as pare_classify reads the text. tokens (sequence count): zeroed before their first use,
// reused, each to be given to pare_tokens_free. Errors as pare_classify's. Another model of the same tokenizer (a
// quantized form) may compute them if they fit it, its vocabulary, token types and pare_model_max_tokens: ids that do
// not are PARE_DATA from pare_session_logits, which then has computed none of its sequences.
PARE_API enum pare_status pare_classify_tokenize(const pare_model *model, const struct pare_text *text,
                                                 const struct pare_classify_options *options,
                                                 struct pare_tokens *tokens, struct pare_error *err);
// From pare_session_logits' rows (sequence count, output width) of those sequences: the same bits as pare_classify of
// the text. scores, logits (label count); logits may be NULL.
PARE_API enum pare_status pare_classify_scores(const pare_model *model, const struct pare_classify_options *options,
                                               const float *rows, float *scores, float *logits, struct pare_error *err);

// ---- embeddings -----------------------------------------------------------------------------------------------------
// How sentence-transformers' 1_Pooling/config.json beside the model at path says that a text's vector comes from its
// tokens'; the mean without that file, and where it names another way (lasttoken, mean_sqrt_len_tokens,
// weightedmean_tokens), which is not computed here: look into the file if the model may be such a one. It reads the
// file: ask once.
enum pare_pooling { PARE_POOLING_MEAN, PARE_POOLING_FIRST, PARE_POOLING_MAX };
PARE_API enum pare_pooling pare_pooling_of(const char *path);
// One vector of output width for a text, from pare_session_logits' rows (tokens, output width) of an encoder
// (PARE_TASK_ENCODE), of length 1 unless `raw`. tokens >= 1. Cannot fail.
PARE_API void pare_embed_pool(const pare_model *model, enum pare_pooling pooling, const float *rows, size_t tokens,
                              bool raw, float *vector);

// ---- generation, stream by stream -----------------------------------------------------------------------------------
// Continuous batching: prompts come and go between steps, and a step advances all that are there. A stream's answer is
// the same bits whatever the others do. Language models only. A generator belongs to one thread at a time.
//
//   struct pare_prompt prompt = {.ids = tokens.ids, .len = tokens.len, .options = {.max_tokens = 32}};
//   size_t stream, live = 1, sent = 0;
//   if (pare_generator_start(g, &prompt, &stream, &err)) return complain(&err);
//   for (struct pare_stream s = {0}; !s.done; sent = s.settled) {
//     if (pare_generator_step(g, &live, &err)) break; // others may be started and ended between two steps
//     s = pare_generator_state(g, stream);
//     if (s.status) break; // the logits were not numbers; what was sent of the text stands
//     fwrite(s.text + sent, 1, s.settled - sent, stdout);
//   }
//   pare_generator_end(g, stream);
typedef struct pare_generator pare_generator;

struct pare_generator_options {
  size_t streams;     // most at once; 0: 8
  size_t step_tokens; // most tokens a step reads, all streams together: long prompts are read over several; 0: 256.
                      // At least `streams`; llm-int8's bits depend on its steps, so its prompts are not cut
  bool alone;         // computes on the calling thread and leaves the engine's others to other sessions
  bool reuse;         // a prompt that begins as an earlier one did takes over the keys and values of the beginning
};
// options may be NULL: zeroes. PARE_USAGE when the model is not a language model that generates.
PARE_API enum pare_status pare_generator_open(pare_model *model, const struct pare_generator_options *options,
                                              pare_generator **out, struct pare_error *err);
PARE_API void pare_generator_close(pare_generator *g);
PARE_API size_t pare_generator_free_streams(const pare_generator *g);

struct pare_prompt {
  const uint32_t *ids; // used as given, no special tokens added; copied
  size_t len;          // 1 .. pare_model_max_tokens; one less if a token is to follow
  // Of which on_text, context and what only a search does (beams, min_tokens, ...) are not used. max_tokens PARE_OFF:
  // none, the prompt is only scored. stop, its strings and bias need live only during the call.
  struct pare_generate_options options;
  bool logprobs;    // of the new tokens
  bool score;       // and of the prompt's own (but the first, which nothing precedes)
  size_t top_count; // with logprobs or score: and of the so many most probable ids at each place; at most 20
};
// Takes a free stream for the prompt. *stream: its number until pare_generator_end. PARE_UNAVAILABLE when none is free;
// PARE_DATA, PARE_USAGE as pare_generate.
PARE_API enum pare_status pare_generator_start(pare_generator *g, const struct pare_prompt *prompt, size_t *stream,
                                               struct pare_error *err);
// One step of all streams that are not done: *live of them will go on. It fails only as a whole (PARE_BUG: no memory).
// After a failure the streams are half way through a step: only pare_generator_end and pare_generator_close may follow.
PARE_API enum pare_status pare_generator_step(pare_generator *g, size_t *live, struct pare_error *err);

struct pare_logprob {
  uint32_t id;
  float logprob; // natural logarithm of the model's own probability, before penalties and temperature
};
// A stream as it stands. Pointers hold until the next call on the generator.
struct pare_stream {
  const char *text;         // of the new ids, cut before a stop string; NUL-terminated
  size_t text_len, settled; // settled: bytes at its beginning that later tokens cannot change; all when done
  const uint32_t *ids;      // new ones, an end-of-text id not among them
  const size_t *ends; // (count) length of the text up to and with each id; up to `settled` they are final. Ids of one
                      // character end with it
  size_t count;
  // (prompt_len + count) or NULL; [0] is NaN with `score`, the prompt's are NaN without. tops (prompt_len + count,
  // top_count) or NULL: best first, ties to the lower id; id 0 and NaN where there are none.
  const float *logprobs;
  const struct pare_logprob *tops;
  size_t prompt_len, prompt_read, reused; // of the prompt: tokens, read so far, taken over without computing (settled
                                          // once more of it is read than that)
  bool done;
  enum pare_finish finish;
  enum pare_status status; // PARE_OK, or PARE_DATA: the model's logits were not numbers and the stream is done
};
PARE_API struct pare_stream pare_generator_state(const pare_generator *g, size_t stream);
// Gives the stream back, done or not.
PARE_API void pare_generator_end(pare_generator *g, size_t stream);

#ifdef __cplusplus
}
#endif
#endif
