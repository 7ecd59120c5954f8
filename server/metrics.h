// metrics.h - counters, gauges and histograms, and the text a Prometheus server reads (exposition format 0.0.4).
#ifndef PARE_SERVER_METRICS_H
#define PARE_SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "pare_error.h"

struct metrics; // a registry
struct metric;  // one series: a name and its labels

struct metrics *metrics_new(void); // NULL: no memory
void metrics_free(struct metrics *m);

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
// A family, by a static const table of the caller's; bounds: upper bounds of a histogram's buckets, ascending, seconds
// or whatever the unit is, +Inf apart.
struct metric_family {
  const char *name, *help;
  enum metric_kind kind;
  const double *bounds;
  size_t bound_count;
};
struct metric_label {
  const char *name, *value; // the value is escaped on output
};
// The series of that family and those labels, made at its first use. Lives as long as the registry. NULL: no memory;
// the calls below accept NULL. The family must outlive the registry.
struct metric *metrics_series(struct metrics *m, const struct metric_family *family, const struct metric_label *labels,
                              size_t count);
// From any thread, without a lock.
void metric_add(struct metric *m, double value);     // counter (value >= 0), gauge
void metric_set(struct metric *m, double value);     // gauge
void metric_raise(struct metric *m, double value);   // counter that is kept elsewhere: the highest value wins
void metric_observe(struct metric *m, double value); // histogram
double metric_value(const struct metric *m);         // counter, gauge; a histogram's sum
uint64_t metric_count(const struct metric *m);       // a histogram's observations
// The q-quantile read off a histogram's buckets by linear interpolation; NaN without observations.
double metric_quantile(const struct metric *m, double q);
// The values of all the family's series that carry these labels, among others, added up; 0: there are none.
double metrics_sum(struct metrics *m, const char *family, const struct metric_label *labels, size_t count);
// Every family with its HELP and TYPE, families and series in the order of their first use.
void metrics_write(struct metrics *m, struct buf *out);

#endif
