// config_file.c - the YAML file: every key looked up in the table, every mistake with its line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "config_parts.h"

enum { CONFIG_FILE_MAX = 1 << 20, PATH_CAP = 512, MODELS_MAX = 1000 }; // the tree's paths are shorter

// A part of the file whose keys are `scope`'s, and the struct they go to. prefix: "" or "models.0.".
struct target {
  const struct key_scope *scope;
  void *values;
  const char *prefix;
};

// ---- messages ----

static enum pare_status say(const struct config_loading *l, const char *path, const char *what) {
  return error_set(l->err, PARE_DATA, "%s:%d: %s: %s", l->file, yaml_tree_line(&l->tree, path), path, what);
}

enum pare_status config_wrong(const struct config_loading *l, const char *path, const char *expected,
                              const json_t *found) {
  char number[32], what[320];
  snprintf(what, sizeof what, "expected %s, found %.100s", expected, yaml_value_text(found, number));
  return say(l, path, what);
}

enum pare_status config_at(const struct config_loading *l, const char *path) {
  struct pare_error inner = *l->err;
  return error_set(l->err, inner.code, "%s:%d: %s: %s", l->file, yaml_tree_line(&l->tree, path), path, inner.text);
}

// The steps that may stand where an unknown one was found: keys and sections below `below`.
struct steps {
  char names[64][32];
  size_t count;
};

static const char *step_at(const void *list, size_t i) {
  return ((const struct steps *)list)->names[i];
}

static void list_steps(const struct key_scope *s, const char *below, struct steps *out) {
  *out = (struct steps){0};
  size_t at, depth = strlen(below);
  for (size_t i = 0; i < config_key_count(s); i++) {
    const char *path = config_key_at(s, i, &at)->path;
    if (strncmp(path, below, depth) != 0) continue;
    char step[sizeof out->names[0]];
    snprintf(step, sizeof step, "%.*s", (int)strcspn(path + depth, "."), path + depth);
    bool again = out->count && !strcmp(out->names[out->count - 1], step); // sections follow in one piece
    if (!again && out->count < sizeof out->names / sizeof out->names[0])
      memcpy(out->names[out->count++], step, sizeof step);
  }
}

// Names the nearest key of that place, or the same key in another place, or all that may stand there.
static enum pare_status unknown_key(const struct config_loading *l, const struct target *t, const char *below,
                                    const char *key) {
  char full[PATH_CAP], what[400];
  snprintf(full, sizeof full, "%s%s%s", t->prefix, below, key);
  struct steps steps;
  list_steps(t->scope, below, &steps);
  const char *near = nearest_name(key, &steps, steps.count, step_at);
  if (near) {
    snprintf(what, sizeof what, "unknown key; did you mean %s%s%s?", t->prefix, below, near);
    return say(l, full, what);
  }
  for (size_t i = 0, at; i < config_key_count(t->scope); i++) {
    const char *path = config_key_at(t->scope, i, &at)->path, *dot = strrchr(path, '.');
    if (!dot || strcmp(dot + 1, key) != 0) continue;
    snprintf(what, sizeof what, "unknown key; did you mean %s%s?", t->prefix, path);
    return say(l, full, what);
  }
  int n = snprintf(what, sizeof what, "unknown key; expected one of");
  for (size_t i = 0; i < steps.count && (size_t)n < sizeof what; i++)
    n += snprintf(what + n, sizeof what - (size_t)n, "%s %s", i ? "," : "", steps.names[i]);
  return say(l, full, what);
}

// ---- values ----

static const char *text_of(const json_t *value) {
  const char *text = json_string_value(value);
  return text && *text && strlen(text) == json_string_length(value) ? text : NULL; // a NUL would cut it short
}

static enum pare_status check_scheme(const struct config_loading *l, const char *full, const char *name) {
  pare_record *record = NULL;
  char *text = NULL;
  enum pare_status status = pare_schemes(&record, l->err);
  if (!status) status = pare_record_render(record, PARE_JSON, NULL, &text, l->err);
  pare_record_close(record);
  if (status) return status;
  json_t *list = json_loads(text, 0, NULL), *found = NULL, *s;
  free(text);
  size_t i, len = strcspn(name, "+"); // "+prune=0.3" may follow
  json_array_foreach(list, i, s) {
    const char *known = json_string_value(json_object_get(s, "name"));
    if (known && strlen(known) == len && !strncmp(known, name, len)) found = s;
  }
  if (!found) {
    json_t *value = json_string(name);
    status = config_wrong(l, full, "the name of a scheme (`pare schemes` lists them)", value);
    json_decref(value);
  } else if (!json_is_true(json_object_get(found, "available"))) {
    status = say(l, full, "expected another scheme: this one is not built yet");
  } else if (json_is_true(json_object_get(found, "calibrated"))) {
    status = say(l, full, "expected a scheme that needs no calibration: `pare quantize` makes those");
  }
  json_decref(list);
  return status;
}

