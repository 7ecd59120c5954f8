// lint.c - a report may not contradict its own numbers. Recomputes what is derived and names the first thing that
// disagrees. A missing or null field is no disagreement; a derived field whose parts are missing is not checked.
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/recommend.h"
#include "report/record.h"
#include "report/stats.h"

struct lint {
  const json_t *record, *base, *model;
  const char *name; // of the model
  struct pare_error *err;
  enum pare_status status; // first failure wins
};

static void fail(struct lint *l, const char *field, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fail(struct lint *l, const char *field, const char *format, ...) {
  if (l->status != PARE_OK) return;
  char text[256];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  l->status = error_set(l->err, PARE_BUG, "record disagrees with itself: %.60s%s%.80s: %s", l->name ? l->name : "",
                        l->name ? ": " : "", field, text);
}

// Relative to the larger of 1 and the numbers' own size: all fields are ratios, counts, milliseconds or bytes.
static bool near(double a, double b) {
  return fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

// If the field is there it must be `expected`.
static void expect(struct lint *l, const json_t *node, const char *field, double expected) {
  double found;
  if (!record_number(node, field, &found)) return;
  if (!near(found, expected)) fail(l, field, "is %.10g, recomputed %.10g", found, expected);
}

static void expect_interval(struct lint *l, const json_t *node, const char *field, struct stats_interval expected) {
  double found[2];
  if (!record_interval(node, field, found)) return;
  if (!near(found[0], expected.low) || !near(found[1], expected.high)) {
    fail(l, field, "is [%.10g, %.10g], recomputed [%.10g, %.10g]", found[0], found[1], expected.low, expected.high);
  }
}

static void lint_size(struct lint *l) {
  double size, base, f32, part, sum = 0;
  if (!record_number(l->model, "size_bytes", &size)) return;
  if (size <= 0) fail(l, "size_bytes", "is %.10g, expected more than 0", size);
  if (record_number(l->base, "size_bytes", &base)) expect(l, l->model, "compression", base / size);
  if (record_number(l->record, "f32_bytes", &f32) && f32 > 0)
    expect(l, l->model, "size_percent_of_f32", 100 * size / f32);
  static const char *const kinds[] = {"bytes.embedding", "bytes.linear", "bytes.scale", "bytes.other"};
  for (size_t i = 0; i < 4; i++) {
    if (record_number(l->model, kinds[i], &part)) sum += part;
  }
  if (sum > size) fail(l, "bytes", "add up to %.0f, more than the file's %.0f", sum, size);
}

static void lint_accuracy(struct lint *l) {
  size_t correct, n, labelled;
  if (!record_count(l->model, "accuracy.correct", &correct) || !record_count(l->model, "accuracy.n", &n)) return;
  if (n == 0 || correct > n) {
    fail(l, "accuracy", "has %zu right of %zu", correct, n);
    return;
  }
  expect(l, l->model, "accuracy.value", (double)correct / (double)n);
  expect_interval(l, l->model, "accuracy.ci95", stats_wilson(correct, n, 0.95));
  if (record_count(l->record, "dataset.labelled", &labelled) && labelled != n) {
    fail(l, "accuracy.n", "is %zu, the data has %zu labels", n, labelled);
  }
}

static void lint_classes(struct lint *l) {
  const json_t *rows = record_get(l->model, "per_class");
  size_t count = json_array_size(rows), support = 0, n;
  double precision_sum = 0, recall_sum = 0, f1_sum = 0;
  for (size_t i = 0; i < count; i++) {
    const json_t *row = json_array_get(rows, i);
    double p, r, f1;
    size_t s = 0;
    if (!record_number(row, "precision", &p) || !record_number(row, "recall", &r) || !record_number(row, "f1", &f1))
      return;
    record_count(row, "support", &s);
    support += s;
    precision_sum += p;
    recall_sum += r;
    f1_sum += f1;
    double expected = p + r > 0 ? 2 * p * r / (p + r) : 0;
    if (!near(f1, expected)) fail(l, "per_class.f1", "is %.10g, recomputed %.10g (class %zu)", f1, expected, i);
  }
  if (count == 0) return;
  expect(l, l->model, "precision_macro", precision_sum / (double)count);
  expect(l, l->model, "recall_macro", recall_sum / (double)count);
  expect(l, l->model, "f1_macro", f1_sum / (double)count);
  if (record_count(l->model, "accuracy.n", &n) && n != support) {
    fail(l, "per_class.support", "adds up to %zu, accuracy.n is %zu", support, n);
  }
}

static double cell(const json_t *confusion, size_t i, size_t j) {
  return json_number_value(json_array_get(json_array_get(confusion, i), j));
}

static void lint_confusion(struct lint *l) {
  const json_t *confusion = record_get(l->model, "confusion"), *rows = record_get(l->model, "per_class");
  size_t count = json_array_size(confusion);
  double diagonal = 0, correct;
  if (count == 0 || json_array_size(rows) != count) return;
  for (size_t i = 0; i < count; i++) {
    const json_t *row = json_array_get(rows, i);
    double across = 0, down = 0;
    for (size_t j = 0; j < count; j++) {
      across += cell(confusion, i, j);
      down += cell(confusion, j, i);
    }
    diagonal += cell(confusion, i, i);
    expect(l, row, "support", across);
    expect(l, row, "recall", across > 0 ? cell(confusion, i, i) / across : 0);
    expect(l, row, "precision", down > 0 ? cell(confusion, i, i) / down : 0);
  }
  if (record_number(l->model, "accuracy.correct", &correct) && correct != diagonal) {
    fail(l, "confusion", "has %.0f on its diagonal, accuracy.correct is %.0f", diagonal, correct);
  }
}

static void lint_flips(struct lint *l) {
  size_t lost, won, other = 0, changed, n, compared, correct, base_correct;
  if (!record_count(l->model, "against_base.flips.right_to_wrong", &lost) ||
      !record_count(l->model, "against_base.flips.wrong_to_right", &won)) {
    return;
  }
  expect(l, l->model, "against_base.mcnemar_p", stats_mcnemar_exact(lost, won));
  bool whole = record_count(l->model, "against_base.flips.wrong_to_other_wrong", &other);
  if (whole && record_count(l->model, "against_base.flips.changed", &changed) && changed != lost + won + other) {
    fail(l, "against_base.flips.changed", "is %zu, its parts add up to %zu", changed, lost + won + other);
  }
  if (!record_count(l->model, "accuracy.n", &n) || n == 0) return;
  double identical, delta = ((double)won - (double)lost) / (double)n;
  expect(l, l->model, "against_base.accuracy_delta.value", delta);
  bool all_labelled = !record_count(l->model, "against_base.n", &compared) || compared == n;
  if (all_labelled && record_number(l->model, "against_base.identical_rate", &identical)) {
    double differ = (1 - identical) * (double)n, least = (double)(lost + won + other);
    if (whole ? fabs(differ - least) > 1e-6 * (double)n : differ < least - 1e-6 * (double)n) {
      fail(l, "against_base.identical_rate", "says %.2f answers differ, the flips say %.0f", differ, least);
    }
  }
  if (!record_count(l->model, "accuracy.correct", &correct) ||
      !record_count(l->base, "accuracy.correct", &base_correct))
    return;
  if (correct + lost != base_correct + won) {
    fail(l, "against_base.flips", "take %zu right answers to %zu, the record has %zu", base_correct,
         base_correct + won - lost, correct);
  } else if (lost <= base_correct && won + base_correct <= n) {
    struct stats_paired t = {base_correct - lost, lost, won, n - base_correct - won};
    expect_interval(l, l->model, "against_base.accuracy_delta.ci95", stats_paired_difference(t, 0.95));
    if (base_correct)
      expect(l, l->model, "against_base.relative_accuracy.value", (double)correct / (double)base_correct);
  }
}

static void lint_differences(struct lint *l) {
  double value, base;
  if (record_number(l->model, "f1_macro", &value) && record_number(l->base, "f1_macro", &base)) {
    expect(l, l->model, "against_base.f1_macro_delta.value", value - base);
  }
  if (record_number(l->model, "confidence.mean", &value) && record_number(l->base, "confidence.mean", &base)) {
    expect(l, l->model, "against_base.confidence_delta_mean", value - base);
  }
  if (record_number(l->model, "latency_ms.median", &value) && record_number(l->base, "latency_ms.median", &base) &&
      value > 0) {
    expect(l, l->model, "against_base.speedup.value", base / value);
  }
  double ends[2], speedup;
  if (record_number(l->model, "against_base.speedup.value", &speedup) &&
      record_interval(l->model, "against_base.speedup.ci95", ends) && (speedup < ends[0] || speedup > ends[1]))
    fail(l, "against_base.speedup", "is %.10g, outside its interval [%.10g, %.10g]", speedup, ends[0], ends[1]);
  if (record_number(l->model, "against_base.kl_mean", &value) && value < 0) {
    fail(l, "against_base.kl_mean", "is %.10g, expected at least 0", value);
  }
}

// The candidate's number over the original's, or less it.
static void lint_against(struct lint *l, const char *path, const char *field, bool ratio) {
  double value, base;
  if (!record_number(l->model, path, &value) || !record_number(l->base, path, &base)) return;
  if (!ratio) {
    expect(l, l->model, field, value - base);
  } else if (base > 0) {
    expect(l, l->model, field, value / base);
  }
}

// A bootstrap interval needs its number of items.
static void lint_few(struct lint *l, const char *count, size_t n, const char *const *paths, size_t path_count) {
  double ends[2];
  for (size_t i = 0; i < path_count; i++) {
    if (n < STATS_BOOTSTRAP_ITEMS && record_interval(l->model, paths[i], ends))
      fail(l, paths[i], "is given from %zu %s, %d needed", n, count, STATS_BOOTSTRAP_ITEMS);
  }
}

static void lint_text_intervals(struct lint *l) {
  static const char *const of_texts[] = {"perplexity.ci95", "against_base.perplexity_ratio.ci95",
                                         "against_base.same_top.ci95", "against_base.kl_mean_ci95",
                                         "against_base.len_ratio.ci95"};
  static const char *const of_references[] = {"rouge.rouge1.ci95",
                                              "rouge.rouge2.ci95",
                                              "rouge.rougeL.ci95",
                                              "length_ratio.ci95",
                                              "against_base.rougeL_rel.ci95",
                                              "against_base.rouge_delta.rouge1.ci95",
                                              "against_base.rouge_delta.rouge2.ci95",
                                              "against_base.rouge_delta.rougeL.ci95"};
  size_t n;
  if (!record_is_text(l->record)) return;
  if (record_count(l->record, "dataset.n", &n)) lint_few(l, "texts", n, of_texts, sizeof of_texts / sizeof of_texts[0]);
  if (record_count(l->model, "rouge.n", &n))
    lint_few(l, "references", n, of_references, sizeof of_references / sizeof of_references[0]);
}

// What an answer ended with, and where it parts from the original's, is known of each answer.
static void lint_answers(struct lint *l) {
  static const char *const reasons[] = {"generated.finish_reason.length", "generated.finish_reason.eos",
                                        "generated.finish_reason.stop"};
  size_t n, sum = 0, count, part, references;
  if (!record_is_text(l->record) || !record_count(l->record, "dataset.n", &n)) return;
  bool ended = true;
  for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
    ended = ended && record_count(l->model, reasons[i], &count);
    sum += ended ? count : 0;
  }
  if (ended && sum != n) fail(l, "generated.finish_reason", "adds up to %zu, the data has %zu texts", sum, n);
  if (record_count(l->model, "similarity.exact.count", &count) &&
      record_count(l->model, "similarity.first_divergence.n", &part) && count + part > n)
    fail(l, "similarity.first_divergence.n", "is %zu, and %zu of %zu answers are the original's", part, count, n);
  if (record_count(l->model, "rouge.n", &count) && record_count(l->record, "dataset.references", &references) &&
      count != references)
    fail(l, "rouge.n", "is %zu, the data has %zu references", count, references);
  double value;
  if (record_number(l->model, "perplexity.value", &value)) expect(l, l->model, "similarity.perplexity", value);
  if (record_number(l->model, "against_base.same_top.value", &value))
    expect(l, l->model, "similarity.teacher_forced.value", value);
}

static void lint_text(struct lint *l) {
  size_t count, n;
  if (record_count(l->model, "similarity.exact.count", &count) && record_count(l->model, "similarity.exact.n", &n) &&
      n) {
    expect(l, l->model, "similarity.exact.value", (double)count / (double)n);
    expect(l, l->model, "against_base.identical_rate", (double)count / (double)n);
    expect_interval(l, l->model, "similarity.exact.ci95", stats_wilson(count, n, 0.95));
  }
  static const char *const spreads[] = {"similarity.char", "similarity.token_jaccard"};
  for (size_t i = 0; i < 2; i++) {
    const json_t *node = record_get(l->model, spreads[i]);
    double low, mean, high;
    if (!record_number(node, "min", &low) || !record_number(node, "mean", &mean) || !record_number(node, "max", &high))
      continue;
    if (low < 0 || low > mean + 1e-9 || mean > high + 1e-9 || high > 1)
      fail(l, spreads[i], "goes from %.10g over %.10g to %.10g, expected 0 to 1 in this order", low, mean, high);
  }
  lint_against(l, "perplexity.value", "against_base.perplexity_ratio.value", true);
  lint_against(l, "rouge.rougeL.value", "against_base.rougeL_rel.value", true);
  lint_against(l, "rouge.rouge1.value", "against_base.rouge_delta.rouge1.value", false);
  lint_against(l, "rouge.rouge2.value", "against_base.rouge_delta.rouge2.value", false);
  lint_against(l, "rouge.rougeL.value", "against_base.rouge_delta.rougeL.value", false);
}

static void lint_rates(struct lint *l) {
  static const char *const rates[] = {"accuracy.value",
                                      "precision_macro",
                                      "recall_macro",
                                      "f1_macro",
                                      "confidence.mean",
                                      "against_base.identical_rate",
                                      "against_base.mcnemar_p",
                                      "ece",
                                      "against_base.same_top.value",
                                      "rouge.rouge1.value",
                                      "rouge.rouge2.value",
                                      "rouge.rougeL.value"};
  double value;
  for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
    if (record_number(l->model, rates[i], &value) && (value < -1e-9 || value > 1 + 1e-9)) {
      fail(l, rates[i], "is %.10g, expected 0 to 1", value);
    }
  }
}

