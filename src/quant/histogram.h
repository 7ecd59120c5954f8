// histogram.h - counts of signed values in a range that doubles as needed. Bin i of BINS holds [(i - BINS / 2) w,
// (i + 1 - BINS / 2) w) with w a power of two, so doubling merges whole bins and every edge is exact.
#ifndef PARE_QUANT_HISTOGRAM_H
#define PARE_QUANT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BINS = 2048 };

struct histogram {
  uint64_t count[HISTOGRAM_BINS];
  double width; // 0: nothing counted yet
  uint64_t total;
};

void histogram_add(struct histogram *h, const float *x, size_t n); // finite values
// The edges that leave out at most `cut` of all values at each end; 0, 0 when nothing was counted.
void histogram_range(const struct histogram *h, double cut, double *lo, double *hi);
// How many values lie in bins wholly below lo or above hi, both of them edges.
uint64_t histogram_outside(const struct histogram *h, double lo, double hi);

#endif
