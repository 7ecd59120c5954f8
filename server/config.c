// config.c - see config.h. Defaults, then the file, then the command line; then each model's name becomes a path.
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config_parts.h"

static void free_model(struct serve_model_config *m) {
  free(m->name);
  free(m->path);
  free(m->quantized);
  free(m->scheme);
}

static void free_api_keys(struct serve_config *c) {
  for (size_t i = 0; i < c->api_key_count; i++) free(c->api_keys[i]);
  free(c->api_keys);
  c->api_keys = NULL;
  c->api_key_count = 0;
}

void serve_config_free(struct serve_config *c) {
  for (size_t i = 0; i < c->model_count; i++) free_model(&c->models[i]);
  free_api_keys(c);
  free(c->models);
  free(c->host);
  free(c->isa);
  *c = (struct serve_config){0};
}

// ---- the command line ----

static enum pare_status flag_api_keys(struct config_loading *l) {
  const struct serve_flags *f = l->flags;
  if (f->api_key_count) free_api_keys(l->out);
  for (size_t i = 0; i < f->api_key_count; i++) {
    size_t len = strlen(f->api_keys[i]);
    if (!config_api_key_valid(f->api_keys[i], len))
      return error_set(l->err, PARE_USAGE, "--api-key: expected 1 to 256 printable characters without spaces");
    if (!config_add_api_key(l->out, f->api_keys[i], len)) return error_no_memory(l->err);
  }
  return PARE_OK;
}

static enum pare_status apply_flags(struct config_loading *l) {
  const struct serve_flags *f = l->flags;
  struct serve_config *c = l->out;
  enum pare_status status = f->listen ? config_listen(f->listen, &c->host, &c->port) : PARE_OK;
  if (status == PARE_DATA)
    return error_set(l->err, PARE_USAGE, "--listen: expected HOST:PORT, [IPV6]:PORT or PORT, found '%.100s'",
                     f->listen);
  if (status) return error_no_memory(l->err);
  size_t at;
  const struct config_key *threads = config_key_find(&config_server_keys, "threads", &at);
  if (f->threads && !config_key_store_number(threads, (double)f->threads, &c->threads))
    return error_set(l->err, PARE_USAGE, "--threads: expected at most %.0f, found %zu", threads->most, f->threads);
  if (f->isa) {
    status = config_isa(f->isa, l->err);
    if (status) return status;
    free(c->isa);
    c->isa = strdup(f->isa);
    if (!c->isa) return error_no_memory(l->err);
  }
  if (f->original) c->use_quantization = false;
  for (size_t i = 0; f->original && i < c->model_count; i++) c->models[i].use_quantization = false;
  if (f->no_cache) c->cache_bytes = 0;
  if (f->quiet) c->log_requests = false;
  return flag_api_keys(l);
}

// NAME, PATH or NAME=PATH. What stands before a '=' and is no name belongs to a path.
static enum pare_status split_word(struct config_loading *l, const char *word, char **name, const char **path) {
  const char *equals = strchr(word, '=');
  *path = word;
  *name = equals ? strndup(word, (size_t)(equals - word)) : NULL;
  if (*name && config_name_valid(*name)) {
    *path = equals + 1;
    return PARE_OK;
  }
  free(*name);
  *name = config_model_name(word);
  if (!*name) return error_no_memory(l->err);
  if (config_name_valid(*name)) return PARE_OK;
  enum pare_status status =
      error_set(l->err, PARE_USAGE, "MODEL %.100s: expected %s, found %.100s; NAME=PATH gives another", word,
                config_name_expected, *name);
  free(*name);
  *name = NULL;
  return status;
}

static size_t find_name(const struct serve_model_config *list, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (list[i].name && !strcmp(list[i].name, name)) return i;
  return NO_ENTRY;
}

// What the command line names is what is served. Of what the file says about a model of that name, all holds but its
// path, unless the word is that name alone.
static enum pare_status select_model(struct config_loading *l, const char *word, struct serve_model_config *of_file,
                                     const struct model_origin *origins, size_t count) {
  char *name;
  const char *path;
  enum pare_status status = split_word(l, word, &name, &path);
  if (status) return status;
  struct serve_model_config *m = NULL;
  if (find_name(l->out->models, l->out->model_count, name) != NO_ENTRY) {
    status = error_set(l->err, PARE_USAGE, "MODEL %s is named twice; NAME=PATH gives one of them another name", name);
  } else {
    size_t known = find_name(of_file, count, name);
    bool alone = known != NO_ENTRY && !strcmp(word, name);
    m = config_add_model(l, (struct model_origin){known == NO_ENTRY ? known : origins[known].entry, !alone});
    if (!m) status = error_no_memory(l->err);
    if (m && known != NO_ENTRY) {
      free(name);
      name = NULL;
      *m = of_file[known];
      of_file[known] = (struct serve_model_config){0};
    }
    if (m && !alone) {
      free(m->path);
      m->path = strdup(path);
      if (!m->path) status = error_no_memory(l->err);
    }
  }
  if (m && !m->name) {
    m->name = name;
  } else {
    free(name);
  }
  return status;
}

static enum pare_status select_models(struct config_loading *l) {
  if (!l->flags->model_count) return PARE_OK;
  struct serve_config *c = l->out;
  struct serve_model_config *of_file = c->models;
  struct model_origin *origins = l->origins;
  size_t count = c->model_count;
  c->models = NULL;
  c->model_count = 0;
  l->origins = NULL;
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < l->flags->model_count; i++)
    status = select_model(l, l->flags->models[i], of_file, origins, count);
  for (size_t i = 0; i < count; i++) free_model(&of_file[i]);
  free(of_file);
  free(origins);
  return status;
}

