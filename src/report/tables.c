// tables.c - see tables.h: tables of one line per model.
#include "report/tables.h"

#include <stdio.h>

#include "report/record.h"
#include "report/tables_cells.h"
#include "report/tables_text.h"

static const double million = 1e6;

static void cell_delta(struct table *t, const json_t *model, bool original) {
  struct judging how = {.original = original, .scale = 100};
  cell_judged(t, model, "against_base.accuracy_delta", "Accuracy difference", &how);
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

static void cell_p(struct table *t, const json_t *model, bool original) {
  double p;
  if (!original && record_number(model, "against_base.mcnemar_p", &p) && p < 1e-6) {
    table_text(t, TONE_PLAIN, "<1e-6"); // digits of a smaller one say nothing more
  } else {
    cell_against(t, model, original, "against_base.mcnemar_p", "McNemar p", "%.3g", 1);
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

static void accuracy_columns(const json_t *record, struct table *t) {
  table_column(t, 0, "Accuracy %");
  column_against(t, record, "Δ points (95 %)");
  column_against(t, record, "Flips −/+");
}

static void accuracy_cells(const json_t *record, size_t i, struct table *t) {
  const json_t *m = record_model(record, i);
  bool compared = record_model_count(record) > 1;
  cell_accuracy(t, m, !compared);
  if (compared) cell_delta(t, m, i == 0);
  if (compared) cell_flips(t, m, i == 0);
}

void tables_summary(const json_t *record, struct table *t) {
  bool compared = record_model_count(record) > 1, text = record_is_text(record);
  struct size_unit unit = record_size_unit(record);
  t->title = "Summary";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, 0, unit.name);
  table_column(t, 0, "% of f32");
  column_against(t, record, "Smaller");
  (text ? text_columns_brief : accuracy_columns)(record, t);
  bool micro = record_in_microseconds(record);
  table_column(t, 0, micro ? "Median µs" : "Median ms");
  column_against(t, record, "Speedup (95 %)");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_number(t, m, "size_bytes", "Size", 1 / unit.bytes, 2);
    cell_share(t, m);
    if (compared) cell_compression(t, m, i == 0);
    (text ? text_cells_brief : accuracy_cells)(record, i, t);
    cell_number(t, m, "latency_ms.median", "Latency", micro ? 1e3 : 1, 2);
    if (compared) cell_speedup(t, m, i == 0);
  }
}

void tables_size(const json_t *record, struct table *t) {
  static const char *const kinds[][2] = {{"bytes.embedding", "Embedding"},
                                         {"bytes.linear", "Linear"},
                                         {"bytes.scale", "Scales"},
                                         {"bytes.other", "Other"}};
  struct size_unit unit = record_size_unit(record);
  t->title = "Size";
  table_column(t, COLUMN_TEXT | COLUMN_USER, "Model");
  table_column(t, COLUMN_TEXT, "Scheme");
  table_column(t, 0, unit.name);
  table_column(t, 0, "% of f32");
  column_against(t, record, "Smaller");
  for (size_t k = 0; k < 4; k++) table_column(t, 0, kinds[k][1]);
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    const char *scheme = record_string(m, "scheme");
    table_text(t, TONE_PLAIN, record_model_label(m));
    table_text(t, TONE_PLAIN, scheme ? scheme : "n/a");
    cell_number(t, m, "size_bytes", "Size", 1 / unit.bytes, 2);
    cell_share(t, m);
    if (record_model_count(record) > 1) cell_compression(t, m, i == 0);
    for (size_t k = 0; k < 4; k++) cell_number(t, m, kinds[k][0], kinds[k][1], 1 / unit.bytes, 2);
  }
  table_note(t, "%s = %s bytes of weight files, scales and zero points included; f32 = 4 bytes per parameter.",
             unit.name, unit.bytes < 1e6 ? "1,000" : "1,000,000");
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
  if (record_is_text(record)) return;
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
  if (record_is_text(record)) return;
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
  bool micro = record_in_microseconds(record);
  double scale = micro ? 1e3 : 1;
  table_column(t, 0, micro ? "Median µs" : "Median ms");
  table_column(t, 0, micro ? "p95 µs" : "p95 ms");
  table_column(t, 0, micro ? "p99 µs" : "p99 ms");
  column_against(t, record, "Speedup (95 %)");
  bool text = record_is_text(record);
  table_column(t, 0, "Items/s");
  if (text) table_column(t, 0, "ms/token");
  table_column(t, 0, "Load ms");
  table_column(t, 0, "RSS MB");
  table_column(t, 0, "Runs");
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    table_text(t, TONE_PLAIN, record_model_label(m));
    cell_number(t, m, "latency_ms.median", "Latency", scale, 2);
    cell_percentile(t, m, "p95", 0.95, scale);
    cell_percentile(t, m, "p99", 0.99, scale);
    if (record_model_count(record) > 1) cell_speedup(t, m, i == 0);
    cell_number(t, m, "throughput", "Throughput", 1, 1);
    if (text) cell_number(t, m, "generated.ms_per_token", "ms/token", 1, 3);
    cell_number(t, m, "load_ms", "Load time", 1, micro ? 3 : 1);
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
