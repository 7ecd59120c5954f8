// protocol.c - any bytes as the body of any address: answered with a status, or handed over as a job that is whole.
// The first byte chooses the address and the model.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocols.h"

static void require(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken: %s\n", what);
  abort();
}

static pare_engine *engine;
static struct models *models;
static struct serve_config config;

static void load(const char *name, const char *folder) {
  char path[400];
  snprintf(path, sizeof path, "%s/models/%s", PROJECT_DIR, folder);
  struct serve_model_config c = {.name = (char *)name, .path = path};
  require(models_load(models, &c, NULL) == PARE_OK, "a shipped model opens");
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  struct pare_engine_options one = {.threads = 1};
  require(pare_engine_open(&one, &engine, NULL) == PARE_OK, "an engine opens");
  struct models_hooks hooks = {.engine = engine};
  models = models_new(&hooks);
  load("l", "intent-linear");
  load("g", "news-gpt2");
  load("n", "nli-minilm");
  load("b", "wiki-title-bart");
  config.limits.texts = 8;
  config.limits.max_tokens = 100;
  return 0;
}

static const char *no_header(const struct exchange *x, const char *name) {
  (void)x, (void)name;
  return NULL;
}

// ---- answers ------------------------------------------------------------------------------------------------------

static void classified(struct job *job, struct job_item *item) {
  size_t n = job_labels(job);
  item->scores = job_alloc(job, n * sizeof(float));
  item->logits = job_alloc(job, n * sizeof(float));
  for (size_t i = 0; i < n; i++) {
    require(job_label(job, i)[0] != 0, "labels that are not empty");
    item->logits[i] = (float)(i * 7 % 5);
    item->scores[i] = 1 / (1 + item->logits[i]);
  }
}

// The prompt's ids, and two more: one that is no whole character.
static void written(struct job *job, struct job_item *item) {
  static const uint32_t none[1], more[] = {73, 173};
  size_t V = pare_model_vocab_size(served_model(job->served)), top = job->top_count;
  for (size_t i = 0; i < item->id_count; i++) require(item->ids[i] < V, "ids of the vocabulary");
  item->prompt_ids = item->ids ? item->ids : none;
  item->tokens = item->ids ? item->id_count : 1;
  item->output_count = job->generate.max_tokens == PARE_OFF ? 0 : 2;
  item->output = strdup(item->output_count ? "i\xEF\xBF\xBD" : "");
  item->output_len = strlen(item->output);
  item->output_ids = calloc(2, sizeof more[0]);
  item->ends = calloc(2, sizeof(size_t));
  for (size_t i = 0; i < item->output_count; i++) {
    item->output_ids[i] = more[i];
    item->ends[i] = i ? 4 : 1;
  }
  size_t n = item->tokens + item->output_count;
  item->logprobs = calloc(n, sizeof(float));
  item->tops = calloc(n * top + 1, sizeof *item->tops);
  for (size_t i = 0; i < n * top; i++) item->tops[i] = (struct pare_logprob){(uint32_t)i % 300, -(float)i};
}

static void check_options(const struct job *job) {
  const struct pare_generate_options *o = &job->generate;
  require(o->temperature >= 0 && o->temperature <= 100 && o->top_p >= 0 && o->top_p <= 1, "numbers in range");
  require(o->min_p >= 0 && o->min_p <= 1 && o->repetition_penalty >= 0, "numbers in range");
  require(o->max_tokens == PARE_OFF || o->max_tokens <= config.limits.max_tokens, "tokens below the limit");
  for (size_t i = 0; i < o->stop_count; i++) require(o->stop[i][0] != 0, "stop strings that are not empty");
  require(job->top_count <= 20 && job->count >= 1 && job->count <= config.limits.texts, "counts below their limits");
}

static void finish(struct exchange *x) {
  struct job *job = x->job;
  check_options(job);
  for (size_t i = 0; i < job->count; i++) {
    if (job->op == JOB_CLASSIFY) classified(job, &job->items[i]);
    if (job->op == JOB_GENERATE) written(job, &job->items[i]);
  }
  if (job->stream) {
    for (size_t i = 0; i < job->count; i++) x->answer->piece(x, i, 0, 0, true);
    x->answer->end(x);
  } else {
    x->answer->whole(x);
    json_t *value = json_loadb(x->out.data, x->out.len, JSON_ALLOW_NUL, NULL);
    require(x->status == 200 && value, "an answer that is JSON");
    json_decref(value);
  }
  require(!x->out.failed, "an answer that was written");
}

// ---- requests -----------------------------------------------------------------------------------------------------

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  const struct route *const routes[] = {&completions_routes[0], &embeddings_routes[0], &classify_routes[0],
                                        &hf_routes[0]};
  static const char names[][2] = {"l", "g", "n", "b"};
  if (!len) return 0;
  struct exchange x = {.models = models,
                       .config = &config,
                       .header = no_header,
                       .body = (const char *)bytes + 1,
                       .body_len = len - 1,
                       .id = "f",
                       .route = routes[bytes[0] % 4]};
  x.params[0] = strdup(names[bytes[0] / 4 % 4]);
  x.route->handle(&x);
  require((x.status != 0) != (x.job != NULL), "an answer or a job");
  if (x.job) {
    finish(&x);
  } else {
    require(x.status == 400 || x.status == 404, "a refusal");
    json_t *value = json_loadb(x.out.data, x.out.len, 0, NULL);
    require(value != NULL, "a refusal that is JSON");
    json_decref(value);
  }
  exchange_free(&x);
  return 0;
}
