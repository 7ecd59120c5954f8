// stats.h - statistics of outcomes and timings. Pure functions on arrays, in plain double: these numbers are accurate,
// but their last bits are outside the promise that answers are equal on every machine. Notation: ci is a two-sided
// confidence level in (0, 1), normally 0.95.
#ifndef PARE_REPORT_STATS_H
#define PARE_REPORT_STATS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"

enum { STATS_RESAMPLES = 2000, STATS_BOOTSTRAP_ITEMS = 20, STATS_ECE_BINS = 15 };

struct stats_interval {
  double low, high;
};

// z with P[N(0, 1) <= z] = p, 0 < p < 1.
double stats_normal_quantile(double p);

// ---- rates
// --------------------------------------------------------------------------------------------------------------- Score
// interval of k successes in n trials (Wilson, JASA 22, 1927). n = 0: [0, 1].
struct stats_interval stats_wilson(size_t k, size_t n, double ci);
// Upper 95 % bound of a rate after n trials without one event: min(1, 3 / n) (Hanley and Lippman-Hand, JAMA 249, 1983).
double stats_rule_of_three(size_t n);

// ---- paired outcomes
// ----------------------------------------------------------------------------------------------------- The same n
// items answered twice: right in both, in the original alone, in the candidate alone, in neither.
struct stats_paired {
  size_t both, base_only, candidate_only, neither;
};
// Two-sided exact McNemar test of b against c discordant pairs: min(1, 2 P[Bin(b + c, 1/2) >= max(b, c)]); b + c =
// 0: 1. Summed in log space, so exact at every size. O(b + c) at worst.
double stats_mcnemar_exact(size_t b, size_t c);
// Interval of accuracy(candidate) - accuracy(base): paired score interval, Newcombe, Statistics in Medicine 17 (1998)
// 2635-2650, method 10 (square and add, phi with continuity correction). With no discordant pair it is still an
// interval of about the width the rule of three suggests, never a point. n = 0: [-1, 1].
struct stats_interval stats_paired_difference(struct stats_paired t, double ci);

// ---- decisions
// -----------------------------------------------------------------------------------------------------------
enum stats_side { STATS_AT_LEAST, STATS_AT_MOST };
enum stats_decision { STATS_PASS, STATS_FAIL, STATS_INCONCLUSIVE };
// Non-inferiority by confidence interval: PASS when the whole interval is on the good side of threshold (threshold
// itself is good), FAIL when the whole interval is on the bad side, else INCONCLUSIVE.
enum stats_decision stats_decide(struct stats_interval i, double threshold, enum stats_side side);
// Sample size at which an interval around the same value would no longer contain threshold: half-widths shrink as
// 1/sqrt(n). INFINITY when value is at the threshold.
double stats_n_needed(size_t n, double value, struct stats_interval i, double threshold);

// ---- one sample
// ----------------------------------------------------------------------------------------------------------
double stats_mean(const double *x, size_t n);                                    // n >= 1
double stats_std(const double *x, size_t n);                                     // divisor n - 1; 0 for n < 2
struct stats_interval stats_mean_interval(const double *x, size_t n, double ci); // mean -+ z s / sqrt(n); n >= 2
void stats_sort(double *x, size_t n);                                            // ascending; no NaN
double stats_median_sorted(const double *x, size_t n);                           // n >= 1
// Linear interpolation between order statistics, position p (n - 1), as numpy.percentile does. 0 <= p <= 1, n >= 1.
double stats_percentile_sorted(const double *x, size_t n, double p);
// Fewest runs for which percentile p says anything: the rule of latency_percentile_needs (base/latency.h), 299 for p99.
size_t stats_percentile_runs(double p);
// Bounds of the true percentile by order statistics, distribution free (binomial), each bound one-sided at level ci:
// P[true <= high] >= ci and P[true >= low] >= ci. A bound the sample cannot give is -INFINITY or INFINITY.
struct stats_interval stats_percentile_bounds(const double *x, size_t n, double p, double ci);

// ---- bootstrap (Efron and Tibshirani 1993, percentile interval)
// ------------------------------------------------------------ median(base) / median(candidate) of runs measured in
// rounds: base[i] and candidate[i] belong to the same round and are drawn together, so drift of the machine cancels.
// scratch: 2 n + resamples doubles. n >= 1, resamples >= 1000, all values > 0.
struct stats_interval stats_bootstrap_median_ratio(const double *base, const double *candidate, size_t n,
                                                   size_t resamples, double ci, struct rng *rng, double *scratch);

// sum(a) / sum(b) over items drawn with both numbers; b NULL: the mean of a. b >= 0; a draw without any b is left out.
// scratch: resamples doubles. n >= 1; of fewer than STATS_BOOTSTRAP_ITEMS items the interval is too narrow to be told
// (of one it is a point).
struct stats_interval stats_bootstrap_ratio(const double *a, const double *b, size_t n, size_t resamples, double ci,
                                            struct rng *rng, double *scratch);

// ---- distributions over classes
// --------------------------------------------------------------------------------------------- KL(base || candidate)
// in nats of the softmax distributions of two rows of n logits. >= 0; 0 for equal rows.
double stats_kl(const float *base, const float *candidate, size_t n);
// Expected calibration error in equal-mass bins (Nixon et al. 2019): items ordered by confidence, cut at i n / bins,
// weighted mean of |share correct - mean confidence|. Ties keep the order of the items. order: scratch, n elements. n
// >= 1.
double stats_ece(const double *confidence, const bool *correct, size_t n, size_t bins, size_t *order);
// Mean over items of sum_k (p_k - [k is the label])^2, in [0, 2] (Brier 1950; twice the binary convention).
// scores (n, classes); rows with label < 0 are left out. No labelled row: NAN.
double stats_brier(const float *scores, const int *label, size_t n, size_t classes);
// Mean of -ln p_label, p_label no less than 2^-52 (as scikit-learn's log_loss). Same shapes as stats_brier.
double stats_nll(const float *scores, const int *label, size_t n, size_t classes);

#endif
