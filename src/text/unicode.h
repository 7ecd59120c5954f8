// unicode.h - the character properties that tokenizers use, as Hugging Face's libraries know them.
#ifndef PARE_TEXT_UNICODE_H
#define PARE_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The code point at p, which holds well-formed UTF-8; *bytes is its length (1..4).
uint32_t unicode_read(const char *p, size_t *bytes);
// Writes c as UTF-8 to out and returns the length (1..4).
size_t unicode_write(uint32_t c, char out[4]);

enum char_class { CHAR_OTHER, CHAR_LETTER, CHAR_NUMBER, CHAR_SPACE };
enum char_class unicode_class(uint32_t c); // \p{L}, \p{N}, \s of GPT-2's pattern

bool unicode_is_space(uint32_t c);      // White_Space
bool unicode_is_word(uint32_t c);       // \w: alphabetic, mark, decimal number, connector punctuation, join control
bool unicode_is_punct(uint32_t c);      // BERT's: ASCII punctuation (so $ + < too), or P*
bool unicode_is_control(uint32_t c);    // BERT's: Cc, Cf or Co, except \t \n \r
bool unicode_is_cjk(uint32_t c);        // BERT's "Chinese character" blocks
bool unicode_is_nonspacing(uint32_t c); // Mn
bool unicode_is_mark(uint32_t c);       // M*
uint8_t unicode_combining_class(uint32_t c);

// Full lower-case mapping without context (final sigma stays plain): 1 or 2 code points.
size_t unicode_lower(uint32_t c, uint32_t out[2]);

// Decomposes c fully (compat: NFKD, else NFD); returns how many of out were written, 1..UNICODE_MAX_DECOMPOSED.
enum { UNICODE_MAX_DECOMPOSED = 18 }; // U+FDFA
size_t unicode_decompose(uint32_t c, bool compat, uint32_t out[UNICODE_MAX_DECOMPOSED]);
// The primary composite of a followed by b, or 0.
uint32_t unicode_compose(uint32_t a, uint32_t b);

#endif
