// charts_more.c - see charts.h: latency, F1 per class, confusion.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/charts.h"
#include "report/html.h"
#include "report/record.h"
#include "report/stats.h"
#include "report/svg.h"

enum { LANE = 46, LABEL_WIDTH = 138, LABEL_COLUMNS = 15, TOP = 10, BOTTOM = 34, DOTS_MAX = 400 };

// Sorted timings of a model; NULL when it has none.
static double *timings(const json_t *model, size_t *n) {
  const json_t *array = record_get(model, "latency_samples_ms");
  *n = json_array_size(array);
  double *x = *n ? calloc(*n, sizeof *x) : NULL;
  for (size_t i = 0; x && i < *n; i++) x[i] = json_number_value(json_array_get(array, i));
  if (x) stats_sort(x, *n);
  return x;
}

// Right end of the axis: a few outliers must not squeeze everything else into a corner.
static double latency_end(const json_t *record) {
  double end = 0, median;
  for (size_t i = 0; i < record_model_count(record); i++) {
    size_t n;
    double *x = timings(record_model(record, i), &n);
    if (x) {
      end = fmax(end, fmin(x[n - 1], 1.3 * stats_percentile_sorted(x, n, 0.97)));
    } else if (record_number(record_model(record, i), "latency_ms.median", &median)) {
      end = fmax(end, 1.3 * median);
    }
    free(x);
  }
  return end;
}

static void latency_dots(const struct svg_axis *axis, const double *x, size_t n, double y, size_t series,
                         struct buf *out) {
  size_t shown = n < DOTS_MAX ? n : DOTS_MAX;
  buf_printf(out, "<path class=\"strip l%zu\" d=\"", series % SVG_SERIES);
  for (size_t i = 0; i < shown; i++) {
    size_t at = i * n / shown;
    if (x[at] > axis->high) break;
    // Spread over seven lines, in an order that repeats: dots of equal time do not hide each other.
    buf_printf(out, "M%.1f %.1fh0", svg_axis_x(axis, x[at]), y + 8 + 1.6 * (double)(at * 3 % 7));
  }
  buf_puts(out, "\"/>");
}

static void latency_box(const struct svg_axis *axis, const double *x, size_t n, double y, size_t series,
                        struct buf *out) {
  double q1 = svg_axis_x(axis, stats_percentile_sorted(x, n, 0.25)),
         q3 = svg_axis_x(axis, stats_percentile_sorted(x, n, 0.75));
  double median = svg_axis_x(axis, stats_median_sorted(x, n));
  double low = svg_axis_x(axis, x[0]), high = svg_axis_x(axis, x[n - 1]);
  size_t k = series % SVG_SERIES;
  buf_printf(out, "<path class=\"whisker l%zu\" d=\"M%.1f %.1fH%.1fM%.1f %.1fH%.1f\"/>", k, low, y - 4, q1, q3, y - 4,
             high);
  buf_printf(out, "<rect class=\"box l%zu f%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"14\" rx=\"2\"/>", k, k,
             q1, y - 11, fmax(1, q3 - q1));
  buf_printf(out, "<line class=\"median\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", median, median, y - 12,
             y + 4);
}

static void latency_lane(const json_t *record, size_t i, const struct svg_axis *axis, struct buf *out) {
  const json_t *m = record_model(record, i);
  double y = TOP + LANE * ((double)i + 0.5), median;
  char text[64] = "n/a";
  size_t n, beyond = 0;
  double *x = timings(m, &n);
  svg_text(out, LABEL_WIDTH - 10, y + 2, "end", "name", record_model_label(m), LABEL_COLUMNS);
  if (x) {
    latency_box(axis, x, n, y, i, out);
    latency_dots(axis, x, n, y, i, out);
    while (beyond < n && x[n - 1 - beyond] > axis->high) beyond++;
    free(x);
  }
  if (record_number(m, "latency_ms.median", &median)) {
    if (!n) svg_mark(out, i, svg_axis_x(axis, median), y - 4, 5);
    snprintf(text, sizeof text, "%.2f ms", median);
  }
  svg_text(out, SVG_WIDTH - 4, y + 2, "end", "value", text, 14);
  if (beyond) {
    snprintf(text, sizeof text, "%zu slower", beyond);
    svg_text(out, SVG_WIDTH - 4, y + 18, "end", "tick", text, 20);
  }
}

void chart_latency(const json_t *record, struct buf *out) {
  double end = latency_end(record);
  size_t n = record_model_count(record);
  if (end <= 0) return;
  double bottom = TOP + LANE * (double)n;
  struct svg_axis axis = svg_axis_make(0, end, LABEL_WIDTH, SVG_WIDTH - 100);
  svg_open(out, "c-latency", SVG_WIDTH, bottom + BOTTOM, "Latency of every run",
           "Per model: a box from the first to the third quartile with the median, whiskers to the extremes, and the "
           "runs as dots.");
  svg_axis_draw(&axis, TOP, bottom, 1, " ms", out);
  for (size_t i = 0; i < n; i++) latency_lane(record, i, &axis, out);
  svg_close(out);
}

static void class_legend(const json_t *record, double y, struct buf *out) {
  // Four to a line: a name of any length keeps its place.
  const double width = (double)SVG_WIDTH / 4;
  for (size_t i = 0; i < record_model_count(record); i++) {
    size_t line = i / 4;
    double x = 8 + width * (double)(i % 4), at = y + 20 * (double)line;
    svg_mark(out, i, x, at - 4, 5);
    svg_text(out, x + 12, at, "start", "tick", record_model_label(record_model(record, i)), 17);
  }
}

