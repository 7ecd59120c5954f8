// encoder.h - the post-norm encoder layer that BERT, DistilBERT and BART's encoder share (Vaswani et al. 2017; Devlin
// et al. 2019):
//   x = ln_1(x + out(attention(q(x), k(x), v(x))))
//   x = ln_2(x + w2(act(w1(x))))
// Each architecture names its own table rows here; bias rows follow their weight rows.
#ifndef PARE_ARCH_ENCODER_H
#define PARE_ARCH_ENCODER_H

#include "arch/arch.h"

struct encoder_rows {
  size_t q, k, v, o, ln1, w1, w2, ln2; // table indices; index + 1 is the bias
};

// Runs all layers over x (rows, C) in place. first_only: x becomes each sequence's first row alone, (B, C).
void encoder_layers(struct nn_ctx *ctx, const struct config *c, const struct weights *w,
                    const struct encoder_rows *rows, const struct sequences *s, bool first_only, float *x);
// Queries, keys and values (R, C) of layer l: three projections that read one quantized copy of x; NULL leaves one out.
void encoder_project_qkv(struct nn_ctx *ctx, const struct weights *w, size_t l, const struct encoder_rows *rows,
                         const float *x, size_t R, size_t C, float *const out[3]);
size_t encoder_scratch_bytes(const struct kernels *k, const struct config *c, size_t rows, size_t longest,
                             size_t threads);

#endif
