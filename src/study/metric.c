// metric.c - see metric.h. Percentages are 100 x fractions; MB is 10^6 bytes, as everywhere in the reports.
#include "study/metric.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "report/stats.h"

struct study_view study_view_at(const json_t *record, size_t i) {
  return (struct study_view){record, record_model(record, i), record_model(record, 0)};
}

static bool none(const json_t *node, const char *path, const char **reason) {
  *reason = record_reason(node, path);
  return false;
}

static void interval(const json_t *node, const struct study_metric *m, struct study_value *out) {
  double ends[2];
  out->has_interval = m->ci && record_interval(node, m->ci, ends);
  if (!out->has_interval) return;
  out->low = ends[0] * m->scale;
  out->high = ends[1] * m->scale;
}

static bool direct(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                   const char **reason) {
  if (!record_number(v->model, m->path, &out->value)) return none(v->model, m->path, reason);
  out->value *= m->scale;
  interval(v->model, m, out);
  return true;
}

// value(model) / value(original), from the two medians or sizes.
static bool ratio(const struct study_view *v, const char *path, double *out, const char **reason) {
  double base, model;
  if (!record_number(v->base, path, &base) || base <= 0) return none(v->base, path, reason);
  if (!record_number(v->model, path, &model)) return none(v->model, path, reason);
  *out = model / base;
  return true;
}

static bool reduction(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                      const char **reason) {
  double r;
  if (!ratio(v, m->path, &r, reason)) return false;
  out->value = (1 - r) * m->scale;
  return true;
}

// A stored ratio of the candidate's to the original's as an increase.
static bool increase(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                     const char **reason) {
  if (!direct(v, m, out, reason)) return false;
  out->value -= m->scale;
  out->low -= m->scale;
  out->high -= m->scale;
  return true;
}

static bool difference(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                       const char **reason) {
  double base, model;
  if (!record_number(v->base, m->path, &base)) return none(v->base, m->path, reason);
  if (!record_number(v->model, m->path, &model)) return none(v->model, m->path, reason);
  out->value = (base - model) * m->scale;
  return true;
}

// A stored difference (candidate minus original) turned into a drop.
static bool drop(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                 const char **reason) {
  if (!direct(v, m, out, reason)) return false;
  out->value = 0 - out->value;
  double low = out->low;
  out->low = 0 - out->high;
  out->high = 0 - low;
  return true;
}

static bool per_second(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                       const char **reason) {
  double ms;
  if (!record_number(v->model, m->path, &ms) || ms <= 0) return none(v->model, m->path, reason);
  out->value = m->scale / ms;
  return true;
}

static bool per_second_gain(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                            const char **reason) {
  double r;
  if (!ratio(v, m->path, &r, reason) || r <= 0) return false;
  out->value = (1 / r - 1) * m->scale;
  return true;
}

static bool wrong_answers(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                          const char **reason) {
  (void)m;
  size_t n, correct;
  if (!record_count(v->model, "accuracy.n", &n) || !record_count(v->model, "accuracy.correct", &correct))
    return none(v->model, "accuracy", reason);
  out->value = (double)(n - correct);
  return true;
}

static bool flip_rate(const struct study_view *v, const struct study_metric *m, struct study_value *out,
                      const char **reason) {
  size_t n, changed;
  if (!record_count(v->model, "against_base.n", &n) || n == 0 ||
      !record_count(v->model, "against_base.flips.changed", &changed))
    return none(v->model, "against_base.flips", reason);
  struct stats_interval i = stats_wilson(changed, n, 0.95);
  *out = (struct study_value){m->scale * (double)changed / (double)n, true, m->scale * i.low, m->scale * i.high};
  return true;
}