static const json_t *class_rows(const json_t *record) {
  const json_t *rows = NULL;
  for (size_t i = 0; i < record_model_count(record) && !rows; i++)
    rows = record_get(record_model(record, i), "per_class");
  return rows;
}

void chart_classes(const json_t *record, struct buf *out) {
  enum { STEP = 26 };
  const json_t *rows = class_rows(record);
  size_t classes = json_array_size(rows), models = record_model_count(record), legend_lines = (models + 3) / 4;
  if (classes == 0) return;
  double low = 1, f1, legend = TOP + 10 + 20 * (double)legend_lines, bottom = legend + STEP * (double)classes;
  char path[48];
  for (size_t i = 0; i < models * classes; i++) {
    snprintf(path, sizeof path, "per_class.%zu.f1", i % classes);
    if (record_number(record_model(record, i / classes), path, &f1)) low = fmin(low, f1);
  }
  struct svg_axis axis = svg_axis_make(fmin(low, 0.95), 1, LABEL_WIDTH, SVG_WIDTH - 24);
  svg_open(out, "c-classes", SVG_WIDTH, bottom + BOTTOM, "F1 per class",
           "One row per class, one mark per model; each model has its own shape and colour.");
  class_legend(record, TOP + 10, out);
  svg_axis_draw(&axis, legend, bottom, 1, "", out);
  for (size_t k = 0; k < classes; k++) {
    const char *label = record_string(json_array_get(rows, k), "label");
    double y = legend + STEP * ((double)k + 0.5);
    svg_text(out, LABEL_WIDTH - 10, y + 4.5, "end", "name", label ? label : "?", LABEL_COLUMNS);
    buf_printf(out, "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", axis.x0, axis.x1, y, y);
    for (size_t i = models; i-- > 0;) { // the original last, on top
      snprintf(path, sizeof path, "per_class.%zu.f1", k);
      const json_t *m = record_model(record, i);
      if (!record_number(m, path, &f1)) continue;
      buf_puts(out, "<g><title>");
      html_escape(record_model_label(m), out);
      buf_printf(out, ": %.4f</title>", f1);
      svg_mark(out, i, svg_axis_x(&axis, f1), y, 5);
      buf_puts(out, "</g>");
    }
    buf_puts(out, "\n");
  }
  svg_close(out);
}

struct matrix {
  const json_t *confusion, *rows; // rows: per_class, for the labels
  size_t classes;
  double cell, left, top;
};

static const char *matrix_label(const struct matrix *x, size_t k) {
  const char *label = record_string(json_array_get(x->rows, k), "label");
  return label ? label : "?";
}

static void matrix_row(const struct matrix *x, size_t i, struct buf *out) {
  const json_t *row = json_array_get(x->confusion, i);
  double sum = 0, y = x->top + x->cell * (double)i;
  for (size_t j = 0; j < x->classes; j++) sum += json_number_value(json_array_get(row, j));
  for (size_t j = 0; j < x->classes; j++) {
    double count = json_number_value(json_array_get(row, j)), left = x->left + x->cell * (double)j;
    double share = sum > 0 ? count / sum : 0;
    char text[32];
    buf_printf(out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill-opacity=\"%.3f\"/>",
               i == j ? "hit" : "miss", left + 1, y + 1, x->cell - 2, x->cell - 2,
               count > 0 ? 0.08 + 0.52 * share : 0.02);
    snprintf(text, sizeof text, "%.0f", count);
    if (count > 0)
      svg_text(out, left + x->cell / 2, y + x->cell / 2 + 4, "middle", x->cell < 30 ? "count small" : "count", text,
               12);
  }
  svg_text(out, x->left - 8, y + x->cell / 2 + 4, "end", "name", matrix_label(x, i), LABEL_COLUMNS);
}

static void matrix_draw(const struct matrix *x, size_t model, const char *name, struct buf *out) {
  char id[48];
  struct buf title = {0};
  double side = x->cell * (double)x->classes;
  snprintf(id, sizeof id, "c-confusion-%zu", model);
  buf_printf(&title, "Rows: label in the data; columns: answer of %s", name);
  svg_open(out, id, x->left + side + 60, x->top + side + 8, title.data ? title.data : "Confusion",
           "Rows are the labels of the data, columns the answers; each cell holds the number of items, darker for a "
           "larger share of "
           "its row.");
  buf_free(&title);
  for (size_t j = 0; j < x->classes; j++) {
    double at = x->left + x->cell * ((double)j + 0.5) - 3;
    buf_printf(out, "<g transform=\"translate(%.1f %.1f) rotate(-40)\">", at, x->top - 6);
    svg_text(out, 0, 0, "start", "tick", matrix_label(x, j), 13);
    buf_puts(out, "</g>");
  }
  for (size_t i = 0; i < x->classes; i++) matrix_row(x, i, out);
  svg_close(out);
}

void chart_confusion(const json_t *record, struct buf *out) {
  for (size_t i = 0; i < record_model_count(record); i++) {
    const json_t *m = record_model(record, i);
    struct matrix x = {
        .confusion = record_get(m, "confusion"), .rows = record_get(m, "per_class"), .left = LABEL_WIDTH, .top = 88};
    x.classes = json_array_size(x.confusion);
    if (x.classes == 0) continue;
    x.cell = x.classes <= 6 ? 52 : x.classes <= 12 ? 38 : 28;
    // The first two at a glance, the others on request.
    buf_printf(out, "<details%s><summary>", i < 2 ? " open=\"open\"" : "");
    html_isolated(record_model_label(m), out);
    buf_puts(out, "</summary>");
    matrix_draw(&x, i, record_model_label(m), out);
    buf_puts(out, "</details>\n");
  }
}
