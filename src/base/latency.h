// latency.h - a histogram of times that keeps three digits from a microsecond to a quarter of an hour in a fixed size.
// Log-linear, as Tene's HdrHistogram: each octave is cut into 1024 equal buckets, so a value read back is at most
// 1/1024 above the one that was added; below 2048 ns it is exact.
#ifndef PARE_BASE_LATENCY_H
#define PARE_BASE_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LATENCY_SUB_BITS = 10, LATENCY_TOP_BITS = 40 }; // values up to 2^40 ns, about 1100 s; larger ones count as that
enum { LATENCY_BUCKETS = (LATENCY_TOP_BITS - LATENCY_SUB_BITS + 1) << LATENCY_SUB_BITS };

// Zero-initialise; 120 KiB, so not on the stack.
struct latency {
  size_t count;            // values added
  size_t lost;             // events without a value, such as requests never answered: slower than every value
  double sum_ns;           // of the values
  uint64_t min_ns, max_ns; // exact; 0 before the first
  uint32_t buckets[LATENCY_BUCKETS];
};
void latency_add(struct latency *h, uint64_t ns);
void latency_add_lost(struct latency *h);
void latency_merge(struct latency *into, const struct latency *from);
double latency_mean_ns(const struct latency *h); // of the values; 0 without any

// The order statistic of rank ceil(p n) among all n = count + lost events, 0 < p <= 1, rounded up to its bucket's end
// (never above max_ns). False when that event is a lost one, or there is none.
bool latency_quantile(const struct latency *h, double p, uint64_t *ns);
uint64_t latency_bucket_ns(size_t bucket); // the largest value that falls into it

// Fewest events for which percentile p says anything: the largest of n must exceed the true percentile with
// probability above 95 %, 1 - p^n > 0.95. p90: 29 (1 - 0.9^29 = 0.953), p95: 59 (0.9515), p99: 299 (0.9505).
size_t latency_percentile_needs(double p);

#endif
