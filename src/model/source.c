// source.c - see source.h.
#include "model/source.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "format/fastai.h"
#include "model/model.h"

static const char export_name[] = "export.pkl"; // what Learner.export writes unless told otherwise

static bool holds(const char *dir, const char *name) {
  char *path = path_join(dir, name);
  bool found = path && file_exists(path);
  free(path);
  return found;
}

static enum pare_status read_config(struct model_source *s, struct pare_error *err) {
  if (!(s->config_file = path_join(s->directory, "config.json"))) return error_no_memory(err);
  if (!file_exists(s->config_file) && file_exists(s->path))
    return error_set(err, PARE_NOFILE, "%s: weights alone: expected %s with the tokenizer's files beside it", s->path,
                     s->config_file);
  enum pare_status status = json_file_load(s->config_file, &s->config, err);
  if (status || json_is_object(s->config)) return status;
  return error_set(err, PARE_DATA, "%s: expected a JSON object", s->config_file);
}

// A file of torch.save: an export says everything itself; else it is a weight file like any other.
static enum pare_status open_torch_file(struct model_source *s, struct pare_error *err) {
  struct torch_contents contents;
  enum pare_status status = torch_open(s->path, &contents, err);
  if (status) return status;
  s->tensors = contents.tensors;
  s->config = contents.config;
  s->tokenizer = contents.tokenizer;
  if (!s->config) return PARE_OK;
  free(s->directory);
  s->directory = NULL;
  s->config_file = strdup(s->path);
  return s->config_file ? PARE_OK : error_no_memory(err);
}

enum pare_status model_source_open(const char *path, struct model_source *out, struct pare_error *err) {
  *out = (struct model_source){.path = NULL};
  if (!file_exists(path) && !file_is_dir(path))
    return error_set(err, PARE_NOFILE, "%s: no such file or directory", path);
  bool export = file_is_dir(path) && holds(path, export_name) && !holds(path, "config.json");
  out->path = export ? path_join(path, export_name) : strdup(path);
  out->directory = model_directory(path);
  enum pare_status s = out->path && out->directory ? tensors_check_path(out->path, err) : error_no_memory(err);
  if (!s && tensors_is_torch(out->path)) s = open_torch_file(out, err);
  if (!s && !out->config) s = read_config(out, err);
  if (!s && out->tensors.count)
    s = fastai_complete_config(out->config, &out->tensors, err); // Learner.save says no sizes
  if (s) model_source_close(out);
  return s;
}

enum pare_status model_source_weights(struct model_source *s, struct pare_error *err) {
  return s->tensors.count ? PARE_OK : tensors_open(s->path, &s->tensors, err);
}

void model_source_close(struct model_source *s) {
  free(s->path);
  free(s->directory);
  free(s->config_file);
  json_decref(s->config);
  json_decref(s->tokenizer);
  tensors_close(&s->tensors);
  *s = (struct model_source){.path = NULL};
}