#define LATENCY "latency_ms."
static const struct study_metric metrics[] = {
    {"size_kb", "Model size", "kB", 2, true, direct, "size_bytes", NULL, 1e-3},
    {"size_mb", "Model size", "MB", 2, true, direct, "size_bytes", NULL, 1e-6},
    {"saved_mb", "Disk saved", "MB", 2, false, difference, "size_bytes", NULL, 1e-6},
    {"size_reduction", "Size reduction", "%", 1, false, reduction, "size_bytes", NULL, 100},
    {"compression", "Compression", "x", 2, false, direct, "compression", NULL, 1},
    {"rss_mb", "Memory at its peak", "MB", 1, true, direct, "rss_bytes", NULL, 1e-6},
    {"memory_saved_mb", "Memory saved", "MB", 1, false, difference, "rss_bytes", NULL, 1e-6},
    {"memory_reduction", "Memory reduction", "%", 1, false, reduction, "rss_bytes", NULL, 100},
    {"load_ms", "Load time (weights)", "ms", 2, true, direct, "load_ms", NULL, 1},
    {"open_ms", "Start-up (all of opening)", "ms", 2, true, direct, "open_ms", NULL, 1},
    {"latency_mean_ms", "Mean latency", "ms", 3, true, direct, LATENCY "mean", NULL, 1},
    {"latency_median_ms", "Median latency", "ms", 3, true, direct, LATENCY "median", NULL, 1},
    {"latency_min_ms", "Min latency", "ms", 3, true, direct, LATENCY "min", NULL, 1},
    {"latency_max_ms", "Max latency", "ms", 3, true, direct, LATENCY "max", NULL, 1},
    {"latency_p90_ms", "P90 latency", "ms", 3, true, direct, LATENCY "p90", LATENCY "p90_ci95", 1},
    {"latency_p95_ms", "P95 latency", "ms", 3, true, direct, LATENCY "p95", LATENCY "p95_ci95", 1},
    {"latency_p99_ms", "P99 latency", "ms", 3, true, direct, LATENCY "p99", LATENCY "p99_ci95", 1},
    {"latency_std_ms", "Latency std dev", "ms", 3, true, direct, LATENCY "std", NULL, 1},
    {"latency_reduction", "Mean latency reduction", "%", 1, false, reduction, LATENCY "mean", NULL, 100},
    {"speedup", "Speedup (medians)", "x", 3, false, direct, "against_base.speedup.value", "against_base.speedup.ci95",
     1},
    {"items_per_s", "Items per second, one at a time", "/s", 1, false, per_second, LATENCY "mean", NULL, 1e3},
    {"throughput_gain", "Throughput gain, one at a time", "%", 1, false, per_second_gain, LATENCY "mean", NULL, 100},
    {"throughput", "Throughput, batched evaluation", "/s", 1, false, direct, "throughput", "throughput_ci95", 1},
    {"accuracy", "Accuracy", "%", 2, false, direct, "accuracy.value", "accuracy.ci95", 100},
    {"accuracy_drop_pp", "Accuracy drop (absolute)", "points", 2, true, drop, "against_base.accuracy_delta.value",
     "against_base.accuracy_delta.ci95", 100},
    {"relative_accuracy", "Accuracy relative to the original", "%", 2, false, direct,
     "against_base.relative_accuracy.value", "against_base.relative_accuracy.ci95", 100},
    {"precision_macro", "Precision (macro)", "%", 2, false, direct, "precision_macro", NULL, 100},
    {"recall_macro", "Recall (macro)", "%", 2, false, direct, "recall_macro", NULL, 100},
    {"f1_macro", "F1 (macro)", "%", 2, false, direct, "f1_macro", NULL, 100},
    {"confidence_mean", "Mean confidence", "%", 2, false, direct, "confidence.mean", "confidence.mean_ci95", 100},
    {"confidence_min", "Min confidence", "%", 2, false, direct, "confidence.min", NULL, 100},
    {"confidence_max", "Max confidence", "%", 2, false, direct, "confidence.max", NULL, 100},
    {"confidence_drop_pp", "Mean confidence drop (absolute)", "points", 3, true, drop,
     "against_base.confidence_delta_mean", "against_base.confidence_delta_mean_ci95", 100},
    {"error_rate", "Error rate (no answer)", "%", 2, true, direct, "errors.value", "errors.ci95", 100},
    {"wrong_answers", "Wrong answers", "items", 0, true, wrong_answers, NULL, NULL, 1},
    {"identical_rate", "Same answer as the original", "%", 2, false, direct, "against_base.identical_rate", NULL, 100},
    {"flip_rate", "Changed answers", "%", 3, true, flip_rate, NULL, NULL, 100},
    {"kl_mean", "Mean KL divergence", "nats", 6, true, direct, "against_base.kl_mean", "against_base.kl_mean_ci95", 1},
    {"char_similarity", "Character similarity, mean", "%", 2, false, direct, "similarity.char.mean", NULL, 100},
    {"char_similarity_min", "Character similarity, min", "%", 2, false, direct, "similarity.char.min", NULL, 100},
    {"char_similarity_max", "Character similarity, max", "%", 2, false, direct, "similarity.char.max", NULL, 100},
    {"token_jaccard", "Token overlap (Jaccard), mean", "%", 2, false, direct, "similarity.token_jaccard.mean", NULL,
     100},
    {"token_jaccard_min", "Token overlap (Jaccard), min", "%", 2, false, direct, "similarity.token_jaccard.min", NULL,
     100},
    {"token_jaccard_max", "Token overlap (Jaccard), max", "%", 2, false, direct, "similarity.token_jaccard.max", NULL,
     100},
    {"exact_rate", "Identical outputs", "%", 1, false, direct, "similarity.exact.value", "similarity.exact.ci95", 100},
    {"teacher_forced", "Teacher-forced agreement", "%", 2, false, direct, "similarity.teacher_forced.value",
     "similarity.teacher_forced.ci95", 100},
    {"perplexity", "Perplexity (corpus)", "", 3, true, direct, "perplexity.value", "perplexity.ci95", 1},
    {"perplexity_mean", "Perplexity, mean over texts", "", 3, true, direct, "perplexity.mean", NULL, 1},
    {"perplexity_std", "Perplexity, std dev over texts", "", 3, true, direct, "perplexity.std", NULL, 1},
    {"perplexity_increase", "Perplexity increase", "%", 3, true, increase, "against_base.perplexity_ratio.value",
     "against_base.perplexity_ratio.ci95", 100},
    {"rougeL_drop_pp", "ROUGE-L drop (absolute)", "points", 2, true, drop, "against_base.rouge_delta.rougeL.value",
     "against_base.rouge_delta.rougeL.ci95", 100},
    {"rouge1", "ROUGE-1", "%", 2, false, direct, "rouge.rouge1.value", "rouge.rouge1.ci95", 100},
    {"rouge2", "ROUGE-2", "%", 2, false, direct, "rouge.rouge2.value", "rouge.rouge2.ci95", 100},
    {"rougeL", "ROUGE-L", "%", 2, false, direct, "rouge.rougeL.value", "rouge.rougeL.ci95", 100},
    {"length_ratio", "Length against the original's", "x", 3, false, direct, "against_base.len_ratio.value",
     "against_base.len_ratio.ci95", 1},
    {"tokens_per_s", "Tokens per second", "/s", 1, false, direct, "generated.tokens_per_s", NULL, 1},
    {"ms_per_token", "Time per token", "ms", 3, true, direct, "generated.ms_per_token", NULL, 1},
};

