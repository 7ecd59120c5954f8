// stream.h - one prompt that a language model goes on from: its ids, what is certain of its text, and when it ends. Who
// computes its logits, and beside which others, is generator.h's.
#ifndef PARE_TASK_STREAM_H
#define PARE_TASK_STREAM_H

#include "model/model.h"
#include "task/generation_config.h"
#include "task/sample.h"
#include "text/grow.h"

#include "pare_serving.h"

// What the streams of one thread share.
struct stream_tools {
  const pare_model *m;
  struct pool *pool; // NULL: this thread alone
  const struct id_list *eos;
  struct sampler_scratch *scratch;
  float *row; // (V)
};

struct stream {
  struct pare_generate_options options; // its stop strings and bias are copies, owned
  size_t longest_stop;
  struct rng rng;
  uint32_t *ids; // (limit) prompt, then new ones; the caller's
  size_t prompt_len, len, limit;
  size_t read, reused; // of the prompt; kept by who reads it
  bool score;
  float *logprobs;           // (limit) or NULL
  struct pare_logprob *tops; // (limit, top_count) or NULL
  size_t top_count;
  struct growing_text text;
  size_t *ends;              // (limit - prompt_len)
  size_t certain;            // new ids whose ends are final
  size_t text_len, searched; // searched: bytes that hold no stop string
  size_t settled;
  bool done;
  enum pare_finish finish;
  enum pare_status status;
};

// Options as a language model's streams take them. PARE_USAGE naming what is out of range; PARE_NOFILE without a
// tokenizer.
enum pare_status stream_check(const pare_model *m, const struct pare_generate_options *o, struct pare_error *err);
// A stream of at most `positions` ids. Errors as pare_generator_start. prompt_ids are not copied: ids is set, and
// filled, by the caller. To be given to stream_free, also after an error.
enum pare_status stream_init(struct stream *s, const pare_model *m, const struct pare_prompt *prompt, size_t positions,
                             struct pare_error *err);
void stream_free(struct stream *s);
// rows (n, V): the logits after prompt ids first .. first + n - 1, which score the ids behind them. The rows may be
// changed. The stream ends where they are not numbers.
void stream_score(const struct stream_tools *t, struct stream *s, const float *rows, size_t first, size_t n);
// Takes the next id from the row of logits (V) after the last one, which is changed. Fails only for lack of memory.
enum pare_status stream_advance(const struct stream_tools *t, struct stream *s, float *row, struct pare_error *err);

#endif
