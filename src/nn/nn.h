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

// A matrix whose input is a set of features: a row of outputs for each, dense or only what is not zero. Both give the
// same bits, since adding a zero changes none.
struct bag {
  const float *dense; // (V, N), or NULL
  const struct bag_entry {
    float value;
    uint32_t output;
  } * entries;
  const uint32_t *start; // (V + 1): entries of feature v are start[v] .. start[v + 1]
  size_t V, N;
};

// A weight as a model holds it.
struct weight {
  const char *name;     // the tensor's name in the file, without what the encoding's parts add
  char *own_name;       // owned: the name, where no tensor has just that; or NULL
  struct stored stored; // parts point into the file's mapping
  struct packed packed; // linear weights; data NULL for embeddings that are only looked up
  struct bag bag;       // weights of sets of features
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
  // The texts whose rows are being computed: text b is rows offsets[b] .. offsets[b + 1]. llm-int8 picks outlier
  // columns per text. Set by whoever runs a forward pass; a pass that turns to other rows (an encoder's, from a
  // decoder) or to another order of them (step by step) sets them itself, or NULL. An input with another number of rows
  // counts every row as a text of its own.
  const size_t *offsets; // (B + 1), or NULL
  size_t B;
};
static inline void nn_ctx_texts(struct nn_ctx *ctx, const size_t *offsets, size_t B) {
  ctx->offsets = offsets;
  ctx->B = B;
}

// An input of linear layers, (rows, K) f32, and room for its 8-bit or bf16 form when any of its users wants one. It is
// put into that form by the first that needs it, and again only by one that wants it another way.
struct nn_input {
  const float *x;
  size_t rows, K;
  struct activation form; // of q; ACTIVATION_NONE: not filled yet
  uint8_t *q;             // (rows, ldq) or NULL: 8 bits, padded with 0 to a multiple of NIB_BLOCK, or bf16
  size_t ldq;             // bytes
  float *scale;           // (rows)
  int32_t *zero;          // (rows)
  const size_t *offsets;  // (B + 1) the texts; NULL: every row is one, B = rows
  size_t B;
  uint8_t *mask;      // llm-int8: (B, K) 255 at the columns of text b that hold an outlier, else 0
  uint32_t *outliers; // (B) how many
};
// Takes scratch from ctx->arena. bytes: the most packed_input_bytes of its users.
struct nn_input nn_input_of(struct nn_ctx *ctx, const float *x, size_t rows, size_t K, size_t bytes);
size_t nn_input_scratch_bytes(size_t rows, size_t K);
// Makes q what `form` asks for. nn_linear does it.
void nn_input_quantize(struct nn_ctx *ctx, struct nn_input *in, const struct activation *form);
size_t nn_input_text(const struct nn_input *in, size_t row);   // the text a row belongs to
size_t nn_input_text_end(const struct nn_input *in, size_t b); // the row after text b's last

// y (rows, N) = act(x W^T + bias). bias NULL: none. The only caller of weight kernels. Threads split panels and row
// blocks; each output is computed by one thread from its own row, so neither threads nor neighbours change it.
void nn_linear(struct nn_ctx *ctx, const struct weight *w, const float *bias, struct nn_input *in, enum act act,
               float *y);
// The same from an x that only this weight reads: quantized if need be, scratch given back.
void nn_project(struct nn_ctx *ctx, const struct weight *w, const struct weight *bias, const float *x, size_t rows,
                enum act act, float *y);
size_t nn_linear_scratch_bytes(const struct kernels *k, size_t threads);

// y (N) = sum of the rows of ids, in their order, each value added to what is there.
void nn_bag(struct nn_ctx *ctx, const struct bag *b, const uint32_t *ids, size_t n, float *y);
// Makes a bag of a stored (N, V) weight; a takes nn_bag_bytes.
size_t nn_bag_bytes(const struct stored *s);
void nn_bag_pack(const struct kernels *k, const struct stored *s, struct arena *a, struct bag *out);
bool nn_bag_finite(const struct bag *b); // no value is infinite or not a number

// y[i] (+)= embedding row ids[i]; rows split over threads.
void nn_embed(struct nn_ctx *ctx, const struct weight *w, const uint32_t *ids, size_t n, bool add, float *y);
size_t nn_embed_scratch_bytes(size_t threads, size_t C);

// y row = layernorm(x row [+ r row]) for rows; when r is given the sum is also written back to x (the residual stream).
// y may be x.
void nn_add_norm(struct nn_ctx *ctx, float *x, const float *r, const struct weight *gamma, const struct weight *beta,
                 float eps, size_t rows, size_t C, float *y);

// Attention over ragged sequences. q, k, v: (rows, ld*), head h at columns h * D .. ; out (rows, C) with C = H *
// D. Sequence b is rows offsets[b] .. offsets[b + 1], of the keys and values too unless kv_offsets gives them others
// (cross-attention, or some of a text's rows over all of it). causal: position i sees 0 .. i, and sequence b's queries
// begin at position first[b] of its keys. scores = (q . k) * scale, softmax, times v.
struct nn_attention {
  const float *q, *k, *v;
  size_t ldq, ldk, ldv;
  const size_t *offsets, *kv_offsets; // (B + 1); kv_offsets NULL: as offsets
  const size_t *first;                // (B), or NULL: 0
  size_t B, H, D;
  float scale;
  bool causal;
  float *out;
  size_t ldo;
};
void nn_attention(struct nn_ctx *ctx, const struct nn_attention *a);
size_t nn_attention_scratch_bytes(size_t threads, size_t max_len, size_t D);

#endif
