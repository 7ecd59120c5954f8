// fields.c - see fields.h.
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe(const json_t *value, char *out, size_t size) {
  switch (json_typeof(value)) {
    case JSON_OBJECT: snprintf(out, size, "an object"); break;
    case JSON_ARRAY: snprintf(out, size, "a list of %zu", json_array_size(value)); break;
    case JSON_STRING: snprintf(out, size, "the text \"%.40s\"", json_string_value(value)); break;
    case JSON_INTEGER: snprintf(out, size, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: snprintf(out, size, "%g", json_real_value(value)); break;
    case JSON_TRUE: snprintf(out, size, "true"); break;
    case JSON_FALSE: snprintf(out, size, "false"); break;
    case JSON_NULL: snprintf(out, size, "null"); break;
  }
}

void fields_fail(struct fields *f, const char *key, const char *expected) {
  char found[80] = "nothing", param[80];
  json_t *value = f->object ? json_object_get(f->object, key) : NULL;
  if (value) describe(value, found, sizeof found);
  snprintf(param, sizeof param, "%s%s", f->path, key);
  if (f->ok) exchange_fail(f->x, 400, param, "%s: expected %s, found %s", param, expected, found);
  f->ok = false;
}

struct fields fields_of_body(struct exchange *x) {
  struct fields f = {.x = x, .object = exchange_parse(x), .path = ""};
  f.ok = json_is_object(f.object);
  if (f.object && !f.ok) exchange_fail(x, 400, NULL, "expected a JSON object as body, found a list");
  if (!f.ok) f.object = NULL;
  return f;
}

json_t *fields_any(const struct fields *f, const char *key) {
  json_t *value = f->ok && f->object ? json_object_get(f->object, key) : NULL;
  return json_is_null(value) ? NULL : value;
}

bool fields_has(const struct fields *f, const char *key) {
  return fields_any(f, key) != NULL;
}

struct fields fields_below(struct fields *f, const char *key) {
  json_t *value = fields_any(f, key);
  struct fields below = {.x = f->x, .object = value, .path = "", .ok = f->ok};
  if (value && !json_is_object(value)) {
    fields_fail(f, key, "an object");
    below.ok = false;
    below.object = NULL;
  }
  if (!strcmp(key, "parameters")) below.path = "parameters.";
  if (!strcmp(key, "options")) below.path = "options.";
  if (!strcmp(key, "inputs")) below.path = "inputs.";
  return below;
}

const char *fields_text(struct fields *f, const char *key, const char *absent) {
  json_t *value = fields_any(f, key);
  if (!value) return absent;
  // Names and options are C strings below; a NUL within would cut them silently.
  if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
    return json_string_value(value);
  fields_fail(f, key, "a text without NUL");
  return absent;
}

double fields_number(struct fields *f, const char *key, double absent, double low, double high) {
  json_t *value = fields_any(f, key);
  if (!value) return absent;
  double number = json_number_value(value);
  if (json_is_number(value) && number >= low && number <= high) return number;
  char expected[80];
  snprintf(expected, sizeof expected, "a number from %g to %g", low, high);
  fields_fail(f, key, expected);
  return absent;
}

size_t fields_size(struct fields *f, const char *key, size_t absent, size_t low, size_t high) {
  json_t *value = fields_any(f, key);
  if (!value) return absent;
  double number = json_number_value(value);
  // 20.0 is a whole number too, however it is written.
  if (json_is_number(value) && number >= (double)low && number <= (double)high && number == floor(number))
    return (size_t)number;
  char expected[80];
  snprintf(expected, sizeof expected, "a whole number from %zu to %zu", low, high);
  fields_fail(f, key, expected);
  return absent;
}

bool fields_flag(struct fields *f, const char *key, bool absent) {
  json_t *value = fields_any(f, key);
  if (!value) return absent;
  if (json_is_boolean(value)) return json_is_true(value);
  fields_fail(f, key, "true or false");
  return absent;
}

struct pare_text *fields_texts(struct fields *f, const char *key, size_t limit, size_t *count) {
  json_t *value = fields_any(f, key);
  char expected[80];
  snprintf(expected, sizeof expected, "a text, or a list of 1 to %zu texts", limit);
  bool list = json_is_array(value);
  size_t n = list ? json_array_size(value) : 1;
  *count = 0;
  if (!value || (!list && !json_is_string(value)) || n < 1 || n > limit) {
    fields_fail(f, key, expected);
    return NULL;
  }
  struct pare_text *texts = calloc(n, sizeof *texts);
  for (size_t i = 0; texts && i < n; i++) {
    const json_t *text = list ? json_array_get(value, i) : value;
    if (!json_is_string(text)) {
      fields_fail(f, key, expected);
      free(texts);
      return NULL;
    }
    texts[i] = (struct pare_text){.text = json_string_value(text), .len = json_string_length(text)};
  }
  if (!texts) exchange_fail(f->x, 500, NULL, "out of memory");
  f->ok = f->ok && texts;
  *count = texts ? n : 0;
  return texts;
}

const char **fields_strings(struct fields *f, const char *key, size_t limit, size_t *count) {
  json_t *value = fields_any(f, key);
  *count = 0;
  if (!value) return NULL;
  size_t n = 0;
  struct pare_text *texts = fields_texts(f, key, limit, &n);
  const char **out = texts ? calloc(n, sizeof *out) : NULL;
  for (size_t i = 0; out && i < n; i++) {
    out[i] = texts[i].text;
    if (strlen(out[i]) == texts[i].len) continue;
    fields_fail(f, key, "texts without NUL");
    free(out);
    out = NULL;
  }
  free(texts);
  *count = out ? n : 0;
  return out;
}
