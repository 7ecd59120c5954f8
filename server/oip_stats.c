// oip_stats.c - GET /v2/models[/{model}[/versions/{version}]]/stats: Triton's statistics extension as far as it has a
// meaning here, with which form of the model answers and why.
#include <stdlib.h>

#include "json_text.h"
#include "oip.h"
#include "server_metrics.h"

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

static json_t *duration(uint64_t count, double seconds) {
  return json_pack("{s:I, s:I}", "count", (json_int_t)count, "ns", (json_int_t)(seconds * 1e9));
}

// Requests that came to the model, or (code) those that were answered with that status.
static json_int_t requests(struct metrics *m, const char *model, const char *code) {
  const struct metric_label labels[] = {{"model", model}, {"code", code}};
  return (json_int_t)metrics_sum(m, "pare_requests_total", labels, code ? 2 : 1);
}

// Counts and times as the metrics have them. A pass is counted once, however many texts it computes; a request
// likewise.
static void add_times(json_t *stats, struct server *server, const char *model) {
  struct form_metrics m[VARIANT_COUNT];
  uint64_t passes = 0;
  double inferring = 0;
  for (int v = 0; v < VARIANT_COUNT; v++) {
    form_metrics_find(server->metrics, model, variant_name((enum variant)v), &m[v]);
    passes += metric_count(m[v].inference_seconds);
    inferring += metric_value(m[v].inference_seconds);
  }
  // What follows is of both forms together.
  const struct metric *queue = m[0].queue_seconds, *tokenize = m[0].tokenize_seconds;
  json_int_t answered = requests(server->metrics, model, "200"), all = requests(server->metrics, model, NULL);
  json_object_set_new(stats, "inference_count", json_integer(answered));
  json_object_set_new(stats, "execution_count", json_integer((json_int_t)passes));
  json_object_set_new(
      stats, "inference_stats",
      json_pack("{s:{s:I}, s:{s:I}, s:o, s:o, s:o, s:{s:I}}", "success", "count", answered, "fail", "count",
                all - answered, "queue", duration(metric_count(queue), metric_value(queue)), "compute_input",
                duration(metric_count(tokenize), metric_value(tokenize)), "compute_infer", duration(passes, inferring),
                "cache_hit", "count", (json_int_t)metric_value(m[0].cache_hits)));
}

static json_t *stats_of(const struct exchange *x, const struct served *s) {
  json_t *forms = json_object(), *stats = oip_head(s);
  json_object_set(stats, "name", json_object_get(stats, "model_name"));
  json_object_set(stats, "version", json_object_get(stats, "model_version"));
  json_object_del(stats, "model_name");
  json_object_del(stats, "model_version");
  for (int v = 0; v < VARIANT_COUNT; v++)
    json_object_set_new(forms, variant_name((enum variant)v), form_of(&s->forms[v]));
  json_object_set_new(stats, "forms", forms);
  json_object_set_new(stats, "state_reason", json_text(s->state_reason));
  if (x->server) add_times(stats, x->server, s->name);
  json_object_set_new(stats, "rollout", rollout_state(s->rollout));
  return stats;
}

void oip_stats(struct exchange *x) {
  struct served *s = oip_model(x);
  if (s) exchange_json(x, 200, json_pack("{s:[o]}", "model_stats", stats_of(x, s)));
  served_release(s);
}

void oip_stats_all(struct exchange *x) {
  struct served **all;
  size_t n = models_all(x->models, &all);
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    json_array_append_new(list, stats_of(x, all[i]));
    served_release(all[i]);
  }
  free(all);
  exchange_json(x, 200, json_pack("{s:o}", "model_stats", list));
}
