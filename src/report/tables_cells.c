// tables_cells.c - see tables_cells.h.
#include "report/tables_cells.h"

#include <stdio.h>

#include "report/record.h"
#include "report/stats.h"

static const char better_note[] =
    "▲ measurably better, ▼ measurably worse, ≈ no measurable change: the 95 %% interval includes equality.";
void cell_missing(struct table *t, const json_t *model, const char *path, const char *what) {
  table_text(t, TONE_MUTED, "n/a");
  table_missing(t, what, record_reason(model, path));
}

void cell_number(struct table *t, const json_t *model, const char *path, const char *what, double scale, int digits) {
  double x;
  if (!record_number(model, path, &x)) {
    cell_missing(t, model, path, what);
    return;
  }
  table_cell(t, TONE_PLAIN, "%.*f", digits, x * scale);
}

struct judged judge(const double ends[2], double zero) {
  if (ends[0] > zero) return (struct judged){TONE_GOOD, "▲"};
  if (ends[1] < zero) return (struct judged){TONE_BAD, "▼"};
  return (struct judged){TONE_PLAIN, "≈"};
}

void cell_share(struct table *t, const json_t *model) {
  double share;
  if (record_number(model, "size_percent_of_f32", &share)) {
    table_cell(t, TONE_PLAIN, "%.1f %%", share);
  } else {
    cell_missing(t, model, "size_percent_of_f32", "% of f32");
  }
}

void cell_compression(struct table *t, const json_t *model, bool original) {
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

void cell_judged(struct table *t, const json_t *model, const char *path, const char *what, const struct judging *how) {
  char value_path[96], ends_path[96];
  double value, ends[2];
  snprintf(value_path, sizeof value_path, "%s.value", path);
  snprintf(ends_path, sizeof ends_path, "%s.ci95", path);
  if (how->original) {
    table_text(t, TONE_MUTED, "–");
  } else if (!record_number(model, value_path, &value) || !record_interval(model, ends_path, ends)) {
    cell_missing(t, model, path, what);
  } else {
    double turned[2] = {-ends[1], -ends[0]};
    struct judged j = how->lower_is_better ? judge(turned, -how->zero) : judge(ends, how->zero);
    double scale = how->scale, from = how->offset;
    table_note(t, better_note);
    table_cell(t, j.tone, "%s %+.2f (%+.2f to %+.2f)", j.mark, scale * (value - from), scale * (ends[0] - from),
               scale * (ends[1] - from));
  }
}

void cell_against(struct table *t, const json_t *model, bool original, const char *path, const char *what,
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

void cell_speedup(struct table *t, const json_t *model, bool original) {
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

bool record_in_microseconds(const json_t *record) {
  double median;
  return record_number(record_model(record, 0), "latency_ms.median", &median) && median < 0.1;
}

void cell_percentile(struct table *t, const json_t *model, const char *key, double p, double scale) {
  char path[48];
  double x;
  size_t n;
  snprintf(path, sizeof path, "latency_ms.%s", key);
  if (record_number(model, path, &x)) {
    table_cell(t, TONE_PLAIN, "%.2f", x * scale);
  } else if (record_count(model, "latency_ms.n", &n) && n < stats_percentile_runs(p)) {
    table_cell(t, TONE_MUTED, "n/a (n<%zu)", stats_percentile_runs(p));
  } else {
    cell_missing(t, model, path, key);
  }
}

void column_against(struct table *t, const json_t *record, const char *head) {
  if (record_model_count(record) > 1) table_column(t, 0, head);
}
