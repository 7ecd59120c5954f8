// added.h - tokens that are found in the text itself, before (or after) it is normalized, and never cut.
#ifndef PARE_TEXT_ADDED_H
#define PARE_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "text/normalize.h"
#include "text/tokenizer.h"
#include "text/vocab.h"

enum { ADDED_MAX_BYTES = 1024 }; // of one token: bounds the search at each position of a text

struct added_token {
  char *content; // NUL-terminated
  size_t len;
  uint32_t id;
  bool single_word, lstrip, rstrip, normalized, special;
  char *matched; // what is searched for: content, normalized where the token says so
  size_t matched_len;
};

// The set of strings searched for at one stage.
struct added_trie {
  struct added_node {
    uint32_t child, sibling; // 0: none
    uint32_t token1;         // index of the token that ends here + 1
    uint8_t byte;
  } * nodes; // [0] unused
  size_t count, cap;
  uint32_t root[256];
};

struct added {
  struct added_token *list;
  size_t count, cap;
  struct vocab by_content;           // content to id
  uint32_t *by_id;                   // index in list + 1
  size_t by_id_len;                  // highest id + 1
  struct added_trie raw, normalized; // built by added_finish
};

// Adds a token as Hugging Face does: known content keeps its id (then the flags are replaced), a piece of the model
// keeps the model's id, another gets the next free one. token: content, len and the flags; copied. *id tells which it
// was. Empty content is ignored (*id = -1). PARE_DATA: too long.
enum pare_status added_put(struct added *a, const struct vocab *model, const struct added_token *token, int64_t *id,
                           struct pare_error *err);
// Computes what each token matches and builds the tries. PARE_DATA when two tokens match the same text, or one nothing.
enum pare_status added_finish(struct added *a, const struct normalizer *normalizers, size_t count,
                              struct pare_error *err);
void added_free(struct added *a);

const struct added_token *added_by_id(const struct added *a, uint32_t id);                          // NULL: none
const struct added_token *added_by_content(const struct added *a, const char *content, size_t len); // NULL: none

// The leftmost, then longest, match at or after *start: its token, *start and *end; NULL: none.
const struct added_token *added_search(const struct added *a, const struct added_trie *trie, struct text_span text,
                                       size_t *start, size_t *end);

#endif
