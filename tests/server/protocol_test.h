// protocol_test.h - what the tests of protocols share: real small models, a request put to the route of its address,
// and the answer read back. No server: jobs are looked at, and answered by hand or by the model itself.
#ifndef PARE_TESTS_SERVER_PROTOCOL_TEST_H
#define PARE_TESTS_SERVER_PROTOCOL_TEST_H

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "protocols.h"

struct world {
  pare_engine *engine;
  struct models *models;
  struct serve_config config;
};

static inline void world_load(struct world *w, const char *name, const char *path) {
  struct pare_error err = {0};
  struct serve_model_config c = {.name = (char *)name, .path = (char *)path};
  if (models_load(w->models, &c, &err)) fail_msg("%s: %s", path, err.text);
}

static inline struct world *world_open(void) {
  struct world *w = calloc(1, sizeof *w);
  struct pare_engine_options one = {.threads = 1};
  struct pare_error err = {0};
  if (pare_engine_open(&one, &w->engine, &err)) fail_msg("%s", err.text);
  struct models_hooks hooks = {.engine = w->engine};
  w->models = models_new(&hooks);
  w->config.limits.texts = 8;
  w->config.limits.max_tokens = 100;
  return w;
}

static inline void world_close(struct world *w) {
  models_free(w->models);
  pare_engine_close(w->engine);
  free(w);
}

// ---- one request --------------------------------------------------------------------------------------------------

static inline const char *no_header(const struct exchange *x, const char *name) {
  (void)x, (void)name;
  return NULL;
}

// What {*} stands for at the pattern's end; NULL: another address.
static inline const char *matches(const char *pattern, const char *path) {
  const char *open = strstr(pattern, "{*}");
  if (!open) return strcmp(pattern, path) ? NULL : "";
  size_t len = (size_t)(open - pattern);
  return strncmp(pattern, path, len) || !path[len] ? NULL : path + len;
}

struct route_table {
  const struct route *list;
  const size_t *count;
};
static const struct route_table all_routes[] = {
    {completions_routes, &completions_route_count},
    {openai_models_routes, &openai_models_route_count},
    {embeddings_routes, &embeddings_route_count},
    {classify_routes, &classify_route_count},
    {hf_routes, &hf_route_count},
};

// Puts the request to its route; to be given to call_free.
static inline struct exchange *call_bytes(struct world *w, const char *method, const char *path, const char *body,
                                          size_t len) {
  struct exchange *x = calloc(1, sizeof *x);
  x->models = w->models;
  x->config = &w->config;
  x->header = no_header;
  x->body = body;
  x->body_len = len;
  snprintf(x->id, sizeof x->id, "r1");
  for (size_t t = 0; t < sizeof all_routes / sizeof *all_routes && !x->route; t++)
    for (size_t i = 0; i < *all_routes[t].count && !x->route; i++) {
      const struct route *r = &all_routes[t].list[i];
      const char *rest = strcmp(r->method, method) ? NULL : matches(r->pattern, path);
      if (!rest) continue;
      x->route = r;
      if (*rest) x->params[0] = strdup(rest);
    }
  if (!x->route) fail_msg("no route for %s %s", method, path);
  x->route->handle(x);
  assert_true(x->status || x->job); // answered, or handed over: never neither, never both
  assert_false(x->status && x->job);
  return x;
}

static inline struct exchange *call(struct world *w, const char *path, const char *body) {
  return call_bytes(w, body ? "POST" : "GET", path, body, body ? strlen(body) : 0);
}

static inline void call_free(struct exchange *x) {
  exchange_free(x);
  free(x);
}

// A request that becomes a job.
static inline struct exchange *call_job(struct world *w, const char *path, const char *body) {
  struct exchange *x = call(w, path, body);
  if (x->status) fail_msg("%s: %u %s", body, x->status, x->out.data);
  return x;
}

// The body that was written; to be given to json_decref.
static inline json_t *answer_of(struct exchange *x) {
  json_error_t at;
  json_t *value = json_loadb(x->out.data, x->out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &at);
  if (!value) fail_msg("not JSON: %s in %s", at.text, x->out.data);
  return value;
}

static inline json_t *whole_of(struct exchange *x) {
  x->answer->whole(x);
  assert_false(x->out.failed);
  assert_int_equal(x->status, 200);
  return answer_of(x);
}

