// table.h - a table of text cells: what a report says, before it is drawn as text, Markdown or HTML.
#ifndef PARE_REPORT_TABLE_H
#define PARE_REPORT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum tone { TONE_PLAIN, TONE_GOOD, TONE_BAD, TONE_UNSURE, TONE_MUTED };

enum {             // column flags
  COLUMN_TEXT = 1, // left-aligned words; else right-aligned numbers
  COLUMN_WRAP = 2, // sentences: may be broken over lines
  COLUMN_USER = 4, // text that comes from data: may be of any script and length
};

struct cell {
  char *text;
  enum tone tone;
};

// Zero-initialise; table_free. Rows are implicit: cells arrive left to right, top to bottom. A failed allocation sets
// failed and drops what follows.
struct table {
  const char *title; // static
  struct {
    char *head;
    int flags;
  } * columns;
  struct cell *cells;
  struct buf notes; // one per line
  size_t column_count, cell_count, cell_cap;
  bool failed;
};

void table_column(struct table *t, int flags, const char *head);
void table_cell(struct table *t, enum tone tone, const char *format, ...) __attribute__((format(printf, 3, 4)));
void table_text(struct table *t, enum tone tone, const char *text); // as it is
void table_note(struct table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));                                 // once per distinct text
void table_missing(struct table *t, const char *what, const char *reason); // a note; what share a reason share a line
// The note at *at (0 at first) into note, and *at behind it; false when there are no more, or note->failed.
bool table_next_note(const struct table *t, size_t *at, struct buf *note);
size_t table_rows(const struct table *t);
const struct cell *table_at(const struct table *t, size_t row, size_t column);
void table_free(struct table *t);

// Each draws the table without its title; notes below it.
void table_draw_text(const struct table *t, size_t width, bool color, struct buf *out);
void table_draw_markdown(const struct table *t, struct buf *out);
void table_draw_html(const struct table *t, struct buf *out);

#endif
