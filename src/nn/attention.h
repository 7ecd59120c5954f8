// attention.h - one block of queries over keys that lie transposed: what attention over a text and over a cache share.
#ifndef PARE_NN_ATTENTION_H
#define PARE_NN_ATTENTION_H

#include "nn/nn.h"

enum { QUERY_BLOCK = 24 }; // rows of scores held at once: a multiple of the register tiles' heights

struct attention_rows {
  const float *q;      // (M, ldq), M <= QUERY_BLOCK
  const float *keys_t; // (D, ldk)
  const float *values; // (keys, ldv)
  float *out;          // (M, ldo)
  size_t ldq, ldk, ldv, ldo, M, D;
  size_t first; // position of row 0: with causal, row m sees first + m + 1 keys
  size_t keys;  // positions there are
  bool causal;
  float scale;
};
// scores: scratch (QUERY_BLOCK, ld), ld >= keys rounded up to 16.
void attention_rows(const struct kernels *k, const struct attention_rows *r, float *scores, size_t ld);

#endif
