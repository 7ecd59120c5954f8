// load_answer.h - tokens in an answer of a language model, as its bytes come in.
#ifndef PARE_CMD_LOAD_ANSWER_H
#define PARE_CMD_LOAD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

// Zero-initialise; its text is to be freed with buf_free. One is used for many answers.
struct load_answer {
  struct buf text;            // the unfinished line of a stream; else the whole body
  size_t chunks, usage;       // events that brought text; tokens the server says, 0: it does not
  uint64_t first_ns, last_ns; // of those events
  bool failed;                // an error inside the stream, or an event that is no JSON
};
void load_answer_reset(struct load_answer *a);
// Bytes of a stream, cut anywhere.
void load_answer_event_bytes(struct load_answer *a, const char *bytes, size_t len, uint64_t now_ns);
// Bytes of an answer that is one JSON object, read at its end.
void load_answer_body_bytes(struct load_answer *a, const char *bytes, size_t len);
void load_answer_body_end(struct load_answer *a);
static inline size_t load_answer_tokens(const struct load_answer *a) {
  return a->usage ? a->usage : a->chunks;
}

#endif
