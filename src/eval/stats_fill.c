// stats_fill.c - see stats_fill.h.
#include "eval/stats_fill.h"

#include <math.h>
#include <stdlib.h>

#include "eval/metrics.h"
#include "report/record.h"
#include "report/stats.h"

static const char no_labels[] = "the data has no labels";

// An interval as [low, high]; an end that is not finite becomes null.
static json_t *pair_json(struct stats_interval i) {
  return json_pack("[o, o]", isfinite(i.low) ? json_real(i.low) : json_null(),
                   isfinite(i.high) ? json_real(i.high) : json_null());
}

json_t *fill_value(double value, struct stats_interval interval) {
  return json_pack("{s:f, s:o}", "value", value, "ci95", pair_json(interval));
}

static void set_all_null(json_t *object, const char *const *keys, size_t count, const char *reason) {
  for (size_t i = 0; i < count; i++) record_set_null(object, keys[i], "%s", reason);
}

// Mean and, from two values on, its interval in <key>_ci95.
static int set_mean(json_t *object, const char *key, const char *interval_key, const double *x, size_t n) {
  int bad = json_object_set_new(object, key, json_real(stats_mean(x, n)));
  if (n >= 2) bad |= json_object_set_new(object, interval_key, pair_json(stats_mean_interval(x, n, 0.95)));
  return bad;
}

static json_t *confusion_json(const size_t *confusion, size_t classes) {
  json_t *rows = json_array();
  for (size_t i = 0; i < classes; i++) {
    json_t *row = json_array();
    for (size_t j = 0; j < classes; j++)
      json_array_append_new(row, json_integer((json_int_t)confusion[i * classes + j]));
    json_array_append_new(rows, row);
  }
  return rows;
}

static enum pare_status fill_classes(json_t *model, const struct fill_data *data, const int *prediction,
                                     struct pare_error *err) {
  size_t *confusion = calloc(data->classes * data->classes, sizeof *confusion);
  struct metrics_class *classes = calloc(data->classes, sizeof *classes);
  if (!confusion || !classes) {
    free(confusion);
    free(classes);
    return error_no_memory(err);
  }
  struct metrics m;
  metrics_compute(data->label, prediction, data->n, data->classes, confusion, classes, &m);
  json_t *accuracy = fill_value(m.accuracy, stats_wilson(m.correct, m.n, 0.95)), *rows = json_array();
  json_object_set_new(accuracy, "correct", json_integer((json_int_t)m.correct));
  json_object_set_new(accuracy, "n", json_integer((json_int_t)m.n));
  int bad = json_object_set_new(model, "accuracy", accuracy);
  bad |= json_object_set_new(model, "precision_macro", json_real(m.precision_macro));
  bad |= json_object_set_new(model, "recall_macro", json_real(m.recall_macro));
  bad |= json_object_set_new(model, "f1_macro", json_real(m.f1_macro));
  for (size_t k = 0; k < data->classes; k++) {
    bad |= json_array_append_new(
        rows, json_pack("{s:s, s:f, s:f, s:f, s:I}", "label", data->names[k], "precision", classes[k].precision,
                        "recall", classes[k].recall, "f1", classes[k].f1, "support", (json_int_t)classes[k].support));
  }
  bad |= json_object_set_new(model, "per_class", rows);
  bad |= json_object_set_new(model, "confusion", confusion_json(confusion, data->classes));
  free(confusion);
  free(classes);
  return bad ? error_no_memory(err) : PARE_OK;
}

static double confidence_of(const struct fill_answers *a, size_t i, size_t classes) {
  return a->scores[i * classes + (size_t)a->prediction[i]];
}

static enum pare_status fill_calibration(json_t *model, const struct fill_data *data,
                                         const struct fill_answers *answers, struct pare_error *err) {
  double *confidence = calloc(data->n, sizeof *confidence);
  bool *correct = calloc(data->n, sizeof *correct);
  size_t *order = calloc(data->n, sizeof *order), labelled = 0;
  int bad = !confidence || !correct || !order;
  for (size_t i = 0; !bad && i < data->n; i++) {
    if (data->label[i] < 0) continue;
    confidence[labelled] = confidence_of(answers, i, data->classes);
    correct[labelled++] = answers->prediction[i] == data->label[i];
  }
  if (!bad) {
    bad |=
        json_object_set_new(model, "nll", json_real(stats_nll(answers->scores, data->label, data->n, data->classes)));
    bad |= json_object_set_new(model, "brier",
                               json_real(stats_brier(answers->scores, data->label, data->n, data->classes)));
    bad |=
        json_object_set_new(model, "ece", json_real(stats_ece(confidence, correct, labelled, STATS_ECE_BINS, order)));
  }
  free(confidence);
  free(correct);
  free(order);
  return bad ? error_no_memory(err) : PARE_OK;
}

