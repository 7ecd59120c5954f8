// lstm.h - one LSTM layer (Hochreiter & Schmidhuber 1997, with forget gates) over a block of steps of several
// sequences.
//   x_t W_x^T + b_x for all steps in one product; then step by step r = h W_h^T + b_h, gate = x + r in the order i, f,
//   g, o, c = sigmoid(f) c + sigmoid(i) tanh(g), h = sigmoid(o) tanh(c).
#ifndef PARE_NN_LSTM_H
#define PARE_NN_LSTM_H

#include "nn/nn.h"

// Rows of a block lie step by step: the sequences of step 0, those of step 1, ... Sequences are ordered so that the
// ones with more steps come first; so step t holds sequences 0 .. active[t] - 1, and active never rises.
struct nn_steps {
  const size_t *active; // (count), each at least 1
  size_t count, rows;   // steps; the sum of active
};

struct nn_lstm {
  const struct weight *x, *x_bias, *h, *h_bias; // (4 out, in), (4 out), (4 out, out), (4 out)
};

// A layer's state between blocks: h and c (sequences, out).
struct nn_lstm_state {
  float *h, *c;
  bool fresh; // the texts begin here: h and c are zero whatever they hold
};

// y (rows, out) = the layer's h at every step of x (rows, in); the state moves on.
void nn_lstm(struct nn_ctx *ctx, const struct nn_lstm *layer, const struct nn_steps *steps, const float *x,
             struct nn_lstm_state *state, float *y);
// For layers no wider than `width` in or out, at most `sequences` of them active.
size_t nn_lstm_scratch_bytes(const struct kernels *k, size_t rows, size_t sequences, size_t width, size_t threads);

#endif
