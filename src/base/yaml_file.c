// yaml_file.c - see yaml_file.h.
#include "base/yaml_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { DEPTH_MAX = 16, PATH_MAX_BYTES = 512 };

int yaml_node_line(const yaml_node_t *node) {
  return (int)node->start_mark.line + 1;
}

bool yaml_node_number(const yaml_node_t *node, double *out) {
  if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
  const char *text = (const char *)node->data.scalar.value;
  if (!*text || text[strspn(text, "+-.0123456789eE")]) return false;
  char *end;
  *out = strtod(text, &end);
  return *end == 0 && isfinite(*out);
}

static enum pare_status unreadable(const char *path, const yaml_parser_t *parser, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s:%d: expected YAML or JSON, found: %s", path, (int)parser->problem_mark.line + 1,
                   parser->problem ? parser->problem : "unreadable text");
}

static enum pare_status parse(const char *path, const struct mapping *file, yaml_document_t *out,
                              struct pare_error *err) {
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) return error_no_memory(err);
  yaml_parser_set_input_string(&parser, file->len ? file->data : (const unsigned char *)"", file->len);
  enum pare_status status = PARE_OK;
  if (!yaml_parser_load(&parser, out)) {
    status = unreadable(path, &parser, err);
    yaml_parser_delete(&parser);
    return status;
  }
  yaml_document_t more;
  if (yaml_parser_load(&parser, &more)) {
    const yaml_node_t *second = yaml_document_get_root_node(&more);
    if (second)
      status = error_set(err, PARE_DATA, "%s:%d: expected one document, found a second", path, yaml_node_line(second));
    yaml_document_delete(&more);
  } else {
    status = unreadable(path, &parser, err);
  }
  yaml_parser_delete(&parser);
  if (status) yaml_document_delete(out);
  return status;
}

enum pare_status yaml_file_read(const char *path, size_t max_bytes, yaml_document_t *out, struct pare_error *err) {
  struct mapping file;
  enum pare_status status = file_map(path, &file, err);
  if (status) return status;
  if (file.len > max_bytes) {
    status = error_set(err, PARE_DATA, "%s: expected at most %zu bytes, found %zu", path, max_bytes, file.len);
  } else {
    status = parse(path, &file, out, err);
  }
  file_unmap(&file);
  return status;
}

// ---- as a tree ----

struct reader {
  const char *file;
  yaml_document_t document;
  json_t *lines;
  struct pare_error *err;
};

static enum pare_status read_node(struct reader *r, int index, const char *path, size_t depth, json_t **out);

static enum pare_status read_scalar(struct reader *r, const yaml_node_t *node, const char *path, json_t **out) {
  const char *text = (const char *)node->data.scalar.value;
  bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  double number;
  if (yaml_node_number(node, &number)) {
    bool whole = number == floor(number) && fabs(number) < 9e15 && !strpbrk(text, ".eE");
    *out = whole ? json_integer((json_int_t)number) : json_real(number);
  } else if (plain && (!strcmp(text, "true") || !strcmp(text, "false"))) {
    *out = json_boolean(*text == 't');
  } else if (plain && (!*text || !strcmp(text, "~") || !strcmp(text, "null"))) {
    *out = json_null();
  } else {
    *out = json_stringn(text, node->data.scalar.length);
    if (!*out)
      return error_set(r->err, PARE_DATA, "%s:%d: %s: expected text in UTF-8", r->file, yaml_node_line(node), path);
  }
  return *out ? PARE_OK : error_no_memory(r->err);
}

static enum pare_status child_path(struct reader *r, const char *path, const char *step, int line, char *out) {
  int n = snprintf(out, PATH_MAX_BYTES, "%s%s%s", path, *path ? "." : "", step);
  if (n < PATH_MAX_BYTES) return PARE_OK;
  return error_set(r->err, PARE_DATA, "%s:%d: expected a shorter key, found %.40s...", r->file, line, step);
}

static enum pare_status read_pair(struct reader *r, const yaml_node_pair_t *pair, const char *path, size_t depth,
                                  json_t *object) {
  const yaml_node_t *name = yaml_document_get_node(&r->document, pair->key);
  char below[PATH_MAX_BYTES];
  int line = yaml_node_line(name);
  if (name->type != YAML_SCALAR_NODE)
    return error_set(r->err, PARE_DATA, "%s:%d: expected a key, found a list or mapping", r->file, line);
  const char *key = (const char *)name->data.scalar.value;
  if (json_object_get(object, key))
    return error_set(r->err, PARE_DATA, "%s:%d: %.80s: expected once, found again", r->file, line, key);
  enum pare_status status = child_path(r, path, key, line, below);
  json_t *value = NULL;
  if (!status) status = read_node(r, pair->value, below, depth + 1, &value);
  if (status) return status;
  if (json_object_set_new(object, key, value))
    return error_set(r->err, PARE_DATA, "%s:%d: expected a key in UTF-8", r->file, line);
  // A mapping begins at its first key, a line below its own.
  return json_object_set_new(r->lines, below, json_integer(line)) ? error_no_memory(r->err) : PARE_OK;
}

