// arena.c - see arena.h. mmap rather than malloc: pages never touched cost nothing, and free gives them back at once.
#include "base/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// Pages of 2 MiB make a large block several times quicker to touch first and spare the products that read it from page
// walks. Only a block that such a page wastes little of asks for them; a system without gives small ones.
enum { HUGE_PAGE = 2 << 20, HUGE_LEAST = 2 * HUGE_PAGE };

static void *map(size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

// As map, at a multiple of HUGE_PAGE: what was mapped before and behind is given back.
static void *map_huge(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
  if (whole < size || whole + HUGE_PAGE < whole) return NULL;
  uint8_t *p = map(whole + HUGE_PAGE);
  if (!p) return NULL;
  size_t before = (size_t)(-(uintptr_t)p % HUGE_PAGE);
  if (before) munmap(p, before);
  munmap(p + before + whole, HUGE_PAGE - before);
  madvise(p + before, whole, MADV_HUGEPAGE);
  return p + before;
}

static enum pare_status init(struct arena *a, size_t size, bool huge, struct pare_error *err) {
  *a = (struct arena){0};
  if (size == 0) return PARE_OK;
  void *p = huge ? map_huge(size) : map(size);
  if (!p) return error_set(err, PARE_BUG, "out of memory: cannot map %zu bytes", size);
  a->base = p;
  a->size = size;
  return PARE_OK;
}

enum pare_status arena_init(struct arena *a, size_t size, struct pare_error *err) {
  return init(a, size, size >= HUGE_LEAST, err);
}

enum pare_status arena_init_sparse(struct arena *a, size_t size, struct pare_error *err) {
  return init(a, size, false, err);
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