static enum pare_status check_isa(const struct config_loading *l, const char *full, const char *name) {
  enum pare_status status = config_isa(name, l->err);
  if (status == PARE_USAGE) l->err->code = PARE_DATA; // it is the file's mistake
  return status ? config_at(l, full) : PARE_OK;
}

// Nothing there is as if the key were not.
static enum pare_status read_text(const struct config_loading *l, const struct config_key *k, const char *full,
                                  const json_t *value, char **place) {
  if (json_is_null(value)) return PARE_OK;
  const char *text = text_of(value);
  if (!text) {
    if (json_is_number(value)) return config_wrong(l, full, "text (a number in quotes)", value);
    return config_wrong(l, full, "text", value);
  }
  enum pare_status status = PARE_OK;
  if (k->kind == KEY_SCHEME) status = check_scheme(l, full, text);
  if (k->kind == KEY_ISA) status = check_isa(l, full, text);
  if (status) return status;
  *place = strdup(text);
  return *place ? PARE_OK : error_no_memory(l->err);
}

static enum pare_status read_listen(const struct config_loading *l, const char *full, const json_t *value) {
  char port[32];
  const char *text = text_of(value);
  if (json_is_integer(value)) {
    snprintf(port, sizeof port, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    text = port;
  }
  enum pare_status status = text ? config_listen(text, &l->out->host, &l->out->port) : PARE_DATA;
  if (status == PARE_DATA) return config_wrong(l, full, "HOST:PORT, \"[IPV6]:PORT\" or PORT", value);
  return status ? error_no_memory(l->err) : PARE_OK;
}

// A message does not repeat what may be a key.
static enum pare_status read_api_keys(const struct config_loading *l, const char *full, const json_t *value) {
  if (json_is_null(value)) return PARE_OK;
  if (json_is_string(value)) return say(l, full, "expected a list of keys, found text");
  if (!json_is_array(value)) return config_wrong(l, full, "a list of keys", value);
  for (size_t i = 0; i < json_array_size(value); i++) {
    char item[PATH_CAP];
    const json_t *key = json_array_get(value, i);
    snprintf(item, sizeof item, "%.100s.%zu", full, i);
    if (json_is_number(key)) return say(l, item, "expected a key, found a number: put it in quotes");
    if (!json_is_string(key)) return config_wrong(l, item, "a key", key);
    if (!strcmp(json_string_value(key), "***"))
      return say(l, item, "expected a key, found ***, which --print-config shows in its place");
    if (!config_api_key_valid(json_string_value(key), json_string_length(key)))
      return say(l, item, "expected 1 to 256 printable characters without spaces");
    if (!config_add_api_key(l->out, json_string_value(key), json_string_length(key)))
      return say(l, item, "expected fewer keys");
  }
  return PARE_OK;
}

static enum pare_status read_api_key_file(const struct config_loading *l, const char *full, const json_t *value) {
  if (json_is_null(value)) return PARE_OK;
  const char *text = text_of(value);
  if (!text) return config_wrong(l, full, "the path of a file", value);
  char *path = config_beside(l, text);
  if (!path) return error_no_memory(l->err);
  enum pare_status status = config_api_key_file(path, l->out, l->err);
  free(path);
  return status ? config_at(l, full) : PARE_OK;
}

static enum pare_status read_value(const struct config_loading *l, const struct target *t, const struct config_key *k,
                                   void *place, const json_t *value) {
  char full[PATH_CAP], expected[80];
  snprintf(full, sizeof full, "%s%s", t->prefix, k->path);
  switch (k->kind) {
    case KEY_TEXT:
    case KEY_SCHEME:
    case KEY_ISA: return read_text(l, k, full, value, place);
    case KEY_LISTEN: return read_listen(l, full, value);
    case KEY_API_KEYS: return read_api_keys(l, full, value);
    case KEY_API_KEY_FILE: return read_api_key_file(l, full, value);
    case KEY_MODELS: return PARE_OK; // after all others, whose values theirs begin with
    default: break;
  }
  if (config_key_store(k, value, place)) return PARE_OK;
  config_key_expected(k, expected, sizeof expected);
  return config_wrong(l, full, expected, value);
}

// ---- keys ----

// "limits" of "limits.body_kb"
static bool is_section(const struct key_scope *s, const char *path) {
  size_t len = strlen(path), at;
  for (size_t i = 0; i < config_key_count(s); i++) {
    const char *known = config_key_at(s, i, &at)->path;
    if (!strncmp(known, path, len) && known[len] == '.') return true;
  }
  return false;
}

// below: "", "limits.", "rollout.limits.".
static enum pare_status read_keys(const struct config_loading *l, const struct target *t, const char *below,
                                  const json_t *node) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)node, key, value) {
    char path[PATH_CAP], full[PATH_CAP];
    size_t at;
    snprintf(path, sizeof path, "%s%s", below, key);
    snprintf(full, sizeof full, "%s%.500s", t->prefix, path);
    const struct config_key *k = strchr(key, '.') ? NULL : config_key_find(t->scope, path, &at);
    enum pare_status status = PARE_OK;
    if (k) {
      status = read_value(l, t, k, (char *)t->values + at, value);
    } else if (strchr(key, '.')) {
      status = say(l, full, "unknown key; keys below keys stand on lines of their own, further in");
    } else if (!is_section(t->scope, path)) {
      status = unknown_key(l, t, below, key);
    } else if (json_is_object(value)) {
      char deeper[PATH_CAP];
      snprintf(deeper, sizeof deeper, "%.500s.", path);
      status = read_keys(l, t, deeper, value);
    } else if (!json_is_null(value)) { // a section whose keys are all comments is empty
      status = config_wrong(l, full, "a mapping", value);
    }
    if (status) return status;
  }
  return PARE_OK;
}

