// report.h - records in, text out. Pure: nothing here measures, and every sentence follows from the record.
#ifndef PARE_REPORT_REPORT_H
#define PARE_REPORT_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

struct report_text_options {
  size_t width; // columns; 0: 100; at least 40
  bool color;   // ANSI colours
};

// Each appends to out. All but report_json run report_lint first and return its error: a report that contradicts its
// own numbers is not written (PARE_BUG). report_text and report_markdown end in a newline.
enum pare_status report_text(const json_t *record, struct report_text_options options, struct buf *out,
                             struct pare_error *err);
enum pare_status report_markdown(const json_t *record, struct buf *out, struct pare_error *err);
// One self-contained page: no external resource, no script.
enum pare_status report_html(const json_t *record, struct buf *out, struct pare_error *err);
enum pare_status report_json(const json_t *record, bool pretty, struct buf *out, struct pare_error *err);

// Sets record.recommendations: one entry per priority "size", "accuracy", "speed", "overall" that the record can
// answer.
enum pare_status report_recommend(json_t *record, struct pare_error *err);

// Recomputes every derived number of the record (compression, percentages, deltas, flips, accuracy, McNemar, macro
// averages, confusion sums, percentile order, recommendations) and fails with PARE_BUG naming the first one that
// disagrees.
enum pare_status report_lint(const json_t *record, struct pare_error *err);

#endif
