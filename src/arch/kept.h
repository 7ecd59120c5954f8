// kept.h - the rows that are read of a batch's last layer: where a classifier or a next token needs one row of every
// sequence, the last layer computes no others behind its keys and values. The rows' answer is the same bits, since no
// row looks at another outside attention.
#ifndef PARE_ARCH_KEPT_H
#define PARE_ARCH_KEPT_H

#include "arch/arch.h"

struct kept {
  size_t B;        // one row of every sequence
  size_t *row;     // (B) which of the batch's rows
  size_t *at;      // (B) its position in its sequence
  size_t *offsets; // (B + 1) 0, 1 .. B: the kept rows as a batch of their own
};
// Takes its arrays from ctx->arena, at most kept_bytes; all at position 0, until the caller moves them by kept_move.
struct kept kept_first(struct nn_ctx *ctx, const struct sequences *s);
void kept_move(struct kept *k, size_t b, size_t at);
size_t kept_bytes(size_t B);
// y (B, C) = the kept rows of x (rows, ld). y may be x where ld is C.
void kept_gather(const struct kept *k, const float *x, size_t ld, size_t C, float *y);
// No linear of the layer makes a row's answer depend on the text's other rows, as LLM.int8()'s outlier columns do.
bool kept_may_cut(const struct weights *w, size_t layer);

#endif
