// tables_cells.h - cells that tables share: a number of a record, "n/a" with its reason below, a difference and what
// its interval says. Private to tables*.c.
#ifndef PARE_REPORT_TABLES_CELLS_H
#define PARE_REPORT_TABLES_CELLS_H

#include <jansson.h>
#include <stdbool.h>

#include "report/table.h"

// Measurably above zero, below, or neither.
struct judged {
  enum tone tone;
  const char *mark;
};
struct judged judge(const double ends[2], double zero);

// "n/a", with the reason as a note below the table. what: the number's name there.
void cell_missing(struct table *t, const json_t *model, const char *path, const char *what);
void cell_number(struct table *t, const json_t *model, const char *path, const char *what, double scale, int digits);
void cell_share(struct table *t, const json_t *model); // of f32
void cell_compression(struct table *t, const json_t *model, bool original);
// A number that the original has not: a dash there.
void cell_against(struct table *t, const json_t *model, bool original, const char *path, const char *what,
                  const char *format, double scale);

// {value, ci95} at path, judged against zero and shown as scale * (value - offset).
struct judging {
  bool original, lower_is_better;
  double zero, scale, offset;
};
void cell_judged(struct table *t, const json_t *model, const char *path, const char *what, const struct judging *how);
void cell_speedup(struct table *t, const json_t *model, bool original);
// A percentile, or "n/a (n<299)" when the runs are too few for it.
void cell_percentile(struct table *t, const json_t *model, const char *key, double p, double scale);
// A linear classifier answers in a microsecond: its latencies are shown in those.
bool record_in_microseconds(const json_t *record);

// A column that only a comparison has.
void column_against(struct table *t, const json_t *record, const char *head);

#endif
