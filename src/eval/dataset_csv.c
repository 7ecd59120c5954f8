// dataset_csv.c - comma- and tab-separated rows under a header (RFC 4180), decoded in place.
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "eval/dataset_rows.h"

struct reader {
  const char *path;
  char *p, *end; // *end may be written
  size_t line;
  char delimiter;
  bool quoting;
};

struct field {
  char *text; // NUL-terminated
  size_t len;
  bool last; // of its row
};

// What ends a field at r->p: the delimiter, a line break or the end of the text. Moves past it.
static void end_field(struct reader *r, struct field *f) {
  f->last = r->p == r->end || *r->p != r->delimiter;
  if (r->p < r->end && *r->p == '\r') r->p++;
  if (r->p < r->end) r->line += *r->p++ == '\n';
  f->text[f->len] = 0; // only now: it may overwrite the very byte that ended the field
}

static bool at_line_break(const struct reader *r) {
  if (r->p == r->end || *r->p == '\n') return true;
  return *r->p == '\r' && r->p + 1 < r->end && r->p[1] == '\n';
}

static enum pare_status read_quoted(struct reader *r, struct field *f, struct pare_error *err) {
  size_t opened = r->line;
  char *out = r->p++; // over the opening quote: one byte behind the input, more after each doubled quote
  *f = (struct field){.text = out};
  for (;;) {
    if (r->p == r->end) {
      return error_set(err, PARE_DATA, "%s line %zu: expected a closing quotation mark, found the end of the file",
                       r->path, opened);
    }
    char c = *r->p++;
    if (c == '"') {
      if (r->p == r->end || *r->p != '"') break;
      r->p++;
    }
    r->line += c == '\n';
    *out++ = c;
  }
  f->len = (size_t)(out - f->text);
  if (!at_line_break(r) && *r->p != r->delimiter) {
    return error_set(err, PARE_DATA,
                     "%s line %zu: expected a delimiter or line break after the closing quotation mark, found '%c'",
                     r->path, r->line, *r->p);
  }
  end_field(r, f);
  return PARE_OK;
}

static enum pare_status read_field(struct reader *r, struct field *f, struct pare_error *err) {
  if (r->quoting && r->p < r->end && *r->p == '"') return read_quoted(r, f, err);
  *f = (struct field){.text = r->p};
  while (!at_line_break(r) && *r->p != r->delimiter) r->p++;
  f->len = (size_t)(r->p - f->text);
  end_field(r, f);
  return PARE_OK;
}

static void skip_blank_lines(struct reader *r) {
  while (r->p < r->end && at_line_break(r)) {
    r->p += *r->p == '\r' ? 2 : 1;
    r->line++;
  }
}

// ---- header ----

enum { NO_COLUMN = -1 };
struct header {
  size_t count;
  long text, pair, label, reference; // column numbers or NO_COLUMN
  const char *reference_name;        // which of the names it may have
};

static bool take_column(const char *name, const char *wanted, size_t i, long *column, bool *twice) {
  if (!wanted || strcmp(name, wanted) != 0) return false;
  *twice = *column != NO_COLUMN;
  *column = (long)i;
  return true;
}

// An earlier name of the list counts before a later one, wherever its column stands.
static void take_reference(const char *name, const struct dataset_columns *columns, struct header *h, bool *twice) {
  for (size_t i = 0; i < DATASET_REFERENCE_NAMES && columns->references[i]; i++) {
    const char *wanted = columns->references[i];
    if (h->reference_name && strcmp(h->reference_name, wanted) == 0) {
      *twice = strcmp(name, wanted) == 0;
      return;
    }
    if (strcmp(name, wanted) != 0) continue;
    h->reference = (long)h->count;
    h->reference_name = wanted;
    return;
  }
}

static enum pare_status missing_column(const struct reader *r, const char *wanted, const struct buf *found,
                                       struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s line 1: expected a column '%s', found the columns %s", r->path, wanted,
                   found->len ? found->data : "of an empty line");
}

static enum pare_status read_header(struct reader *r, const struct dataset_columns *columns, struct header *h,
                                    struct pare_error *err) {
  *h = (struct header){.text = NO_COLUMN, .pair = NO_COLUMN, .label = NO_COLUMN, .reference = NO_COLUMN};
  struct buf found = {0};
  struct field f = {.last = false};
  enum pare_status status = PARE_OK;
  while (status == PARE_OK && !f.last) {
    status = read_field(r, &f, err);
    if (status != PARE_OK) break;
    bool twice = false;
    if (!take_column(f.text, columns->text, h->count, &h->text, &twice) &&
        !take_column(f.text, columns->pair, h->count, &h->pair, &twice) &&
        !take_column(f.text, columns->label, h->count, &h->label, &twice)) {
      take_reference(f.text, columns, h, &twice);
    }
    if (twice) status = error_set(err, PARE_DATA, "%s line 1: expected one column '%s', found two", r->path, f.text);
    buf_printf(&found, "%s%s", h->count ? ", " : "", f.text);
    h->count++;
  }
  if (status == PARE_OK && found.failed) status = error_no_memory(err);
  if (status == PARE_OK && h->text == NO_COLUMN) status = missing_column(r, columns->text, &found, err);
  if (status == PARE_OK && h->label == NO_COLUMN && columns->label_required) {
    status = missing_column(r, columns->label, &found, err);
  }
  if (status == PARE_OK && h->reference == NO_COLUMN && columns->reference_required) {
    status = missing_column(r, columns->references[0], &found, err);
  }
  buf_free(&found);
  return status;
}

// ---- rows ----

static enum pare_status read_row(struct reader *r, const struct header *h, struct dataset_row *row,
                                 struct pare_error *err) {
  *row = (struct dataset_row){.line = r->line};
  struct field f = {.last = false};
  size_t count = 0;
  while (!f.last) {
    enum pare_status status = read_field(r, &f, err);
    if (status != PARE_OK) return status;
    if ((long)count == h->text) {
      row->text = f.text;
      row->len = f.len;
    } else if ((long)count == h->pair && f.len) {
      row->pair = f.text;
      row->pair_len = f.len;
    } else if ((long)count == h->label && f.len) {
      row->label = f.text;
    } else if ((long)count == h->reference && f.len) {
      row->reference = f.text;
      row->reference_len = f.len;
    }
    count++;
  }
  if (count != h->count) {
    return error_set(err, PARE_DATA, "%s line %zu: expected %zu fields as in the header, found %zu", r->path, row->line,
                     h->count, count);
  }
  if (row->len == 0)
    return error_set(err, PARE_DATA, "%s line %zu: expected text, found an empty field", r->path, row->line);
  return PARE_OK;
}

enum pare_status dataset_read_csv(pare_dataset *d, char *text, size_t len, char delimiter, bool quoting,
                                  const struct dataset_columns *columns, struct pare_error *err) {
  struct reader r = {
      .path = d->path, .p = text, .end = text + len, .line = 1, .delimiter = delimiter, .quoting = quoting};
  struct header h;
  if (len == 0) return error_set(err, PARE_DATA, "%s: expected a header line, found an empty file", d->path);
  enum pare_status status = read_header(&r, columns, &h, err);
  if (status == PARE_OK) skip_blank_lines(&r);
  while (status == PARE_OK && r.p < r.end && d->count < d->limit) {
    struct dataset_row row;
    status = read_row(&r, &h, &row, err);
    if (status == PARE_OK) status = dataset_add_row(d, &row, err);
    if (status == PARE_OK) skip_blank_lines(&r);
  }
  return status;
}
