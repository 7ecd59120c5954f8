// nn.h - layers over packed weights. Axis letters used everywhere: B batch, T tokens, C width, H heads, V vocabulary, K
// inner, N output. A batch is ragged: the rows of all sequences packed one after another, plus offsets; no padding
// anywhere.
#ifndef PARE_NN_NN_H
#define PARE_NN_NN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/pool.h"
#include "kernel/kernel.h"
#include "pack/pack.h"

// A weight as a model holds it.
struct weight {
  const char *name;     // the tensor's name in the file
  struct stored stored; // parts point into the file's mapping
  struct packed packed; // linear weights; data NULL for embeddings that are only looked up
  const float *vector;  // norms and biases: (N) f32
  size_t N, K;
  bool present;
};

// Told every linear input before it is multiplied: calibration watches here.
struct nn_observer {
  void (*linear)(void *context, const struct weight *w, const float *x, size_t rows, size_t K);
  void *context;
};

struct nn_counters {
  uint64_t operations;   // 2 per multiply-add of weight products and attention
  uint64_t weight_bytes; // packed bytes read by weight products, once per call
};

struct nn_ctx {
  const struct kernels *kernels;
  struct pool *pool;            // may be NULL
  struct arena *arena;          // scratch; callers mark and reset
  struct nn_observer *observer; // may be NULL
  struct nn_counters counters;
};

// An input of linear layers, (rows, K) f32, quantized to u8 once when any of its users is an integer encoding.
struct nn_input {
  const float *x;
  size_t rows, K;
  uint8_t *q; // (rows, Kpad) or NULL
  size_t ldq;
  float *scale;  // (rows)
  int32_t *zero; // (rows)
};
// Takes scratch from ctx->arena. integer: quantize now.
struct nn_input nn_input_of(struct nn_ctx *ctx, const float *x, size_t rows, size_t K, bool integer);
size_t nn_input_scratch_bytes(size_t rows, size_t K);

// y (rows, N) = act(x W^T + bias). bias NULL: none. The only caller of weight kernels. Threads split panels and row
// blocks; each output is computed by one thread from its own row, so neither threads nor neighbours change it.
void nn_linear(struct nn_ctx *ctx, const struct weight *w, const float *bias, const struct nn_input *in, enum act act,
               float *y);
// The same from an x that only this weight reads: quantized if need be, scratch given back.
void nn_project(struct nn_ctx *ctx, const struct weight *w, const struct weight *bias, const float *x, size_t rows,
                enum act act, float *y);
size_t nn_linear_scratch_bytes(const struct kernels *k, size_t threads);

// One of many products by the same weight, one after another, each with few rows (a recurrent layer's steps): threads
// keep to their own panels, so that what a thread's cache still holds of the last product is used. Bits as nn_linear's.
struct nn_share;                                     // a thread's panels
struct nn_share *nn_shares_take(struct nn_ctx *ctx); // (threads), from ctx->arena
size_t nn_shares_bytes(size_t threads);
void nn_linear_again(struct nn_ctx *ctx, const struct weight *w, const float *bias, const struct nn_input *in,
                     struct nn_share *shares, float *y);

// y[i] (+)= embedding row ids[i]; rows split over threads.
void nn_embed(struct nn_ctx *ctx, const struct weight *w, const uint32_t *ids, size_t n, bool add, float *y);
size_t nn_embed_scratch_bytes(size_t threads, size_t C);

// y row = layernorm(x row [+ r row]) for rows; when r is given the sum is also written back to x (the residual stream).
// y may be x.
void nn_add_norm(struct nn_ctx *ctx, float *x, const float *r, const struct weight *gamma, const struct weight *beta,
                 float eps, size_t rows, size_t C, float *y);

// Attention over ragged sequences. q, k, v: (rows, ld*), head h at columns h * D .. ; out (rows, C) with C = H *
// D. Sequence b is rows offsets[b] .. offsets[b + 1], of the keys and values too unless kv_offsets gives them others
// (cross-attention, not causal). causal: position i sees 0 .. i. scores = (q . k) * scale, softmax, times v.
struct nn_attention {
  const float *q, *k, *v;
  size_t ldq, ldk, ldv;
  const size_t *offsets, *kv_offsets; // (B + 1); kv_offsets NULL: self-attention
  size_t B, H, D;
  float scale;
  bool causal;
  float *out;
  size_t ldo;
};
void nn_attention(struct nn_ctx *ctx, const struct nn_attention *a);
size_t nn_attention_scratch_bytes(size_t threads, size_t max_len, size_t D);

#endif
