// tensors.c - opens a model's tensors whatever holds them, finds one by name, closes them.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

static const char single_name[] = "model.safetensors", index_name[] = "model.safetensors.index.json";

static bool ends_with(const char *s, const char *end) {
  size_t len = strlen(s), end_len = strlen(end);
  return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

// Containers of weights that are not read.
static bool is_other_format(const char *name) {
  static const char *const endings[] = {".gguf", ".pth", ".pt", ".bin", ".pkl", ".h5", ".msgpack", ".onnx"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    if (ends_with(name, endings[i])) return true;
  }
  return false;
}

// The first name in byte order of another format's file in dir, to be freed; NULL when there is none.
static char *find_other_format(const char *dir) {
  DIR *d = opendir(dir);
  if (!d) return NULL;
  char *found = NULL;
  for (struct dirent *entry; (entry = readdir(d));) {
    if (!is_other_format(entry->d_name) || (found && strcmp(entry->d_name, found) >= 0)) continue;
    char *copy = strdup(entry->d_name);
    if (!copy) break;
    free(found);
    found = copy;
  }
  closedir(d);
  return found;
}

static enum pare_status nothing_in_dir(const char *dir, struct pare_error *err) {
  char *other = find_other_format(dir);
  enum pare_status status;
  if (other) {
    status =
        error_set(err, PARE_UNAVAILABLE, "%s holds %.200s, but weights are read from safetensors: %s or %s expected",
                  dir, other, single_name, index_name);
  } else {
    status = error_set(err, PARE_NOFILE, "%s holds neither %s nor %s", dir, single_name, index_name);
  }
  free(other);
  return status;
}

static enum pare_status open_dir(const char *dir, struct tensors *out, struct pare_error *err) {
  char *single = path_join(dir, single_name), *index = path_join(dir, index_name);
  enum pare_status status;
  if (!single || !index) {
    status = error_no_memory(err);
  } else if (file_exists(single)) {
    status = safetensors_open(single, out, err);
  } else if (file_exists(index)) {
    status = index_open(index, out, err);
  } else {
    status = nothing_in_dir(dir, err);
  }
  free(single);
  free(index);
  return status;
}

enum pare_status tensors_check_path(const char *path, struct pare_error *err) {
  if (!file_exists(path) || ends_with(path, ".safetensors") || ends_with(path, ".json")) return PARE_OK;
  if (is_other_format(path_base(path))) {
    return error_set(err, PARE_UNAVAILABLE, "%s: weights are read from safetensors files, not from this format", path);
  }
  return error_set(err, PARE_DATA, "%s: expected a Hugging Face directory or a .safetensors file", path);
}

enum pare_status tensors_open(const char *path, struct tensors *out, struct pare_error *err) {
  *out = (struct tensors){0};
  if (file_is_dir(path)) return open_dir(path, out, err);
  enum pare_status status = tensors_check_path(path, err);
  if (status != PARE_OK) return status;
  return ends_with(path, ".json") ? index_open(path, out, err) : safetensors_open(path, out, err);
}

void tensors_close(struct tensors *t) {
  for (size_t i = 0; i < t->map_count; i++) file_unmap(&t->maps[i]);
  for (struct strings *block = t->strings, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  free(t->maps);
  free(t->list);
  free(t->meta);
  *t = (struct tensors){0};
}

const struct tensor *tensors_find(const struct tensors *t, const char *name) {
  struct tensor key = {.name = name};
  return t->count ? bsearch(&key, t->list, t->count, sizeof key, tensor_compare) : NULL;
}
