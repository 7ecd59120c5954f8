// metric.h - the quantities a study file may name: what each reads from a comparison's record, its unit, which way is
// better.
#ifndef PARE_STUDY_METRIC_H
#define PARE_STUDY_METRIC_H

#include <jansson.h>
#include <stdbool.h>

// One model of one comparison.
struct study_view {
  const json_t *record, *model, *base;
};

struct study_view study_view_at(const json_t *record, size_t i); // model i; 0 is the original

struct study_value {
  double value;
  bool has_interval;
  double low, high; // 95 %
};

struct study_metric {
  const char *name;  // as the study file writes it
  const char *title; // as a report does
  const char *unit;  // "ms", "MB", "%", "" ...
  int digits;
  bool lower_is_better;
  // Value in the unit. false: *reason (borrowed) says why there is none.
  bool (*get)(const struct study_view *v, const struct study_metric *m, struct study_value *out, const char **reason);
  const char *path, *ci; // for the getters: where value and interval lie below models[]
  double scale;          // unit per record's unit
};

const struct study_metric *study_metric_find(const char *name); // NULL: no such metric
const struct study_metric *study_metrics(size_t *count);
bool study_metric_get(const struct study_metric *m, const struct study_view *v, struct study_value *out,
                      const char **reason);
// Whether it is a comparison with the original by itself: the original has none, and it has no change.
bool study_metric_compares(const struct study_metric *m);
// "182.40 ms", "+1.20 %" ... into text.
void study_metric_print(const struct study_metric *m, double value, char *text, size_t size);

// What the interval of a model's difference from the original says of a metric. UNKNOWN: there should be one and there
// is not; NONE: such a metric has none. Sizes are counted, not sampled: any difference is one.
enum study_change { STUDY_BETTER, STUDY_WORSE, STUDY_SAME, STUDY_UNKNOWN, STUDY_NONE };
enum study_change study_metric_judge(const struct study_metric *m, const struct study_view *v);

#endif
