// logprobs.h - natural logarithms of a model's probabilities from a row of its logits, in double.
#ifndef PARE_TASK_LOGPROBS_H
#define PARE_TASK_LOGPROBS_H

#include <stddef.h>

#include "pare_serving.h"

enum { LOGPROBS_MAX_TOP = 20 };

// log of the sum of exponentials of a row (n >= 1), added in the order of ids, and where its highest value is (the
// first, when several are). NaN when one is NaN or +infinity.
double logprobs_sum(const float *x, size_t n, size_t *top);
// out (count <= LOGPROBS_MAX_TOP): the ids of highest value, best first, ties to the lower id. sum: of logprobs_sum.
// Where the row is shorter, id 0 and NaN.
void logprobs_best(const float *x, size_t n, double sum, size_t count, struct pare_logprob *out);

#endif
