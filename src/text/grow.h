// grow.h - the text of ids that come one after another, as a language model writes them: what is certain is not decoded
// again.
#ifndef PARE_TEXT_GROW_H
#define PARE_TEXT_GROW_H

#include "base/buf.h"
#include "text/tokenizer.h"

// Zero-initialise; buf_free(&text) at the end.
struct growing_text {
  struct buf text;   // as tokenizer_decode gives it for all ids, special tokens dropped
  size_t settled;    // bytes at its beginning that no later id can change
  size_t known_ids;  // so many ids are decoded for good,
  size_t known_size; // into so many bytes
};
// ids (n): all of them, those of the last call at their beginning.
enum pare_status text_grow(const struct tokenizer *t, const uint32_t *ids, size_t n, struct growing_text *g,
                           struct pare_error *err);

#endif
