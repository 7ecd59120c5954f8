// oip_case.h - what the tests of the Open Inference Protocol share: real small models, requests without sockets,
// answers filled in by hand.
#ifndef PARE_TESTS_OIP_CASE_H
#define PARE_TESTS_OIP_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols.h"

static struct models *models;
static pare_engine *engine;
static struct serve_config config = {.limits = {.texts = 8, .max_tokens = 64, .timeout_ms = 60000}};
static struct server *server;     // NULL: none
static const char *binary_header; // value of Inference-Header-Content-Length, or NULL
static const char *coding_header; // value of Content-Encoding, or NULL

// ---- requests -------------------------------------------------------------------------------------------------------

static const char *header(const struct exchange *x, const char *name) {
  (void)x;
  if (!strcmp(name, "Content-Encoding")) return coding_header;
  return strcmp(name, "Inference-Header-Content-Length") ? NULL : binary_header;
}

static inline void free_exchange(struct exchange *x) {
  exchange_free(x);
  free(x);
}

// A request to the route of that method and pattern; model and version as the address has them, or NULL.
static inline struct exchange *ask_bytes(const char *method, const char *pattern, const char *model,
                                         const char *version, const void *body, size_t len) {
  struct exchange *x = calloc(1, sizeof *x);
  assert_non_null(x);
  for (size_t i = 0; i < oip_route_count; i++)
    if (!strcmp(oip_routes[i].method, method) && !strcmp(oip_routes[i].pattern, pattern)) x->route = &oip_routes[i];
  if (!x->route) fail_msg("no route %s %s", method, pattern);
  x->params[0] = model ? strdup(model) : NULL;
  x->params[1] = version ? strdup(version) : NULL;
  x->body = body;
  x->body_len = len;
  x->models = models;
  x->server = server;
  x->config = &config;
  x->header = header;
  x->route->handle(x);
  if (x->later) x->later(x);
  return x;
}

static inline struct exchange *ask(const char *method, const char *pattern, const char *model, const char *body) {
  return ask_bytes(method, pattern, model, NULL, body, body ? strlen(body) : 0);
}

static inline json_t *answer_json(const struct exchange *x) {
  json_error_t error;
  json_t *value = json_loadb(x->out.data ? x->out.data : "", x->out.len, JSON_DECODE_ANY, &error);
  if (!value) fail_msg("no JSON: %s in %.*s", error.text, (int)x->out.len, x->out.data ? x->out.data : "");
  return value;
}

// The answer is that JSON.
static inline void expect_json(const struct exchange *x, unsigned status, const char *expected) {
  json_error_t error;
  json_t *found = answer_json(x), *wanted = json_loads(expected, JSON_DECODE_ANY, &error);
  if (!wanted) fail_msg("the test's own JSON: %s", error.text);
  if (x->status != status || !json_equal(found, wanted))
    fail_msg("%u %.*s; expected %u %s", x->status, (int)x->out.len, x->out.data, status, expected);
  json_decref(found);
  json_decref(wanted);
}

// The request was refused, and the error says so in those words.
static inline void expect_refusal(struct exchange *x, unsigned status, const char *words) {
  if (x->status != status || x->job) fail_msg("status %u, expected %u (%s): %s", x->status, status, words, x->out.data);
  json_t *answer = answer_json(x);
  const char *error = json_string_value(json_object_get(answer, "error"));
  if (!error || !strstr(error, words)) fail_msg("error: %s; expected: %s", error ? error : "none", words);
  assert_string_equal(x->content_type, "application/json");
  json_decref(answer);
  free_exchange(x);
}

static inline struct job *expect_job(const struct exchange *x) {
  if (!x->job) fail_msg("no job: %u %s", x->status, x->out.data ? x->out.data : "");
  assert_int_equal(x->status, 0);
  return x->job;
}

static inline const char *answer_header(const struct exchange *x, const char *name) {
  for (size_t i = 0; i < x->header_count; i++)
    if (!strcmp(x->headers[i].name, name)) return x->headers[i].value;
  return NULL;
}

// ---- inference ------------------------------------------------------------------------------------------------------

static const char infer[] = "/v2/models/{*}/infer";
#define ONE "{\"inputs\":[{\"name\":\"text\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"a\"]}]"

static inline void fill_scores(struct job *job, const float *scores) {
  size_t n = job_labels(job);
  for (size_t i = 0; i < job->count; i++) {
    job->items[i].scores = job_alloc(job, n * sizeof(float));
    job->items[i].logits = job_alloc(job, n * sizeof(float));
    for (size_t l = 0; l < n; l++) {
      job->items[i].scores[l] = scores[i * n + l];
      job->items[i].logits[l] = 8 * scores[i * n + l] - 4;
    }
  }
}

static inline void expect_ids(const struct job_item *item, size_t n, const uint32_t *ids, const uint8_t *types) {
  assert_int_equal(item->id_count, n);
  assert_memory_equal(item->ids, ids, n * sizeof *ids);
  assert_memory_equal(item->types, types, n);
}

// ---- models ---------------------------------------------------------------------------------------------------------

static inline void load_model(const char *name, const char *folder) {
  struct pare_error err = {0};
  char path[512];
  snprintf(path, sizeof path, *folder == '/' ? "%s" : PROJECT_DIR "/models/%s", folder);
  struct serve_model_config c = {.name = (char *)name, .path = path};
  if (models_load(models, &c, &err)) fail_msg("%s", err.text);
}

static inline int open_models(void **state) {
  (void)state;
  const struct pare_engine_options one = {.threads = 1};
  if (pare_engine_open(&one, &engine, NULL)) return -1;
  const struct models_hooks hooks = {.engine = engine};
  models = models_new(&hooks);
  return models ? 0 : -1;
}

static inline int close_models(void **state) {
  (void)state;
  models_free(models);
  pare_engine_close(engine);
  return 0;
}

#endif
