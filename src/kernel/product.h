// product.h - what the products of the vector tables share: how rows are cut into tiles; and for f32 and 16-bit weights
// the loops around a register tile. Columns in strips of one tile, k in blocks, rows in tiles; between blocks of k the
// sums rest in c as the floats they are, so no blocking changes a bit.
#ifndef PARE_KERNEL_PRODUCT_H
#define PARE_KERNEL_PRODUCT_H

#include "base/size.h"
#include "kernel/kernel.h"

enum weight_type { WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16 };

// A place in the product: pointers to a tile's first elements.
struct spot {
  const float *a;
  const uint8_t *w;
  float *c;
  size_t kc;    // k in this block
  size_t width; // columns
  bool resume;  // c holds the sums so far, else they start at 0
};

struct product {
  enum weight_type type;
  size_t M, N, K, lda, ldc;
  const float *a;
  const uint8_t *w;
  size_t w_k_bytes;      // from one k to the next
  size_t w_column_bytes; // from one column to the next
  float *c;
  bool accumulate;
  const float *bias;
  enum act act;

  size_t mr, nr, kc;                                                      // largest tile
  void (*tile)(const struct product *p, const struct spot *s, size_t mr); // mr rows, s->width columns
  void (*finish)(float *c, size_t n, const float *bias, enum act act);
};

static inline struct product product_f32(const struct gemm_f32 *g) {
  return (struct product){.type = WEIGHT_F32,
                          .M = g->M,
                          .N = g->N,
                          .K = g->K,
                          .lda = g->lda,
                          .ldc = g->ldc,
                          .a = g->a,
                          .w = (const uint8_t *)g->w,
                          .w_k_bytes = g->ldw * sizeof(float),
                          .w_column_bytes = sizeof(float),
                          .c = g->c,
                          .accumulate = g->accumulate,
                          .bias = g->bias,
                          .act = g->act};
}

static inline struct product product_half(const struct gemm_half *g) {
  return (struct product){.type = g->bf16 ? WEIGHT_BF16 : WEIGHT_F16,
                          .M = g->M,
                          .N = g->N,
                          .K = g->K,
                          .lda = g->lda,
                          .ldc = g->ldc,
                          .a = g->a,
                          .w = (const uint8_t *)g->w,
                          .w_k_bytes = g->ldw * sizeof(uint16_t),
                          .w_column_bytes = sizeof(uint16_t),
                          .c = g->c,
                          .bias = g->bias,
                          .act = g->act};
}

// Asks for the lines of a tile's results before its sums are made, which hides the wait for them: mr rows of nv vectors
// of 16, of which some may lie past the matrix. Changes nothing.
static inline __attribute__((always_inline)) void tile_expect(const float *c, size_t ldc, size_t mr, size_t nv) {
  for (size_t i = 0; i < mr; i++) {
    for (size_t j = 0; j < nv; j++) __builtin_prefetch(c + i * ldc + 16 * j, 1);
  }
}

// Rows of the next tile: as equal as can be, so that 8 rows are 4 + 4 and not 6 + 2.
static inline size_t tile_rows(size_t left, size_t mr) {
  return size_ceil_div(left, size_ceil_div(left, mr));
}

static inline void product_run(const struct product *p) {
  bool has_finish = p->bias || p->act != ACT_NONE; // is there anything to do when the sums are finished
  for (size_t n = 0; n < p->N; n += p->nr) {
    size_t width = size_min(p->nr, p->N - n), k = 0;
    do {                                                            // once even for K = 0
      size_t kc = p->M <= p->mr ? p->K : size_min(p->kc, p->K - k); // a single row of tiles reads the panel only once
      for (size_t m = 0, mr; m < p->M; m += mr) {
        mr = tile_rows(p->M - m, p->mr);
        struct spot s = {.a = p->a + m * p->lda + k,
                         .w = p->w + k * p->w_k_bytes + n * p->w_column_bytes,
                         .c = p->c + m * p->ldc + n,
                         .kc = kc,
                         .width = width,
                         .resume = p->accumulate || k > 0};
        p->tile(p, &s, mr);
        if (k + kc < p->K || !has_finish) continue;
        for (size_t i = 0; i < mr; i++) p->finish(s.c + i * p->ldc, width, p->bias ? p->bias + n : NULL, p->act);
      }
      k += kc;
    } while (k < p->K);
  }
}

#endif
