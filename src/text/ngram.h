// ngram.h - text to hashed word and character n-grams (Weinberger et al. 2009): the features of a linear classifier.
//
// Text is cut into words: runs of letters, marks, digits and connectors; any other character that is not white space is
// a word of its own. Word n-grams are n words in a row; character n-grams are n characters in a row of a word that
// stands between two marks. Each is hashed to one of 2^bits buckets; n-grams that meet in a bucket share a weight. A
// feature is a bucket that the text has, however often.
#ifndef PARE_TEXT_NGRAM_H
#define PARE_TEXT_NGRAM_H

#include "text/tokenizer.h"

enum { NGRAM_MAX_N = 8, NGRAM_MIN_BITS = 8, NGRAM_MAX_BITS = 24 };
struct ngram_settings {
  bool lowercase;
  unsigned word_min, word_max; // lengths of word n-grams, 0 and 0: none
  unsigned char_min, char_max; // of character n-grams
  unsigned bits;               // log2 of the number of buckets
  uint32_t seed;               // of the hash
};
// What is wrong with them, or NULL.
const char *ngram_settings_problem(const struct ngram_settings *s);

// Where buckets go: take is called with up to NGRAM_BUFFER of them at a time, in the order of the text, repeats and
// all.
enum { NGRAM_BUFFER = 128 };
struct ngram_sink {
  void (*take)(void *context, const uint32_t *buckets, size_t n);
  void *context;
  uint32_t buffer[NGRAM_BUFFER];
  size_t n;
};
// Hands the n-grams of text to the sink, all of them taken on return. PARE_DATA when text is not UTF-8.
enum pare_status ngram_extract(const struct ngram_settings *s, struct text_span text, struct ngram_sink *sink,
                               struct pare_error *err);

// The buckets a model knows: bucket -> row, by a bitmap with counts.
struct ngrams {
  struct ngram_settings settings;
  struct ngram_block {
    uint64_t present; // bit i: bucket 64 b + i has a row
    uint64_t before;  // rows of the blocks before this one
  } * blocks;         // (2^bits / 64)
  size_t rows;
};
// code: the rows' buckets, ascending, as base/rice.h writes them. PARE_DATA (file names it) when it is not that.
// ngrams_free accepts a zeroed struct.
enum pare_status ngrams_init(struct ngrams *g, const struct ngram_settings *s, const uint8_t *code, size_t code_bytes,
                             size_t rows, const char *file, struct pare_error *err);
void ngrams_free(struct ngrams *g);

// Collects the rows of texts, each once, in the order they first appear.
struct ngram_rows {
  const struct ngrams *ngrams;
  uint64_t *seen;  // (rows + 63) / 64 words, all zero; zero again after ngram_rows_end
  uint32_t *ids;   // (cap)
  size_t len, cap; // rows beyond cap are left out, and truncated says so
  bool truncated;
};
static inline size_t ngrams_seen_bytes(size_t rows) {
  return (rows + 63) / 64 * 8;
}
enum pare_status ngram_rows_add(struct ngram_rows *r, struct text_span text, struct pare_error *err);
void ngram_rows_end(struct ngram_rows *r); // len and ids stay

#endif
