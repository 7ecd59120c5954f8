// dataset.c - see dataset.h. A file is read into one block and decoded in place: an escaped or quoted string is never
// shorter than what it stands for, so a row costs its bytes in the file and one struct.
#include "eval/dataset.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "eval/dataset_rows.h"

enum pare_status dataset_add_row(pare_dataset *d, const struct dataset_row *row, struct pare_error *err) {
  if (d->count == d->cap) {
    size_t cap = d->cap ? d->cap * 2 : 256;
    struct dataset_row *rows = reallocarray(d->rows, cap, sizeof *rows);
    if (!rows) return error_no_memory(err);
    d->rows = rows;
    d->cap = cap;
  }
  d->rows[d->count++] = *row;
  d->labelled += row->label != NULL;
  d->references += row->reference != NULL;
  d->text_bytes += row->len + row->pair_len;
  return PARE_OK;
}

static enum pare_status read_lines(pare_dataset *d, char *text, size_t len, struct pare_error *err) {
  char *end = text + len;
  for (size_t line = 1; text < end && d->count < d->limit; line++) {
    char *stop = memchr(text, '\n', (size_t)(end - text));
    if (!stop) stop = end;
    size_t n = (size_t)(stop - text);
    if (n > 0 && text[n - 1] == '\r') n--;
    text[n] = 0;
    enum pare_status status = dataset_add_row(d, &(struct dataset_row){.text = text, .len = n, .line = line}, err);
    if (status != PARE_OK) return status;
    text = stop + 1;
  }
  return PARE_OK;
}

static size_t line_of(const char *text, size_t offset) {
  size_t line = 1;
  for (size_t i = 0; i < offset; i++) line += text[i] == '\n';
  return line;
}

static enum pare_status check_text(const char *path, const char *text, size_t len, struct pare_error *err) {
  size_t bad = utf8_first_bad(text, len);
  if (bad < len) {
    return error_set(err, PARE_DATA, "%s line %zu: expected UTF-8 text, found byte 0x%02x", path, line_of(text, bad),
                     (unsigned char)text[bad]);
  }
  const char *nul = len ? memchr(text, 0, len) : NULL;
  if (!nul) return PARE_OK;
  return error_set(err, PARE_DATA, "%s line %zu: expected text, found a NUL byte", path,
                   line_of(text, (size_t)(nul - text)));
}

// A column that is read as something else is no reference, unless asked for, which is a mistake.
static enum pare_status choose_references(const struct pare_dataset_options *options, struct dataset_columns *out,
                                          struct pare_error *err) {
  const char *const usual[DATASET_REFERENCE_NAMES] = {"reference", "summary"};
  const char *asked = options ? options->reference_column : NULL;
  out->reference_required = asked != NULL;
  size_t kept = 0;
  for (size_t i = 0; i < (asked ? 1 : DATASET_REFERENCE_NAMES); i++) {
    const char *name = asked ? asked : usual[i];
    bool label = strcmp(name, out->label) == 0 && (out->label_required || asked);
    bool taken = strcmp(name, out->text) == 0 || label || (out->pair && strcmp(name, out->pair) == 0);
    if (taken && asked)
      return error_set(err, PARE_USAGE, "column '%s' cannot be both the reference and something else", name);
    if (!taken) out->references[kept++] = name;
  }
  return PARE_OK;
}

static enum pare_status choose_columns(const struct pare_dataset_options *options, struct dataset_columns *out,
                                       struct pare_error *err) {
  *out = (struct dataset_columns){.text = "text", .pair = "pair", .label = "label"};
  if (options && options->text_column) out->text = options->text_column;
  if (options && options->label_column) {
    out->label = options->label_column;
    out->label_required = true;
  }
  if (strcmp(out->text, out->label) == 0) {
    return error_set(err, PARE_USAGE, "column '%s' cannot be both the text and the label", out->text);
  }
  if (strcmp(out->text, "pair") == 0 || strcmp(out->label, "pair") == 0) out->pair = NULL;
  return choose_references(options, out, err);
}

