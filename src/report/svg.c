// svg.c - see svg.h.
#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/html.h"
#include "report/text_draw.h"

void svg_open(struct buf *out, const char *id, double width, double height, const char *title,
              const char *description) {
  buf_puts(out, "<figure><figcaption>");
  html_isolated(title, out);
  buf_printf(out, "</figcaption><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"");
  html_escape(title, out);
  buf_printf(out,
             "\"><svg class=\"chart\" viewBox=\"0 0 %.0f %.0f\" style=\"--w:%.0fpx\" role=\"img\" "
             "xmlns=\"http://www.w3.org/2000/svg\" aria-labelledby=\"%s-t %s-d\"><title id=\"%s-t\">",
             width, height, width, id, id, id);
  html_escape(title, out);
  buf_printf(out, "</title><desc id=\"%s-d\">", id);
  html_escape(description, out);
  buf_puts(out, "</desc>\n");
}

void svg_close(struct buf *out) {
  buf_puts(out, "</svg></div></figure>\n");
}

void svg_text(struct buf *out, double x, double y, const char *anchor, const char *css, const char *text,
              size_t max_columns) {
  size_t len = strlen(text);
  struct buf cut = {0};
  buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor, css);
  if (text_columns(text, len) > max_columns) {
    buf_puts(out, "<title>");
    html_escape(text, out);
    buf_puts(out, "</title>");
  }
  text_add_clean(&cut, text, len, max_columns);
  if (cut.data) html_escape(cut.data, out);
  if (cut.failed) out->failed = true;
  buf_free(&cut);
  buf_puts(out, "</text>\n");
}

struct svg_axis svg_axis_make(double low, double high, double x0, double x1) {
  if (!(high > low)) {
    double room = fmax(fabs(low) * 0.1, 1e-3);
    low -= room;
    high = low + 2 * room;
  }
  double rough = (high - low) / 5, power = pow(10, floor(log10(rough))), lead = rough / power;
  double step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
  struct svg_axis a = {.x0 = x0, .x1 = x1, .step = step};
  a.low = floor(low / step + 1e-9) * step;
  a.high = ceil(high / step - 1e-9) * step;
  return a;
}

double svg_axis_x(const struct svg_axis *a, double value) {
  double share = (value - a->low) / (a->high - a->low);
  return a->x0 + fmin(1, fmax(0, share)) * (a->x1 - a->x0);
}

void svg_axis_draw(const struct svg_axis *a, double y0, double y1, double scale, const char *unit, struct buf *out) {
  int ticks = (int)lround((a->high - a->low) / a->step);
  int digits = (int)fmax(0, -floor(log10(a->step * scale) + 1e-9));
  for (int i = 0; i <= ticks; i++) {
    double value = a->low + i * a->step, x = svg_axis_x(a, value);
    char text[64];
    if (fabs(value) < a->step * 1e-6) value = 0; // not -0.0
    snprintf(text, sizeof text, "%.*f%s", digits, value * scale, i == ticks ? unit : "");
    buf_printf(out, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x, y0, y1);
    svg_text(out, x, y1 + 16, "middle", "tick", text, sizeof text);
  }
}

void svg_mark(struct buf *out, size_t series, double x, double y, double radius) {
  // Polygons in units of the radius; circle and ring are drawn as such.
  static const char *const paths[SVG_SERIES] = {
      NULL,
      "M-.85-.85H.85V.85H-.85Z",
      "M0-1.1 1.05.8H-1.05Z",
      "M0-1.2 1.2 0 0 1.2-1.2 0Z",
      "M0 1.1 1.05-.8H-1.05Z",
      "M-.35-1.1H.35V-.35H1.1V.35H.35V1.1H-.35V.35H-1.1V-.35H-.35Z",
      NULL,
      "M0-1.2.3-.35 1.15-.35.45.15.7 1 0 .5-.7 1-.45.15-1.15-.35-.3-.35Z",
  };
  size_t k = series % SVG_SERIES;
  if (paths[k]) {
    buf_printf(out, "<path class=\"s%zu\" transform=\"translate(%.1f %.1f) scale(%.2f)\" d=\"%s\"/>", k, x, y, radius,
               paths[k]);
  } else {
    buf_printf(out, "<circle class=\"%s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", k == 0 ? "s" : "ring r", k, x, y,
               radius);
  }
}
