// openai_models.c - GET /v1/models and /v1/models/NAME: OpenAI's keys, vLLM's max_model_len and the task.
#include <stdlib.h>

#include "protocols.h"

static const char *task_name(enum pare_task task) {
  switch (task) {
    case PARE_TASK_CLASSIFY: return "classification";
    case PARE_TASK_LANGUAGE_MODEL: return "language-model";
    case PARE_TASK_ENCODE: return "embedding";
    case PARE_TASK_SEQ2SEQ: return "encoder-decoder";
  }
  return "";
}

static json_t *describe(const struct served *s) {
  return json_pack("{s:s, s:s, s:I, s:s, s:I, s:s}", "id", s->name, "object", "model", "created",
                   (json_int_t)s->created, "owned_by", "pare", "max_model_len",
                   (json_int_t)pare_model_max_tokens(served_model(s)), "task", task_name(s->task));
}

static void list(struct exchange *x) {
  struct served **all;
  size_t n = models_all(x->models, &all);
  json_t *data = json_array();
  bool fine = true;
  for (size_t i = 0; i < n; i++) {
    fine = !json_array_append_new(data, describe(all[i])) && fine;
    served_release(all[i]);
  }
  free(all);
  exchange_json(x, 200, json_pack("{s:s, s:o}", "object", "list", "data", fine ? data : NULL));
  if (!fine) json_decref(data);
}

static void one(struct exchange *x) {
  struct served *s = exchange_model(x, x->params[0]);
  if (!s) return;
  exchange_json(x, 200, describe(s));
  served_release(s);
}

const struct route openai_models_routes[] = {
    {"GET", "/v1/models", list, ERROR_OPENAI, "models"},
    {"GET", "/v1/models/{*}", one, ERROR_OPENAI, "models"},
};
const size_t openai_models_route_count = sizeof openai_models_routes / sizeof *openai_models_routes;
