// gate_keys.c - what each limit of a gate file measures on a record. Intervals come from counts or samples where the
// record has them, so that any level ci can be asked for; else from the record's own 95 % intervals.
#include "report/gate_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "report/record.h"

static bool unknown(struct gate_finding *found, const char *what, const char *reason) {
  snprintf(found->note, sizeof found->note, "%s unknown: %s", what, reason);
  return false;
}

static void set(struct gate_finding *found, double value, struct stats_interval i, size_t n, const char *unit) {
  found->value = value;
  found->low = i.low;
  found->high = i.high;
  found->n = n;
  found->unit = unit;
}

static bool at_95(const struct gate_subject *s) {
  return fabs(s->ci - 0.95) < 1e-12;
}

static size_t items_of(const struct gate_subject *s) {
  size_t n = 0;
  if (record_count(s->model, "against_base.n", &n) || record_count(s->model, "accuracy.n", &n)) return n;
  record_count(s->record, "dataset.n", &n);
  return n;
}

static bool no_interval(const struct gate_subject *s, struct gate_finding *found, const char *what, const char *path) {
  const char *reason = record_reason(s->model, path);
  return unknown(found, what, strcmp(reason, "not in the record") ? reason : "no interval in the record");
}

// {value, ci95} at path: an interval the record cannot restate at another level.
static bool stored(const struct gate_subject *s, const char *path, const char *what, struct gate_finding *found) {
  char value_path[96], interval_path[96];
  double value, ends[2];
  snprintf(value_path, sizeof value_path, "%s.value", path);
  snprintf(interval_path, sizeof interval_path, "%s.ci95", path);
  if (!record_number(s->model, value_path, &value)) return unknown(found, what, record_reason(s->model, value_path));
  if (!record_interval(s->model, interval_path, ends)) return no_interval(s, found, what, interval_path);
  if (!at_95(s)) return unknown(found, what, "the record holds its 95 % interval only");
  set(found, value, (struct stats_interval){ends[0], ends[1]}, items_of(s), "items");
  return true;
}

// A mean with its normal interval, which another level only stretches by the ratio of the z values.
static bool mean(const struct gate_subject *s, const char *path, const char *interval_path, const char *what,
                 struct gate_finding *found) {
  double value, ends[2];
  if (!record_number(s->model, path, &value)) return unknown(found, what, record_reason(s->model, path));
  if (!record_interval(s->model, interval_path, ends)) return no_interval(s, found, what, interval_path);
  // Of texts it is no normal interval but a bootstrap one.
  if (record_is_text(s->record) && !at_95(s)) return unknown(found, what, "the record holds its 95 % interval only");
  double stretch = stats_normal_quantile(0.5 + s->ci / 2) / stats_normal_quantile(0.975);
  struct stats_interval i = {value - (value - ends[0]) * stretch, value + (ends[1] - value) * stretch};
  set(found, value, i, items_of(s), "items");
  return true;
}

// Difference of accuracy from the paired counts.
static bool accuracy_delta(const struct gate_subject *s, struct gate_finding *found, double *base_accuracy) {
  size_t n, base_n, correct, base_correct, lost, won;
  if (!record_count(s->model, "accuracy.correct", &correct) || !record_count(s->model, "accuracy.n", &n)) {
    return unknown(found, "accuracy", record_reason(s->model, "accuracy"));
  }
  if (!record_count(s->model, "against_base.flips.right_to_wrong", &lost) ||
      !record_count(s->model, "against_base.flips.wrong_to_right", &won)) {
    return unknown(found, "accuracy difference", record_reason(s->model, "against_base.flips.right_to_wrong"));
  }
  bool same = record_count(s->base, "accuracy.correct", &base_correct) && record_count(s->base, "accuracy.n", &base_n);
  if (!same || base_n != n || n == 0 || lost > base_correct || won > n - base_correct) {
    return unknown(found, "accuracy difference", "the original's counts are of other items");
  }
  struct stats_paired t = {base_correct - lost, lost, won, n - base_correct - won};
  *base_accuracy = (double)base_correct / (double)n;
  set(found, ((double)won - (double)lost) / (double)n, stats_paired_difference(t, s->ci), n, "items");
  return true;
}

