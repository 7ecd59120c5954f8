// table.c - see table.h.
#include "report/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_column(struct table *t, int flags, const char *head) {
  void *grown = realloc(t->columns, (t->column_count + 1) * sizeof *t->columns);
  if (grown) t->columns = grown;
  char *copy = grown ? strdup(head) : NULL;
  if (!copy) {
    t->failed = true;
    return;
  }
  t->columns[t->column_count].head = copy;
  t->columns[t->column_count++].flags = flags;
}

static void push(struct table *t, enum tone tone, char *text) {
  if (t->cell_count == t->cell_cap) {
    size_t cap = t->cell_cap ? 2 * t->cell_cap : 64;
    struct cell *grown = realloc(t->cells, cap * sizeof *grown);
    if (grown) {
      t->cells = grown;
      t->cell_cap = cap;
    } else {
      t->failed = true;
    }
  }
  if (t->failed || !text) {
    t->failed = true;
    free(text);
    return;
  }
  t->cells[t->cell_count++] = (struct cell){text, tone};
}

void table_cell(struct table *t, enum tone tone, const char *format, ...) {
  char *text = NULL;
  va_list ap;
  va_start(ap, format);
  if (vasprintf(&text, format, ap) < 0) text = NULL;
  va_end(ap);
  push(t, tone, text);
}

void table_text(struct table *t, enum tone tone, const char *text) {
  push(t, tone, strdup(text));
}

void table_note(struct table *t, const char *format, ...) {
  char *text = NULL;
  va_list ap;
  va_start(ap, format);
  if (vasprintf(&text, format, ap) < 0) text = NULL;
  va_end(ap);
  if (!text) {
    t->failed = true;
    return;
  }
  for (char *p = text; *p; p++) {
    if (*p == '\n') *p = ' '; // a line is a note
  }
  size_t len = strlen(text);
  const char *seen = t->notes.data;
  while (seen && *seen && !(strncmp(seen, text, len) == 0 && seen[len] == '\n')) {
    seen = strchr(seen, '\n');
    seen = seen ? seen + 1 : NULL;
  }
  if (!seen || !*seen) buf_printf(&t->notes, "%s\n", text);
  free(text);
}

bool table_next_note(const struct table *t, size_t *at, struct buf *note) {
  if (*at >= t->notes.len) return false;
  const char *start = t->notes.data + *at, *end = strchr(start, '\n');
  note->len = 0;
  buf_add(note, start, (size_t)(end - start));
  *at = (size_t)(end + 1 - t->notes.data);
  return !note->failed;
}

// Is what among the names before the colon of a line?
static bool names_hold(const char *line, size_t len, const char *what) {
  size_t n = strlen(what);
  for (size_t i = 0; i + n <= len; i++) {
    bool starts = i == 0 || line[i - 1] == ' ', ends = i + n == len || line[i + n] == ',';
    if (starts && ends && strncmp(line + i, what, n) == 0) return true;
  }
  return false;
}

void table_missing(struct table *t, const char *what, const char *reason) {
  struct buf notes = {0};
  size_t reason_len = strlen(reason);
  bool found = false;
  for (const char *line = t->notes.data; line && *line;) {
    const char *end = strchr(line, '\n');
    size_t len = (size_t)(end - line), tail = reason_len + 3; // ": reason."
    bool same = len > tail && memcmp(line + len - tail, ": ", 2) == 0 && line[len - 1] == '.' &&
                memcmp(line + len - tail + 2, reason, reason_len) == 0;
    if (same && !found) {
      size_t names = len - tail;
      buf_add(&notes, line, names);
      if (!names_hold(line, names, what)) buf_printf(&notes, ", %s", what);
      buf_printf(&notes, ": %s.\n", reason);
      found = true;
    } else {
      buf_add(&notes, line, len + 1);
    }
    line = end + 1;
  }
  buf_free(&t->notes);
  t->notes = notes;
  if (!found) table_note(t, "%s: %s.", what, reason);
}

size_t table_rows(const struct table *t) {
  return t->column_count ? t->cell_count / t->column_count : 0;
}

const struct cell *table_at(const struct table *t, size_t row, size_t column) {
  return &t->cells[row * t->column_count + column];
}

void table_free(struct table *t) {
  for (size_t i = 0; i < t->column_count; i++) free(t->columns[i].head);
  for (size_t i = 0; i < t->cell_count; i++) free(t->cells[i].text);
  free(t->columns);
  free(t->cells);
  buf_free(&t->notes);
  *t = (struct table){0};
}
