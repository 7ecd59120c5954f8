// buf.c - see buf.h.
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct buf *b, size_t more) {
  if (b->failed) return false;
  if (more < b->cap - b->len) return true; // strictly: one byte is kept for the NUL
  size_t cap = b->cap ? b->cap : 256;
  while (cap - b->len <= more) {
    if (cap > (size_t)-1 / 2) {
      b->failed = true;
      return false;
    }
    cap *= 2;
  }
  char *p = realloc(b->data, cap);
  if (!p) {
    b->failed = true;
    return false;
  }
  b->data = p;
  b->cap = cap;
  return true;
}

void buf_add(struct buf *b, const char *bytes, size_t len) {
  if (!reserve(b, len)) return;
  if (len) memcpy(b->data + b->len, bytes, len);
  b->len += len;
  b->data[b->len] = 0;
}

void buf_puts(struct buf *b, const char *text) {
  buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *format, ...) {
  va_list ap, again;
  va_start(ap, format);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, format, ap);
  va_end(ap);
  if (n >= 0 && reserve(b, (size_t)n)) {
    vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
    b->len += (size_t)n;
  }
  va_end(again);
}

void buf_free(struct buf *b) {
  free(b->data);
  *b = (struct buf){0};
}

char *buf_take(struct buf *b) {
  if (!b->data && !b->failed) reserve(b, 0);
  if (b->failed) {
    buf_free(b);
    return NULL;
  }
  if (b->len == 0) b->data[0] = 0;
  char *p = b->data;
  *b = (struct buf){0};
  return p;
}