static enum pare_status read_mapping(struct reader *r, const yaml_node_t *node, const char *path, size_t depth,
                                     json_t **out) {
  *out = json_object();
  if (!*out) return error_no_memory(r->err);
  const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
  for (; pair < node->data.mapping.pairs.top; pair++) {
    enum pare_status status = read_pair(r, pair, path, depth, *out);
    if (status) return status;
  }
  return PARE_OK;
}

static enum pare_status read_list(struct reader *r, const yaml_node_t *node, const char *path, size_t depth,
                                  json_t **out) {
  *out = json_array();
  if (!*out) return error_no_memory(r->err);
  const yaml_node_item_t *item = node->data.sequence.items.start;
  for (size_t i = 0; item < node->data.sequence.items.top; item++, i++) {
    char step[24], below[PATH_MAX_BYTES];
    snprintf(step, sizeof step, "%zu", i);
    json_t *value = NULL;
    enum pare_status status = child_path(r, path, step, yaml_node_line(node), below);
    if (!status) status = read_node(r, *item, below, depth + 1, &value);
    if (status) return status;
    if (json_array_append_new(*out, value)) return error_no_memory(r->err);
  }
  return PARE_OK;
}

static enum pare_status read_node(struct reader *r, int index, const char *path, size_t depth, json_t **out) {
  yaml_node_t *node = yaml_document_get_node(&r->document, index);
  int line = yaml_node_line(node);
  if (depth > DEPTH_MAX)
    return error_set(r->err, PARE_DATA, "%s:%d: expected at most %d levels", r->file, line, DEPTH_MAX);
  if (json_object_set_new(r->lines, path, json_integer(line))) return error_no_memory(r->err);
  json_t *value = NULL;
  enum pare_status status;
  switch (node->type) {
    case YAML_MAPPING_NODE: status = read_mapping(r, node, path, depth, &value); break;
    case YAML_SEQUENCE_NODE: status = read_list(r, node, path, depth, &value); break;
    default: status = read_scalar(r, node, path, &value); break;
  }
  if (status) {
    json_decref(value);
    return status;
  }
  *out = value;
  return PARE_OK;
}

// libyaml gives an aliased node one index under several parents. Refused, since aliases of aliases multiply.
static enum pare_status refuse_aliases(struct reader *r) {
  size_t count = (size_t)(r->document.nodes.top - r->document.nodes.start);
  unsigned char *seen = calloc(count + 1, 1);
  if (!seen) return error_no_memory(r->err);
  seen[1] = 1; // the root, which nothing holds
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < count; i++) {
    const yaml_node_t *node = &r->document.nodes.start[i];
    const int *items = NULL;
    size_t n = 0;
    if (node->type == YAML_SEQUENCE_NODE) {
      items = node->data.sequence.items.start;
      n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    } else if (node->type == YAML_MAPPING_NODE) {
      n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    }
    for (size_t k = 0; !status && k < n; k++) {
      int child = items ? items[k] : node->data.mapping.pairs.start[k].value;
      if (seen[child]++)
        status = error_set(r->err, PARE_DATA, "%s:%d: expected no alias (*name)", r->file, yaml_node_line(node));
    }
  }
  free(seen);
  return status;
}

enum pare_status yaml_tree_load(const char *path, size_t max_bytes, struct yaml_tree *out, struct pare_error *err) {
  *out = (struct yaml_tree){0};
  struct reader r = {.file = path, .err = err};
  enum pare_status status = yaml_file_read(path, max_bytes, &r.document, err);
  if (status) return status;
  r.lines = json_object();
  const yaml_node_t *root = yaml_document_get_root_node(&r.document);
  json_t *tree = NULL;
  if (!r.lines) {
    status = error_no_memory(err);
  } else if (!root || root->type != YAML_MAPPING_NODE) {
    status = error_set(err, PARE_DATA, "%s:1: expected a mapping of keys", path);
  } else {
    status = refuse_aliases(&r);
    if (!status) status = read_node(&r, 1, "", 0, &tree);
  }
  yaml_document_delete(&r.document);
  if (status) {
    json_decref(r.lines);
    return status;
  }
  *out = (struct yaml_tree){.root = tree, .lines = r.lines};
  return PARE_OK;
}

int yaml_tree_line(const struct yaml_tree *t, const char *path) {
  json_int_t line = json_integer_value(json_object_get(t->lines, path));
  return line ? (int)line : 1;
}

const char *yaml_value_text(const json_t *value, char number[32]) {
  static const char *const kinds[] = {"a mapping", "a list", NULL, NULL, NULL, "true", "false", "nothing"};
  if (json_is_string(value)) return json_string_value(value);
  if (json_is_array(value) && !json_array_size(value)) return "an empty list";
  if (!json_is_number(value)) return kinds[json_typeof(value)];
  snprintf(number, 32, "%.10g", json_number_value(value));
  return number;
}

void yaml_tree_free(struct yaml_tree *t) {
  json_decref(t->root);
  json_decref(t->lines);
  *t = (struct yaml_tree){0};
}
