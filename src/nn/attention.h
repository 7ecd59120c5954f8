// attention.h - the queries of one head over keys that lie transposed: what attention over a text and over a cache
// share.
#ifndef PARE_NN_ATTENTION_H
#define PARE_NN_ATTENTION_H

#include "nn/nn.h"

enum {
  QUERY_BLOCK = 24, // rows of scores held at once: a multiple of 4 and 6, most tiles' heights
  KEY_BLOCK = 64,   // keys that lie together, a register tile's columns: a block is one stream however long the text is
};

struct attention_rows {
  const float *q;      // (M, ldq)
  const float *keys;   // (blocks, D, KEY_BLOCK)
  const float *values; // (k_count, ldv)
  float *out;          // (M, ldo)
  size_t ldq, ldv, ldo, M, D;
  size_t first;   // position of row 0: with causal, row m sees first + m + 1 keys
  size_t k_count; // keys there are; with causal first + M or more
  bool causal;
  float scale;
};
// scores: scratch (QUERY_BLOCK, ld), ld >= k_count.
void attention_rows(const struct kernels *k, const struct attention_rows *r, float *scores, size_t ld);

// Keys (T, ldk) become those of positions first .. first + T - 1.
void attention_put_keys(const struct kernels *k, const float *from, size_t ldk, size_t first, size_t T, size_t D,
                        float *keys);

#endif
