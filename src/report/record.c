// record.c - see record.h.
#include "report/record.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

enum { STEP_MAX = 128 }; // longest step of a path; paths are written in this program, names in records are not steps

static const json_t *step(const json_t *node, const char *name) {
  if (!json_is_array(node)) return json_object_get(node, name); // NULL for anything but an object
  size_t index = 0;
  for (const char *p = name; *p; p++) {
    if (*p < '0' || *p > '9' || index > 1000000) return NULL;
    index = index * 10 + (size_t)(*p - '0');
  }
  return *name ? json_array_get(node, index) : NULL;
}

// Like record_get, but JSON null is a node.
static const json_t *walk(const json_t *node, const char *path, size_t len) {
  char name[STEP_MAX];
  for (const char *end = path + len; node && path < end;) {
    const char *dot = memchr(path, '.', (size_t)(end - path));
    size_t n = (size_t)((dot ? dot : end) - path);
    if (n >= sizeof name) return NULL;
    memcpy(name, path, n);
    name[n] = 0;
    node = step(node, name);
    path += n + (dot != NULL);
  }
  return node;
}

const json_t *record_get(const json_t *record, const char *path) {
  const json_t *node = walk(record, path, strlen(path));
  return json_is_null(node) ? NULL : node;
}

bool record_number(const json_t *record, const char *path, double *out) {
  const json_t *node = record_get(record, path);
  if (!json_is_number(node) || !isfinite(json_number_value(node))) return false;
  *out = json_number_value(node);
  return true;
}

bool record_count(const json_t *record, const char *path, size_t *out) {
  const json_t *node = record_get(record, path);
  if (!json_is_integer(node) || json_integer_value(node) < 0) return false;
  *out = (size_t)json_integer_value(node);
  return true;
}

const char *record_string(const json_t *record, const char *path) {
  return json_string_value(record_get(record, path));
}

bool record_interval(const json_t *record, const char *path, double out[2]) {
  const json_t *node = record_get(record, path);
  if (!json_is_array(node) || json_array_size(node) != 2) return false;
  return record_number(node, "0", &out[0]) && record_number(node, "1", &out[1]) && out[0] <= out[1];
}

// The nearest reason: of the value itself, else of the object it would have been in.
const char *record_reason(const json_t *record, const char *path) {
  for (size_t len = strlen(path); len;) {
    size_t start = len;
    while (start && path[start - 1] != '.') start--;
    char key[STEP_MAX];
    const json_t *parent = walk(record, path, start ? start - 1 : 0);
    snprintf(key, sizeof key, "%.*s_reason", (int)(len - start), path + start);
    const char *reason = json_string_value(json_object_get(parent, key));
    if (reason) return reason;
    len = start ? start - 1 : 0;
  }
  return "not in the record";
}

int record_set_null(json_t *object, const char *key, const char *format, ...) {
  char reason[256], reason_key[STEP_MAX];
  va_list ap;
  va_start(ap, format);
  vsnprintf(reason, sizeof reason, format, ap);
  va_end(ap);
  reason[utf8_first_bad(reason, strlen(reason))] = 0; // may have been cut within a character
  snprintf(reason_key, sizeof reason_key, "%s_reason", key);
  return json_object_set_new(object, key, json_null()) | json_object_set_new(object, reason_key, json_string(reason));
}

bool record_is_text(const json_t *record) {
  const char *outcome = record_string(record, "outcome");
  return outcome && strcmp(outcome, "text") == 0;
}

size_t record_model_count(const json_t *record) {
  return json_array_size(record_get(record, "models"));
}

const json_t *record_model(const json_t *record, size_t i) {
  return json_array_get(record_get(record, "models"), i);
}

const char *record_model_name(const json_t *model) {
  const char *name = record_string(model, "name");
  return name ? name : "?";
}

const char *record_model_label(const json_t *model) {
  const char *label = record_string(model, "label");
  return label ? label : record_model_name(model);
}

struct size_unit record_size_unit(const json_t *record) {
  double size;
  bool small = record_number(record_model(record, 0), "size_bytes", &size) && size < 1e6;
  return small ? (struct size_unit){"kB", 1e3} : (struct size_unit){"MB", 1e6};
}

size_t record_find_model(const json_t *record, const char *name) {
  size_t count = record_model_count(record);
  for (size_t i = 0; i < count; i++) {
    if (strcmp(record_model_name(record_model(record, i)), name) == 0) return i;
  }
  return count;
}
