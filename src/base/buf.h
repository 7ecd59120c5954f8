// buf.h - a growing text buffer for output that is built up in pieces (tables, pages, JSON fragments).
#ifndef PARE_BASE_BUF_H
#define PARE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

// Zero-initialise. data is NUL-terminated once anything was added. A failed allocation sets failed and drops what
// follows, so callers check once at the end.
struct buf {
  char *data;
  size_t len, cap;
  bool failed;
};
void buf_add(struct buf *b, const char *bytes, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_free(struct buf *b);
char *buf_take(struct buf *b); // hands over the string ("" when empty; NULL when failed); b is reset

#endif
