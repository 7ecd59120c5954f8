// objective.h - multinomial logistic regression over a design: loss, gradient, answers.
//
//   f(W, b) = mean over rows of -ln softmax(b + sum of W's rows / length)[label] + l2 / 2 sum over columns of
//             penalty[c] |W[c]|^2
// Two labels have one output z (the logits are -z / 2 and z / 2). Sums have a fixed order: rows in blocks of a fixed
// size, a column's rows ascending; so neither the pool nor the kernel table changes a bit of a gradient.
#ifndef PARE_TRAIN_OBJECTIVE_H
#define PARE_TRAIN_OBJECTIVE_H

#include "kernel/kernel.h"
#include "train/design.h"

struct objective {
  const struct kernels *kernels;
  struct pool *pool;
  const struct design *design;
  const uint32_t *label; // (rows)
  size_t labels;         // N
  size_t outputs;        // C: 1 for two labels, else N
  size_t rows;           // the first so many are learnt from
  double l2;
  float *penalty;    // (columns), owned
  const bool *fixed; // (columns, C) weights that stay zero; NULL: none
  float *error;      // (rows, C), owned: (p - [label]) / length of each row
  double *partial;   // (blocks, C + 1), owned: loss and bias gradient of each block of rows
  float *scratch;    // (threads, N + C), owned
};
// A column that n of the rows have costs 1 / idf^2, idf = 1 + ln((1 + rows) / (1 + n)): regression on TF-IDF features
// with the idf taken into the weights. objective_free accepts a zeroed struct.
enum pare_status objective_init(struct objective *o, const struct kernels *kernels, struct pool *pool,
                                const struct design *design, const uint32_t *label, size_t labels,
                                struct pare_error *err);
void objective_free(struct objective *o);
static inline size_t objective_size(const struct objective *o) { // of w: W (columns, C), then b (C)
  return (o->design->columns + 1) * o->outputs;
}
// f at w; its gradient into g. Both (objective_size).
double objective_eval(void *objective, const float *w, float *g);
// The label with the highest logit of rows [first, first + n), and -ln of the right one's probability; either may be
// NULL, else (n).
void objective_answers(const struct objective *o, const float *w, size_t first, size_t n, uint32_t *answer,
                       double *loss);

#endif