static enum pare_status fill_confidence(json_t *model, const struct fill_data *data, const struct fill_answers *answers,
                                        struct pare_error *err) {
  double *x = calloc(data->n, sizeof *x);
  json_t *object = json_object();
  if (!x || !object) {
    free(x);
    json_decref(object);
    return error_no_memory(err);
  }
  for (size_t i = 0; i < data->n; i++) x[i] = confidence_of(answers, i, data->classes);
  int bad = set_mean(object, "mean", "mean_ci95", x, data->n);
  stats_sort(x, data->n);
  bad |= json_object_set_new(object, "min", json_real(x[0]));
  bad |= json_object_set_new(object, "max", json_real(x[data->n - 1]));
  bad |= json_object_set_new(model, "confidence", object);
  free(x);
  return bad ? error_no_memory(err) : PARE_OK;
}

static bool any_label(const struct fill_data *data) {
  for (size_t i = 0; data->label && i < data->n; i++) {
    if (data->label[i] >= 0) return true;
  }
  return false;
}

enum pare_status fill_quality(json_t *model, const struct fill_data *data, const struct fill_answers *answers,
                              struct pare_error *err) {
  static const char *const labelled[] = {
      "accuracy", "precision_macro", "recall_macro", "f1_macro", "per_class", "confusion", "nll", "brier", "ece"};
  enum pare_status status;
  if (data->n == 0) {
    set_all_null(model, labelled, sizeof labelled / sizeof *labelled, "no items");
    record_set_null(model, "confidence", "no items");
    return PARE_OK;
  }
  if (any_label(data)) {
    if ((status = fill_classes(model, data, answers->prediction, err)) != PARE_OK) return status;
    if ((status = fill_calibration(model, data, answers, err)) != PARE_OK) return status;
  } else {
    set_all_null(model, labelled, sizeof labelled / sizeof *labelled, no_labels);
  }
  return fill_confidence(model, data, answers, err);
}

// A resampled interval of few items would be too narrow: none is given.
static json_t *resampled(double value, struct stats_interval interval, size_t n) {
  json_t *json = fill_value(value, interval);
  if (n < STATS_BOOTSTRAP_ITEMS)
    record_set_null(json, "ci95", "n too small: %zu items, %d needed", n, STATS_BOOTSTRAP_ITEMS);
  return json;
}

// macro and per-class F1 differences with bootstrap intervals.
static enum pare_status fill_f1_delta(json_t *against, const struct fill_data *data, const int *base,
                                      const int *candidate, struct pare_error *err) {
  size_t K = data->classes;
  double *scratch = calloc(metrics_bootstrap_scratch(K, STATS_RESAMPLES), sizeof *scratch);
  size_t *confusion = calloc(K * K, sizeof *confusion);
  struct metrics_class *cb = calloc(K, sizeof *cb), *cc = calloc(K, sizeof *cc);
  struct stats_interval *intervals = calloc(K, sizeof *intervals), macro;
  int bad = !scratch || !confusion || !cb || !cc || !intervals;
  if (!bad) {
    struct metrics mb, mc;
    struct rng rng;
    rng_seed(&rng, data->seed);
    metrics_compute(data->label, base, data->n, K, confusion, cb, &mb);
    metrics_compute(data->label, candidate, data->n, K, confusion, cc, &mc);
    struct metrics_bootstrap in = {data->label, base, candidate, data->n, K, STATS_RESAMPLES, 0.95};
    metrics_bootstrap_f1(&in, &rng, &macro, intervals, scratch);
    bad |= json_object_set_new(against, "f1_macro_delta", resampled(mc.f1_macro - mb.f1_macro, macro, mc.n));
    json_t *rows = json_array();
    for (size_t k = 0; k < K; k++) {
      json_t *row = resampled(cc[k].f1 - cb[k].f1, intervals[k], mc.n);
      bad |= json_object_set_new(row, "label", json_string(data->names[k]));
      bad |= json_array_append_new(rows, row);
    }
    bad |= json_object_set_new(against, "per_class_f1_delta", rows);
  }
  free(scratch);
  free(confusion);
  free(cb);
  free(cc);
  free(intervals);
  return bad ? error_no_memory(err) : PARE_OK;
}