// The request is refused with 400, `param` (NULL: none) and a message that has `part` in it.
static inline void refused(struct world *w, const char *path, const char *body, const char *param, const char *part) {
  struct exchange *x = call(w, path, body);
  if (x->status != 400) fail_msg("%s: 400 expected, found %u %s", body, x->status, x->out.data ? x->out.data : "");
  json_t *value = answer_of(x), *error = json_object_get(value, "error");
  if (x->route->style == ERROR_OPENAI) {
    json_t *found = json_object_get(error, "param");
    if (param ? !json_is_string(found) || strcmp(json_string_value(found), param) : !json_is_null(found))
      fail_msg("%s: param %s expected in %s", body, param ? param : "none", x->out.data);
    assert_string_equal(json_string_value(json_object_get(error, "type")), "invalid_request_error");
    error = json_object_get(error, "message");
  }
  if (!json_is_string(error) || !strstr(json_string_value(error), part))
    fail_msg("%s: \"%s\" expected in %s", body, part, x->out.data);
  json_decref(value);
  call_free(x);
}

// Compares with JSON text; "created" and such are taken out before.
static inline void same_json(json_t *value, const char *expected) {
  json_error_t at;
  json_t *want = json_loads(expected, JSON_DECODE_ANY, &at);
  if (!want) fail_msg("%s: %s", expected, at.text);
  if (!json_equal(value, want)) {
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
    fail_msg("expected %s\nfound    %s", expected, text);
  }
  json_decref(want);
}

// ---- answers ------------------------------------------------------------------------------------------------------

// Classifies as the server would.
static inline void answer_classify(struct job *job) {
  struct pare_error err = {0};
  pare_session *session;
  pare_model *model = (pare_model *)served_model(job->served);
  size_t n = job_labels(job);
  if (pare_session_open(model, NULL, &session, &err)) fail_msg("%s", err.text);
  for (size_t i = 0; i < job->count; i++) {
    struct job_item *item = &job->items[i];
    item->scores = job_alloc(job, n * sizeof(float));
    item->logits = job_alloc(job, n * sizeof(float));
    item->tokens = 5;
    if (pare_classify(session, &item->text, 1, &job->classify, item->scores, item->logits, &err))
      fail_msg("%s", err.text);
  }
  pare_session_close(session);
}

// The prompt's ids, as a tokenizer or the request gave them.
static inline void answer_prompt(struct job *job, struct job_item *item) {
  struct pare_tokens tokens = {0};
  struct pare_error err = {0};
  if (item->ids) {
    item->prompt_ids = item->ids;
    item->tokens = item->id_count;
    return;
  }
  if (pare_tokenize(served_model(job->served), &item->text, 0, &tokens, &err)) fail_msg("%s", err.text);
  uint32_t *ids = job_alloc(job, tokens.len * sizeof *ids);
  memcpy(ids, tokens.ids, tokens.len * sizeof *ids);
  item->prompt_ids = ids;
  item->tokens = tokens.len;
  pare_tokens_free(&tokens);
}

// An answer of these ids: text and ends by decoding, finish as given.
static inline void answer_ids(struct job *job, struct job_item *item, const uint32_t *ids, size_t n,
                              enum pare_finish finish) {
  answer_prompt(job, item);
  item->output_ids = malloc((n + 1) * sizeof *ids);
  item->ends = malloc((n + 1) * sizeof(size_t));
  if (n) memcpy(item->output_ids, ids, n * sizeof *ids);
  for (size_t i = 0; i <= n; i++) {
    char *text;
    struct pare_error err = {0};
    if (pare_detokenize(served_model(job->served), ids, i, true, &text, &err)) fail_msg("%s", err.text);
    if (i) item->ends[i - 1] = strlen(text);
    free(item->output);
    item->output = text;
    item->output_len = strlen(text);
  }
  item->output_count = n;
  item->finish = finish;
  item->done = true;
}

// Log probability -1/8 for each place, falling by 1/8; with tops the chosen id and the ones below it.
static inline void answer_logprobs(const struct job *job, struct job_item *item) {
  size_t n = item->tokens + item->output_count, top = job->top_count;
  item->logprobs = malloc((n + 1) * sizeof(float));
  item->tops = top ? malloc((n + 1) * top * sizeof *item->tops) : NULL;
  for (size_t i = 0; i < n; i++) {
    bool prompt = i < item->tokens;
    uint32_t id = prompt ? item->prompt_ids[i] : item->output_ids[i - item->tokens];
    item->logprobs[i] = i == 0 || (prompt && !job->score) ? NAN : -0.125f * (float)i;
    for (size_t k = 0; k < top; k++)
      item->tops[i * top + k] = (struct pare_logprob){id - (uint32_t)k, item->logprobs[i] - (float)k};
  }
}

#endif
