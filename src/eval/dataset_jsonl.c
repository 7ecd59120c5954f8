// dataset_jsonl.c - one JSON object per line. jansson decodes a line, and the strings that matter are copied back over
// it.
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "eval/dataset_rows.h"

static const char *type_name(const json_t *value) {
  static const char *const names[] = {
      [JSON_OBJECT] = "an object",    [JSON_ARRAY] = "an array",  [JSON_STRING] = "a string",
      [JSON_INTEGER] = "an integer",  [JSON_REAL] = "a fraction", [JSON_TRUE] = "a truth value",
      [JSON_FALSE] = "a truth value", [JSON_NULL] = "null"};
  return names[json_typeof(value)];
}

struct line {
  const char *path;
  size_t number;
  char *text; // the line's own bytes
  size_t len, used;
};

static enum pare_status missing_field(const struct line *l, const char *field, json_t *object, struct pare_error *err) {
  struct buf found = {0};
  const char *key;
  json_t *value;
  json_object_foreach(object, key, value) buf_printf(&found, "%s%s", found.len ? ", " : "", key);
  error_set(err, PARE_DATA, "%s line %zu: expected a field '%s', found the fields %s", l->path, l->number, field,
            found.data ? found.data : "(none)");
  buf_free(&found);
  return PARE_DATA;
}

// There is room: every string kept stood in this line as "key": "value", with at least two quotes more than its bytes,
// and no field is kept twice.
static const char *keep(struct line *l, const char *text, size_t len) {
  assert(l->used + len < l->len);
  char *at = l->text + l->used;
  memcpy(at, text, len);
  at[len] = 0;
  l->used += len + 1;
  return at;
}

static enum pare_status read_string(struct line *l, json_t *object, const char *field, const char **text, size_t *len,
                                    struct pare_error *err) {
  const json_t *value = json_object_get(object, field);
  if (!value || json_is_null(value)) return PARE_OK;
  if (!json_is_string(value)) {
    return error_set(err, PARE_DATA, "%s line %zu: expected a string as '%s', found %s", l->path, l->number, field,
                     type_name(value));
  }
  *len = json_string_length(value);
  *text = keep(l, json_string_value(value), *len);
  return PARE_OK;
}

static enum pare_status read_label(struct line *l, json_t *object, const struct dataset_columns *columns,
                                   struct dataset_row *row, struct pare_error *err) {
  const json_t *value = json_object_get(object, columns->label);
  if (!value && columns->label_required) return missing_field(l, columns->label, object, err);
  if (!value || json_is_null(value)) return PARE_OK;
  if (json_is_integer(value)) {
    char digits[32];
    int n = snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    row->label = keep(l, digits, (size_t)n);
    return PARE_OK;
  }
  if (!json_is_string(value)) {
    return error_set(err, PARE_DATA, "%s line %zu: expected a string or an integer as '%s', found %s", l->path,
                     l->number, columns->label, type_name(value));
  }
  size_t len = json_string_length(value);
  if (len) row->label = keep(l, json_string_value(value), len);
  return PARE_OK;
}

static enum pare_status read_reference(struct line *l, json_t *object, const struct dataset_columns *columns,
                                       struct dataset_row *row, struct pare_error *err) {
  const char *const *names = columns->references;
  if (columns->reference_required && !json_object_get(object, names[0])) return missing_field(l, names[0], object, err);
  for (size_t i = 0; i < DATASET_REFERENCE_NAMES && names[i] && !row->reference; i++) {
    // Data for another task may call something else by a usual name.
    if (!columns->reference_required && !json_is_string(json_object_get(object, names[i]))) continue;
    enum pare_status status = read_string(l, object, names[i], &row->reference, &row->reference_len, err);
    if (status != PARE_OK) return status;
  }
  return PARE_OK;
}

static enum pare_status read_object(struct line *l, json_t *object, const struct dataset_columns *columns,
                                    struct dataset_row *row, struct pare_error *err) {
  if (!json_is_object(object)) {
    return error_set(err, PARE_DATA, "%s line %zu: expected a JSON object, found %s", l->path, l->number,
                     type_name(object));
  }
  const json_t *text = json_object_get(object, columns->text);
  if (!text) return missing_field(l, columns->text, object, err);
  if (!json_is_string(text) || json_string_length(text) == 0) {
    return error_set(err, PARE_DATA, "%s line %zu: expected text as '%s', found %s", l->path, l->number, columns->text,
                     json_is_string(text) ? "an empty string" : type_name(text));
  }
  enum pare_status status = read_string(l, object, columns->text, &row->text, &row->len, err);
  if (status == PARE_OK && columns->pair)
    status = read_string(l, object, columns->pair, &row->pair, &row->pair_len, err);
  if (status == PARE_OK) status = read_label(l, object, columns, row, err);
  if (status == PARE_OK) status = read_reference(l, object, columns, row, err);
  return status;
}

static bool blank(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++) {
    if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') return false;
  }
  return true;
}

static enum pare_status read_line(pare_dataset *d, struct line *l, const struct dataset_columns *columns,
                                  struct pare_error *err) {
  json_error_t at;
  json_t *object = json_loadb(l->text, l->len, JSON_REJECT_DUPLICATES, &at);
  if (!object) {
    return error_set(err, PARE_DATA, "%s line %zu: expected a JSON object, found invalid JSON at byte %d: %s", l->path,
                     l->number, at.position, at.text);
  }
  struct dataset_row row = {.line = l->number};
  enum pare_status status = read_object(l, object, columns, &row, err);
  if (status == PARE_OK) status = dataset_add_row(d, &row, err);
  json_decref(object);
  return status;
}

enum pare_status dataset_read_jsonl(pare_dataset *d, char *text, size_t len, const struct dataset_columns *columns,
                                    struct pare_error *err) {
  char *end = text + len;
  struct line l = {.path = d->path};
  while (text < end && d->count < d->limit) {
    char *stop = memchr(text, '\n', (size_t)(end - text));
    if (!stop) stop = end;
    l = (struct line){.path = d->path, .number = l.number + 1, .text = text, .len = (size_t)(stop - text)};
    if (!blank(l.text, l.len)) {
      enum pare_status status = read_line(d, &l, columns, err);
      if (status != PARE_OK) return status;
    }
    text = stop + 1;
  }
  return PARE_OK;
}
