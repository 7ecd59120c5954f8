// stats.c - see stats.h: rates, paired outcomes, decisions, one sample. The bootstrap and distributions over classes
// are in stats_dist.c.
#include "report/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/latency.h"

// Newton's method on the normal distribution function from z = 0. For p > 1/2 the function is concave right of 0, so
// every step lands left of the root and the iteration climbs to it; the other half follows by symmetry.
double stats_normal_quantile(double p) {
  assert(p > 0 && p < 1);
  if (p < 0.5) return -stats_normal_quantile(1 - p);
  double z = 0;
  for (int i = 0; i < 200; i++) {
    double above = 0.5 * erfc(z / sqrt(2.0)) - (1 - p); // compares tails: no cancellation for p near 1
    double step = above * sqrt(2 * M_PI) * exp(z * z / 2);
    z += step;
    if (fabs(step) < 1e-15 * (1 + z)) break;
  }
  return z;
}

static double two_sided_z(double ci) {
  return stats_normal_quantile(0.5 + ci / 2);
}

struct stats_interval stats_wilson(size_t k, size_t n, double ci) {
  if (n == 0) return (struct stats_interval){0, 1};
  assert(k <= n);
  double z = two_sided_z(ci), N = (double)n, p = (double)k / N;
  double middle = p + z * z / (2 * N), half = z * sqrt(p * (1 - p) / N + z * z / (4 * N * N)), scale = 1 + z * z / N;
  // At the ends the formula gives 0 and 1 exactly but for rounding.
  return (struct stats_interval){k == 0 ? 0 : (middle - half) / scale, k == n ? 1 : (middle + half) / scale};
}

double stats_rule_of_three(size_t n) {
  return n <= 3 ? 1 : 3 / (double)n;
}

static double log_factorial(size_t n) {
  int sign; // lgamma_r, as lgamma writes a global
  return lgamma_r((double)n + 1, &sign);
}

static double log_choose(size_t n, size_t k) {
  return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

double stats_mcnemar_exact(size_t b, size_t c) {
  size_t n = b + c, k = b > c ? b : c;
  if (b == c) return 1; // both tails together hold at least all of the mass
  // The tail relative to its first term: ratios (n - j) / (j + 1) < 1 for j >= n / 2, so it converges from above.
  double term = 1, sum = 1;
  for (size_t j = k; j < n && term > 1e-18 * sum; j++) {
    term *= (double)(n - j) / (double)(j + 1);
    sum += term;
  }
  double p = exp(log_choose(n, k) - (double)n * M_LN2 + log(2 * sum));
  return p < 1 ? p : 1;
}

// Newcombe's phi: correlation of the two outcomes, its numerator moved toward 0 by n / 2 when positive (method 10).
static double paired_phi(struct stats_paired t) {
  double a = (double)t.both, b = (double)t.base_only, c = (double)t.candidate_only, d = (double)t.neither;
  double margins = (a + b) * (c + d) * (a + c) * (b + d);
  if (margins <= 0) return 0;
  double numerator = a * d - b * c, correction = (a + b + c + d) / 2;
  if (numerator > correction) {
    numerator -= correction;
  } else if (numerator > 0) {
    numerator = 0;
  }
  return numerator / sqrt(margins);
}

struct stats_interval stats_paired_difference(struct stats_paired t, double ci) {
  size_t n = t.both + t.base_only + t.candidate_only + t.neither;
  if (n == 0) return (struct stats_interval){-1, 1};
  size_t base = t.both + t.base_only, candidate = t.both + t.candidate_only;
  struct stats_interval ib = stats_wilson(base, n, ci), ic = stats_wilson(candidate, n, ci);
  double pb = (double)base / (double)n, pc = (double)candidate / (double)n, phi = paired_phi(t), difference = pc - pb;
  double cl = pc - ic.low, cu = ic.high - pc, bl = pb - ib.low, bu = ib.high - pb;
  // The quadratic forms are >= 0 because |phi| <= 1; rounding may leave a tiny negative.
  double low = sqrt(fmax(0, cl * cl - 2 * phi * cl * bu + bu * bu));
  double high = sqrt(fmax(0, cu * cu - 2 * phi * cu * bl + bl * bl));
  return (struct stats_interval){fmax(-1, difference - low), fmin(1, difference + high)};
}

enum stats_decision stats_decide(struct stats_interval i, double threshold, enum stats_side side) {
  if (side == STATS_AT_LEAST) {
    if (i.low >= threshold) return STATS_PASS;
    return i.high < threshold ? STATS_FAIL : STATS_INCONCLUSIVE;
  }
  if (i.high <= threshold) return STATS_PASS;
  return i.low > threshold ? STATS_FAIL : STATS_INCONCLUSIVE;
}

double stats_n_needed(size_t n, double value, struct stats_interval i, double threshold) {
  double distance = fabs(value - threshold);
  if (distance <= 0) return INFINITY;
  double half = threshold < value ? value - i.low : i.high - value;
  double ratio = half / distance;
  return ratio <= 1 ? (double)n : ceil((double)n * ratio * ratio);
}

double stats_mean(const double *x, size_t n) {
  assert(n >= 1);
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return sum / (double)n;
}

double stats_std(const double *x, size_t n) {
  if (n < 2) return 0;
  double mean = stats_mean(x, n), sum = 0;
  for (size_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
  return sqrt(sum / (double)(n - 1));
}

struct stats_interval stats_mean_interval(const double *x, size_t n, double ci) {
  assert(n >= 2);
  double mean = stats_mean(x, n), half = two_sided_z(ci) * stats_std(x, n) / sqrt((double)n);
  return (struct stats_interval){mean - half, mean + half};
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

void stats_sort(double *x, size_t n) {
  if (n > 1) qsort(x, n, sizeof *x, ascending);
}

double stats_percentile_sorted(const double *x, size_t n, double p) {
  assert(n >= 1 && p >= 0 && p <= 1);
  double position = p * (double)(n - 1);
  size_t below = (size_t)position;
  if (below + 1 >= n) return x[n - 1];
  double fraction = position - (double)below;
  return x[below] + fraction * (x[below + 1] - x[below]);
}

double stats_median_sorted(const double *x, size_t n) {
  return stats_percentile_sorted(x, n, 0.5);
}

size_t stats_percentile_runs(double p) {
  return latency_percentile_needs(p);
}

struct stats_interval stats_percentile_bounds(const double *x, size_t n, double p, double ci) {
  // The number of runs below the true percentile is Bin(n, p). x[k] (from 0) is an upper bound when that number is at
  // most k, a lower bound when it is more than k.
  struct stats_interval out = {-INFINITY, INFINITY};
  double at_most = 0; // P[Bin <= k]
  for (size_t k = 0; k < n; k++) {
    at_most += exp(log_choose(n, k) + (double)k * log(p) + (double)(n - k) * log1p(-p));
    if (1 - at_most >= ci) out.low = x[k];
    if (at_most >= ci) {
      out.high = x[k];
      break;
    }
  }
  return out;
}
