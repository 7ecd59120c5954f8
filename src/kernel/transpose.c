// transpose.c - rows become columns, in plain loops; the vector tables hand it what does not fill their blocks.
#include <string.h>

#include "base/size.h"
#include "kernel/isa.h"

// Columns taken at once: the lines of dst they fall into stay near while the rows go by.
enum { COLUMNS = 16 };

// size is a constant at every call, so that each copy is one load and one store.
static inline __attribute__((always_inline)) void move(const struct transpose *t, size_t size) {
  for (size_t first = 0; first < t->columns; first += COLUMNS) {
    size_t end = size_min(first + COLUMNS, t->columns);
    for (size_t r = 0; r < t->rows; r++)
      for (size_t c = first; c < end; c++)
        memcpy(t->dst + c * t->dst_stride + r * size, t->src + r * t->src_stride + c * size, size);
  }
}

void scalar_transpose(const struct transpose *t) {
  switch (t->size) {
    case 1: move(t, 1); break;
    case 2: move(t, 2); break;
    case 4: move(t, 4); break;
    default: move(t, 8); break;
  }
}

void scalar_transpose_rest(const struct transpose *t, size_t block_rows, size_t block_columns) {
  size_t rows = t->rows / block_rows * block_rows, columns = t->columns / block_columns * block_columns;
  struct transpose right = *t, below = *t;
  right.rows = rows;
  right.columns -= columns;
  right.src += columns * t->size;
  right.dst += columns * t->dst_stride;
  below.rows -= rows;
  below.src += rows * t->src_stride;
  below.dst += rows * t->size;
  scalar_transpose(&right);
  scalar_transpose(&below);
}