static void lint_latency_samples(struct lint *l) {
  const json_t *samples = record_get(l->model, "latency_samples_ms");
  size_t n = json_array_size(samples);
  double *x = n ? calloc(n, sizeof *x) : NULL;
  if (!x) return;
  for (size_t i = 0; i < n; i++) x[i] = json_number_value(json_array_get(samples, i));
  expect(l, l->model, "latency_ms.n", (double)n);
  expect(l, l->model, "latency_ms.mean", stats_mean(x, n));
  expect(l, l->model, "latency_ms.std", stats_std(x, n));
  stats_sort(x, n);
  expect(l, l->model, "latency_ms.min", x[0]);
  expect(l, l->model, "latency_ms.median", stats_median_sorted(x, n));
  expect(l, l->model, "latency_ms.p90", stats_percentile_sorted(x, n, 0.90));
  expect(l, l->model, "latency_ms.p95", stats_percentile_sorted(x, n, 0.95));
  expect(l, l->model, "latency_ms.p99", stats_percentile_sorted(x, n, 0.99));
  expect(l, l->model, "latency_ms.max", x[n - 1]);
  free(x);
}

static void lint_latency(struct lint *l) {
  static const char *const order[] = {"min", "median", "p90", "p95", "p99", "max"};
  static const double shares[] = {0, 0, 0.90, 0.95, 0.99, 0};
  const json_t *latency = record_get(l->model, "latency_ms");
  double before = 0, value;
  size_t n = 0;
  bool counted = record_count(latency, "n", &n);
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    if (!record_number(latency, order[i], &value)) continue;
    if (value < before * (1 - 1e-12))
      fail(l, "latency_ms", "%s is %.10g, below %.10g before it", order[i], value, before);
    before = value;
    if (shares[i] > 0 && counted && n < stats_percentile_runs(shares[i])) {
      fail(l, "latency_ms", "%s is given from %zu runs, %zu needed", order[i], n, stats_percentile_runs(shares[i]));
    }
  }
  lint_latency_samples(l);
}