const struct study_metric *study_metrics(size_t *count) {
  *count = sizeof metrics / sizeof metrics[0];
  return metrics;
}

const struct study_metric *study_metric_find(const char *name) {
  for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++)
    if (!strcmp(metrics[i].name, name)) return &metrics[i];
  return NULL;
}

bool study_metric_get(const struct study_metric *m, const struct study_view *v, struct study_value *out,
                      const char **reason) {
  *out = (struct study_value){0};
  *reason = "not in the record";
  return m->get(v, m, out, reason);
}

bool study_metric_compares(const struct study_metric *m) {
  static const char *const prefixes[] = {"against_base", "similarity", "compression"};
  if (m->get != direct && m->get != per_second && m->get != wrong_answers) return true;
  for (size_t i = 0; m->path && i < sizeof prefixes / sizeof prefixes[0]; i++)
    if (!strncmp(m->path, prefixes[i], strlen(prefixes[i]))) return true;
  return false;
}

void study_metric_print(const struct study_metric *m, double value, char *text, size_t size) {
  if (!strcmp(m->unit, "ms") && value != 0 && fabs(value) < 0.1) { // a linear classifier answers in a microsecond
    snprintf(text, size, "%.*f µs", m->digits, 1e3 * value);
    return;
  }
  const char *space = *m->unit && strcmp(m->unit, "x") != 0 && strcmp(m->unit, "/s") != 0 ? " " : "";
  snprintf(text, size, "%.*f%s%s", m->digits, value, space, strcmp(m->unit, "x") ? m->unit : "×");
}

static enum study_change side(double low, double high, double equal, bool lower_is_better) {
  if (low > equal) return lower_is_better ? STUDY_WORSE : STUDY_BETTER;
  if (high < equal) return lower_is_better ? STUDY_BETTER : STUDY_WORSE;
  return STUDY_SAME;
}

enum study_change study_metric_judge(const struct study_metric *m, const struct study_view *v) {
  static const struct {
    const char *metric, *interval;
    double equal;
    bool lower_is_better; // of the interval's number, whatever the metric's
  } rows[] = {{"accuracy", "against_base.accuracy_delta.ci95", 0, false},
              {"f1_macro", "against_base.f1_macro_delta.ci95", 0, false},
              {"rouge1", "against_base.rouge_delta.rouge1.ci95", 0, false},
              {"rouge2", "against_base.rouge_delta.rouge2.ci95", 0, false},
              {"rougeL", "against_base.rouge_delta.rougeL.ci95", 0, false},
              {"perplexity", "against_base.perplexity_ratio.ci95", 1, true},
              {"latency_median_ms", "against_base.speedup.ci95", 1, false}};
  static const char *const counted[] = {"size_kb", "size_mb", "saved_mb", "size_reduction", "compression"};
  struct study_view original = {v->record, v->base, v->base};
  struct study_value x, y;
  const char *reason;
  double ends[2];
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (strcmp(m->name, rows[i].metric) != 0) continue;
    if (!record_interval(v->model, rows[i].interval, ends)) return STUDY_UNKNOWN;
    return side(ends[0], ends[1], rows[i].equal, rows[i].lower_is_better);
  }
  for (size_t i = 0; i < sizeof counted / sizeof counted[0]; i++) {
    if (strcmp(m->name, counted[i]) != 0) continue;
    if (!study_metric_get(m, &original, &x, &reason) || !study_metric_get(m, v, &y, &reason)) return STUDY_UNKNOWN;
    return side(y.value, y.value, x.value, m->lower_is_better);
  }
  return STUDY_NONE;
}
