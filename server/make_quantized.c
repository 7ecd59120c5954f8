// make_quantized.c - see make_quantized.h.
#include "make_quantized.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"

struct making {
  struct server *s;
  const struct serve_model_config *config; // held
  char *place;
};

// Where the quantized form is looked for; to be freed. NULL: no memory.
static char *place_of(const struct serve_model_config *c) {
  if (c->quantized) return strdup(c->quantized);
  if (file_is_dir(c->path)) return path_join(c->path, "quantized");
  char *dir = strndup(c->path, (size_t)(path_base(c->path) - c->path));
  char *place = dir ? path_join(*dir ? dir : ".", "quantized") : NULL;
  free(dir);
  return place;
}

static void making_free(struct making *m) {
  models_config_release(m->config);
  free(m->place);
  free(m);
}

// Nobody waits for it any more: the server ends, or the model was unloaded, or is another by now.
static bool obsolete(const struct making *m) {
  struct served *now = models_find(m->s->models, m->config->name);
  bool same = now && now->config == m->config;
  served_release(now);
  return !same || atomic_load(&m->s->draining);
}

static void make(void *context) {
  struct making *m = context;
  struct server *s = m->s;
  const struct serve_model_config *c = m->config;
  if (obsolete(m)) {
    making_free(m);
    return;
  }
  struct pare_error err = {0};
  pare_record *record = NULL;
  uint64_t start = clock_ns();
  const struct pare_quantize_options options = {.scheme = c->scheme};
  enum pare_status status = pare_quantize(s->engine, c->path, m->place, &options, &record, &err);
  pare_record_close(record);
  if (status == PARE_REFUSED) error_set(&err, PARE_REFUSED, "%s: %s is not smaller", c->path, c->scheme);
  if (!status && !atomic_load(&s->draining)) status = models_renew(s->models, c, &err);
  json_t *fields = json_pack("{s:s, s:s, s:s, s:f}", "model", c->name, "scheme", c->scheme, "path", m->place, "seconds",
                             (double)(clock_ns() - start) * 1e-9);
  if (fields && status) json_object_set_new(fields, "error", json_string(err.text));
  log_event(s->log, status ? "error" : "info", "quantize", fields);
  making_free(m);
}

void make_quantized(struct server *s, const struct serve_config *c) {
  for (size_t i = 0; i < c->model_count; i++) {
    const struct serve_model_config *model = &c->models[i];
    struct stat there;
    if (!model->scheme || !model->use_quantization) continue;
    struct making *m = calloc(1, sizeof *m);
    if (!m) return;
    *m = (struct making){.s = s, .config = models_config(s->models, model->name), .place = place_of(model)};
    bool wanted = m->config && m->place && lstat(m->place, &there) != 0;
    if (!wanted || background_run(s->workshop, make, m)) making_free(m);
  }
}
