// sections_sheet.c - see sections.h.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "report/stats.h"
#include "report/text_draw.h"
#include "study/metric.h"
#include "study/sections.h"

// What a sheet shows unless its part names metrics: those of these that the record has.
static const char *const usual[] = {
    "size_kb",
    "size_mb",
    "saved_mb",
    "size_reduction",
    "compression",
    "rss_mb",
    "memory_reduction",
    "load_ms",
    "open_ms",
    "latency_mean_ms",
    "latency_median_ms",
    "latency_min_ms",
    "latency_max_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_std_ms",
    "items_per_s",
    "throughput",
    "tokens_per_s",
    "ms_per_token",
    "accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "wrong_answers",
    "error_rate",
    "confidence_mean",
    "confidence_min",
    "confidence_max",
    "identical_rate",
    "kl_mean",
    "char_similarity",
    "char_similarity_min",
    "char_similarity_max",
    "token_jaccard",
    "token_jaccard_min",
    "token_jaccard_max",
    "exact_rate",
    "teacher_forced",
    "perplexity",
    "perplexity_mean",
    "perplexity_std",
    "rouge1",
    "rouge2",
    "rougeL",
    "length_ratio",
};

static void value_cell(struct table *t, const struct study_metric *m, const struct study_view *v) {
  struct study_value x;
  const char *reason;
  char text[64];
  if (v->model == v->base && study_metric_compares(m)) {
    table_text(t, TONE_MUTED, "–");
  } else if (study_metric_get(m, v, &x, &reason)) {
    study_metric_print(m, x.value, text, sizeof text);
    table_text(t, TONE_PLAIN, text);
  } else {
    table_text(t, TONE_MUTED, "n/a");
    table_missing(t, m->title, reason);
  }
}

// The change of the shipped candidate against the original: absolute points for shares, per cent of the original
// otherwise. In colour where the change is known to be one.
static void change_cell(struct table *t, const struct study_metric *m, const json_t *record, size_t ship) {
  struct study_view base = study_view_at(record, 0), model = study_view_at(record, ship);
  struct study_value x, y;
  const char *reason;
  if (study_metric_compares(m) || !study_metric_get(m, &base, &x, &reason) ||
      !study_metric_get(m, &model, &y, &reason)) {
    table_text(t, TONE_MUTED, "–");
    return;
  }
  static const enum tone tones[] = {[STUDY_BETTER] = TONE_GOOD,
                                    [STUDY_WORSE] = TONE_BAD,
                                    [STUDY_SAME] = TONE_PLAIN,
                                    [STUDY_UNKNOWN] = TONE_PLAIN,
                                    [STUDY_NONE] = TONE_PLAIN};
  double change = y.value - x.value;
  enum study_change judged = study_metric_judge(m, &model);
  enum tone tone = tones[judged];
  const char *mark = judged == STUDY_SAME && change != 0 ? "≈ " : "";
  if (*mark) table_note(t, "≈ no measurable change: the 95 %% interval includes equality.");
  if (!strcmp(m->unit, "%")) {
    table_cell(t, tone, "%s%+.2f points", mark, change);
  } else if (x.value == 0) {
    table_cell(t, tone, "%s%+.3g", mark, change);
  } else {
    table_cell(t, tone, "%s%+.1f %%", mark, 100 * change / x.value);
  }
}

// Kilobyte-size models in KB, the others in MB.
static bool wrong_unit(const json_t *record, const char *metric) {
  double bytes = 0;
  record_number(record_model(record, 0), "size_bytes", &bytes);
  return !strcmp(metric, bytes < 1e6 ? "size_mb" : "size_kb") || (bytes < 1e6 && !strcmp(metric, "saved_mb"));
}

static bool any_has(const json_t *record, const struct study_metric *m) {
  for (size_t i = 0; i < record_model_count(record); i++) {
    struct study_view v = study_view_at(record, i);
    struct study_value x;
    const char *reason;
    if (study_metric_get(m, &v, &x, &reason)) return true;
  }
  // A percentile that too few runs cannot give is said to be missing; what does not apply is left out.
  return !strncmp(m->name, "latency_p", 9) && record_get(record_model(record, 0), "latency_ms.n");
}

