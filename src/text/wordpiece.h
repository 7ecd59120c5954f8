// wordpiece.h - greedy longest match from the left (Wu et al. 2016, as in BERT).
#ifndef PARE_TEXT_WORDPIECE_H
#define PARE_TEXT_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/codes.h"
#include "text/vocab.h"

enum { WORDPIECE_NO_ID = UINT32_MAX };

struct wordpiece {
  char *prefix; // of a piece that continues a word: "##"
  size_t prefix_len;
  uint64_t prefix_hash;
  size_t max_chars; // a longer word is unknown as a whole
  uint32_t unk_id;  // WORDPIECE_NO_ID: the unknown token has no piece
};

enum wordpiece_result { WORDPIECE_OK, WORDPIECE_NO_UNK, WORDPIECE_NO_MEMORY };
// Appends the ids of one word (well-formed UTF-8, not empty). scratch: hashes, reused between words.
// O(n * longest piece of the vocabulary).
enum wordpiece_result wordpiece_encode(const struct wordpiece *w, const struct vocab *v, const char *word, size_t len,
                                       struct codes *scratch, struct codes *out);

#endif
