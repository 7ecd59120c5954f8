// transpose.h - the loop of the tables that turn whole blocks in registers; what fills none is scalar's.
#ifndef PARE_KERNEL_TRANSPOSE_H
#define PARE_KERNEL_TRANSPOSE_H

#include "base/size.h"
#include "kernel/isa.h"

struct transpose_tile {
  size_t rows, bytes; // of a block
  void (*block)(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t dst_stride, size_t size);
};

// The tile and size are constants at every call, so that block is inlined.
static inline __attribute__((always_inline)) void transpose_blocks(const struct transpose *t,
                                                                   const struct transpose_tile *b, size_t size) {
  size_t columns = b->bytes / size;
  for (size_t r = 0; r + b->rows <= t->rows; r += b->rows)
    for (size_t c = 0; c + columns <= t->columns; c += columns)
      b->block(t->src + r * t->src_stride + c * size, t->src_stride, t->dst + c * t->dst_stride + r * size,
               t->dst_stride, size);
  scalar_transpose_rest(t, b->rows, columns);
}

static inline __attribute__((always_inline)) void transpose_run(const struct transpose *t,
                                                                const struct transpose_tile *b) {
  switch (t->size) {
    case 1: transpose_blocks(t, b, 1); break;
    case 2: transpose_blocks(t, b, 2); break;
    case 4: transpose_blocks(t, b, 4); break;
    default: scalar_transpose(t); break;
  }
}

#endif
