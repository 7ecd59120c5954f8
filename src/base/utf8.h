// utf8.h - validity of UTF-8 (RFC 3629): shared by error text, data files and tokenizers.
#ifndef PARE_BASE_UTF8_H
#define PARE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

// Length (1..4) of the well-formed sequence at p, or 0 if the bytes there (at most len) are not one.
size_t utf8_sequence_len(const unsigned char *p, size_t len);

// Offset of the first byte that is not part of well-formed UTF-8, or len if all of it is.
size_t utf8_first_bad(const char *s, size_t len);

#endif
