// json.c - jansson with one sentence for every way a value can be wrong.
#include <string.h>

#include "base/file.h"
#include "text/load.h"

static const char *type_name(const json_t *v) {
  if (!v) return "nothing";
  switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
  }
  return "nothing";
}

enum pare_status json_parse(const void *bytes, size_t len, const char *file, json_t **out, struct pare_error *err) {
  enum { LIMIT = 1 << 29 };
  *out = NULL;
  if (len > LIMIT) return error_set(err, PARE_DATA, "%s: larger than 512 MiB", file);
  json_error_t e;
  // Numbers as doubles: model_max_length is often 1e30, written out, and ids are exact in a double.
  json_t *v = json_loadb(len ? bytes : "", len, JSON_DECODE_INT_AS_REAL, &e);
  if (!v) return error_set(err, PARE_DATA, "%s: line %d: %s", file, e.line, e.text);
  if (!json_is_object(v)) {
    json_decref(v);
    return error_set(err, PARE_DATA, "%s: expected a JSON object", file);
  }
  *out = v;
  return PARE_OK;
}

enum pare_status json_open(const char *path, json_t **out, struct pare_error *err) {
  struct mapping m;
  *out = NULL;
  enum pare_status status = file_map(path, &m, err);
  if (status) return status;
  status = json_parse(m.data, m.len, path, out, err);
  file_unmap(&m);
  return status;
}

enum pare_status json_wrong_type(struct source s, const char *key, const char *expected, const json_t *found) {
  return error_set(s.err, PARE_DATA, "%s: %s: expected %s, found %s", s.file, key, expected, type_name(found));
}

static const json_t *get(const json_t *object, const char *key) {
  const json_t *v = json_object_get(object, key);
  return json_is_null(v) ? NULL : v;
}

enum pare_status json_bool_field(struct source s, const json_t *object, const char *key, bool *out) {
  const json_t *v = get(object, key);
  if (!v) return PARE_OK;
  if (!json_is_boolean(v)) return json_wrong_type(s, key, "true or false", v);
  *out = json_is_true(v);
  return PARE_OK;
}

enum pare_status json_string_field(struct source s, const json_t *object, const char *key, const char **out) {
  const json_t *v = get(object, key);
  if (!v) return PARE_OK;
  if (!json_is_string(v)) return json_wrong_type(s, key, "a string", v);
  *out = json_string_value(v);
  return PARE_OK;
}

enum pare_status json_size_field(struct source s, const json_t *object, const char *key, size_t *out) {
  const json_t *v = get(object, key);
  if (!v) return PARE_OK;
  if (!json_is_number(v)) return json_wrong_type(s, key, "a number", v);
  double d = json_number_value(v);
  if (!(d >= 0 && d < 9007199254740992.0) || d != (double)(size_t)d) { // 2^53: exact below
    return error_set(s.err, PARE_DATA, "%s: %s: %g is not a whole number in range", s.file, key, d);
  }
  *out = (size_t)d;
  return PARE_OK;
}

enum pare_status json_need(struct source s, const json_t *object, const char *key, json_type type, json_t **out) {
  json_t *v = json_object_get(object, key);
  const char *expected = type == JSON_OBJECT ? "an object" : "an array";
  if (!v || json_typeof(v) != type) return json_wrong_type(s, key, expected, v);
  *out = v;
  return PARE_OK;
}

enum pare_status json_id(struct source s, const json_t *value, const char *what, uint32_t *out) {
  if (!json_is_number(value)) {
    return error_set(s.err, PARE_DATA, "%s: id of \"%.80s\": expected a number, found %s", s.file, what,
                     type_name(value));
  }
  double d = json_number_value(value);
  if (!(d >= 0 && d < VOCAB_MAX_ID) || d != (double)(uint32_t)d) {
    return error_set(s.err, PARE_DATA, "%s: id of \"%.80s\": %.17g is not a whole number below %d", s.file, what, d,
                     VOCAB_MAX_ID);
  }
  *out = (uint32_t)d;
  return PARE_OK;
}

enum pare_status json_component(struct source s, const json_t *component, const char *role, const char **type) {
  if (!json_is_object(component)) return json_wrong_type(s, role, "an object", component);
  *type = NULL;
  enum pare_status status = json_string_field(s, component, "type", type);
  if (status) return status;
  return *type ? PARE_OK : error_set(s.err, PARE_DATA, "%s: %s has no \"type\"", s.file, role);
}

enum pare_status json_not_implemented(struct source s, const char *role, const char *what) {
  return error_set(s.err, PARE_DATA, "%s: %s \"%.80s\" is not implemented", s.file, role, what);
}
