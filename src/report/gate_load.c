// gate_load.c - reads a gate file with libyaml. JSON is read by the same parser: it is YAML's flow style, and one
// parser gives both the same meaning and the same line numbers in messages.
#include <math.h>
#include <string.h>

#include "base/yaml_file.h"
#include "report/gate.h"
#include "report/gate_keys.h"

enum { GATE_FILE_MAX = 1 << 20 }; // a gate file has some twenty lines; anything this long is something else

struct loading {
  const char *path;
  yaml_document_t document;
  json_t *out;
  struct pare_error *err;
};

static const char *text_of(const yaml_node_t *node) {
  if (node->type == YAML_SEQUENCE_NODE) return "a list";
  if (node->type == YAML_MAPPING_NODE) return "a mapping";
  return (const char *)node->data.scalar.value;
}

static enum pare_status bad_value(struct loading *l, const char *key, const char *expected, const yaml_node_t *found) {
  const char *quote =
      found->type == YAML_SCALAR_NODE && found->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ? "\"" : "";
  return error_set(l->err, PARE_DATA, "%s:%d: %s: expected %s, found %s%.80s%s", l->path, yaml_node_line(found), key,
                   expected, quote, text_of(found), quote);
}

static enum pare_status read_value(struct loading *l, const struct gate_key *key, const yaml_node_t *value) {
  json_t *json = NULL;
  double number = 0;
  if (key->kind == GATE_TEXT) {
    if (value->type != YAML_SCALAR_NODE || !*text_of(value)) return bad_value(l, key->name, key->expected, value);
    bool kind = strcmp(key->name, "accuracy_kind") == 0;
    if (kind && strcmp(text_of(value), "absolute") != 0 && strcmp(text_of(value), "relative") != 0) {
      return bad_value(l, key->name, key->expected, value);
    }
    json = json_stringn(text_of(value), value->data.scalar.length);
    if (!json) return bad_value(l, key->name, "text in UTF-8", value);
  } else {
    if (!yaml_node_number(value, &number) || number < key->low || number > key->high ||
        (key->kind == GATE_COUNT && number != floor(number))) {
      return bad_value(l, key->name, key->expected, value);
    }
    json = key->kind == GATE_COUNT ? json_integer((json_int_t)number) : json_real(number);
  }
  return json_object_set_new(l->out, key->name, json) ? error_no_memory(l->err) : PARE_OK;
}

static enum pare_status read_pair(struct loading *l, const yaml_node_pair_t *pair) {
  const yaml_node_t *name = yaml_document_get_node(&l->document, pair->key);
  const yaml_node_t *value = yaml_document_get_node(&l->document, pair->value);
  const struct gate_key *key = name->type == YAML_SCALAR_NODE ? gate_key_find(text_of(name)) : NULL;
  if (!key) {
    return error_set(l->err, PARE_DATA,
                     "%s:%d: unknown key: expected one of the gate keys (max_accuracy_drop_pp, ...), found %.80s",
                     l->path, yaml_node_line(name), text_of(name));
  }
  if (json_object_get(l->out, key->name)) {
    return error_set(l->err, PARE_DATA, "%s:%d: %s: expected once, found again", l->path, yaml_node_line(name),
                     key->name);
  }
  return read_value(l, key, value);
}

static enum pare_status read_document(struct loading *l) {
  const yaml_node_t *root = yaml_document_get_root_node(&l->document);
  if (!root) return error_set(l->err, PARE_DATA, "%s:1: expected gate keys, found an empty file", l->path);
  if (root->type != YAML_MAPPING_NODE) {
    return error_set(l->err, PARE_DATA, "%s:%d: expected a mapping of gate keys, found %.80s", l->path,
                     yaml_node_line(root), text_of(root));
  }
  enum pare_status status = PARE_OK;
  const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
  for (; status == PARE_OK && pair < root->data.mapping.pairs.top; pair++) status = read_pair(l, pair);
  bool limits = false;
  for (size_t i = 0; i < gate_key_count; i++)
    limits |= gate_keys[i].measure && json_object_get(l->out, gate_keys[i].name);
  if (status == PARE_OK && !limits) {
    // A gate that checks nothing would pass everything.
    return error_set(l->err, PARE_DATA, "%s:1: expected at least one limit, found only settings", l->path);
  }
  return status;
}

enum pare_status gate_load(const char *path, json_t **out, struct pare_error *err) {
  *out = NULL;
  struct loading l = {.path = path, .err = err};
  enum pare_status status = yaml_file_read(path, GATE_FILE_MAX, &l.document, err);
  if (status != PARE_OK) return status;
  l.out = json_object();
  status = l.out ? read_document(&l) : error_no_memory(err);
  yaml_document_delete(&l.document);
  if (status == PARE_OK) {
    *out = l.out;
  } else {
    json_decref(l.out);
  }
  return status;
}
