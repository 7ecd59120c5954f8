// stats_dist.c - see stats.h: the bootstrap of latency ratios, and measures of distributions over classes.
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report/stats.h"

struct stats_interval stats_bootstrap_median_ratio(const double *base, const double *candidate, size_t n,
                                                   size_t resamples, double ci, struct rng *rng, double *scratch) {
  assert(n >= 1 && resamples >= 1000);
  double *b = scratch, *c = b + n, *ratio = c + n;
  for (size_t r = 0; r < resamples; r++) {
    for (size_t i = 0; i < n; i++) {
      size_t round = rng_below(rng, n);
      b[i] = base[round];
      c[i] = candidate[round];
    }
    stats_sort(b, n);
    stats_sort(c, n);
    ratio[r] = stats_median_sorted(b, n) / stats_median_sorted(c, n);
  }
  stats_sort(ratio, resamples);
  return (struct stats_interval){stats_percentile_sorted(ratio, resamples, (1 - ci) / 2),
                                 stats_percentile_sorted(ratio, resamples, (1 + ci) / 2)};
}

struct stats_interval stats_bootstrap_ratio(const double *a, const double *b, size_t n, size_t resamples, double ci,
                                            struct rng *rng, double *scratch) {
  assert(n >= 1 && resamples >= 1000);
  size_t kept = 0;
  for (size_t r = 0; r < resamples; r++) {
    double over = 0, under = 0;
    for (size_t i = 0; i < n; i++) {
      size_t k = rng_below(rng, n);
      over += a[k];
      under += b ? b[k] : 1;
    }
    if (under > 0) scratch[kept++] = over / under;
  }
  if (!kept) return (struct stats_interval){-INFINITY, INFINITY};
  stats_sort(scratch, kept);
  return (struct stats_interval){stats_percentile_sorted(scratch, kept, (1 - ci) / 2),
                                 stats_percentile_sorted(scratch, kept, (1 + ci) / 2)};
}

static double log_sum_exp(const float *x, size_t n) {
  double max = x[0], sum = 0;
  for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
  for (size_t i = 0; i < n; i++) sum += exp(x[i] - max);
  return max + log(sum);
}

double stats_kl(const float *base, const float *candidate, size_t n) {
  assert(n >= 1);
  double base_total = log_sum_exp(base, n), candidate_total = log_sum_exp(candidate, n), kl = 0;
  for (size_t i = 0; i < n; i++) {
    double log_p = base[i] - base_total, log_q = candidate[i] - candidate_total, p = exp(log_p);
    if (p > 0) kl += p * (log_p - log_q);
  }
  return kl > 0 ? kl : 0; // never negative but for rounding
}

static int by_confidence(const void *a, const void *b, void *context) {
  const double *confidence = context;
  size_t i = *(const size_t *)a, j = *(const size_t *)b;
  if (confidence[i] != confidence[j]) return confidence[i] < confidence[j] ? -1 : 1;
  return i < j ? -1 : i > j; // ties keep the order of the items, whatever qsort does
}

double stats_ece(const double *confidence, const bool *correct, size_t n, size_t bins, size_t *order) {
  assert(n >= 1 && bins >= 1);
  for (size_t i = 0; i < n; i++) order[i] = i;
  qsort_r(order, n, sizeof *order, by_confidence, (void *)confidence);
  double sum = 0;
  for (size_t b = 0; b < bins; b++) {
    double surplus = 0;
    for (size_t i = b * n / bins; i < (b + 1) * n / bins; i++) surplus += correct[order[i]] - confidence[order[i]];
    sum += fabs(surplus);
  }
  return sum / (double)n;
}

double stats_brier(const float *scores, const int *label, size_t n, size_t classes) {
  double sum = 0;
  size_t labelled = 0;
  for (size_t i = 0; i < n; i++) {
    if (label[i] < 0) continue;
    labelled++;
    for (size_t k = 0; k < classes; k++) {
      double miss = (double)scores[i * classes + k] - (k == (size_t)label[i]);
      sum += miss * miss;
    }
  }
  return labelled ? sum / (double)labelled : NAN;
}

double stats_nll(const float *scores, const int *label, size_t n, size_t classes) {
  double sum = 0;
  size_t labelled = 0;
  for (size_t i = 0; i < n; i++) {
    if (label[i] < 0) continue;
    labelled++;
    sum -= log(fmax(scores[i * classes + (size_t)label[i]], DBL_EPSILON));
  }
  return labelled ? sum / (double)labelled : NAN;
}
