// chars.h - what a character is to Python's strings and to the patterns of spaCy's English tokenizer. Other tokenizers
// ask unicode.h, which answers as Hugging Face's libraries do.
#ifndef PARE_TEXT_CHARS_H
#define PARE_TEXT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum char_kind { // in the order of tools/gen_spacy_tables.py
  KIND_SPACE = 1 << 0,
  KIND_WORD = 1 << 1,  // \w
  KIND_DIGIT = 1 << 2, // \d
  // spaCy's: a prefix or suffix by itself, a symbol between words, letters (those without case are lower and upper),
  // quotes, what a final full stop is cut after.
  KIND_PREFIX = 1 << 3,
  KIND_SUFFIX = 1 << 4,
  KIND_ICON = 1 << 5,
  KIND_ALPHA = 1 << 6,
  KIND_LOWER = 1 << 7,
  KIND_UPPER = 1 << 8,
  KIND_QUOTE = 1 << 9,
  KIND_BEFORE_DOT = 1 << 10,
  // Unicode 3.13: what decides whether a capital sigma ends a word.
  KIND_CASED = 1 << 11, // and not ignorable
  KIND_IGNORABLE = 1 << 12,
};

extern const uint16_t char_ascii_kinds[]; // by character below 128
// All the others: kinds from first up to the next run's.
extern const struct char_run {
  uint32_t first;
  uint16_t kinds;
} char_runs[];
extern const size_t char_run_count;

uint32_t char_kinds_beyond_ascii(uint32_t c);
static inline uint32_t char_kinds(uint32_t c) { // a set of char_kind
  return c < 128 ? char_ascii_kinds[c] : char_kinds_beyond_ascii(c);
}
static inline bool char_is(uint32_t c, uint32_t kinds) {
  return (char_kinds(c) & kinds) != 0;
}
static inline bool char_is_ascii_digit(uint32_t c) {
  return c >= '0' && c <= '9';
}

#endif