// found becomes scale * (its negative): a difference becomes a drop.
static void as_drop(struct gate_finding *found, double scale) {
  double low = 0 - found->high * scale, high = 0 - found->low * scale; // 0 - x, as -0 would be printed
  found->value = 0 - found->value * scale;
  found->low = low;
  found->high = high;
}

static bool accuracy_drop(const struct gate_subject *s, struct gate_finding *found) {
  double base;
  if (!accuracy_delta(s, found, &base)) return false;
  if (s->relative && base <= 0) return unknown(found, "relative drop", "the original has no right answer");
  as_drop(found, s->relative ? 100 / base : 100);
  snprintf(found->note, sizeof found->note,
           s->relative ? "in per cent of the original's accuracy" : "in absolute points");
  return true;
}

static bool relative_accuracy(const struct gate_subject *s, struct gate_finding *found) {
  double base;
  if (!accuracy_delta(s, found, &base)) return false;
  if (base <= 0) return unknown(found, "relative accuracy", "the original has no right answer");
  struct stats_interval i = {1 + found->low / base, 1 + found->high / base};
  set(found, 1 + found->value / base, i, found->n, "items");
  return true;
}

// All classes at once: the largest drop, the largest lower and the largest upper bound. So it passes when every class
// does, and fails when one class does.
static bool class_f1_drop(const struct gate_subject *s, struct gate_finding *found) {
  const json_t *rows = record_get(s->model, "against_base.per_class_f1_delta");
  if (json_array_size(rows) == 0) {
    return unknown(found, "F1 difference per class", record_reason(s->model, "against_base.per_class_f1_delta"));
  }
  if (!at_95(s)) return unknown(found, "F1 difference per class", "the record holds its 95 % intervals only");
  const char *worst = "?";
  found->value = found->low = found->high = -INFINITY;
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    double value, ends[2];
    if (!record_number(row, "value", &value) || !record_interval(row, "ci95", ends)) {
      return unknown(found, "F1 difference per class", "a class has no interval in the record");
    }
    if (0 - value * 100 > found->value) {
      found->value = 0 - value * 100;
      worst = record_string(row, "label") ? record_string(row, "label") : "?";
    }
    found->low = fmax(found->low, 0 - ends[1] * 100);
    found->high = fmax(found->high, 0 - ends[0] * 100);
  }
  found->n = items_of(s);
  found->unit = "items";
  snprintf(found->note, sizeof found->note, "largest drop: class %.80s", worst);
  return true;
}

static bool mean_confidence(const struct gate_subject *s, struct gate_finding *found) {
  return mean(s, "confidence.mean", "confidence.mean_ci95", "mean confidence", found);
}

static bool confidence_delta(const struct gate_subject *s, struct gate_finding *found) {
  if (!mean(s, "against_base.confidence_delta_mean", "against_base.confidence_delta_mean_ci95", "confidence difference",
            found)) {
    return false;
  }
  double a = fabs(found->low), b = fabs(found->high);
  bool spans_zero = found->low <= 0 && found->high >= 0;
  found->value = fabs(found->value);
  found->low = spans_zero ? 0 : fmin(a, b);
  found->high = fmax(a, b);
  return true;
}

static bool flip_rate(const struct gate_subject *s, struct gate_finding *found) {
  double identical;
  size_t n = 0;
  if (!record_number(s->model, "against_base.identical_rate", &identical)) {
    return unknown(found, "flip rate", record_reason(s->model, "against_base.identical_rate"));
  }
  if (!record_count(s->model, "against_base.n", &n)) record_count(s->record, "dataset.n", &n);
  if (n == 0 || identical < 0 || identical > 1) return unknown(found, "flip rate", "no count of items in the record");
  set(found, 1 - identical, stats_wilson((size_t)llround((1 - identical) * (double)n), n, s->ci), n, "items");
  return true;
}

