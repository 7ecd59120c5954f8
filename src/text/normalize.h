// normalize.h - what is done to text before it is cut into words.
#ifndef PARE_TEXT_NORMALIZE_H
#define PARE_TEXT_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/codes.h"

enum normalizer_kind {
  NORMALIZE_BERT,
  NORMALIZE_NFC,
  NORMALIZE_NFD,
  NORMALIZE_NFKC,
  NORMALIZE_NFKD,
  NORMALIZE_LOWERCASE,
  NORMALIZE_STRIP_ACCENTS,
  NORMALIZE_STRIP,
  NORMALIZE_REPLACE,
};

struct normalizer {
  enum normalizer_kind kind;
  bool clean_text, cjk, strip_accents, lowercase; // BERT
  bool left, right;                               // STRIP
  struct codes pattern, content;                  // REPLACE: literal, pattern not empty
};

// Reused between texts. Zero-initialise.
struct normalize_scratch {
  struct codes a, b; // the text before and after a step
  struct codes sorted;
  char *text;
  size_t text_cap;
};
void normalize_scratch_free(struct normalize_scratch *s);

// Runs count normalizers in order over well-formed UTF-8. *out is text itself (count == 0) or lies in s->text until the
// next call. False: out of memory.
bool normalize_text(const struct normalizer *list, size_t count, const char *text, size_t len,
                    struct normalize_scratch *s, const char **out, size_t *out_len);

#endif
