// kvcache.h - keys and values of the tokens a decoder has read, per layer, so that a step costs one row and not the
// whole text.
//
// Streams sit in slots of `cap` positions each. A head's keys lie transposed, in blocks of KEY_BLOCK, because a
// score is one lane of the f32 kernel; its values lie as rows. Attention over the cache adds the same products in the
// same order as attention over a whole text, so a token's logits are the same bits however the text was cut into steps.
#ifndef PARE_NN_KVCACHE_H
#define PARE_NN_KVCACHE_H

#include "nn/nn.h"

struct kvcache {
  size_t L, H, D, slots, cap; // cap is a multiple of KEY_BLOCK
  float *keys;                // (L, slots, H, cap / KEY_BLOCK, D, KEY_BLOCK)
  float *values;              // (L, slots, H, cap, D)
  size_t *len;                // (slots) positions filled
};

// Memory kvcache_init takes from an arena, for `slots` streams of at most `positions` tokens.
size_t kvcache_bytes(size_t L, size_t C, size_t slots, size_t positions);
void kvcache_init(struct kvcache *c, struct arena *a, size_t L, size_t H, size_t D, size_t slots, size_t positions);

// Causal attention of new rows over everything their stream has read. Sequence b of a->offsets is stream slots[b]; its
// keys follow len[slot] earlier positions, from which a->first counts. Appends the new keys and values to layer
// `layer`; len itself moves on in kvcache_advance, once all layers are done.
void nn_attention_cached(struct nn_ctx *ctx, const struct nn_attention *a, struct kvcache *c, size_t layer,
                         const size_t *slots);
size_t nn_attention_cached_scratch_bytes(size_t threads, size_t positions);
void kvcache_advance(struct kvcache *c, const size_t *slots, const size_t *offsets, size_t B);

// Attention of new rows over what lies in their slots already, not causal: an encoder-decoder's cross-attention.
// Several sequences may read one slot. k and v of a are not read.
void nn_attention_stored(struct nn_ctx *ctx, const struct nn_attention *a, const struct kvcache *c, size_t layer,
                         const size_t *slots);
// Puts keys and values (rows, C) of sequences b = rows offsets[b] .. offsets[b + 1] behind what slots[b] holds, in
// layer `layer`; kvcache_advance moves len on once all layers are there.
void kvcache_append(struct nn_ctx *ctx, struct kvcache *c, size_t layer, const float *k, const float *v,
                    const size_t *offsets, const size_t *slots, size_t B);

// Stream `to` becomes a copy of the first n positions of stream `from` (a beam that splits).
void kvcache_copy(struct kvcache *c, size_t from, size_t to, size_t n);

#endif
