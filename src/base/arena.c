// arena.c - see arena.h. mmap rather than malloc: pages never touched cost nothing, and free gives them back at once.
#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

enum pare_status arena_init(struct arena *a, size_t size, struct pare_error *err) {
  *a = (struct arena){0};
  if (size == 0) return PARE_OK;
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return error_set(err, PARE_BUG, "out of memory: cannot map %zu bytes", size);
  a->base = p;
  a->size = size;
  return PARE_OK;
}

void arena_free(struct arena *a) {
  if (a->base) munmap(a->base, a->size);
  *a = (struct arena){0};
}

void *arena_take(struct arena *a, size_t bytes) {
  size_t need = arena_need(bytes);
  bool fits = need >= bytes && need <= a->size - a->used; // need < bytes: the rounding wrapped
  assert(fits);
  if (!fits) abort(); // also in release builds: an overrun here would corrupt memory silently
  uint8_t *p = a->base + a->used;
  a->used += need;
  if (a->used > a->peak) a->peak = a->used;
  return p;
}
