// preferred.c - see preferred.h. The quantized model must open (so its stored answer was re-checked) and must be of the
// original's kind: same task, labels and vocabulary. Whatever is wrong with it costs no more than the smaller size.
#include "model/preferred.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"

static enum pare_status same_kind(const pare_model *original, const pare_model *q, struct pare_error *err) {
  const struct config *a = &original->config, *b = &q->config;
  if (original->arch != q->arch || a->task != b->task || a->V != b->V || a->N != b->N)
    return error_set(err, PARE_DATA, "%s: quantized from another model: its kind or sizes are not the original's",
                     q->path);
  for (size_t i = 0; i < a->N; i++)
    if (strcmp(original->labels[i], q->labels[i]) != 0)
      return error_set(err, PARE_DATA, "%s: quantized from another model: label %zu is %.60s, the original's is %.60s",
                       q->path, i, q->labels[i], original->labels[i]);
  return PARE_OK;
}

static enum pare_status open_quantized(pare_engine *engine, const char *path, const char *quantized, pare_model **out,
                                       struct pare_error *err) {
  pare_model *original;
  *out = NULL;
  enum pare_status status = model_open(engine, quantized, out, err);
  if (status) return status;
  // An original that is gone does not speak against the quantized one.
  if (model_open_kind(engine, path, &original, NULL)) return PARE_OK;
  status = same_kind(original, *out, err);
  model_close(original);
  if (status) {
    model_close(*out);
    *out = NULL;
  }
  return status;
}

static char *place_of(const char *path) {
  char *dir = model_directory(path);
  char *place = dir ? path_join(dir, "quantized") : NULL;
  free(dir);
  return place;
}

enum pare_status preferred_open(pare_engine *engine, const char *path, const struct pare_preference *preference,
                                pare_model **out, struct pare_used *used, struct pare_error *err) {
  *used = (struct pare_used){.quantized = false};
  *out = NULL;
  if (preference && preference->original) return model_open(engine, path, out, err);
  const char *named = preference ? preference->quantized : NULL;
  char *place = named ? strdup(named) : place_of(path);
  if (!place) return error_no_memory(err);
  enum pare_status status = PARE_NOFILE;
  struct stat there;
  if (named || lstat(place, &there) == 0) { // a link to nothing, too, is meant to be a model
    struct pare_error why = {0};
    status = open_quantized(engine, path, place, out, &why);
    used->quantized = !status;
    used->fallback = status != PARE_OK;
    if (status) snprintf(used->reason, sizeof used->reason, "%s", why.text);
  }
  free(place);
  return status ? model_open(engine, path, out, err) : PARE_OK;
}
