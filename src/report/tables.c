// tables.c - see tables.h: tables of one line per model.
#include "report/tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "report/stats.h"

static const char better_note[] =
    "▲ measurably better, ▼ measurably worse, ≈ no measurable change: the 95 %% interval includes equality.";
static const double million = 1e6;

// "n/a", with the reason as a note below the table.
static void cell_missing(struct table *t, const json_t *model, const char *path, const char *what) {
  table_text(t, TONE_MUTED, "n/a");
  table_missing(t, what, record_reason(model, path));
}

static void cell_number(struct table *t, const json_t *model, const char *path, const char *what, double scale,
                        int digits) {
  double x;
  if (!record_number(model, path, &x)) {
    cell_missing(t, model, path, what);
    return;
  }
  table_cell(t, TONE_PLAIN, "%.*f", digits, x * scale);
}

// Measurably above zero, below, or neither.
struct judged {
  enum tone tone;
  const char *mark;
};
static struct judged judge(const double ends[2], double zero) {
  if (ends[0] > zero) return (struct judged){TONE_GOOD, "▲"};
  if (ends[1] < zero) return (struct judged){TONE_BAD, "▼"};
  return (struct judged){TONE_PLAIN, "≈"};
}

static void cell_share(struct table *t, const json_t *model) {
  double share;
  if (record_number(model, "size_percent_of_f32", &share)) {
    table_cell(t, TONE_PLAIN, "%.1f %%", share);
  } else {
    cell_missing(t, model, "size_percent_of_f32", "% of f32");
  }
}

static void cell_compression(struct table *t, const json_t *model, bool original) {
  double x;
  if (!record_number(model, "compression", &x)) {
    cell_missing(t, model, "compression", "Compression");
  } else if (original) {
    table_cell(t, TONE_MUTED, "%.2f×", x);
  } else {
    if (x <= 1) table_note(t, "A compression of 1.00× or less is not smaller than the original's file.");
    table_cell(t, x > 1 ? TONE_GOOD : TONE_BAD, x > 1 ? "%.2f×" : "%.2f× ▼", x);
  }
}

static void cell_delta(struct table *t, const json_t *model, bool original) {
  double value, ends[2];
  if (original) {
    table_text(t, TONE_MUTED, "–");
  } else if (!record_number(model, "against_base.accuracy_delta.value", &value) ||
             !record_interval(model, "against_base.accuracy_delta.ci95", ends)) {
    cell_missing(t, model, "against_base.accuracy_delta", "Accuracy difference");
  } else {
    struct judged j = judge(ends, 0);
    table_note(t, better_note);
    table_cell(t, j.tone, "%s %+.2f (%+.2f to %+.2f)", j.mark, 100 * value, 100 * ends[0], 100 * ends[1]);
  }
}

static void cell_flips(struct table *t, const json_t *model, bool original) {
  size_t lost, won;
  if (original) {
    table_text(t, TONE_MUTED, "–");
  } else if (record_count(model, "against_base.flips.right_to_wrong", &lost) &&
             record_count(model, "against_base.flips.wrong_to_right", &won)) {
    table_cell(t, TONE_PLAIN, "%zu / %zu", lost, won);
  } else {
    cell_missing(t, model, "against_base.flips", "Flips");
  }
}

static void cell_against(struct table *t, const json_t *model, bool original, const char *path, const char *what,
                         const char *format, double scale) {
  double x;
  char text[64];
  if (original) {
    table_text(t, TONE_MUTED, "–");
  } else if (record_number(model, path, &x)) {
    snprintf(text, sizeof text, format, x * scale);
    table_text(t, TONE_PLAIN, text);
  } else {
    cell_missing(t, model, path, what);
  }
}

static void cell_p(struct table *t, const json_t *model, bool original) {
  double p;
  if (!original && record_number(model, "against_base.mcnemar_p", &p) && p < 1e-6) {
    table_text(t, TONE_PLAIN, "<1e-6"); // digits of a smaller one say nothing more
  } else {
    cell_against(t, model, original, "against_base.mcnemar_p", "McNemar p", "%.3g", 1);
  }
}

static void cell_speedup(struct table *t, const json_t *model, bool original) {
  double value, ends[2];
  if (original) {
    table_text(t, TONE_MUTED, "–");
  } else if (!record_number(model, "against_base.speedup.value", &value)) {
    cell_missing(t, model, "against_base.speedup", "Speedup");
  } else if (!record_interval(model, "against_base.speedup.ci95", ends)) {
    table_cell(t, TONE_PLAIN, "%.2f×", value);
    table_note(t, "A speedup without an interval is not judged.");
  } else {
    struct judged j = judge(ends, 1);
    table_note(t, better_note);
    table_cell(t, j.tone, "%s %.2f× (%.2f to %.2f)", j.mark, value, ends[0], ends[1]);
  }
}

