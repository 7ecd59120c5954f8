// accuracy.h - labels of the data as class numbers, and the pass that gives every text to every model.
#ifndef PARE_EVAL_ACCURACY_H
#define PARE_EVAL_ACCURACY_H

#include "base/rng.h"
#include "eval/dataset.h"
#include "eval/eval_subject.h"

enum { ACCURACY_CHUNK = 32 }; // texts given to a model at once, and timed together

// label[i]: class of row i, or -1 without a label. A label is one of names (exactly, else without regard to case), else
// an index in decimal. PARE_DATA names the line and the labels there are. label: (rows).
enum pare_status accuracy_map_labels(const pare_dataset *d, const char *const *names, size_t classes, int *label,
                                     struct pare_error *err);

struct accuracy_pass {
  struct eval_subject *subjects;
  size_t count;
  const pare_dataset *data;
  const struct pare_classify_options *classify; // may be NULL
  size_t classes;
  uint64_t seed;
  struct pare_progress progress;
};
size_t accuracy_chunks(size_t rows);
// Fills prediction, scores, logits and chunk_seconds of every subject (allocated here). Chunk by chunk, the models in
// an order drawn anew for each. PARE_DATA when an answer is not finite.
enum pare_status accuracy_run(const struct accuracy_pass *pass, struct pare_error *err);

// Highest score, the first of equals.
int accuracy_argmax(const float *scores, size_t classes);
// A random permutation of order, in place.
void accuracy_shuffle(size_t *order, size_t n, struct rng *rng);

#endif