static enum pare_status fill_paired(json_t *against, const struct fill_data *data, const int *base,
                                    const int *candidate, struct pare_error *err) {
  struct metrics_flips f;
  metrics_flips(data->label, base, candidate, data->n, &f);
  double n = (double)f.labelled, delta = ((double)f.pairs.candidate_only - (double)f.pairs.base_only) / n;
  double base_accuracy = (double)(f.pairs.both + f.pairs.base_only) / n;
  struct stats_interval i = stats_paired_difference(f.pairs, 0.95);
  int bad = json_object_set_new(against, "accuracy_delta", fill_value(delta, i));
  if (base_accuracy > 0) {
    // The original's accuracy on these items is taken as given: the interval is that of the difference, rescaled.
    struct stats_interval relative = {1 + i.low / base_accuracy, 1 + i.high / base_accuracy};
    bad |= json_object_set_new(against, "relative_accuracy", fill_value(1 + delta / base_accuracy, relative));
  } else {
    bad |= record_set_null(against, "relative_accuracy", "the original has no right answer");
  }
  size_t changed = f.pairs.base_only + f.pairs.candidate_only + f.wrong_to_other_wrong;
  bad |= json_object_set_new(against, "flips",
                             json_pack("{s:I, s:I, s:I, s:I}", "right_to_wrong", (json_int_t)f.pairs.base_only,
                                       "wrong_to_right", (json_int_t)f.pairs.candidate_only, "wrong_to_other_wrong",
                                       (json_int_t)f.wrong_to_other_wrong, "changed", (json_int_t)changed));
  bad |= json_object_set_new(against, "mcnemar_p",
                             json_real(stats_mcnemar_exact(f.pairs.base_only, f.pairs.candidate_only)));
  if (bad) return error_no_memory(err);
  return fill_f1_delta(against, data, base, candidate, err);
}

static enum pare_status fill_distance(json_t *against, const struct fill_data *data, const struct fill_answers *base,
                                      const struct fill_answers *candidate, struct pare_error *err) {
  double *x = calloc(data->n, sizeof *x);
  if (!x) return error_no_memory(err);
  size_t K = data->classes;
  for (size_t i = 0; i < data->n; i++) x[i] = confidence_of(candidate, i, K) - confidence_of(base, i, K);
  int bad = set_mean(against, "confidence_delta_mean", "confidence_delta_mean_ci95", x, data->n);
  if (base->logits && candidate->logits) {
    double max = 0;
    for (size_t i = 0; i < data->n; i++) {
      x[i] = stats_kl(base->logits + i * K, candidate->logits + i * K, K);
      max = x[i] > max ? x[i] : max;
    }
    bad |= set_mean(against, "kl_mean", "kl_mean_ci95", x, data->n);
    bad |= json_object_set_new(against, "kl_max", json_real(max));
  } else {
    bad |= record_set_null(against, "kl_mean", "the answers are not one softmax distribution");
  }
  free(x);
  return bad ? error_no_memory(err) : PARE_OK;
}

enum pare_status fill_against_base(json_t *model, const struct fill_data *data, const struct fill_answers *base,
                                   const struct fill_answers *candidate, struct pare_error *err) {
  static const char *const labelled[] = {"accuracy_delta", "relative_accuracy", "flips",
                                         "mcnemar_p",      "f1_macro_delta",    "per_class_f1_delta"};
  json_t *against = json_object();
  if (!against || json_object_set_new(model, "against_base", against) != 0) return error_no_memory(err);
  json_object_set_new(against, "n", json_integer((json_int_t)data->n));
  record_set_null(against, "speedup", "no latency runs");
  if (data->n == 0) {
    set_all_null(against, labelled, sizeof labelled / sizeof *labelled, "no items");
    record_set_null(against, "identical_rate", "no items");
    record_set_null(against, "confidence_delta_mean", "no items");
    return record_set_null(against, "kl_mean", "no items") ? error_no_memory(err) : PARE_OK;
  }
  struct metrics_flips f;
  metrics_flips(data->label, base->prediction, candidate->prediction, data->n, &f);
  json_object_set_new(against, "identical_rate", json_real((double)f.identical / (double)f.n));
  if (any_label(data)) {
    enum pare_status status = fill_paired(against, data, base->prediction, candidate->prediction, err);
    if (status != PARE_OK) return status;
  } else {
    set_all_null(against, labelled, sizeof labelled / sizeof *labelled, no_labels);
  }
  return fill_distance(against, data, base, candidate, err);
}

