// fit.h - the steps between texts as a design and a small set of weights: how strong the penalty is, which weights are
// kept.
#ifndef PARE_TRAIN_FIT_H
#define PARE_TRAIN_FIT_H

#include "train/objective.h"

// What was learnt: the columns that have a weight, and the weights.
struct fit {
  struct design design; // owned
  float *w;             // (columns, C), then the bias (C)
  bool *fixed;          // (columns, C) weights taken out, or NULL
  size_t outputs;       // C
  double c;             // strength of the data against the penalty: l2 = 1 / (c rows)
  size_t iterations;
};
void fit_free(struct fit *f); // accepts a zeroed struct

struct fit_options {
  const struct kernels *kernels;
  struct pool *pool;
  const uint32_t *label; // (rows)
  size_t labels;
  size_t rows;    // learnt from: the first so many of the design's
  size_t checked; // the rows after them that answer which c is best; 0: c is given
  double c;       // 0: chosen among a list
  size_t max_iterations;
  bool unit;
  size_t value_bytes; // 4, 2 or 1: what a kept weight takes
  size_t max_bytes;   // of the model file; 0: no limit
  double prune;       // share of the weights that is taken out
  struct pare_progress progress;
};
// Learns from design (taken over in every case). Weights are taken out in rounds, those that move the logits of the
// texts least first, |w| sqrt(texts that have the feature), and the rest learnt again: magnitude pruning (Han et al.
// 2015).
enum pare_status fit_learn(struct design *design, const struct fit_options *o, struct fit *out, struct pare_error *err);

#endif
