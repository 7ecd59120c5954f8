// arena.h - one block of memory, carved front to back. A session's whole memory is one arena whose size was computed
// first.
#ifndef PARE_BASE_ARENA_H
#define PARE_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { ARENA_ALIGN = 64 }; // a cache line, and the widest vector

struct arena {
  uint8_t *base; // page aligned, zeroed by the kernel
  size_t size;   // bytes
  size_t used;
  size_t peak; // highest used since arena_init
};

// Maps size bytes (anonymous, zero). arena_free accepts a zeroed struct. A large arena is of huge pages, each resident
// from its first touch; not so one that is said to be sparse: most of it may never be touched.
enum pare_status arena_init(struct arena *a, size_t size, struct pare_error *err);
enum pare_status arena_init_sparse(struct arena *a, size_t size, struct pare_error *err);
void arena_free(struct arena *a);

// bytes, rounded up to ARENA_ALIGN, ARENA_ALIGN-aligned. The caller computed the size with arena_need, so running out
// is a bug: asserted, never returned. Contents are whatever was there.
void *arena_take(struct arena *a, size_t bytes);
static inline size_t arena_need(size_t bytes) {
  return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

// mark = arena_mark(a); ...; arena_reset(a, mark) gives back what was taken since.
static inline size_t arena_mark(const struct arena *a) {
  return a->used;
}
static inline void arena_reset(struct arena *a, size_t mark) {
  a->used = mark;
}

#endif
