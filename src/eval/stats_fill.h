// stats_fill.h - turns outcomes (answers, scores, timings) into the fields of one models[] entry of a record.
// The field names are those of report/record.h. Every function may be called on any JSON object and only sets fields.
#ifndef PARE_EVAL_STATS_FILL_H
#define PARE_EVAL_STATS_FILL_H

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "report/stats.h"

struct fill_data {
  const int *label;         // (n) class of each item or negative; NULL: no labels at all
  const char *const *names; // (classes)
  size_t n, classes;
  uint64_t seed; // of the bootstraps
};
struct fill_answers {
  const int *prediction; // (n)
  const float *scores;   // (n, classes) probabilities
  const float
      *logits; // (n, classes), or NULL when a softmax over them is not the answer (multi-label): KL is then null
};

// accuracy, precision_macro, recall_macro, f1_macro, per_class, confusion, confidence, nll, brier, ece.
enum pare_status fill_quality(json_t *model, const struct fill_data *data, const struct fill_answers *answers,
                              struct pare_error *err);

// against_base, all but speedup: identical_rate, accuracy_delta, relative_accuracy, flips, mcnemar_p, f1_macro_delta,
// per_class_f1_delta, confidence_delta_mean, kl_mean, kl_max.
enum pare_status fill_against_base(json_t *model, const struct fill_data *data, const struct fill_answers *base,
                                   const struct fill_answers *candidate, struct pare_error *err);

// latency_ms with percentiles (null and a reason where the runs are too few), their bounds, latency_samples_ms.
// ms: (n) in the order measured, n >= 1.
enum pare_status fill_latency(json_t *model, const double *ms, size_t n, struct pare_error *err);
// The same under other names: object[key] and object[samples_key].
enum pare_status fill_times(json_t *object, const char *key, const char *samples_key, const double *ms, size_t n,
                            struct pare_error *err);

// against_base.speedup = median(base) / median(candidate) over rounds measured together, with a bootstrap interval.
// Call after fill_against_base.
enum pare_status fill_speedup(json_t *model, const double *base_ms, const double *ms, size_t n, uint64_t seed,
                              struct pare_error *err);

// {value, ci95}; an end that is not finite is null.
json_t *fill_value(double value, struct stats_interval interval);

// throughput (items per second) and throughput_ci95 from the seconds each of n runs took and the items in each run.
enum pare_status fill_throughput(json_t *model, const double *seconds, size_t n, size_t items_per_run,
                                 struct pare_error *err);

#endif
