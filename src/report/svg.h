// svg.h - inline SVG: a picture with title and description, an axis, texts and shapes. Colours are CSS classes of the
// page.
#ifndef PARE_REPORT_SVG_H
#define PARE_REPORT_SVG_H

#include <stddef.h>

#include "base/buf.h"

enum { SVG_WIDTH = 580, SVG_SERIES = 8 }; // user units of a chart; distinct series (colour and shape)

// id: unique on the page, a plain word. title and description are escaped here.
void svg_open(struct buf *out, const char *id, double width, double height, const char *title, const char *description);
void svg_close(struct buf *out);

// One text at (x, y), cut to max_columns with the whole of it as a tooltip. anchor: start, middle or end. css: class
// list.
void svg_text(struct buf *out, double x, double y, const char *anchor, const char *css, const char *text,
              size_t max_columns);

// A linear scale from values to x, with round ticks.
struct svg_axis {
  double low, high; // values at the ends
  double x0, x1;
  double step; // between ticks
};
// Round ends around [low, high]; about five ticks. low = high is widened.
struct svg_axis svg_axis_make(double low, double high, double x0, double x1);
double svg_axis_x(const struct svg_axis *a, double value); // clamped to the ends
// Grid lines from y0 to y1, labels below y1, scaled (100 for per cent) and followed by unit on the last one.
void svg_axis_draw(const struct svg_axis *a, double y0, double y1, double scale, const char *unit, struct buf *out);

// The mark of series k at (x, y): eight shapes, so that colour is not needed to tell them apart.
void svg_mark(struct buf *out, size_t series, double x, double y, double radius);

#endif
