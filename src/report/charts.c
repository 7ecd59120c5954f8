// charts.c - see charts.h: size and accuracy.
#include "report/charts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html.h"
#include "report/record.h"
#include "report/svg.h"

enum { ROW = 34, LABEL_WIDTH = 138, LABEL_COLUMNS = 15, TOP = 10, BOTTOM = 30 };

static double row_y(size_t i) {
  return TOP + ROW * ((double)i + 0.5);
}

static void row_label(const json_t *record, size_t i, struct buf *out) {
  svg_text(out, LABEL_WIDTH - 10, row_y(i) + 4.5, "end", "name", record_model_label(record_model(record, i)),
           LABEL_COLUMNS);
}

static const char *const kinds[] = {"embedding", "linear", "scale", "other"};
static const char *const kind_names[] = {"Embedding", "Linear", "Scales, zero points", "Other"};

static void size_legend(double y, struct buf *out) {
  double x = LABEL_WIDTH;
  for (size_t k = 0; k < 4; k++) {
    buf_printf(out, "<rect class=\"k%zu\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" rx=\"2\"/>", k, x, y - 10);
    svg_text(out, x + 18, y, "start", "tick", kind_names[k], 40);
    x += 38 + 7.0 * (double)strlen(kind_names[k]);
  }
}

static void size_row(const json_t *record, size_t i, const struct svg_axis *axis, struct buf *out) {
  const json_t *m = record_model(record, i);
  double sum = 0, part, size = 0, share = 0;
  char path[32], text[96];
  struct size_unit unit = record_size_unit(record);
  row_label(record, i, out);
  for (size_t k = 0; k < 4; k++) {
    snprintf(path, sizeof path, "bytes.%s", kinds[k]);
    if (!record_number(m, path, &part) || part <= 0) continue;
    double x = svg_axis_x(axis, sum), width = svg_axis_x(axis, sum + part) - x;
    buf_printf(
        out,
        "<rect class=\"k%zu\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"18\"><title>%s: %.2f %s</title></rect>", k,
        x, row_y(i) - 9, width, kind_names[k], part / unit.bytes, unit.name);
    sum += part;
  }
  if (!record_number(m, "size_bytes", &size)) {
    svg_text(out, LABEL_WIDTH + 6, row_y(i) + 4.5, "start", "tick", "n/a", 8);
    return;
  }
  if (sum <= 0) {
    buf_printf(out, "<rect class=\"k3\" x=\"%.1f\" y=\"%.1f\" width=\"%.2f\" height=\"18\"/>", axis->x0, row_y(i) - 9,
               svg_axis_x(axis, size) - axis->x0);
  }
  bool known = record_number(m, "size_percent_of_f32", &share);
  snprintf(text, sizeof text, known ? "%.2f %s · %.1f %%" : "%.2f %s", size / unit.bytes, unit.name, share);
  svg_text(out, svg_axis_x(axis, fmax(size, sum)) + 8, row_y(i) + 4.5, "start", "value", text, 40);
}

void chart_size(const json_t *record, struct buf *out) {
  size_t n = record_model_count(record), known = 0;
  double max = 0, size;
  for (size_t i = 0; i < n; i++) {
    if (!record_number(record_model(record, i), "size_bytes", &size)) continue;
    max = fmax(max, size);
    known++;
  }
  if (known == 0) return;
  double bottom = TOP + ROW * (double)n;
  // Not svg_axis_make's round end: the longest bar leaves room for its own label.
  struct svg_axis axis = {.low = 0, .high = max, .x0 = LABEL_WIDTH, .x1 = SVG_WIDTH - 150};
  svg_open(out, "c-size", SVG_WIDTH, bottom + BOTTOM, "Size of the weight files by kind",
           "One bar per model, divided into embedding, linear, scales and other; the table beside it has the numbers.");
  for (size_t i = 0; i < n; i++) size_row(record, i, &axis, out);
  size_legend(bottom + 20, out);
  svg_close(out);
}

// Value and interval of every model at two paths; models without are skipped.
struct whisker {
  double value, ends[2];
};

static bool whisker_read(const json_t *record, size_t i, const char *object, struct whisker *w) {
  char value[64], ends[64];
  snprintf(value, sizeof value, "%s.value", object);
  snprintf(ends, sizeof ends, "%s.ci95", object);
  const json_t *m = record_model(record, i);
  return record_number(m, value, &w->value) && record_interval(m, ends, w->ends);
}