static bool perplexity_increase(const struct gate_subject *s, struct gate_finding *found) {
  if (!stored(s, "against_base.perplexity_ratio", "perplexity ratio", found)) return false;
  set(found, found->value - 1, (struct stats_interval){found->low - 1, found->high - 1}, found->n,
      record_is_text(s->record) ? "items" : "tokens");
  return true;
}

static bool mean_kl(const struct gate_subject *s, struct gate_finding *found) {
  return mean(s, "against_base.kl_mean", "against_base.kl_mean_ci95", "KL divergence", found);
}

static bool same_top(const struct gate_subject *s, struct gate_finding *found) {
  return stored(s, "against_base.same_top", "same top token", found);
}

static bool rouge(const struct gate_subject *s, struct gate_finding *found) {
  return stored(s, "against_base.rougeL_rel", "relative ROUGE-L", found);
}

static bool length_ratio(const struct gate_subject *s, struct gate_finding *found) {
  return stored(s, "against_base.len_ratio", "length ratio", found);
}

// Copies latency_samples_ms; NULL (with *n = 0) when absent or not all numbers.
static double *samples_of(const json_t *model, size_t *n) {
  const json_t *array = record_get(model, "latency_samples_ms");
  *n = json_array_size(array);
  double *x = *n ? calloc(*n, sizeof *x) : NULL;
  for (size_t i = 0; x && i < *n; i++) {
    x[i] = json_number_value(json_array_get(array, i));
    if (!(x[i] > 0)) {
      free(x);
      x = NULL;
    }
  }
  if (!x) *n = 0;
  return x;
}

static bool speedup(const struct gate_subject *s, struct gate_finding *found) {
  if (at_95(s) || !record_get(s->model, "against_base.speedup.value")) {
    bool known = stored(s, "against_base.speedup", "speedup", found);
    if (!record_count(s->model, "latency_ms.n", &found->n)) found->n = 0;
    found->unit = "runs";
    return known;
  }
  size_t n, base_n;
  double seed = 0, *x = samples_of(s->model, &n), *base = samples_of(s->base, &base_n);
  double *scratch = x && base && n == base_n ? calloc(2 * n + STATS_RESAMPLES, sizeof *scratch) : NULL;
  if (scratch) {
    struct rng rng;
    record_number(s->record, "seed", &seed);
    rng_seed(&rng, (uint64_t)fabs(seed));
    struct stats_interval i = stats_bootstrap_median_ratio(base, x, n, STATS_RESAMPLES, s->ci, &rng, scratch);
    record_number(s->model, "against_base.speedup.value", &found->value);
    set(found, found->value, i, n, "runs");
  }
  bool known = scratch != NULL;
  free(x);
  free(base);
  free(scratch);
  return known ? true : unknown(found, "speedup", "the record holds its 95 % interval only");
}

static bool percentile(const struct gate_subject *s, const char *key, double p, struct gate_finding *found) {
  char path[48], bounds[48];
  snprintf(path, sizeof path, "latency_ms.%s", key);
  snprintf(bounds, sizeof bounds, "latency_ms.%s_ci95", key);
  if (!record_number(s->model, path, &found->value)) return unknown(found, key, record_reason(s->model, path));
  size_t n;
  double *x = samples_of(s->model, &n);
  if (x) {
    stats_sort(x, n);
    set(found, found->value, stats_percentile_bounds(x, n, p, s->ci), n, "runs");
    free(x);
  } else {
    const json_t *ends = record_get(s->model, bounds);
    if (json_array_size(ends) != 2 || !at_95(s)) return unknown(found, key, "no raw timings in the record");
    struct stats_interval i = {-INFINITY, INFINITY};
    record_number(ends, "0", &i.low);
    record_number(ends, "1", &i.high);
    n = 0;
    record_count(s->model, "latency_ms.n", &n);
    set(found, found->value, i, n, "runs");
  }
  snprintf(found->note, sizeof found->note, "bounds are one-sided");
  return true;
}

static bool p95(const struct gate_subject *s, struct gate_finding *found) {
  return percentile(s, "p95", 0.95, found);
}

static bool p99(const struct gate_subject *s, struct gate_finding *found) {
  return percentile(s, "p99", 0.99, found);
}

