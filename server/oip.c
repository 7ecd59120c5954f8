// oip.c - addresses of the Open Inference Protocol v2, and what says who and what is here: server, health, models.
#include "oip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols.h"
#include "state.h"

struct served *oip_model(struct exchange *x) {
  struct served *s = exchange_model(x, x->params[0]);
  const char *asked = x->params[1];
  char version[16];
  if (!s || !asked) return s;
  snprintf(version, sizeof version, "%u", s->version);
  if (!strcmp(version, asked)) return s;
  exchange_fail(x, 404, "version", "the model '%.200s' is here in version %s, not '%.40s'", s->name, version, asked);
  served_release(s);
  return NULL;
}

json_t *oip_version(const struct served *s) {
  char version[16];
  snprintf(version, sizeof version, "%u", s->version);
  return json_string(version);
}

json_t *oip_head(const struct served *s) {
  return json_pack("{s:s, s:o}", "model_name", s->name, "model_version", oip_version(s));
}

static void server_metadata(struct exchange *x) {
  static const char *const extensions[] = {"binary_tensor_data", "classification", "generate",  "model_configuration",
                                           "model_repository",   "parameters",     "statistics"};
  json_t *list = json_array();
  for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
    json_array_append_new(list, json_string(extensions[i]));
  exchange_json(x, 200, json_pack("{s:s, s:s, s:o}", "name", "pare", "version", pare_version(), "extensions", list));
}

static void live(struct exchange *x) {
  exchange_json(x, 200, json_pack("{s:b}", "live", 1));
}

// Ready to answer something: a model is there, and the server is not ending. The specification calls the key `live` in
// one place and `ready` in another, so both are said.
static void ready(struct exchange *x) {
  struct served **all;
  size_t n = models_all(x->models, &all);
  for (size_t i = 0; i < n; i++) served_release(all[i]);
  free(all);
  bool yes = n > 0 && !(x->server && x->server->draining);
  exchange_json(x, yes ? 200 : 503, json_pack("{s:b, s:b}", "live", 1, "ready", yes));
}

static void model_ready(struct exchange *x) {
  struct served *s = models_find(x->models, x->params[0]);
  if (!s && models_knows(x->models, x->params[0])) {
    exchange_fail(x, 503, "model", "the model '%.200s' is not loaded", x->params[0]);
    return;
  }
  served_release(s);
  s = oip_model(x);
  if (s) exchange_json(x, 200, json_pack("{s:s, s:b}", "name", s->name, "ready", 1));
  served_release(s);
}

static void model_metadata(struct exchange *x) {
  static const char *const tasks[] = {[PARE_TASK_CLASSIFY] = "text-classification",
                                      [PARE_TASK_LANGUAGE_MODEL] = "text-generation",
                                      [PARE_TASK_ENCODE] = "feature-extraction",
                                      [PARE_TASK_SEQ2SEQ] = "text2text-generation"};
  struct served *s = oip_model(x);
  if (!s) return;
  const pare_model *m = served_model(s);
  json_t *labels = json_array();
  for (size_t i = 0; i < pare_model_label_count(m); i++)
    json_array_append_new(labels, json_string(pare_model_label(m, i)));
  json_t *parameters =
      json_pack("{s:s, s:b, s:o}", "task", tasks[s->task], "candidate_labels", s->nli, "labels", labels);
  if (!s->linear) json_object_set_new(parameters, "max_tokens", json_integer((json_int_t)pare_model_max_tokens(m)));
  exchange_json(x, 200,
                json_pack("{s:s, s:[o], s:s, s:o, s:o, s:o}", "name", s->name, "versions", oip_version(s), "platform",
                          "pare", "inputs", oip_inputs_of(s), "outputs", oip_outputs_of(s), "parameters", parameters));
  served_release(s);
}

