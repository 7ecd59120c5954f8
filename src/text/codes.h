// codes.h - a growing array of 32-bit values: ids, or the code points of a text.
#ifndef PARE_TEXT_CODES_H
#define PARE_TEXT_CODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct codes { // zero-initialise; codes_free at the end
  uint32_t *data;
  size_t len, cap;
};

// Room for more values after len. False: out of memory, nothing changed.
static inline bool codes_reserve(struct codes *c, size_t more) {
  if (more <= c->cap - c->len) return true;
  size_t cap = c->cap ? c->cap : 64;
  while (cap - c->len < more) {
    if (cap > SIZE_MAX / 8) return false;
    cap *= 2;
  }
  uint32_t *p = realloc(c->data, cap * sizeof *p);
  if (!p) return false;
  c->data = p;
  c->cap = cap;
  return true;
}

static inline bool codes_push(struct codes *c, uint32_t value) {
  if (c->len == c->cap && !codes_reserve(c, 1)) return false;
  c->data[c->len++] = value;
  return true;
}

static inline void codes_free(struct codes *c) {
  free(c->data);
  *c = (struct codes){0};
}

#endif