static bool error_rate(const struct gate_subject *s, struct gate_finding *found) {
  size_t count, n;
  if (!record_count(s->model, "errors.count", &count) || !record_count(s->model, "errors.n", &n) || n == 0 ||
      count > n) {
    return unknown(found, "error rate", record_reason(s->model, "errors"));
  }
  set(found, (double)count / (double)n, stats_wilson(count, n, s->ci), n, "requests");
  return true;
}

static bool size_reduction(const struct gate_subject *s, struct gate_finding *found) {
  double size, reference;
  if (!record_number(s->model, "size_bytes", &size))
    return unknown(found, "size", record_reason(s->model, "size_bytes"));
  bool f32 = record_number(s->record, "f32_bytes", &reference);
  if ((!f32 && !record_number(s->base, "size_bytes", &reference)) || reference <= 0) {
    return unknown(found, "size", "no f32_bytes in the record");
  }
  double value = 1 - size / reference;
  set(found, value, (struct stats_interval){value, value}, 0, "");
  snprintf(found->note, sizeof found->note,
           f32 ? "against f32 (4 bytes per parameter)" : "against the original's file");
  return true;
}

static bool samples(const struct gate_subject *s, struct gate_finding *found) {
  size_t n = items_of(s);
  set(found, (double)n, (struct stats_interval){(double)n, (double)n}, 0, "");
  return true;
}

static const double any = 1e300;
#define FRACTION "a number from 0 to 1"
const struct gate_key gate_keys[] = {
    {"max_accuracy_drop_pp", GATE_NUMBER, 0, 100, "a number from 0 to 100", STATS_AT_MOST, accuracy_drop},
    {"min_relative_accuracy", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_LEAST, relative_accuracy},
    {"max_class_f1_drop_pp", GATE_NUMBER, 0, 100, "a number from 0 to 100", STATS_AT_MOST, class_f1_drop},
    {"min_mean_confidence", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_LEAST, mean_confidence},
    {"max_mean_conf_delta", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_MOST, confidence_delta},
    {"max_flip_rate", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_MOST, flip_rate},
    {"max_ppl_increase", GATE_NUMBER, 0, any, "a number of at least 0", STATS_AT_MOST, perplexity_increase},
    {"max_mean_kl", GATE_NUMBER, 0, any, "a number of at least 0", STATS_AT_MOST, mean_kl},
    {"min_same_top", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_LEAST, same_top},
    {"min_rougeL_rel", GATE_NUMBER, 0, any, "a number of at least 0", STATS_AT_LEAST, rouge},
    {"min_len_ratio", GATE_NUMBER, 0, any, "a number of at least 0", STATS_AT_LEAST, length_ratio},
    {"min_speedup", GATE_NUMBER, 0, any, "a number of at least 0", STATS_AT_LEAST, speedup},
    {"p95_ms", GATE_NUMBER, 0, any, "milliseconds, at least 0", STATS_AT_MOST, p95},
    {"p99_ms", GATE_NUMBER, 0, any, "milliseconds, at least 0", STATS_AT_MOST, p99},
    {"max_error_rate", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_MOST, error_rate},
    {"min_size_reduction", GATE_NUMBER, 0, 1, FRACTION, STATS_AT_LEAST, size_reduction},
    {"min_samples", GATE_COUNT, 1, 1e15, "a whole number of at least 1", STATS_AT_LEAST, samples},
    {"accuracy_kind", GATE_TEXT, 0, 0, "absolute or relative", STATS_AT_MOST, NULL},
    {"ci", GATE_NUMBER, 0.5, 0.9999, "a confidence level from 0.5 to 0.9999", STATS_AT_MOST, NULL},
    {"model", GATE_TEXT, 0, 0, "the name of a candidate", STATS_AT_MOST, NULL},
};
const size_t gate_key_count = sizeof gate_keys / sizeof *gate_keys;

const struct gate_key *gate_key_find(const char *name) {
  for (size_t i = 0; i < gate_key_count; i++) {
    if (strcmp(gate_keys[i].name, name) == 0) return &gate_keys[i];
  }
  return NULL;
}
