// text_draw.c - draws a table for a terminal: aligned columns under plain rules. Too wide: sentences wrap first, then
// columns go into several tables that repeat the first column, and if even two columns do not fit, every row becomes a
// list.
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "report/table.h"
#include "report/text_draw.h"

enum { GAP = 2, WRAP_MIN = 24, NAME_MIN = 12, NAME_MAX_COLUMNS = 30, CELL_MAX_COLUMNS = 400 };

struct layout {
  const struct table *t;
  size_t width; // of the terminal
  bool color;
  size_t *widths; // (columns)
  struct buf *out;
};

// Controls could move the cursor, and bidirectional controls reorder what follows: both become spaces.
static bool is_hostile(utf8proc_int32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ||
         c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029;
}

// One character of s: its bytes, its columns.
static size_t next(const char *s, size_t len, utf8proc_int32_t *c, size_t *columns) {
  utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len, c);
  if (n <= 0) {
    *c = ' ';
    *columns = 1;
    return 1;
  }
  int w = is_hostile(*c) ? 1 : utf8proc_charwidth(*c);
  *columns = w > 0 ? (size_t)w : 0;
  return (size_t)n;
}

size_t text_columns(const char *s, size_t len) {
  size_t total = 0, columns;
  utf8proc_int32_t c;
  for (size_t i = 0; i < len; total += columns) i += next(s + i, len - i, &c, &columns);
  return total;
}

// Adds at most max columns of s, "…" in place of what is cut. Returns the columns added.
size_t text_add_clean(struct buf *out, const char *s, size_t len, size_t max) {
  size_t used = 0, columns;
  utf8proc_int32_t c;
  bool fits = text_columns(s, len) <= max;
  for (size_t i = 0; i < len;) {
    size_t n = next(s + i, len - i, &c, &columns);
    if (used + columns > max - (fits ? 0 : 1)) break;
    if (is_hostile(c)) {
      buf_add(out, " ", 1);
    } else {
      buf_add(out, s + i, n);
    }
    used += columns;
    i += n;
  }
  if (!fits) buf_puts(out, "…");
  return used + !fits;
}

void text_add_repeat(struct buf *out, const char *s, size_t count) {
  for (size_t i = 0; i < count; i++) buf_puts(out, s);
}

// Bytes of s that go on a line of max columns: up to the last space that fits, at least one character.
static size_t line_len(const char *s, size_t len, size_t max) {
  size_t used = 0, columns, i = 0, space = 0;
  utf8proc_int32_t c;
  while (i < len) {
    size_t n = next(s + i, len - i, &c, &columns);
    if (used + columns > max && i > 0) return space ? space : i;
    if (c == ' ' && i > 0) space = i;
    used += columns;
    i += n;
  }
  return len;
}

void text_add_wrapped(struct buf *out, const char *s, size_t width, size_t indent) {
  size_t len = strlen(s), room = width > indent + WRAP_MIN ? width - indent : WRAP_MIN;
  bool first = true;
  while (len) {
    size_t n = line_len(s, len, room);
    if (!first) text_add_repeat(out, " ", indent);
    text_add_clean(out, s, n, room);
    buf_puts(out, "\n");
    s += n;
    len -= n;
    while (len && *s == ' ') {
      s++;
      len--;
    }
    first = false;
  }
}

static const char *color_of(enum tone tone) {
  static const char *const codes[] = {"", "\033[32m", "\033[31m", "\033[33m", "\033[2m"};
  return codes[tone];
}

static size_t cell_max(const struct layout *l, size_t column) {
  int flags = l->t->columns[column].flags;
  return flags & COLUMN_WRAP ? CELL_MAX_COLUMNS : flags & COLUMN_USER ? NAME_MAX_COLUMNS : l->width;
}

static void measure(struct layout *l) {
  const struct table *t = l->t;
  for (size_t c = 0; c < t->column_count; c++) {
    size_t max = cell_max(l, c);
    l->widths[c] = size_min(text_columns(t->columns[c].head, strlen(t->columns[c].head)), max);
    for (size_t r = 0; r < table_rows(t); r++) {
      const char *text = table_at(t, r, c)->text;
      l->widths[c] = size_max(l->widths[c], size_min(text_columns(text, strlen(text)), max));
    }
  }
}

static size_t total_width(const struct layout *l) {
  size_t total = 0;
  for (size_t c = 0; c < l->t->column_count; c++) total += l->widths[c] + (c ? GAP : 0);
  return total;
}

// Takes what is too much first from names, evenly (a name cut short is still told apart by its start), then from the
// column of sentences. Only one column per table wraps.
static void squeeze(struct layout *l) {
  for (size_t room = NAME_MAX_COLUMNS - 1; room >= NAME_MIN && total_width(l) > l->width; room--) {
    for (size_t c = 0; c < l->t->column_count; c++) {
      int flags = l->t->columns[c].flags;
      if (flags & COLUMN_USER && !(flags & COLUMN_WRAP)) l->widths[c] = size_min(l->widths[c], room);
    }
  }
  for (size_t c = 0; c < l->t->column_count; c++) {
    size_t total = total_width(l);
    if (total <= l->width || !(l->t->columns[c].flags & COLUMN_WRAP)) continue;
    size_t excess = total - l->width;
    l->widths[c] = l->widths[c] > excess + WRAP_MIN ? l->widths[c] - excess : size_min(l->widths[c], WRAP_MIN);
  }
}

