// metrics.h - what a classifier's answers are worth: confusion, accuracy, F1, and how two models' answers differ.
#ifndef PARE_EVAL_METRICS_H
#define PARE_EVAL_METRICS_H

#include <stddef.h>

#include "report/stats.h"

// Throughout: label[i] in [0, classes), or negative for an item without a label, which is left out;
// prediction[i] in [0, classes).

struct metrics_class {
  size_t support, predicted, hits; // labelled so, predicted so, both
  double precision, recall, f1;    // 0 where the divisor is 0, as scikit-learn's zero_division=0
};
struct metrics {
  size_t n, correct; // labelled items, right ones
  double accuracy;   // 0 when n = 0
  double precision_macro, recall_macro,
      f1_macro; // over all classes, absent ones count 0: scikit-learn with labels=range(classes)
};
// confusion: (classes, classes), rows are labels, columns predictions; overwritten. per_class: (classes).
void metrics_compute(const int *label, const int *prediction, size_t n, size_t classes, size_t *confusion,
                     struct metrics_class *per_class, struct metrics *out);

struct metrics_flips {
  size_t n, identical; // all items, labelled or not; same prediction
  size_t labelled;
  struct stats_paired
      pairs; // over labelled items; right_to_wrong = pairs.base_only, wrong_to_right = pairs.candidate_only
  size_t wrong_to_other_wrong; // part of pairs.neither
};
// label may be NULL: only n and identical are filled.
void metrics_flips(const int *label, const int *base, const int *candidate, size_t n, struct metrics_flips *out);

// Paired bootstrap of F1(candidate) - F1(base): items are drawn with both answers. macro: one interval; per_class:
// (classes) intervals or NULL. n >= 1 with at least one labelled item.
struct metrics_bootstrap {
  const int *label, *base, *candidate;
  size_t n, classes, resamples;
  double ci;
};
size_t metrics_bootstrap_scratch(size_t classes, size_t resamples); // doubles
void metrics_bootstrap_f1(const struct metrics_bootstrap *in, struct rng *rng, struct stats_interval *macro,
                          struct stats_interval *per_class, double *scratch);

#endif
