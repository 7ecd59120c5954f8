// pretokenize.h - cuts text into words; a model never merges across a cut.
#ifndef PARE_TEXT_PRETOKENIZE_H
#define PARE_TEXT_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "text/tokenizer.h"

enum pretokenizer_kind {
  PRETOKENIZE_BERT,
  PRETOKENIZE_WHITESPACE,
  PRETOKENIZE_WHITESPACE_SPLIT,
  PRETOKENIZE_BYTE_LEVEL
};

struct pretokenizer {
  enum pretokenizer_kind kind;
  bool add_prefix_space, use_regex; // BYTE_LEVEL; the caller adds the space
};

// The next word of text at or after *pos, which moves past it; false at the end. Linear over a whole text.
bool pretokenize_next(const struct pretokenizer *p, struct text_span text, size_t *pos, struct text_span *word);

#endif
