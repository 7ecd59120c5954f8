// metrics.c - see metrics.h.
#include "eval/metrics.h"

#include <assert.h>
#include <string.h>

static double ratio(double a, double b) {
  return b > 0 ? a / b : 0;
}

// 2 hits / (support + predicted): precision and recall's harmonic mean without dividing by either.
static double f1_of(double hits, double support, double predicted) {
  return ratio(2 * hits, support + predicted);
}

void metrics_compute(const int *label, const int *prediction, size_t n, size_t classes, size_t *confusion,
                     struct metrics_class *per_class, struct metrics *out) {
  memset(confusion, 0, classes * classes * sizeof *confusion);
  memset(per_class, 0, classes * sizeof *per_class);
  *out = (struct metrics){0};
  for (size_t i = 0; i < n; i++) {
    if (label[i] < 0) continue;
    size_t y = (size_t)label[i], p = (size_t)prediction[i];
    assert(y < classes && p < classes);
    confusion[y * classes + p]++;
    per_class[y].support++;
    per_class[p].predicted++;
    if (y == p) per_class[y].hits++;
    out->n++;
  }
  for (size_t k = 0; k < classes; k++) {
    struct metrics_class *c = &per_class[k];
    c->precision = ratio((double)c->hits, (double)c->predicted);
    c->recall = ratio((double)c->hits, (double)c->support);
    c->f1 = f1_of((double)c->hits, (double)c->support, (double)c->predicted);
    out->correct += c->hits;
    out->precision_macro += c->precision / (double)classes;
    out->recall_macro += c->recall / (double)classes;
    out->f1_macro += c->f1 / (double)classes;
  }
  out->accuracy = ratio((double)out->correct, (double)out->n);
}

void metrics_flips(const int *label, const int *base, const int *candidate, size_t n, struct metrics_flips *out) {
  *out = (struct metrics_flips){.n = n};
  for (size_t i = 0; i < n; i++) {
    out->identical += base[i] == candidate[i];
    if (!label || label[i] < 0) continue;
    out->labelled++;
    bool b = base[i] == label[i], c = candidate[i] == label[i];
    if (b && c) out->pairs.both++;
    if (b && !c) out->pairs.base_only++;
    if (!b && c) out->pairs.candidate_only++;
    if (!b && !c) {
      out->pairs.neither++;
      out->wrong_to_other_wrong += base[i] != candidate[i];
    }
  }
}

size_t metrics_bootstrap_scratch(size_t classes, size_t resamples) {
  return 5 * classes + (classes + 1) * resamples; // counts: support, then predicted and hits of both models
}

// One resample: counts of both models in one pass over n draws.
static void draw_counts(const struct metrics_bootstrap *in, struct rng *rng, double *counts) {
  size_t K = in->classes;
  memset(counts, 0, 5 * K * sizeof *counts);
  double *support = counts, *base_predicted = counts + K, *base_hits = counts + 2 * K;
  double *candidate_predicted = counts + 3 * K, *candidate_hits = counts + 4 * K;
  for (size_t i = 0; i < in->n; i++) {
    size_t item = rng_below(rng, in->n);
    int y = in->label[item], b = in->base[item], c = in->candidate[item];
    if (y < 0) continue;
    support[y]++;
    base_predicted[b]++;
    candidate_predicted[c]++;
    base_hits[y] += b == y;
    candidate_hits[y] += c == y;
  }
}

static struct stats_interval interval_of(double *draws, size_t n, double ci) {
  stats_sort(draws, n);
  return (struct stats_interval){stats_percentile_sorted(draws, n, (1 - ci) / 2),
                                 stats_percentile_sorted(draws, n, (1 + ci) / 2)};
}

void metrics_bootstrap_f1(const struct metrics_bootstrap *in, struct rng *rng, struct stats_interval *macro,
                          struct stats_interval *per_class, double *scratch) {
  size_t K = in->classes, R = in->resamples;
  assert(in->n >= 1 && K >= 1 && R >= 1);
  double *counts = scratch, *macro_draws = counts + 5 * K, *class_draws = macro_draws + R; // (K, R)
  for (size_t r = 0; r < R; r++) {
    draw_counts(in, rng, counts);
    macro_draws[r] = 0;
    for (size_t k = 0; k < K; k++) {
      double base = f1_of(counts[2 * K + k], counts[k], counts[K + k]);
      double candidate = f1_of(counts[4 * K + k], counts[k], counts[3 * K + k]);
      class_draws[k * R + r] = candidate - base;
      macro_draws[r] += (candidate - base) / (double)K;
    }
  }
  *macro = interval_of(macro_draws, R, in->ci);
  for (size_t k = 0; per_class && k < K; k++) per_class[k] = interval_of(class_draws + k * R, R, in->ci);
}
