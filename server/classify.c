// classify.c - POST /v1/classify and /classify, as vLLM and SGLang have them, and candidate labels on top.
#include <stdlib.h>
#include <time.h>

#include "classifying.h"
#include "protocols.h"

// x->state
struct classification {
  time_t created;
};

static const struct answer classify_answer;

static void read_length(struct fields *f, struct job *job) {
  const char *key = fields_has(f, "max_tokens") ? "max_tokens" : "truncate_prompt_tokens";
  const json_t *value = fields_any(f, key);
  // vLLM's clients write -1 for the model's longest.
  if (json_is_integer(value) && json_integer_value(value) == -1) return;
  job->classify.max_tokens = fields_size(f, key, 0, 1, pare_model_max_tokens(served_model(job->served)));
}

static void handle(struct exchange *x) {
  struct fields f = fields_of_body(x);
  const char *name = fields_text(&f, "model", NULL);
  struct served *s = f.ok ? exchange_model(x, name) : NULL;
  if (!s) return;
  struct job *job = classifying_job(&f, s, "input");
  if (job) {
    classifying_candidates(&f, job, "labels");
    read_length(&f, job);
  }
  served_release(s);
  struct classification *state = job ? job_alloc(job, sizeof *state) : NULL;
  if (job && !state) inputs_no_memory(&f);
  if (!job || !f.ok) {
    job_free(job);
    return;
  }
  state->created = time(NULL);
  x->state = state;
  exchange_submit(x, job, &classify_answer);
}

static json_t *datum(const struct job *job, size_t i) {
  const struct job_item *item = &job->items[i];
  size_t n = job_labels(job), best = 0;
  json_t *probs = json_array();
  for (size_t k = 0; k < n; k++) {
    if (item->scores[k] > item->scores[best]) best = k;
    json_array_append_new(probs, json_real((double)item->scores[k]));
  }
  if (json_array_size(probs) != n) {
    json_decref(probs);
    probs = NULL;
  }
  return json_pack("{s:I, s:s, s:o, s:I}", "index", (json_int_t)i, "label", job_label(job, best), "probs", probs,
                   "num_classes", (json_int_t)n);
}

static void whole(struct exchange *x) {
  const struct classification *c = x->state;
  const struct job *job = x->job;
  size_t tokens = 0;
  json_t *data = json_array();
  bool fine = true;
  for (size_t i = 0; i < job->count; i++) {
    tokens += job->items[i].tokens;
    fine = !json_array_append_new(data, datum(job, i)) && fine;
  }
  json_t *answer =
      json_pack("{s:o, s:s, s:I, s:s, s:o, s:{s:I, s:I, s:i}}", "id", json_sprintf("classify-%s", x->id), "object",
                "list", "created", (json_int_t)c->created, "model", job->served->name, "data", data, "usage",
                "prompt_tokens", (json_int_t)tokens, "total_tokens", (json_int_t)tokens, "completion_tokens", 0);
  if (!fine) {
    json_decref(answer);
    answer = NULL;
  }
  exchange_json(x, 200, answer);
}

static const struct answer classify_answer = {.whole = whole};

const struct route classify_routes[] = {
    {"POST", "/v1/classify", handle, ERROR_OPENAI, "classify"},
    {"POST", "/classify", handle, ERROR_OPENAI, "classify"},
};
const size_t classify_route_count = sizeof classify_routes / sizeof *classify_routes;
