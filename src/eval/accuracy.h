// accuracy.h - labels of the data as class numbers.
#ifndef PARE_EVAL_ACCURACY_H
#define PARE_EVAL_ACCURACY_H

#include "eval/dataset.h"

// label[i]: class of row i, or -1 without a label. A label is one of names (exactly, else without regard to case), else
// an index in decimal. PARE_DATA names the line and the labels there are. label: (rows).
enum pare_status accuracy_map_labels(const pare_dataset *d, const char *const *names, size_t classes, int *label,
                                     struct pare_error *err);

// Highest score, the first of equals.
int accuracy_argmax(const float *scores, size_t classes);

#endif
