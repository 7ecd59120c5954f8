// sequential.c - see sequential.h.
//
// A share. Let x_1, x_2, ... be 0 or 1, each 1 with probability p whatever came before, and h of the first n be 1. For
// any q, M_n(q) = q^h (1-q)^(n-h) / (p^h (1-p)^(n-h)) has M_0 = 1 and expectation M_(n-1)(q) given the past: a
// martingale that is never negative. So is its average over q uniform in [0, 1],
//   M_n = B(h+1, n-h+1) / (p^h (1-p)^(n-h)),  B(h+1, n-h+1) = 1 / ((n+1) choose(n, h)).
// By Ville's inequality it ever reaches 1/alpha with probability alpha at most. So all p with M_n < 1/alpha form a set
// that leaves out the true p, at any n at all, with probability alpha at most. Divided by its value at h/n:
//   n KL(h/n || p) < log((n+1)/alpha) + log(choose(n, h) (h/n)^h (1-h/n)^(n-h)),
// KL the divergence of two coins. The left side is convex in p and 0 at h/n, so the set is an interval around h/n, and
// as the right side grows like log(n)/2 its width shrinks like sqrt(log(n)/n).
//
// A mean: at sequential_mean_add.
#include "sequential.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>

// log x! less Stirling's x log x - x + log(2 pi x)/2. From 16 the series' next term, 1/(1680 x^7), is below 1e-11.
static double stirling_rest(double x) {
  if (x >= 16) return (1 / 12.0 - (1 / 360.0 - 1 / (1260 * x * x)) / (x * x)) / x;
  int sign; // lgamma_r, as lgamma writes a global
  return lgamma_r(x + 1, &sign) - (x * log(x) - x + 0.5 * log(2 * M_PI * x));
}

// log(choose(n, h) (h/n)^h (1-h/n)^(n-h)). The large terms of Stirling's formula cancel on paper (Loader 2000), so no
// digits are lost for any n.
static double log_mode(double h, double n) {
  if (h == 0 || h == n) return 0;
  double miss = n - h;
  return 0.5 * log(n / (2 * M_PI * h * miss)) + stirling_rest(n) - stirling_rest(h) - stirling_rest(miss);
}

// The largest d so that h/n + d is in the set; seen from the misses the same function gives the other end. As a
// function of d, n KL is convex and climbs from 0 to infinity (at d = rest), so Newton's method that starts beyond the
// root walks back to it and never passes it. Beyond it are, where n KL reaches the bound by lower estimates:
//   n KL >= 2 n d^2 (Pinsker), and n KL >= miss log(rest / (rest-d)) - h log(1/p), as log(1 + d/p) <= log(1/p).
static double reach(double h, double n, double bound) {
  if (h == n) return 0;
  if (h == 0) return -expm1(-bound / n); // n KL = -n log(1-d)
  double miss = n - h, p = h / n, rest = miss / n;
  double d = fmin(sqrt(bound / (2 * n)), -rest * expm1((h * log(p) - bound) / miss));
  if (d >= rest) return rest; // nearer to a share of 1 than floating point tells
  for (int i = 0; i < 100; i++) {
    // log1p keeps the digits of a d that is small beside p and rest
    double above = -(h * log1p(d / p) + miss * log1p(-d / rest)) - bound;
    double step = above * (p + d) * (rest - d) / (n * d);
    d -= step;
    if (!(step > 1e-15 * d)) break;
  }
  return d;
}

struct interval sequential_share(uint64_t hits, uint64_t n, double alpha) {
  assert(hits <= n && alpha > 0 && alpha < 1);
  if (n == 0) return (struct interval){0, 1};
  double h = (double)hits, N = (double)n, bound = log1p(N) - log(alpha) + log_mode(h, N);
  return (struct interval){fmax(0, h / N - reach(N - h, N, bound)), fmin(1, h / N + reach(h, N, bound))};
}

// Let x_i in [0, 1] have expectation mu whatever came before, g_i be any guess of x_i and w_i any number in (0, 1),
// both made before x_i is seen, and psi(w) = (-log(1-w) - w)/4. Then
//   exp(w_i (x_i - mu) - 4 (x_i - g_i)^2 psi(w_i))
// has expectation at most 1 (Fan, Grama, Liu 2015, lemma 4.1, as used by Howard et al. 2021), and so has it with
// mu - x_i. Products of them are supermartingales; by Ville's inequality each ever reaches 2/alpha with probability
// alpha/2 at most. Taking logarithms, at every n at once but for probability alpha,
//   |sum w_i x_i / sum w_i - mu| < (log(2/alpha) + sum 4 (x_i - g_i)^2 psi(w_i)) / sum w_i.
// As all hold at once, so does their intersection. g_i is the mean so far, drawn to 1/2 by one observation;
// w_i = min(1/2, sqrt(2 log(2/alpha) / (v_i i log(1+i)))) with v_i the variance so far, drawn to 1/4: it would make the
// right side smallest if all i were known before. Any other choice is as valid, only wider.
void sequential_mean_add(struct sequential_mean *m, double x, double alpha) {
  assert(alpha > 0 && alpha < 1);
  x = x >= 0 ? fmin(x, 1) : x < 0 ? 0 : 1;
  if (m->n == 0) m->running = (struct interval){0, 1};
  double before = (double)m->n, i = before + 1, level = log(2 / alpha);
  double guess = (0.5 + m->sum) / i, variance = (0.25 + m->square) / i;
  double w = fmin(0.5, sqrt(2 * level / (variance * i * log1p(i))));
  m->weight += w;
  m->weighted += w * x;
  m->penalty += (x - guess) * (x - guess) * (-log1p(-w) - w); // 4 psi
  m->n++;
  m->sum += x;
  double mean = (0.5 + m->sum) / (i + 1);
  m->square += (x - mean) * (x - mean);
  double middle = m->weighted / m->weight, half = (level + m->penalty) / m->weight;
  struct interval now = {fmax(0, middle - half), fmin(1, middle + half)};
  struct interval both = {fmax(m->running.low, now.low), fmin(m->running.high, now.high)};
  // Nothing in common: the mean has moved (or it is the one time in 1/alpha); what is true now matters.
  m->running = both.low <= both.high ? both : now;
}

struct interval sequential_mean_interval(const struct sequential_mean *m) {
  return m->n ? m->running : (struct interval){0, 1};
}
