// guard.h - test memory that ends at a page nobody may touch, and the numbers kernels are tried with.
#ifndef TESTS_KERNEL_GUARD_H
#define TESTS_KERNEL_GUARD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernel/kernel.h"

enum {
  GUARD_FILL = 0xA5,
  GUARD_FRONT = 64, // bytes before a block that must stay as filled
  TEST_SEED = 20240917,
};

// The sizes every length takes: around each vector and tile width.
static const size_t test_sizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 257};
enum { TEST_SIZES = sizeof test_sizes / sizeof *test_sizes };

struct guard {
  uint8_t *map;
  size_t map_len;
  uint8_t *start; // of the current block, which ends where the forbidden page begins
  size_t len;
};

static inline void guard_open(struct guard *g, size_t max_len) {
  const size_t page = 4096;
  size_t whole = (max_len + GUARD_FRONT + page - 1) / page * page;
  g->map_len = whole + page;
  g->map = mmap(NULL, g->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(g->map != MAP_FAILED);
  assert_int_equal(mprotect(g->map + whole, page, PROT_NONE), 0);
}

static inline void guard_close(struct guard *g) {
  munmap(g->map, g->map_len);
}

// A block of len bytes, all GUARD_FILL, as is what lies just before it.
static inline void *guard_take(struct guard *g, size_t len) {
  g->len = len;
  g->start = g->map + g->map_len - 4096 - len;
  assert_true(g->start >= g->map + GUARD_FRONT);
  memset(g->start - GUARD_FRONT, GUARD_FILL, len + GUARD_FRONT);
  return g->start;
}

static inline void guard_check_front(const struct guard *g) {
  for (size_t i = 1; i <= GUARD_FRONT; i++) assert_int_equal(g->start[-(ptrdiff_t)i], GUARD_FILL);
}

// Bytes of a matrix of rows that ends with its last element, not with its last stride.
static inline size_t matrix_bytes(size_t rows, size_t cols, size_t stride, size_t elem) {
  return rows == 0 ? 0 : ((rows - 1) * stride + cols) * elem;
}

// The gaps between rows of a matrix are as filled.
static inline void check_gaps(const void *p, size_t rows, size_t cols, size_t stride, size_t elem) {
  const uint8_t *b = p;
  for (size_t r = 0; r + 1 < rows; r++) {
    for (size_t i = cols * elem; i < stride * elem; i++) assert_int_equal(b[r * stride * elem + i], GUARD_FILL);
  }
}

// A finite float over a wide range: mostly around 1, some far away, some zeros of both signs, some subnormal.
static inline float test_float(struct rng *r) {
  static const float special[] = {0.0f, -0.0f, 1e-40f, -3e-39f, 0x1p-149f, 1.0f, -1.0f, 60000.0f};
  size_t kind = rng_below(r, 32);
  if (kind == 0) return special[rng_below(r, sizeof special / sizeof *special)];
  float x = rng_normal(r);
  return kind < 4 ? x * x * x * 1000.0f : kind < 8 ? x * 1e-6f : x;
}

static inline void test_floats(struct rng *r, float *x, size_t n) {
  for (size_t i = 0; i < n; i++) x[i] = test_float(r);
}

// Fails naming the first float whose bits differ.
static inline void check_same_floats(const char *table, const char *what, const float *got, const float *want,
                                     size_t n) {
  if (memcmp(got, want, n * sizeof *got) == 0) return;
  for (size_t i = 0; i < n; i++) {
    if (memcmp(&got[i], &want[i], sizeof *got) == 0) continue;
    fail_msg("%s %s: element %zu of %zu is %a, scalar has %a", table, what, i, n, (double)got[i], (double)want[i]);
  }
}

// The tables to hold against scalar: *next moves through those this CPU supports. The first call prints the seed.
static inline const struct kernels *next_table(size_t *next) {
  size_t count;
  const struct kernels *const *all = kernels_all(&count);
  while (*next < count) {
    const struct kernels *t = all[(*next)++];
    if (t->supported()) return t;
  }
  return NULL;
}

static inline const struct kernels *scalar_table(void) {
  size_t count;
  return kernels_all(&count)[0];
}

#endif
