// oip_stats.c - GET /v2/models[/{model}[/versions/{version}]]/stats: Triton's statistics extension as far as it has a
// meaning here, with which form of the model answers and why.
#include <stdlib.h>

#include "oip.h"

static void add_size(json_t *entry, const pare_model *model) {
  pare_record *record = NULL;
  char *text = NULL;
  if (!pare_model_info(model, &record, NULL) && !pare_record_render(record, PARE_JSON, NULL, &text, NULL)) {
    json_t *info = json_loads(text, 0, NULL);
    json_object_set(entry, "size_bytes", json_object_get(info, "size_bytes"));
    json_decref(info);
  }
  free(text);
  pare_record_close(record);
}

static json_t *form_of(const struct form *f) {
  const pare_model *model = f->model; // set last: what it comes with is there
  json_t *entry = json_pack("{s:b, s:s?}", "open", model != NULL, "error", !model && f->failed ? f->error.text : NULL);
  if (!model) return entry;
  json_object_set_new(entry, "scheme", json_string(f->scheme));
  json_object_set_new(entry, "load_ms", json_real(f->load_ms));
  add_size(entry, model);
  return entry;
}

static json_t *stats_of(const struct served *s) {
  json_t *forms = json_object(), *stats = oip_head(s);
  json_object_set(stats, "name", json_object_get(stats, "model_name"));
  json_object_set(stats, "version", json_object_get(stats, "model_version"));
  json_object_del(stats, "model_name");
  json_object_del(stats, "model_version");
  for (int v = 0; v < VARIANT_COUNT; v++)
    json_object_set_new(forms, variant_name((enum variant)v), form_of(&s->forms[v]));
  json_object_set_new(stats, "forms", forms);
  json_object_set_new(stats, "state_reason", json_string(s->state_reason));
  json_object_set_new(stats, "rollout", rollout_state(s->rollout));
  return stats;
}

void oip_stats(struct exchange *x) {
  struct served *s = oip_model(x);
  if (s) exchange_json(x, 200, json_pack("{s:[o]}", "model_stats", stats_of(s)));
  served_release(s);
}

void oip_stats_all(struct exchange *x) {
  struct served **all;
  size_t n = models_all(x->models, &all);
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    json_array_append_new(list, stats_of(all[i]));
    served_release(all[i]);
  }
  free(all);
  exchange_json(x, 200, json_pack("{s:o}", "model_stats", list));
}
