// yaml_file.h - a YAML file read whole (JSON is its flow style), with the line of every value kept for messages.
#ifndef PARE_BASE_YAML_FILE_H
#define PARE_BASE_YAML_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <yaml.h>

#include "base/error.h"

// Reads the one document of the file at path, at most max_bytes long. PARE_NOFILE, or PARE_DATA naming file and line.
// A document without a root (an empty file) is no error. To be given to yaml_document_delete on PARE_OK.
enum pare_status yaml_file_read(const char *path, size_t max_bytes, yaml_document_t *out, struct pare_error *err);
int yaml_node_line(const yaml_node_t *node); // 1 is the first
// A plain scalar that is a finite decimal number and nothing else ("0x10", "inf" and quoted text are not).
bool yaml_node_number(const yaml_node_t *node, double *out);

// The document as a tree: mappings, lists, numbers, true, false, null, text. lines: dotted path ("parts.0.model") ->
// line of the key or list item; the root is "". Refused: a key that is no text or comes twice, aliases, nesting beyond
// 16, text that is not UTF-8. The caller owns both.
struct yaml_tree {
  json_t *root;  // an object
  json_t *lines; // an object of integers
};
enum pare_status yaml_tree_load(const char *path, size_t max_bytes, struct yaml_tree *out, struct pare_error *err);
int yaml_tree_line(const struct yaml_tree *t, const char *path); // 1 when the path is not in the file
// What a message says was found: "a mapping", the number, the text. number: room for the answer.
const char *yaml_value_text(const json_t *value, char number[32]);
void yaml_tree_free(struct yaml_tree *t); // accepts a zeroed struct

#endif
