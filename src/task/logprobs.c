// logprobs.c - see logprobs.h.
#include "task/logprobs.h"

#include <assert.h>
#include <math.h>

double logprobs_sum(const float *x, size_t n, size_t *top) {
  *top = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[*top]) *top = i;
  double max = (double)x[*top], sum = 0;
  for (size_t i = 0; i < n; i++) sum += exp((double)x[i] - max);
  return max + log(sum);
}

void logprobs_best(const float *x, size_t n, double sum, size_t count, struct pare_logprob *out) {
  assert(count <= LOGPROBS_MAX_TOP);
  float best[LOGPROBS_MAX_TOP]; // logits: two of them may round to one logprob
  size_t have = 0;
  for (size_t i = 0; i < n && count; i++) {
    if (have == count && !(x[i] > best[have - 1])) continue;
    size_t at = have < count ? have++ : have - 1;
    for (; at > 0 && x[i] > best[at - 1]; at--) {
      best[at] = best[at - 1];
      out[at] = out[at - 1];
    }
    best[at] = x[i];
    out[at] = (struct pare_logprob){(uint32_t)i, (float)((double)x[i] - sum)};
  }
  for (; have < count; have++) out[have] = (struct pare_logprob){0, NAN};
}