static void lint_recommendations(struct lint *l) {
  const json_t *found = record_get(l->record, "recommendations");
  if (!found) return;
  json_t *expected = recommend_build(l->record);
  if (!expected) return;
  l->name = NULL;
  size_t count = json_array_size(expected);
  if (json_array_size(found) != count) {
    fail(l, "recommendations", "are %zu, the numbers support %zu", json_array_size(found), count);
  }
  for (size_t i = 0; i < count; i++) {
    const json_t *a = json_array_get(found, i), *b = json_array_get(expected, i);
    if (json_equal(a, b)) continue;
    const char *model = record_string(a, "model");
    if (model && !strcmp(model, record_string(b, "model"))) {
      fail(l, "recommendations", "%s: the reason given for %.60s is not what the numbers say",
           record_string(b, "priority"), model);
      break;
    }
    fail(l, "recommendations", "%s: %.60s, the numbers support %.60s", record_string(b, "priority"),
         model ? model : "?", record_string(b, "model"));
  }
  json_decref(expected);
}

static void lint_gate(struct lint *l) {
  const json_t *checks = record_get(l->record, "gate.checks");
  const char *verdict = record_string(l->record, "gate.verdict");
  if (!verdict || !checks) return;
  bool failed = false, open = json_array_size(checks) == 0;
  for (size_t i = 0; i < json_array_size(checks); i++) {
    const char *status = record_string(json_array_get(checks, i), "status");
    failed |= status && strcmp(status, "FAIL") == 0;
    open |= !status || strcmp(status, "INCONCLUSIVE") == 0;
  }
  const char *expected = failed ? "FAIL" : open ? "INCONCLUSIVE" : "PASS";
  l->name = NULL;
  if (strcmp(verdict, expected) != 0) fail(l, "gate.verdict", "is %.20s, the checks say %s", verdict, expected);
}

enum pare_status report_lint(const json_t *record, struct pare_error *err) {
  struct lint l = {.record = record, .base = record_model(record, 0), .err = err};
  double parameters;
  if (!json_is_object(record) || !json_is_array(record_get(record, "models")) || !l.base) {
    return error_set(err, PARE_BUG, "record has no models");
  }
  if (record_number(record, "parameters", &parameters)) expect(&l, record, "f32_bytes", 4 * parameters);
  for (size_t i = 0; l.status == PARE_OK && i < record_model_count(record); i++) {
    l.model = record_model(record, i);
    l.name = record_model_name(l.model);
    lint_size(&l);
    lint_accuracy(&l);
    lint_classes(&l);
    lint_confusion(&l);
    lint_flips(&l);
    lint_latency(&l);
    lint_differences(&l);
    lint_text(&l);
    lint_text_intervals(&l);
    lint_answers(&l);
    lint_rates(&l);
  }
  lint_recommendations(&l);
  lint_gate(&l);
  return l.status;
}