// ---- models ----

// place: text as a path, which goes before a name.
static enum pare_status find_path(const struct config_loading *l, const char *place, const char *text, char **out) {
  char *path = NULL;
  enum pare_status status = PARE_OK;
  if (l->paths && l->paths->find && !file_exists(place) && !file_is_dir(place)) {
    status = l->paths->find(l->paths->context, text, &path, l->err);
  } else {
    path = strdup(place);
  }
  if (status) return status;
  if (!path) return error_no_memory(l->err);
  // As it is on disk now: a link that is set anew is another path when the configuration is loaded again.
  *out = realpath(path, NULL);
  if (*out) {
    free(path);
  } else {
    *out = path;
  }
  return PARE_OK;
}

// The key of the file that says where the model is.
static void path_key(const struct config_loading *l, size_t entry, char *out, size_t cap) {
  const json_t *node = json_array_get(json_object_get(l->tree.root, "models"), entry);
  const char *key = json_is_object(node) ? (json_object_get(node, "path") ? ".path" : ".name") : "";
  snprintf(out, cap, "models.%zu%s", entry, key);
}

static enum pare_status resolve(struct config_loading *l, struct serve_model_config *m,
                                const struct model_origin *origin) {
  const char *text = m->path ? m->path : m->name;
  char *path = NULL;
  bool in_file = origin->entry != NO_ENTRY && !origin->word;
  char *place = in_file ? config_beside(l, text) : strdup(text);
  if (!place) return error_no_memory(l->err);
  enum pare_status status = find_path(l, place, text, &path);
  free(place);
  if (status && in_file) {
    char key[64];
    path_key(l, origin->entry, key, sizeof key);
    return config_at(l, key);
  }
  if (status) return status;
  free(m->path);
  m->path = path;
  if (origin->entry == NO_ENTRY || !m->quantized) return PARE_OK;
  char *quantized = config_beside(l, m->quantized);
  if (!quantized) return error_no_memory(l->err);
  free(m->quantized);
  m->quantized = quantized;
  return PARE_OK;
}

static enum pare_status needs(const struct config_loading *l, const struct serve_model_config *m, size_t entry,
                              const char *key, const char *what, const char *found) {
  char own[96];
  snprintf(own, sizeof own, "models.%zu.%s", entry, key);
  if (json_object_get(l->tree.lines, own)) key = own;
  return error_set(l->err, PARE_DATA, "%s:%d: %s: expected %s beside it, found %s for model %s", l->file,
                   yaml_tree_line(&l->tree, key), key, what, found, m->name);
}

// A limit that nothing is measured for would never be broken, and nobody would know.
static enum pare_status check_shadow(const struct config_loading *l, const struct serve_model_config *m, size_t entry) {
  const struct rollout_config *r = &m->rollout;
  if (!m->use_quantization || r->shadow_share > 0) return PARE_OK;
  const char *key = NULL;
  if (r->min_agreement > 0) key = "rollout.limits.agreement";
  if (r->max_confidence_shift > 0) key = "rollout.limits.confidence_shift";
  if (r->promote) key = "rollout.promote";
  return key ? needs(l, m, entry, key, "rollout.shadow.share above 0", "0") : PARE_OK;
}

// Nor would anything be met without a limit: it would wait for ever.
static enum pare_status check_promote(const struct config_loading *l, const struct serve_model_config *m,
                                      size_t entry) {
  const struct rollout_config *r = &m->rollout;
  bool limited = r->min_agreement > 0 || r->max_confidence_shift > 0 || r->max_error_rate > 0 || r->p95_ms > 0;
  if (!m->use_quantization || !r->promote || limited) return PARE_OK;
  return needs(l, m, entry, "rollout.promote", "a limit above 0 in rollout.limits", "none");
}

static enum pare_status finish_models(struct config_loading *l) {
  struct serve_config *c = l->out;
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < c->model_count; i++) {
    status = resolve(l, &c->models[i], &l->origins[i]);
    if (!status && l->file) status = check_shadow(l, &c->models[i], l->origins[i].entry);
    if (!status && l->file) status = check_promote(l, &c->models[i], l->origins[i].entry);
    if (!c->models[i].use_quantization) c->models[i].rollout.mode = ROLLOUT_ORIGINAL;
  }
  if (status || c->model_count) return status;
  if (l->file)
    return error_set(l->err, PARE_DATA, "%s:%d: models: expected a model, here or on the command line, found none",
                     l->file, yaml_tree_line(&l->tree, "models"));
  return error_set(l->err, PARE_USAGE,
                   "serve: expected a MODEL or -c FILE, found neither; `pare models` lists what is shipped");
}

enum pare_status serve_config_load(const char *path, const struct serve_flags *flags, const struct serve_paths *paths,
                                   struct serve_config *out, struct pare_error *err) {
  static const struct serve_flags no_flags;
  struct pare_error own;
  *out = (struct serve_config){0};
  struct config_loading l = {.flags = flags ? flags : &no_flags, .paths = paths, .out = out, .err = err ? err : &own};
  config_key_defaults(&config_server_keys, out);
  enum pare_status status = PARE_OK;
  if (config_listen(config_server_keys.own[0].preset, &out->host, &out->port)) status = error_no_memory(l.err);
  if (!status && path) status = config_file_open(&l, path);
  if (!status && path) status = config_file_read(&l);
  if (!status) status = apply_flags(&l);
  if (!status) status = select_models(&l);
  if (!status) status = finish_models(&l);
  if (status) serve_config_free(out);
  yaml_tree_free(&l.tree);
  free(l.folder);
  free(l.origins);
  return status;
}
