// histogram.c - see histogram.h.
#include "quant/histogram.h"

#include <math.h>
#include <string.h>

enum { HALF = HISTOGRAM_BINS / 2 };

// The least width, 2^-40, keeps 1 / width and every bin number far from overflow.
static const double least_width = 0x1p-40;

static void widen(struct histogram *h) {
  for (size_t i = 0; i < HALF / 2; i++) { // from the middle outwards, so that no count is read after it was written
    h->count[HALF + i] = h->count[HALF + 2 * i] + h->count[HALF + 2 * i + 1];
    h->count[HALF - 1 - i] = h->count[HALF - 1 - 2 * i] + h->count[HALF - 2 - 2 * i];
  }
  memset(h->count, 0, HALF / 2 * sizeof *h->count);
  memset(h->count + HALF + HALF / 2, 0, HALF / 2 * sizeof *h->count);
  h->width *= 2;
}

void histogram_add(struct histogram *h, const float *x, size_t n) {
  if (!h->width) h->width = least_width;
  for (size_t i = 0; i < n; i++) {
    double at = floor((double)x[i] / h->width); // exact: the width is a power of two
    while (at < -HALF || at >= HALF) {
      widen(h);
      at = floor((double)x[i] / h->width);
    }
    h->count[HALF + (int)at]++;
  }
  h->total += n;
}

void histogram_range(const struct histogram *h, double cut, double *lo, double *hi) {
  *lo = *hi = 0;
  if (!h->total) return;
  double allowed = cut * (double)h->total;
  uint64_t below = 0, above = 0;
  int first = 0, last = HISTOGRAM_BINS - 1;
  while (first < last && (double)(below + h->count[first]) <= allowed) below += h->count[first++];
  while (last > first && (double)(above + h->count[last]) <= allowed) above += h->count[last--];
  *lo = (first - HALF) * h->width;
  *hi = (last + 1 - HALF) * h->width;
}

uint64_t histogram_outside(const struct histogram *h, double lo, double hi) {
  uint64_t n = 0;
  for (int i = 0; i < HISTOGRAM_BINS; i++)
    if ((i + 1 - HALF) * h->width <= lo || (i - HALF) * h->width >= hi) n += h->count[i];
  return n;
}