static void whisker_draw(const struct svg_axis *axis, const struct whisker *w, size_t i, const char *css,
                         struct buf *out) {
  double y = row_y(i), low = svg_axis_x(axis, w->ends[0]), high = svg_axis_x(axis, w->ends[1]);
  buf_printf(out, "<path class=\"whisker %s\" d=\"M%.1f %.1fH%.1fM%.1f %.1fV%.1fM%.1f %.1fV%.1f\"/>", css, low, y, high,
             low, y - 6, y + 6, high, y - 6, y + 6);
}

static bool whisker_range(const json_t *record, const char *object, double *low, double *high) {
  bool any = false;
  for (size_t i = 0; i < record_model_count(record); i++) {
    struct whisker w;
    if (!whisker_read(record, i, object, &w)) continue;
    *low = any ? fmin(*low, w.ends[0]) : w.ends[0];
    *high = any ? fmax(*high, w.ends[1]) : w.ends[1];
    any = true;
  }
  return any;
}

void chart_accuracy(const json_t *record, struct buf *out) {
  double low, high, base;
  size_t n = record_model_count(record);
  if (!whisker_range(record, "accuracy", &low, &high)) return;
  double bottom = TOP + ROW * (double)n;
  struct svg_axis axis = svg_axis_make(low, high, LABEL_WIDTH, SVG_WIDTH - 78);
  svg_open(out, "c-accuracy", SVG_WIDTH, bottom + BOTTOM, "Accuracy with 95 % intervals",
           "One dot per model with its Wilson interval; the dashed line is the original.");
  svg_axis_draw(&axis, TOP, bottom, 100, " %", out);
  if (record_number(record_model(record, 0), "accuracy.value", &base)) {
    double x = svg_axis_x(&axis, base);
    buf_printf(out, "<line class=\"reference\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/>", x, x, TOP, bottom);
  }
  for (size_t i = 0; i < n; i++) {
    struct whisker w;
    char text[32] = "n/a";
    row_label(record, i, out);
    if (whisker_read(record, i, "accuracy", &w)) {
      whisker_draw(&axis, &w, i, "plain", out);
      buf_printf(out, "<circle class=\"dot plain\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", svg_axis_x(&axis, w.value),
                 row_y(i));
      snprintf(text, sizeof text, "%.2f %%", 100 * w.value);
    }
    svg_text(out, SVG_WIDTH - 4, row_y(i) + 4.5, "end", "value", text, 12);
  }
  svg_close(out);
}

static void delta_row(const json_t *record, size_t i, const struct svg_axis *axis, struct buf *out) {
  struct whisker w;
  char text[48] = "n/a";
  row_label(record, i, out);
  if (i == 0) {
    snprintf(text, sizeof text, "original");
  } else if (whisker_read(record, i, "against_base.accuracy_delta", &w)) {
    bool better = w.ends[0] > 0, worse = w.ends[1] < 0;
    const char *css = better ? "good" : worse ? "bad" : "plain";
    double x = svg_axis_x(axis, w.value), y = row_y(i);
    whisker_draw(axis, &w, i, css, out);
    if (better || worse) {
      buf_printf(out, "<path class=\"dot %s\" transform=\"translate(%.1f %.1f) scale(%d)\" d=\"M0-6 6 5H-6Z\"/>", css,
                 x, y, better ? 1 : -1);
    } else {
      buf_printf(out, "<circle class=\"dot plain\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>", x, y);
    }
    snprintf(text, sizeof text, "%s %+.2f", better ? "▲" : worse ? "▼" : "≈", 100 * w.value);
  }
  svg_text(out, SVG_WIDTH - 4, row_y(i) + 4.5, "end", i ? "value" : "tick", text, 12);
}

void chart_delta(const json_t *record, struct buf *out) {
  double low, high;
  size_t n = record_model_count(record);
  if (!whisker_range(record, "against_base.accuracy_delta", &low, &high)) return;
  double bottom = TOP + ROW * (double)n;
  struct svg_axis axis = svg_axis_make(fmin(low, 0), fmax(high, 0), LABEL_WIDTH, SVG_WIDTH - 78);
  svg_open(out, "c-delta", SVG_WIDTH, bottom + BOTTOM, "Accuracy difference to the original, with 95 % intervals",
           "In percentage points. An interval that crosses the dashed zero line is no measurable change.");
  svg_axis_draw(&axis, TOP, bottom, 100, " pp", out);
  double zero = svg_axis_x(&axis, 0);
  buf_printf(out, "<line class=\"reference\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%.1f\"/>", zero, zero, TOP, bottom);
  for (size_t i = 0; i < n; i++) delta_row(record, i, &axis, out);
  svg_close(out);
}