static void sheet_row(struct table *t, const json_t *record, size_t ship, const char *name) {
  const struct study_metric *m = study_metric_find(name);
  size_t count = record_model_count(record);
  if (!any_has(record, m)) return;
  table_text(t, TONE_PLAIN, m->title);
  for (size_t i = 0; i < count; i++) {
    struct study_view v = study_view_at(record, i);
    value_cell(t, m, &v);
  }
  change_cell(t, m, record, ship);
}

static void class_rows(struct table *t, const json_t *record, size_t ship) {
  enum { CLASSES_SHOWN = 12 };
  const json_t *classes = record_get(record_model(record, 0), "per_class");
  size_t n = json_array_size(classes), count = record_model_count(record);
  if (n > CLASSES_SHOWN) {
    table_note(t, "F1 per class is in the record: %zu classes.", n);
    return;
  }
  for (size_t c = 0; c < n; c++) {
    double value[2] = {0, 0}, x;
    const char *label = record_string(json_array_get(classes, c), "label");
    table_cell(t, TONE_PLAIN, "F1, %s", label ? label : "?");
    for (size_t i = 0; i < count; i++) {
      const json_t *row = json_array_get(record_get(record_model(record, i), "per_class"), c);
      if (record_number(row, "f1", &x)) {
        table_cell(t, TONE_PLAIN, "%.2f %%", 100 * x);
        if (i == 0) value[0] = x;
        if (i == ship) value[1] = x;
      } else {
        table_text(t, TONE_MUTED, "n/a");
      }
    }
    table_cell(t, TONE_PLAIN, "%+.2f points", 100 * (value[1] - value[0]));
  }
}

void sections_sheet(const json_t *part, const json_t *metrics, struct document *d) {
  const json_t *record = json_object_get(part, "record");
  size_t ship = record_find_model(record, record_string(part, "ship"));
  char change[96];
  struct table t = {.title = "Metrics"};
  table_column(&t, COLUMN_TEXT | COLUMN_USER, "Metric");
  for (size_t i = 0; i < record_model_count(record); i++)
    table_column(&t, COLUMN_USER, record_model_label(record_model(record, i)));
  snprintf(change, sizeof change, "Change, %.60s", record_string(part, "ship"));
  table_column(&t, 0, change);
  if (json_array_size(metrics)) {
    for (size_t i = 0; i < json_array_size(metrics); i++)
      sheet_row(&t, record, ship, json_string_value(json_array_get(metrics, i)));
  } else {
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
      if (!wrong_unit(record, usual[i])) sheet_row(&t, record, ship, usual[i]);
  }
  class_rows(&t, record, ship);
  document_table(d, &t);
}

// ---- bars ----

enum { BAR_COLUMNS = 48, NAME_COLUMNS = 22 };

static void bars_of(const json_t *record, const char *metric, struct document *d) {
  const struct study_metric *m = study_metric_find(metric);
  size_t count = record_model_count(record), shown = 0;
  double most = 0;
  struct buf b = {0};
  for (size_t i = 0; i < count; i++) {
    struct study_view v = study_view_at(record, i);
    struct study_value x;
    const char *reason;
    if (study_metric_get(m, &v, &x, &reason)) most = fmax(most, x.value);
  }
  if (most <= 0) return;
  buf_printf(&b, "%s\n", m->title);
  for (size_t i = 0; i < count; i++) {
    struct study_view v = study_view_at(record, i);
    struct study_value x;
    const char *reason, *name = record_model_label(v.model);
    char text[64];
    if (!study_metric_get(m, &v, &x, &reason)) continue;
    size_t used = text_add_clean(&b, name, strlen(name), NAME_COLUMNS);
    text_add_repeat(&b, " ", NAME_COLUMNS - used + 1);
    text_add_repeat(&b, "█", (size_t)lround(BAR_COLUMNS * fmax(x.value, 0) / most));
    study_metric_print(m, x.value, text, sizeof text);
    buf_printf(&b, " %s\n", text);
    shown++;
  }
  if (shown > 1) {
    document_drawing(d, &b);
  } else {
    buf_free(&b);
  }
}

void sections_bars(const json_t *part, struct document *d) {
  const json_t *record = json_object_get(part, "record");
  double bytes = 0;
  record_number(record_model(record, 0), "size_bytes", &bytes);
  bars_of(record, "latency_mean_ms", d);
  bars_of(record, bytes < 1e6 ? "size_kb" : "size_mb", d);
  bars_of(record, "confidence_mean", d);
  bars_of(record, "char_similarity", d);
}
