// recent.h - quantiles of durations lately: counts in buckets that are an eighth of an octave wide (9 per cent), of the
// last one to two half windows.
#ifndef PARE_SERVER_RECENT_H
#define PARE_SERVER_RECENT_H

#include <stddef.h>
#include <stdint.h>

enum { RECENT_OCTAVES = 28, RECENT_BUCKETS = 8 * RECENT_OCTAVES, RECENT_HALF = 2048 };

// Zero-initialise.
struct recent {
  uint32_t half[2][RECENT_BUCKETS]; // the current half window, the one before
  uint32_t n[2];
};
void recent_add(struct recent *r, double seconds); // 1 microsecond to 268 seconds; others count as the nearer end
uint64_t recent_count(const struct recent *r);
double recent_quantile(const struct recent *r, double q); // seconds, within a bucket's width; NaN without observations

#endif