// A percentile, or "n/a (n<299)" when the runs are too few for it.
static void cell_percentile(struct table *t, const json_t *model, const char *key, double p) {
  char path[48];
  double x;
  size_t n;
  snprintf(path, sizeof path, "latency_ms.%s", key);
  if (record_number(model, path, &x)) {
    table_cell(t, TONE_PLAIN, "%.2f", x);
  } else if (record_count(model, "latency_ms.n", &n) && n < stats_percentile_runs(p)) {
    table_cell(t, TONE_MUTED, "n/a (n<%zu)", stats_percentile_runs(p));
  } else {
    cell_missing(t, model, path, key);
  }
}

static void cell_accuracy(struct table *t, const json_t *model, bool interval) {
  double value, ends[2];
  if (!record_number(model, "accuracy.value", &value)) {
    cell_missing(t, model, "accuracy", "Accuracy");
  } else if (interval && record_interval(model, "accuracy.ci95", ends)) {
    table_cell(t, TONE_PLAIN, "%.2f (%.2f–%.2f)", 100 * value, 100 * ends[0], 100 * ends[1]);
  } else {
    table_cell(t, TONE_PLAIN, "%.2f", 100 * value);
  }
}

// Columns that only a comparison has.
static void column_against(struct table *t, const json_t *record, const char *head) {
  if (record_model_count(record) > 1) table_column(t, 0, head);
}

void tables_summary(const json_t *record, struct table *t) {
  bool compared = record_model_count(record) > 1;
  t->title = "Summary";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, 0, "MB");
  table_column(t, 0, "% of f32");
  column_against(t, record, "Smaller");
  table_column(t, 0, "Accuracy %");
  column_against(t, record, "Δ points (95 %)");
  column_against(t, record, "Flips −/+");
  table_column(t, 0, "Median ms");
  column_against(t, record, "Speedup (95 %)");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_number(t, m, "size_bytes", "Size", 1 / million, 2);
    cell_share(t, m);
    if (compared) cell_compression(t, m, i == 0);
    cell_accuracy(t, m, !compared);
    if (compared) cell_delta(t, m, i == 0);
    if (compared) cell_flips(t, m, i == 0);
    cell_number(t, m, "latency_ms.median", "Latency", 1, 2);
    if (compared) cell_speedup(t, m, i == 0);
  }
}

void tables_size(const json_t *record, struct table *t) {
  static const char *const kinds[][2] = {{"bytes.embedding", "Embedding"},
                                         {"bytes.linear", "Linear"},
                                         {"bytes.scale", "Scales"},
                                         {"bytes.other", "Other"}};
  t->title = "Size";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT, "Scheme");
  table_column(t, 0, "MB");
  table_column(t, 0, "% of f32");
  column_against(t, record, "Smaller");
  for (size_t k = 0; k < 4; k++) table_column(t, 0, kinds[k][1]);
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    const char *scheme = record_string(m, "scheme");
    table_text(t, TONE_PLAIN, record_model_label(m));
    table_text(t, TONE_PLAIN, scheme ? scheme : "n/a");
    cell_number(t, m, "size_bytes", "Size", 1 / million, 2);
    cell_share(t, m);
    if (record_model_count(record) > 1) cell_compression(t, m, i == 0);
    for (size_t k = 0; k < 4; k++) cell_number(t, m, kinds[k][0], kinds[k][1], 1 / million, 2);
  }
  table_note(t, "MB = 1,000,000 bytes of weight files, scales and zero points included; f32 = 4 bytes per parameter.");
}

// What a reader must know of how a candidate was made before believing its figures.
static void note_preparation(struct table *t, const json_t *model) {
  if (json_is_true(record_get(model, "calibration.same_data")))
    table_note(t, "%s was calibrated on the file it is judged on here: its figures flatter it.",
               record_model_label(model));
  if (record_get(model, "pruning"))
    table_note(t, "%s: a pruned weight is stored as a zero like any other value, neither smaller nor faster.",
               record_model_label(model));
}

