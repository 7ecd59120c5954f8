// oip_repository.c - which models there are, and loading and unloading them by call (Triton's model repository
// extension). A load that names a variant is a promotion or a rollback of a model that is loaded.
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "oip.h"

// Clients post an empty body as well as {}.
static struct fields body_of(struct exchange *x) {
  if (x->body_len) return fields_of_body(x);
  return (struct fields){.x = x, .path = "", .ok = true};
}

static json_t *entry_of(struct exchange *x, const struct known_model *known) {
  struct served *s = models_find(x->models, known->name);
  const char *why = known->error[0] ? known->error : s ? "" : "unloaded";
  json_t *entry = json_pack("{s:s, s:o, s:s, s:s}", "name", known->name, "version",
                            s ? oip_version(s) : json_string(""), "state", s ? "READY" : "UNAVAILABLE", "reason", why);
  served_release(s);
  return entry;
}

void oip_index(struct exchange *x) {
  struct fields f = body_of(x);
  bool only_ready = fields_flag(&f, "ready", false);
  if (!f.ok) return;
  struct known_model *known;
  size_t n = models_known(x->models, &known);
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    json_t *entry = entry_of(x, &known[i]);
    const char *state = json_string_value(json_object_get(entry, "state"));
    if (only_ready && state && strcmp(state, "READY")) {
      json_decref(entry);
    } else {
      json_array_append_new(list, entry);
    }
  }
  free(known);
  exchange_json(x, 200, list);
}

// What a failure to open means to a client: it asked for something that cannot be had.
static void fail(struct exchange *x, const char *what, const struct pare_error *err) {
  exchange_fail(x, err->code == PARE_BUG ? 500 : 400, "model", "the model '%.200s' %s: %s", x->params[0], what,
                err->text);
}

static void load(struct exchange *x) {
  const struct serve_model_config *config = models_config(x->models, x->params[0]);
  struct pare_error err = {0};
  enum pare_status status = models_load(x->models, config, &err);
  models_config_release(config);
  if (status) {
    fail(x, "could not be loaded", &err);
    return;
  }
  struct served *s = models_find(x->models, x->params[0]);
  json_t *answer = json_pack("{s:s, s:s}", "name", x->params[0], "state", s ? "READY" : "UNAVAILABLE");
  if (s) json_object_set_new(answer, "version", oip_version(s));
  served_release(s);
  exchange_json(x, 200, answer);
}

static void switch_to(struct exchange *x, enum variant v) {
  struct pare_error err = {0};
  struct served *s = models_find(x->models, x->params[0]);
  if (!s) {
    exchange_fail(x, 400, "model", "the model '%.200s' is not loaded", x->params[0]);
  } else if (served_open_form(s, v, &err)) {
    fail(x, v == VARIANT_ORIGINAL ? "could not go back to the original" : "could not go to the quantized form", &err);
  } else {
    rollout_set(s->rollout, v);
    exchange_json(x, 200, json_pack("{s:s, s:s}", "name", s->name, "active", variant_name(v)));
  }
  served_release(s);
}

static void to_original(struct exchange *x) {
  switch_to(x, VARIANT_ORIGINAL);
}

static void to_quantized(struct exchange *x) {
  switch_to(x, VARIANT_QUANTIZED);
}

// What these would do is decided when the server is started.
static bool refuse(struct fields *p) {
  const char *key;
  json_t *value;
  json_object_foreach(p->object, key, value) {
    if (!strcmp(key, "variant") || json_is_null(value)) continue;
    exchange_fail(p->x, 400, key,
                  "parameters.%.80s: expected variant and nothing else; models are configured where the "
                  "server is started",
                  key);
    p->ok = false;
  }
  return p->ok;
}

void oip_load(struct exchange *x) {
  struct fields f = body_of(x);
  struct fields p = fields_below(&f, "parameters");
  const char *variant = fields_text(&p, "variant", NULL);
  if (!f.ok || !p.ok || !refuse(&p)) return;
  if (!models_knows(x->models, x->params[0])) {
    exchange_fail(x, 400, "model",
                  "the model '%.200s' is not configured; POST /v2/repository/index lists those that are", x->params[0]);
  } else if (!variant) {
    exchange_later(x, load);
  } else if (!strcmp(variant, variant_name(VARIANT_ORIGINAL))) {
    exchange_later(x, to_original);
  } else if (!strcmp(variant, variant_name(VARIANT_QUANTIZED))) {
    exchange_later(x, to_quantized);
  } else {
    fields_fail(&p, "variant", "original or quantized");
  }
}

// Closing a model takes its time; who computes with it holds it, and the last one to finish closes it.
static void unload(struct exchange *x) {
  struct pare_error err = {0};
  if (models_unload(x->models, x->params[0], &err)) {
    exchange_fail(x, 400, "model", "%s", err.text);
  } else {
    exchange_json(x, 200, json_pack("{s:s, s:s}", "name", x->params[0], "state", "UNAVAILABLE"));
  }
}

void oip_unload(struct exchange *x) {
  struct fields f = body_of(x);
  if (f.ok) exchange_later(x, unload);
}