// ---- models ----

struct serve_model_config *config_add_model(struct config_loading *l, struct model_origin origin) {
  struct serve_config *c = l->out;
  struct serve_model_config *models = realloc(c->models, (c->model_count + 1) * sizeof *models);
  if (models) c->models = models;
  struct model_origin *origins = realloc(l->origins, (c->model_count + 1) * sizeof *origins);
  if (origins) l->origins = origins;
  if (!models || !origins) return NULL;
  origins[c->model_count] = origin;
  struct serve_model_config *m = &models[c->model_count++];
  *m = (struct serve_model_config){0};
  config_key_defaults(&config_model_keys, m);
  m->use_quantization = c->use_quantization;
  m->rollout = c->rollout;
  return m;
}

static enum pare_status name_model(struct config_loading *l, struct serve_model_config *m, const char *key) {
  if (!m->name) {
    char *place = config_beside(l, m->path);
    m->name = place ? config_model_name(place) : NULL;
    free(place);
    if (!m->name) return error_no_memory(l->err);
  }
  if (!config_name_valid(m->name)) {
    char what[320];
    snprintf(what, sizeof what, "expected %s, found %.100s%s", config_name_expected, m->name,
             strstr(key, ".name") ? "" : ": give another with `name:`");
    return say(l, key, what);
  }
  for (size_t i = 0; i + 1 < l->out->model_count; i++) {
    if (strcmp(l->out->models[i].name, m->name) != 0) continue;
    char what[200];
    snprintf(what, sizeof what, "expected a name of its own, found %s again; `name:` gives another", m->name);
    return say(l, key, what);
  }
  return PARE_OK;
}

static enum pare_status read_model(struct config_loading *l, size_t entry, const json_t *value) {
  char key[PATH_CAP], prefix[40];
  snprintf(key, sizeof key, "models.%zu", entry);
  snprintf(prefix, sizeof prefix, "models.%zu.", entry);
  struct serve_model_config *m = config_add_model(l, (struct model_origin){.entry = entry});
  if (!m) return error_no_memory(l->err);
  if (text_of(value)) {
    m->path = strdup(json_string_value(value));
    return m->path ? name_model(l, m, key) : error_no_memory(l->err);
  }
  if (!json_is_object(value)) return config_wrong(l, key, "a name, a path or a mapping", value);
  enum pare_status status = read_keys(l, &(struct target){&config_model_keys, m, prefix}, "", value);
  if (status) return status;
  if (!m->name && !m->path) return say(l, key, "expected name or path, found neither");
  if (m->name) snprintf(key, sizeof key, "models.%zu.name", entry);
  return name_model(l, m, key);
}

// ---- the whole ----

enum pare_status config_file_open(struct config_loading *l, const char *path) {
  l->file = path;
  enum pare_status status = yaml_tree_load(path, CONFIG_FILE_MAX, &l->tree, l->err);
  if (status) return status;
  const char *base = path_base(path);
  char *folder = base == path ? strdup(".") : strndup(path, (size_t)(base - path));
  l->folder = folder ? realpath(folder, NULL) : NULL;
  free(folder);
  return l->folder ? PARE_OK : error_no_memory(l->err);
}

char *config_beside(const struct config_loading *l, const char *text) {
  return text[0] == '/' ? strdup(text) : path_join(l->folder, text);
}

enum pare_status config_file_read(struct config_loading *l) {
  const struct target top = {&config_server_keys, l->out, ""};
  enum pare_status status = read_keys(l, &top, "", l->tree.root);
  const json_t *models = json_object_get(l->tree.root, "models");
  if (status || !models || json_is_null(models)) return status;
  if (!json_is_array(models)) return config_wrong(l, "models", "a list of models", models);
  if (json_array_size(models) > MODELS_MAX) return say(l, "models", "expected at most 1000 models");
  for (size_t i = 0; !status && i < json_array_size(models); i++) status = read_model(l, i, json_array_get(models, i));
  return status;
}
