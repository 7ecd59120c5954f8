// gate_keys.h - the keys of a gate file: one table that loading, checking and deciding share.
#ifndef PARE_REPORT_GATE_KEYS_H
#define PARE_REPORT_GATE_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "report/stats.h"

// What a check looks at: one candidate of a record.
struct gate_subject {
  const json_t *record, *model, *base; // base: models[0]
  double ci;
  bool relative; // accuracy_kind: a drop in per cent of the original's accuracy, not in points
};

// What a check finds. Without an interval (exact values) low = high = value.
struct gate_finding {
  double value, low, high; // an end that the sample cannot give is infinite
  size_t n;                // items or runs; 0 when the value is exact
  const char *unit;        // "items", "runs": what more of would narrow the interval
  char note[160];          // appended to the reason; may be empty
};

// Fills found and returns true, or writes why it is unknown into found->note and returns false.
typedef bool (*gate_measure)(const struct gate_subject *subject, struct gate_finding *found);

enum gate_kind { GATE_NUMBER, GATE_COUNT, GATE_TEXT };

struct gate_key {
  const char *name;
  enum gate_kind kind;
  double low, high;     // allowed range of a number, both ends included
  const char *expected; // said when it is not met
  enum stats_side side; // of a limit
  gate_measure measure; // NULL: a setting, not a limit
};
extern const struct gate_key gate_keys[];
extern const size_t gate_key_count;

const struct gate_key *gate_key_find(const char *name); // NULL: no such key

#endif
