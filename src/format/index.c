// index.c - a model in several files: model.safetensors.index.json or pytorch_model.bin.index.json, both
// {"weight_map": {tensor: file, ...}}.
// The index decides: a tensor that a shard holds beside those is not part of the model. Shards lie beside the index.
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"

// One line of the weight map. The strings belong to the JSON tree.
struct place {
  const char *tensor, *shard;
};

static int compare_places(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  int by_shard = strcmp(x->shard, y->shard);
  return by_shard ? by_shard : strcmp(x->tensor, y->tensor);
}

// A plain name: nothing that leads out of the index's own directory.
static bool is_plain_name(const char *name) {
  return *name && strcmp(name, ".") != 0 && !strchr(name, '/') && !strstr(name, "..");
}

// The weight map as a list sorted by shard, to be freed by the caller.
static enum pare_status read_places(const char *path, const json_t *root, struct place **out, size_t *count,
                                    struct pare_error *err) {
  json_t *map = json_object_get(root, "weight_map");
  if (!json_is_object(map)) {
    return error_set(err, PARE_DATA, "%s: no weight_map: an object of tensor and file names expected", path);
  }
  *count = json_object_size(map);
  if (*count == 0) return error_set(err, PARE_DATA, "%s: weight_map names no tensor", path);
  *out = calloc(*count, sizeof **out);
  if (!*out) return error_no_memory(err);
  struct place *p = *out;
  const char *tensor;
  json_t *value;
  json_object_foreach(map, tensor, value) {
    const char *shard = json_string_value(value);
    if (!shard) return error_set(err, PARE_DATA, "%s: tensor '%.200s': a file name expected", path, tensor);
    if (!is_plain_name(shard)) {
      return error_set(err, PARE_DATA, "%s: tensor '%.200s': '%.100s' found, a plain file name expected", path, tensor,
                       shard);
    }
    *p++ = (struct place){tensor, shard};
  }
  qsort(*out, *count, sizeof **out, compare_places);
  return PARE_OK;
}

static enum pare_status open_shard(const char *index, const struct place *first, struct tensors *shard,
                                   struct pare_error *err) {
  size_t dir_len = (size_t)(path_base(index) - index), len = dir_len + strlen(first->shard) + 1;
  char *path = malloc(len);
  if (!path) return error_no_memory(err);
  snprintf(path, len, "%.*s%s", (int)dir_len, index, first->shard);
  enum pare_status status;
  if (file_exists(path)) {
    status = weights_open(path, shard, err);
  } else {
    status = error_set(err, PARE_NOFILE, "%s: tensor '%.200s' is in %.100s, and there is no such file", index,
                       first->tensor, first->shard);
  }
  free(path);
  return status;
}

// Moves the shard's memory and mapping to out, with those of its tensors that the index places there.
static enum pare_status take_shard(const char *index, const struct place *places, size_t count, struct tensors *shard,
                                   struct tensors *out, struct pare_error *err) {
  for (size_t i = 0; i < count; i++) {
    const struct tensor *t = tensors_find(shard, places[i].tensor);
    if (!t) {
      return error_set(err, PARE_DATA, "%s: tensor '%.200s' is not in %.100s, where the index places it", index,
                       places[i].tensor, places[i].shard);
    }
    out->list[out->count++] = *t;
  }
  struct mapping *maps = realloc(out->maps, (out->map_count + shard->map_count + 1) * sizeof *maps); // + 1: never 0
  if (!maps) return error_no_memory(err);
  out->maps = maps;
  for (size_t i = 0; i < shard->map_count; i++) out->maps[out->map_count++] = shard->maps[i];
  shard->map_count = 0;
  out->file_bytes += shard->file_bytes;
  if (!out->meta && !out->strings) { // the first shard's
    out->meta = shard->meta;
    out->meta_count = shard->meta_count;
    shard->meta = NULL;
  }
  struct strings *last = shard->strings; // never NULL: a shard holds tensors
  while (last->next) last = last->next;
  last->next = out->strings;
  out->strings = shard->strings;
  shard->strings = NULL;
  return PARE_OK;
}

static enum pare_status open_shards(const char *path, const struct place *places, size_t count, struct tensors *out,
                                    struct pare_error *err) {
  out->list = calloc(count, sizeof *out->list);
  if (!out->list) return error_no_memory(err);
  for (size_t begin = 0, end; begin < count; begin = end) {
    for (end = begin + 1; end < count && strcmp(places[end].shard, places[begin].shard) == 0;) end++;
    struct tensors shard = {0};
    enum pare_status status = open_shard(path, &places[begin], &shard, err);
    if (status == PARE_OK) status = take_shard(path, places + begin, end - begin, &shard, out, err);
    tensors_close(&shard);
    if (status != PARE_OK) return status;
  }
  qsort(out->list, out->count, sizeof *out->list, tensor_compare);
  return PARE_OK;
}

enum pare_status index_open(const char *path, struct tensors *out, struct pare_error *err) {
  *out = (struct tensors){0};
  json_t *root;
  enum pare_status status = json_file_load(path, &root, err);
  if (status != PARE_OK) return status;
  struct place *places = NULL;
  size_t count = 0;
  status = read_places(path, root, &places, &count, err);
  if (status == PARE_OK) status = open_shards(path, places, count, out, err);
  free(places);
  json_decref(root);
  if (status != PARE_OK) tensors_close(out);
  return status;
}