static void put(struct layout *l, const char *s, size_t len, size_t column, enum tone tone, bool last) {
  struct buf text = {0};
  size_t width = l->widths[column], used = text_add_clean(&text, s, len, width), pad = width - used;
  bool left = l->t->columns[column].flags & COLUMN_TEXT;
  if (!left) text_add_repeat(l->out, " ", pad);
  if (l->color && tone != TONE_PLAIN) buf_puts(l->out, color_of(tone));
  if (text.len) buf_add(l->out, text.data, text.len);
  if (l->color && tone != TONE_PLAIN) buf_puts(l->out, "\033[0m");
  if (left && !last) text_add_repeat(l->out, " ", pad);
  if (text.failed) l->out->failed = true;
  buf_free(&text);
}

// One row of columns [from, to) after column 0; wrapped cells take further lines.
static void row(struct layout *l, size_t r, size_t from, size_t to) {
  size_t wrap = 0;
  for (size_t c = from; c < to; c++) {
    if (l->t->columns[c].flags & COLUMN_WRAP) wrap = c;
  }
  const char *rest = wrap ? table_at(l->t, r, wrap)->text : "";
  size_t len = strlen(rest);
  for (bool first = true; first || len; first = false) {
    for (size_t c = 0; c < to; c = c == 0 ? from : c + 1) {
      const struct cell *cell = table_at(l->t, r, c);
      bool last = c + 1 == to || (c == 0 && from >= to);
      if (c) text_add_repeat(l->out, " ", GAP);
      if (c == wrap && wrap) {
        size_t n = line_len(rest, len, l->widths[c]);
        put(l, rest, n, c, cell->tone, last);
        rest += n;
        len -= n;
        while (len && *rest == ' ') rest++, len--;
      } else {
        put(l, first ? cell->text : "", first ? strlen(cell->text) : 0, c, cell->tone, last);
      }
    }
    buf_puts(l->out, "\n");
  }
}

static void columns_draw(struct layout *l, size_t from, size_t to) {
  size_t total = l->widths[0];
  for (size_t c = 0; c < to; c = c == 0 ? from : c + 1) {
    const char *head = l->t->columns[c].head;
    if (c) {
      text_add_repeat(l->out, " ", GAP);
      total += GAP + l->widths[c];
    }
    put(l, head, strlen(head), c, TONE_MUTED, c + 1 == to);
  }
  buf_puts(l->out, "\n");
  text_add_repeat(l->out, "─", total);
  buf_puts(l->out, "\n");
  for (size_t r = 0; r < table_rows(l->t); r++) row(l, r, from, to);
}

// Every row as "head: value" lines under its first cell.
static void list_draw(struct layout *l) {
  const struct table *t = l->t;
  for (size_t r = 0; r < table_rows(t); r++) {
    text_add_clean(l->out, table_at(t, r, 0)->text, strlen(table_at(t, r, 0)->text), l->width);
    buf_puts(l->out, "\n");
    for (size_t c = 1; c < t->column_count; c++) {
      buf_puts(l->out, "  ");
      size_t used = text_add_clean(l->out, t->columns[c].head, strlen(t->columns[c].head), NAME_MAX_COLUMNS);
      bool beside = used + 4 < l->width / 2; // else the value starts a line of its own
      buf_puts(l->out, beside ? ": " : ":\n    ");
      text_add_wrapped(l->out, table_at(t, r, c)->text, l->width, beside ? used + 4 : 4);
    }
  }
}

// More than half of the columns side by side, or a list: a table cut into slivers is harder to read.
static void draw(struct layout *l) {
  const struct table *t = l->t;
  if (total_width(l) <= l->width) {
    columns_draw(l, 1, t->column_count);
    return;
  }
  bool named = t->column_count > 2 && (t->columns[2].flags & COLUMN_USER); // a column per model: any split reads well
  size_t room = l->widths[0], fitting = 0;
  for (size_t c = 1; c < t->column_count && room + GAP + l->widths[c] <= l->width; c++) {
    room += GAP + l->widths[c];
    fitting++;
  }
  if (fitting == 0 || (!named && fitting * 2 < t->column_count)) {
    list_draw(l);
    return;
  }
  for (size_t from = 1; from < t->column_count;) {
    size_t to = from, used = l->widths[0];
    while (to < t->column_count && (to == from || used + GAP + l->widths[to] <= l->width))
      used += GAP + l->widths[to++];
    if (from > 1) buf_puts(l->out, "\n");
    columns_draw(l, from, to);
    from = to;
  }
}

void table_draw_text(const struct table *t, size_t width, bool color, struct buf *out) {
  struct layout l = {.t = t, .width = width, .color = color, .out = out};
  l.widths = t->column_count ? calloc(t->column_count, sizeof *l.widths) : NULL;
  if (!l.widths) {
    out->failed = true;
    return;
  }
  measure(&l);
  squeeze(&l);
  draw(&l);
  free(l.widths);
  struct buf note = {0};
  for (size_t at = 0; table_next_note(t, &at, &note);) {
    if (color) buf_puts(out, "\033[2m");
    text_add_wrapped(out, note.data, width, 0);
    if (color) buf_puts(out, "\033[0m");
  }
  out->failed |= note.failed;
  buf_free(&note);
}
