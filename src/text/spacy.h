// spacy.h - spaCy 3.8's English tokenizer (spacy.blank("en")): text -> words, punctuation, contractions.
#ifndef PARE_TEXT_SPACY_H
#define PARE_TEXT_SPACY_H

#include "text/chars.h"
#include "text/codes.h"
#include "text/vocab.h"

struct spacy {             // zero-initialise
  struct vocab exceptions; // ids: rows of the table
};
bool spacy_open(struct spacy *s); // false: out of memory
void spacy_close(struct spacy *s);

enum { SPACY_MAX_CHARS = 1 << 30 }; // spaCy's own limit; text is shorter

struct spacy_token {
  uint32_t start, end; // characters
  bool space;          // one ' ' follows, which belongs to no token
  bool seen;           // scratch
};

// Zero-initialise, reuse, spacy_text_free at the end.
struct spacy_text {
  struct codes chars; // the input
  char *bytes;        // the same in UTF-8
  uint32_t *offsets;  // (chars + 1): where each character starts in bytes
  size_t cap;         // characters that bytes and offsets have room for
  struct spacy_token *tokens;
  size_t token_count, token_cap;
  struct codes cuts;    // scratch
  struct codes matches; // scratch
};
// Fills tokens from chars, in order. Time is linear in the text. False: out of memory.
bool spacy_tokenize(const struct spacy *s, struct spacy_text *t);
void spacy_text_free(struct spacy_text *t);

// ---- spacy_affix.c: how the string c (n characters) is cut; 0: not at all ----

size_t spacy_prefix(const uint32_t *c, size_t n);
size_t spacy_suffix(const uint32_t *c, size_t n);
// The infix that starts at c[i].
size_t spacy_infix(const uint32_t *c, size_t n, size_t i);

// ---- spacy_url.c ----

// The whole string is a URL, a host or an e-mail address.
bool spacy_is_url(const uint32_t *c, size_t n);

// ---- spacy_data.c ----

extern const struct spacy_exception {
  const char *text;
  uint16_t cuts;  // bit n: cut after n characters
  uint16_t usual; // the same for what the rules alone would do; bit 0: looked for again among the finished tokens
} spacy_exceptions[];
extern const size_t spacy_exception_count;
// Lists of short strings, NULL at the end: prefixes of several characters; suffixes of two; suffixes after an ASCII
// digit (units, currencies); what may stand between letters, in the order in which it is tried.
extern const char *const spacy_long_prefixes[], *const spacy_long_suffixes[], *const spacy_digit_suffixes[],
                                                                                  *const spacy_hyphens[];

#endif