void tables_accuracy(const json_t *record, struct table *t) {
  bool compared = record_model_count(record) > 1;
  t->title = "Accuracy";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, 0, "Accuracy % (95 %)");
  column_against(t, record, "Δ points (95 %)");
  column_against(t, record, "Rel. %");
  column_against(t, record, "Flips −/+");
  column_against(t, record, "McNemar p");
  table_column(t, 0, "F1 macro");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_accuracy(t, m, true);
    if (compared) {
      cell_delta(t, m, i == 0);
      cell_against(t, m, i == 0, "against_base.relative_accuracy.value", "Relative accuracy", "%.2f", 100);
      cell_flips(t, m, i == 0);
      cell_p(t, m, i == 0);
    }
    cell_number(t, m, "f1_macro", "F1", 1, 4);
    note_preparation(t, m);
  }
  if (compared) table_note(t, "Flips: right to wrong / wrong to right, against the original on the same items.");
}

void tables_agreement(const json_t *record, struct table *t) {
  bool compared = record_model_count(record) > 1;
  t->title = compared ? "Agreement and confidence" : "Confidence";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  column_against(t, record, "Same answer %");
  column_against(t, record, "KL mean");
  column_against(t, record, "KL max");
  table_column(t, 0, "Confidence %");
  column_against(t, record, "Δ points");
  table_column(t, 0, "ECE");
  table_column(t, 0, "Brier");
  table_column(t, 0, "NLL");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    if (compared) {
      cell_against(t, m, i == 0, "against_base.identical_rate", "Same answer", "%.2f", 100);
      cell_against(t, m, i == 0, "against_base.kl_mean", "KL", "%.2e", 1);
      cell_against(t, m, i == 0, "against_base.kl_max", "KL", "%.2e", 1);
    }
    cell_number(t, m, "confidence.mean", "Confidence", 100, 2);
    if (compared)
      cell_against(t, m, i == 0, "against_base.confidence_delta_mean", "Confidence difference", "%+.3f", 100);
    cell_number(t, m, "ece", "ECE", 1, 4);
    cell_number(t, m, "brier", "Brier", 1, 4);
    cell_number(t, m, "nll", "NLL", 1, 4);
  }
  table_note(t, "Confidence is the score of the answer given, right or wrong; it is not accuracy.");
}

void tables_speed(const json_t *record, struct table *t) {
  t->title = "Speed and memory";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, 0, "Median ms");
  table_column(t, 0, "p95 ms");
  table_column(t, 0, "p99 ms");
  column_against(t, record, "Speedup (95 %)");
  table_column(t, 0, "Items/s");
  table_column(t, 0, "Load ms");
  table_column(t, 0, "RSS MB");
  table_column(t, 0, "Runs");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_number(t, m, "latency_ms.median", "Latency", 1, 2);
    cell_percentile(t, m, "p95", 0.95);
    cell_percentile(t, m, "p99", 0.99);
    if (record_model_count(record) > 1) cell_speedup(t, m, i == 0);
    cell_number(t, m, "throughput", "Throughput", 1, 1);
    cell_number(t, m, "load_ms", "Load time", 1, 1);
    cell_number(t, m, "rss_bytes", "Memory", 1 / million, 1);
    cell_number(t, m, "latency_ms.n", "Runs", 1, 0);
  }
}

// Rows are classes, in the order of the first model that has any.
void tables_classes(const json_t *record, struct table *t) {
  size_t models = record_model_count(record);
  const json_t *rows = NULL;
  for (size_t i = 0; i < models && !rows; i++) rows = record_get(record_model(record, i), "per_class");
  t->title = "F1 per class";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Class");
  table_column(t, 0, "Items");
  for (size_t i = 0; i < models; i++) table_column(t, COLUMN_USER, record_model_label(record_model(record, i)));
  for (size_t k = 0; k < json_array_size(rows); k++) {
    const json_t *first = json_array_get(rows, k);
    const char *label = record_string(first, "label");
    size_t support;
    table_text(t, TONE_PLAIN, label ? label : "?");
    if (record_count(first, "support", &support)) {
      table_cell(t, TONE_PLAIN, "%zu", support);
    } else {
      table_text(t, TONE_MUTED, "n/a");
    }
    for (size_t i = 0; i < models; i++) {
      char path[64], delta[64];
      double ends[2];
      snprintf(path, sizeof path, "per_class.%zu.f1", k);
      snprintf(delta, sizeof delta, "against_base.per_class_f1_delta.%zu.ci95", k);
      const json_t *m = record_model(record, i);
      double f1;
      if (!record_number(m, path, &f1)) {
        cell_missing(t, m, "per_class", record_model_label(m));
      } else if (record_interval(m, delta, ends) && (ends[0] > 0 || ends[1] < 0)) {
        struct judged j = judge(ends, 0);
        table_cell(t, j.tone, "%s %.4f", j.mark, f1);
        table_note(t, "▲ ▼: the 95 %% interval of the difference to the original does not span zero.");
      } else {
        table_cell(t, TONE_PLAIN, "%.4f", f1);
      }
    }
  }
}
