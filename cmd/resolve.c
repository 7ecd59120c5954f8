// resolve.c - from a MODEL argument to a path, and the handles opened from it.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "command.h"

static void add_root(struct resolve_roots *roots, char *path) {
  if (path && roots->count < RESOLVE_MAX_ROOTS && file_is_dir(path)) {
    char *real = realpath(path, NULL);
    bool known = !real;
    for (size_t i = 0; !known && i < roots->count; i++) known = strcmp(roots->list[i], real) == 0;
    if (known) {
      free(real);
    } else {
      roots->list[roots->count++] = real;
    }
  }
  free(path);
}

// <folder of the program>/../models
static char *beside_program(void) {
  char exe[4096];
  ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
  if (n <= 0) return NULL;
  exe[n] = 0;
  char *slash = strrchr(exe, '/');
  if (!slash) return NULL;
  *slash = 0;
  return path_join(exe, "../models");
}

void resolve_roots(struct resolve_roots *out) {
  *out = (struct resolve_roots){0};
  const char *list = getenv("PARE_MODELS");
  while (list && *list) {
    size_t len = strcspn(list, ":");
    if (len) add_root(out, strndup(list, len));
    list += len + (list[len] == ':');
  }
  add_root(out, beside_program());
#ifdef PARE_SOURCE_MODELS
  add_root(out, strdup(PARE_SOURCE_MODELS));
#endif
}

void resolve_free_roots(struct resolve_roots *roots) {
  for (size_t i = 0; i < roots->count; i++) free(roots->list[i]);
  *roots = (struct resolve_roots){0};
}

static bool holds(const char *dir, const char *name) {
  char *path = path_join(dir, name);
  bool found = path && file_exists(path);
  free(path);
  return found;
}

// A Hugging Face directory, or one around a fastai export.
static bool is_model_dir(const char *path) {
  return holds(path, "config.json") || holds(path, "export.pkl");
}

// True when an earlier root has a model of that name: the earlier one is found.
static bool is_shadowed(const struct resolve_roots *roots, size_t root, const char *name) {
  bool found = false;
  for (size_t i = 0; i < root && !found; i++) {
    char *path = path_join(roots->list[i], name);
    found = path && is_model_dir(path);
    free(path);
  }
  return found;
}

static void list_names(const struct resolve_roots *roots, struct buf *out) {
  for (size_t i = 0; i < roots->count; i++) {
    struct dirent **entries;
    int n = scandir(roots->list[i], &entries, NULL, alphasort);
    for (int k = 0; k < n; k++) {
      const char *name = entries[k]->d_name;
      char *path = name[0] == '.' ? NULL : path_join(roots->list[i], name);
      if (path && is_model_dir(path) && !is_shadowed(roots, i, name))
        buf_printf(out, "%s%s", out->len ? ", " : "", name);
      free(path);
      free(entries[k]);
    }
    if (n >= 0) free(entries);
  }
}

enum pare_status resolve_shipped(const char *name, char **path, struct pare_error *err) {
  *path = NULL;
  struct resolve_roots roots;
  resolve_roots(&roots);
  for (size_t i = 0; i < roots.count && *name && !strchr(name, '/') && !*path; i++) {
    char *candidate = path_join(roots.list[i], name);
    if (candidate && is_model_dir(candidate)) {
      *path = candidate;
    } else {
      free(candidate);
    }
  }
  enum pare_status status = PARE_OK;
  if (!*path) {
    struct buf names = {0};
    list_names(&roots, &names);
    status = error_set(err, PARE_NOFILE, "no model '%s': expected a path or the name of a shipped model (%s)", name,
                       names.len ? names.data : "none found");
    buf_free(&names);
  }
  resolve_free_roots(&roots);
  return status;
}

enum pare_status resolve_model(const char *name, char **path, struct pare_error *err) {
  if (!*name || access(name, F_OK) != 0) return resolve_shipped(name, path, err);
  *path = strdup(name);
  return *path ? PARE_OK : error_no_memory(err);
}

enum pare_status open_engine(const struct args_common *common, struct opened *out, struct pare_error *err) {
  struct pare_engine_options options = {.isa = common->isa, .threads = common->threads};
  enum pare_status status = pare_engine_open(&options, &out->engine, err);
  if (status == PARE_OK && common->verbose) {
    fprintf(stderr, "pare: %s, %zu threads\n", pare_engine_isa(out->engine), pare_engine_threads(out->engine));
  }
  return status;
}

enum pare_status open_model(const struct args_common *common, const char *name, struct opened *out,
                            struct pare_error *err) {
  enum pare_status status = resolve_model(name, &out->path, err);
  if (status == PARE_OK) status = open_engine(common, out, err);
  if (status == PARE_OK) status = pare_model_open(out->engine, out->path, &out->model, err);
  if (status == PARE_OK && common->verbose) {
    fprintf(stderr, "pare: %s, %s, weights ready in %.1f ms\n", out->path, pare_model_scheme(out->model),
            pare_model_load_ms(out->model));
  }
  return status;
}

const struct arg_option preference_table[PREFERENCE_OPTIONS] = {
    {"quantized", 0, ARG_STRING, offsetof(struct preference, quantized), "DIR",
     "the quantized form of MODEL (MODEL/quantized, if it is there);\nwhen it cannot be used the original answers"},
    {"original", 0, ARG_FLAG, offsetof(struct preference, original), NULL, "use no quantized model"},
};

enum pare_status open_preferred(const struct preference *p, const char *name, struct opened *out,
                                struct pare_error *err) {
  if (p->original && p->quantized) return error_set(err, PARE_USAGE, "--original and --quantized exclude each other");
  struct pare_preference preference = {.original = p->original, .quantized = p->quantized};
  enum pare_status status = resolve_model(name, &out->path, err);
  if (status == PARE_OK) status = open_engine(&p->common, out, err);
  if (status == PARE_OK)
    status = pare_model_open_preferred(out->engine, out->path, &preference, &out->model, &out->used, err);
  if (status == PARE_OK && out->used.fallback)
    fprintf(stderr, "pare: the original answers, the quantized model cannot: %s\n", out->used.reason);
  if (status == PARE_OK && p->common.verbose) {
    fprintf(stderr, "pare: %s, %s, weights ready in %.1f ms\n", pare_model_path(out->model),
            pare_model_scheme(out->model), pare_model_load_ms(out->model));
  }
  return status;
}

void output_json_used(const struct opened *o) {
  printf(",\"model_used\":\"%s\",\"fallback\":", o->used.quantized ? "quantized" : "original");
  if (o->used.fallback) {
    output_json_string(o->used.reason, strlen(o->used.reason));
  } else {
    fputs("null", stdout);
  }
}

enum pare_status open_session(const struct args_common *common, const char *name, struct opened *out,
                              struct pare_error *err) {
  enum pare_status status = open_model(common, name, out, err);
  if (status == PARE_OK) status = pare_session_open(out->model, NULL, &out->session, err);
  return status;
}

void opened_close(struct opened *o) {
  pare_session_close(o->session);
  pare_model_close(o->model);
  pare_engine_close(o->engine);
  free(o->path);
  *o = (struct opened){0};
}