// What load generators read before they begin: the metadata's tensors in the words of Triton's model configuration,
// where texts are strings, and 0 says that the first size is not theirs to add.
void oip_config(struct exchange *x) {
  struct served *s = oip_model(x);
  if (!s) return;
  json_t *sides[2] = {oip_inputs_of(s), oip_outputs_of(s)}, *lists[2], *tensor;
  for (size_t side = 0, i; side < 2; side++) {
    lists[side] = json_array();
    json_array_foreach(sides[side], i, tensor) {
      const char *type = json_string_value(json_object_get(tensor, "datatype"));
      bool optional = json_object_get(tensor, "parameters") != NULL;
      json_t *entry =
          json_pack("{s:O, s:s+, s:O}", "name", json_object_get(tensor, "name"), "data_type", "TYPE_",
                    type && strcmp(type, "BYTES") ? type : "STRING", "dims", json_object_get(tensor, "shape"));
      if (optional) json_object_set_new(entry, "optional", json_true());
      json_array_append_new(lists[side], entry);
    }
    json_decref(sides[side]);
  }
  exchange_json(x, 200,
                json_pack("{s:s, s:s, s:s, s:i, s:o, s:o}", "name", s->name, "platform", "pare", "backend", "pare",
                          "max_batch_size", 0, "input", lists[0], "output", lists[1]));
  served_release(s);
}

// A model's name may hold slashes, so the longest pattern that could match stands first.
const struct route oip_routes[] = {
    {"GET", "/v2", server_metadata, ERROR_PLAIN, "v2"},
    {"GET", "/v2/health/live", live, ERROR_PLAIN, "v2_live"},
    {"GET", "/v2/health/ready", ready, ERROR_PLAIN, "v2_ready"},
    {"GET", "/v2/models/stats", oip_stats_all, ERROR_PLAIN, "v2_stats"},
    {"POST", "/v2/models/{*}/versions/{}/infer", oip_infer, ERROR_PLAIN, "v2_infer"},
    {"POST", "/v2/models/{*}/infer", oip_infer, ERROR_PLAIN, "v2_infer"},
    {"POST", "/v2/models/{*}/versions/{}/generate", oip_generate, ERROR_GENERATE, "v2_generate"},
    {"POST", "/v2/models/{*}/generate", oip_generate, ERROR_GENERATE, "v2_generate"},
    {"POST", "/v2/models/{*}/versions/{}/generate_stream", oip_generate_stream, ERROR_GENERATE, "v2_generate_stream"},
    {"POST", "/v2/models/{*}/generate_stream", oip_generate_stream, ERROR_GENERATE, "v2_generate_stream"},
    {"GET", "/v2/models/{*}/versions/{}/ready", model_ready, ERROR_PLAIN, "v2_model_ready"},
    {"GET", "/v2/models/{*}/ready", model_ready, ERROR_PLAIN, "v2_model_ready"},
    {"GET", "/v2/models/{*}/versions/{}/config", oip_config, ERROR_PLAIN, "v2_model"},
    {"GET", "/v2/models/{*}/config", oip_config, ERROR_PLAIN, "v2_model"},
    {"GET", "/v2/models/{*}/versions/{}/stats", oip_stats, ERROR_PLAIN, "v2_stats"},
    {"GET", "/v2/models/{*}/stats", oip_stats, ERROR_PLAIN, "v2_stats"},
    {"GET", "/v2/models/{*}/versions/{}", model_metadata, ERROR_PLAIN, "v2_model"},
    {"GET", "/v2/models/{*}", model_metadata, ERROR_PLAIN, "v2_model"},
    {"POST", "/v2/repository/index", oip_index, ERROR_PLAIN, "v2_repository"},
    {"POST", "/v2/repository/models/{*}/load", oip_load, ERROR_PLAIN, "v2_repository"},
    {"POST", "/v2/repository/models/{*}/unload", oip_unload, ERROR_PLAIN, "v2_repository"},
};
const size_t oip_route_count = sizeof oip_routes / sizeof *oip_routes;