static enum pare_status read_rows(pare_dataset *d, enum dataset_kind kind, size_t len,
                                  const struct pare_dataset_options *options, struct pare_error *err) {
  struct dataset_columns columns;
  enum pare_status status = choose_columns(options, &columns, err);
  if (status == PARE_OK) status = check_text(d->path, d->block, len, err);
  if (status != PARE_OK) return status;
  char *text = d->block;
  if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
    text += 3;
    len -= 3;
  }
  switch (kind) {
    case DATASET_TEXT: status = read_lines(d, text, len, err); break;
    case DATASET_CSV: status = dataset_read_csv(d, text, len, ',', true, &columns, err); break;
    case DATASET_TSV: status = dataset_read_csv(d, text, len, '\t', false, &columns, err); break;
    case DATASET_JSONL: status = dataset_read_jsonl(d, text, len, &columns, err); break;
  }
  if (status == PARE_OK && d->count == 0)
    status = error_set(err, PARE_DATA, "%s: expected rows of text, found none", d->path);
  return status;
}

enum pare_status dataset_parse(const char *path, enum dataset_kind kind, char *block, size_t len,
                               const struct pare_dataset_options *options, pare_dataset **out, struct pare_error *err) {
  *out = NULL;
  pare_dataset *d = calloc(1, sizeof *d);
  if (!d) {
    free(block);
    return error_no_memory(err);
  }
  d->block = block;
  d->limit = options && options->limit ? options->limit : SIZE_MAX;
  d->path = strdup(path);
  bytes_sha256(block, len, d->sha256);
  enum pare_status status = d->path ? read_rows(d, kind, len, options, err) : error_no_memory(err);
  if (status != PARE_OK) {
    dataset_close(d);
    return status;
  }
  *out = d;
  return PARE_OK;
}

static enum pare_status read_stdin(char **block, size_t *len, struct pare_error *err) {
  size_t cap = 1 << 16;
  char *data = malloc(cap);
  *len = 0;
  for (;;) {
    if (!data) return error_no_memory(err);
    ssize_t n = read(STDIN_FILENO, data + *len, cap - 1 - *len);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      free(data);
      return error_set(err, PARE_DATA, "cannot read standard input: %s", strerror(errno));
    }
    if (n == 0) break;
    *len += (size_t)n;
    if (*len < cap - 1) continue;
    char *more = cap <= SIZE_MAX / 2 ? realloc(data, cap * 2) : NULL;
    if (!more) free(data);
    data = more;
    cap *= 2;
  }
  *block = data;
  return PARE_OK;
}

static enum pare_status read_file(const char *path, char **block, size_t *len, struct pare_error *err) {
  struct mapping map;
  enum pare_status status = file_map(path, &map, err);
  if (status != PARE_OK) return status;
  *len = map.len;
  *block = malloc(map.len + 1);
  if (*block && map.len) memcpy(*block, map.data, map.len);
  file_unmap(&map);
  return *block ? PARE_OK : error_no_memory(err);
}

static bool kind_of(const char *path, enum dataset_kind *out) {
  static const struct {
    const char *extension;
    enum dataset_kind kind;
  } kinds[] = {{".txt", DATASET_TEXT}, {".csv", DATASET_CSV}, {".tsv", DATASET_TSV}, {".jsonl", DATASET_JSONL}};
  const char *dot = strrchr(path_base(path), '.');
  for (size_t i = 0; dot && i < sizeof kinds / sizeof kinds[0]; i++) {
    if (strcasecmp(dot, kinds[i].extension) != 0) continue;
    *out = kinds[i].kind;
    return true;
  }
  return false;
}

enum pare_status dataset_open(const char *path, const struct pare_dataset_options *options, pare_dataset **out,
                              struct pare_error *err) {
  *out = NULL;
  char *block = NULL;
  size_t len = 0;
  enum dataset_kind kind = DATASET_TEXT;
  bool standard_input = strcmp(path, "-") == 0;
  enum pare_status status = standard_input ? read_stdin(&block, &len, err) : read_file(path, &block, &len, err);
  if (status != PARE_OK) return status;
  if (!standard_input && !kind_of(path, &kind)) {
    free(block);
    return error_set(err, PARE_DATA, "%s: expected a .txt, .csv, .tsv or .jsonl file", path);
  }
  return dataset_parse(standard_input ? "standard input" : path, kind, block, len, options, out, err);
}

void dataset_close(pare_dataset *d) {
  if (!d) return;
  free(d->path);
  free(d->block);
  free(d->rows);
  free(d);
}

struct pare_text dataset_text(const pare_dataset *d, size_t row) {
  const struct dataset_row *r = &d->rows[row];
  return (struct pare_text){.text = r->text, .len = r->len, .pair = r->pair, .pair_len = r->pair_len};
}
