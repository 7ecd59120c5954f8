// openai.h - what the files of /v1/completions share: how a request is kept until its answer is written.
#ifndef PARE_SERVER_OPENAI_H
#define PARE_SERVER_OPENAI_H

#include <time.h>

#include "exchange.h"

// What was sent of an item.
struct completion_sent {
  bool any;
  size_t base; // characters of the prompt, where it was echoed
  double mean; // log probability of a token, where the best are chosen
};
// x->state. The job's items: best_of for each prompt, one prompt after another.
struct completion {
  time_t created;
  size_t n, best_of;
  bool echo, logprobs, usage;
  struct completion_sent *sent; // (items)
};

// What of an item is to be written: its answer from a byte and a token on.
struct completion_part {
  size_t text_from, token_from;
  const char *prompt; // to be echoed before it; NULL: no
  size_t prompt_len;
  size_t base; // characters of the prompt, now or earlier
  bool last;   // the answer is complete
};

extern const struct answer completion_answer;

// How many characters begin in text[from, to).
size_t completion_characters(const char *text, size_t from, size_t to);
// {tokens, token_logprobs, top_logprobs, text_offset} of a part. NULL: no memory.
json_t *completion_logprobs(const struct job *job, const struct job_item *item, const struct completion_part *part);

#endif
