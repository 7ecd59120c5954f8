// tensors.c - opens a model's tensors whatever holds them, finds one by name, closes them.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"
#include "format/torch.h"

// In a directory, the first of these that is there: safetensors before torch's own format.
static const struct {
  const char *name;
  bool index;
} in_directory[] = {{"model.safetensors", false},
                    {"model.safetensors.index.json", true},
                    {"pytorch_model.bin", false},
                    {"pytorch_model.bin.index.json", true}};

static bool ends_with(const char *s, const char *end) {
  size_t len = strlen(s), end_len = strlen(end);
  return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

// Containers of weights that are not read.
static bool is_other_format(const char *name) {
  static const char *const endings[] = {".gguf", ".h5", ".msgpack", ".onnx"};
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    if (ends_with(name, endings[i])) return true;
  }
  return false;
}

// Endings of files that torch.save writes: such a file is held to that whatever its first bytes are.
static bool is_torch_name(const char *name) {
  return ends_with(name, ".pth") || ends_with(name, ".pt") || ends_with(name, ".bin") || ends_with(name, ".pkl");
}

// The first name in byte order of a file in dir that holds weights all the same, to be freed; NULL when there is none.
static char *find_other(const char *dir) {
  DIR *d = opendir(dir);
  if (!d) return NULL;
  char *found = NULL;
  for (struct dirent *entry; (entry = readdir(d));) {
    const char *name = entry->d_name;
    if (!is_other_format(name) && !is_torch_name(name)) continue;
    if (found && strcmp(name, found) >= 0) continue;
    char *copy = strdup(name);
    if (!copy) break;
    free(found);
    found = copy;
  }
  closedir(d);
  return found;
}

static enum pare_status nothing_in_dir(const char *dir, struct pare_error *err) {
  char *other = find_other(dir);
  enum pare_status status;
  if (other && is_torch_name(other)) {
    status = error_set(err, PARE_NOFILE,
                       "%s holds neither %s nor %s (nor an index of several); to open its %.200s, name that file", dir,
                       in_directory[0].name, in_directory[2].name, other);
  } else if (other) {
    status = error_set(err, PARE_UNAVAILABLE, "%s holds %.200s, but weights are read from %s or %s", dir, other,
                       in_directory[0].name, in_directory[2].name);
  } else {
    status = error_set(err, PARE_NOFILE, "%s holds neither %s nor %s, nor an index of several", dir,
                       in_directory[0].name, in_directory[2].name);
  }
  free(other);
  return status;
}

static enum pare_status open_dir(const char *dir, struct tensors *out, struct pare_error *err) {
  for (size_t i = 0; i < sizeof in_directory / sizeof *in_directory; i++) {
    char *path = path_join(dir, in_directory[i].name);
    if (!path) return error_no_memory(err);
    bool there = file_exists(path);
    enum pare_status status = PARE_OK;
    if (there) status = in_directory[i].index ? index_open(path, out, err) : weights_open(path, out, err);
    free(path);
    if (there) return status;
  }
  return nothing_in_dir(dir, err);
}

bool tensors_is_torch(const char *path) {
  struct mapping m;
  if (!file_exists(path) || file_map(path, &m, NULL) != PARE_OK) return false;
  bool torch = torch_sniff(m.data, m.len) || is_torch_name(path);
  file_unmap(&m);
  return torch;
}

enum pare_status tensors_check_path(const char *path, struct pare_error *err) {
  if (!file_exists(path) || ends_with(path, ".safetensors") || ends_with(path, ".json")) return PARE_OK;
  if (tensors_is_torch(path)) return PARE_OK;
  if (is_other_format(path_base(path)))
    return error_set(err, PARE_UNAVAILABLE,
                     "%s: weights are read from safetensors and torch files, not from this format", path);
  return error_set(err, PARE_DATA, "%s: expected a Hugging Face directory, a .safetensors file or a torch file", path);
}

enum pare_status weights_open(const char *path, struct tensors *out, struct pare_error *err) {
  struct mapping m;
  enum pare_status status = file_map(path, &m, err);
  if (status != PARE_OK) return status;
  if (torch_sniff(m.data, m.len) || is_torch_name(path)) {
    struct torch_contents contents;
    status = torch_read(&m, path, false, &contents, err);
    *out = contents.tensors;
  } else {
    status = safetensors_open(&m, path, out, err);
  }
  file_unmap(&m); // what was opened has taken it over
  return status;
}

enum pare_status tensors_open(const char *path, struct tensors *out, struct pare_error *err) {
  *out = (struct tensors){0};
  if (file_is_dir(path)) return open_dir(path, out, err);
  enum pare_status status = tensors_check_path(path, err);
  if (status != PARE_OK) return status;
  return ends_with(path, ".json") ? index_open(path, out, err) : weights_open(path, out, err);
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