static int set_percentile(json_t *latency, const char *key, const char *bounds_key, const double *sorted, size_t n,
                          double p) {
  size_t needed = stats_percentile_runs(p);
  if (n < needed) return record_set_null(latency, key, "n too small: %zu runs, %zu needed", n, needed);
  int bad = json_object_set_new(latency, key, json_real(stats_percentile_sorted(sorted, n, p)));
  return bad | json_object_set_new(latency, bounds_key, pair_json(stats_percentile_bounds(sorted, n, p, 0.95)));
}

enum pare_status fill_times(json_t *object, const char *key, const char *samples_key, const double *ms, size_t n,
                            struct pare_error *err) {
  double *x = calloc(n, sizeof *x);
  json_t *latency = json_object(), *samples = json_array();
  int bad = !x || !latency || !samples;
  for (size_t i = 0; !bad && i < n; i++) {
    x[i] = ms[i];
    bad |= json_array_append_new(samples, json_real(ms[i]));
  }
  if (!bad) {
    stats_sort(x, n);
    bad |= json_object_set_new(latency, "mean", json_real(stats_mean(x, n)));
    bad |= json_object_set_new(latency, "median", json_real(stats_median_sorted(x, n)));
    bad |= json_object_set_new(latency, "std", json_real(stats_std(x, n)));
    bad |= json_object_set_new(latency, "min", json_real(x[0]));
    bad |= json_object_set_new(latency, "max", json_real(x[n - 1]));
    bad |= set_percentile(latency, "p90", "p90_ci95", x, n, 0.90);
    bad |= set_percentile(latency, "p95", "p95_ci95", x, n, 0.95);
    bad |= set_percentile(latency, "p99", "p99_ci95", x, n, 0.99);
    bad |= json_object_set_new(latency, "n", json_integer((json_int_t)n));
  }
  bad |= json_object_set_new(object, key, latency); // takes the reference even when it fails
  bad |= json_object_set_new(object, samples_key, samples);
  free(x);
  return bad ? error_no_memory(err) : PARE_OK;
}

enum pare_status fill_latency(json_t *model, const double *ms, size_t n, struct pare_error *err) {
  return fill_times(model, "latency_ms", "latency_samples_ms", ms, n, err);
}

enum pare_status fill_speedup(json_t *model, const double *base_ms, const double *ms, size_t n, uint64_t seed,
                              struct pare_error *err) {
  json_t *against = json_object_get(model, "against_base");
  if (n < STATS_BOOTSTRAP_ITEMS && json_is_object(against)) {
    int bad = record_set_null(against, "speedup", "n too small: %zu runs, %d needed", n, STATS_BOOTSTRAP_ITEMS);
    return bad ? error_no_memory(err) : PARE_OK;
  }
  double *scratch = calloc(2 * n + STATS_RESAMPLES, sizeof *scratch);
  if (!json_is_object(against) || !scratch) {
    free(scratch);
    return error_no_memory(err);
  }
  struct rng rng;
  rng_seed(&rng, seed);
  struct stats_interval i = stats_bootstrap_median_ratio(base_ms, ms, n, STATS_RESAMPLES, 0.95, &rng, scratch);
  for (size_t k = 0; k < n; k++) scratch[k] = base_ms[k], scratch[n + k] = ms[k];
  stats_sort(scratch, n);
  stats_sort(scratch + n, n);
  double ratio = stats_median_sorted(scratch, n) / stats_median_sorted(scratch + n, n);
  json_object_del(against, "speedup_reason");
  int bad = json_object_set_new(against, "speedup", fill_value(ratio, i));
  free(scratch);
  return bad ? error_no_memory(err) : PARE_OK;
}

enum pare_status fill_throughput(json_t *model, const double *seconds, size_t n, size_t items_per_run,
                                 struct pare_error *err) {
  double total = 0;
  for (size_t i = 0; i < n; i++) total += seconds[i];
  // All items over all time. The interval is that of the mean time of a run, turned into a rate, so it holds the value.
  int bad = n ? json_object_set_new(model, "throughput", json_real((double)(n * items_per_run) / total))
              : record_set_null(model, "throughput", "not measured");
  struct stats_interval t = n >= 2 ? stats_mean_interval(seconds, n, 0.95) : (struct stats_interval){0};
  if (t.low > 0) {
    struct stats_interval rate = {(double)items_per_run / t.high, (double)items_per_run / t.low};
    bad |= json_object_set_new(model, "throughput_ci95", pair_json(rate));
  }
  return bad ? error_no_memory(err) : PARE_OK;
}
