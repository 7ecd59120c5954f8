// oip_infer.c - any body as an inference request to a small classifier: answered with an error in words, or a job whose
// texts are UTF-8 and whose ids the model knows, and then with tensors whose sizes are what they say. The first two
// bytes are the length of the JSON that the header gives (65535: no header).
#include "base/utf8.h"
#include "promises.h"
#include "protocols.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct models *models;
static const struct route *route;
static char header_value[16];

static const char *header(const struct exchange *x, const char *name) {
  (void)x;
  return strcmp(name, "Inference-Header-Content-Length") || !*header_value ? NULL : header_value;
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc, (void)argv;
  const struct pare_engine_options one = {.threads = 1};
  pare_engine *engine;
  struct pare_error err = {0};
  require(!pare_engine_open(&one, &engine, &err), "an engine");
  struct models_hooks hooks = {.engine = engine};
  struct serve_model_config c = {.name = "m", .path = TEST_DIR "/golden/data/models/bert"};
  require((models = models_new(&hooks)) != NULL, "memory");
  require(!models_load(models, &c, &err), err.text);
  for (size_t i = 0; i < oip_route_count; i++)
    if (!strcmp(oip_routes[i].pattern, "/v2/models/{*}/infer")) route = &oip_routes[i];
  require(route != NULL, "the route");
  return 0;
}

static void check_job(struct job *job, size_t vocab, size_t longest) {
  for (size_t i = 0; i < job->count; i++) {
    struct job_item *item = &job->items[i];
    if (item->ids) {
      require(item->id_count >= 1 && item->id_count <= longest, "a length that the model takes");
      for (size_t k = 0; k < item->id_count; k++) require(item->ids[k] < vocab && item->types[k] < 2, "known ids");
    } else {
      require(utf8_first_bad(item->text.text, item->text.len) == item->text.len, "UTF-8");
    }
    size_t n = job_labels(job);
    require(n >= 1, "labels");
    item->scores = job_alloc(job, n * sizeof(float));
    item->logits = job_alloc(job, n * sizeof(float));
    for (size_t l = 0; l < n; l++) item->scores[l] = item->logits[l] = (float)(l + i);
  }
}

static void check_answer(const struct exchange *x) {
  size_t len = x->out.len, raw = 0;
  if (x->header_count) len = strtoul(x->headers[0].value, NULL, 10);
  require(len <= x->out.len, "a header within the body");
  json_t *answer = json_loadb(x->out.data, len, 0, NULL), *outputs = json_object_get(answer, "outputs"), *output;
  size_t i;
  require(answer != NULL && json_array_size(outputs) >= 1, "an answer with outputs");
  json_array_foreach(outputs, i, output) raw +=
      (size_t)json_integer_value(json_object_get(json_object_get(output, "parameters"), "binary_data_size"));
  require(len + raw == x->out.len, "as many raw bytes as were said");
  json_decref(answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const struct serve_config config = {.limits = {.texts = 16, .max_tokens = 16}};
  if (size < 2) return 0;
  unsigned length = data[0] | (unsigned)data[1] << 8;
  *header_value = 0;
  if (length != 65535) snprintf(header_value, sizeof header_value, "%u", length);
  struct exchange x = {.route = route, .models = models, .config = &config, .header = header};
  char *body = malloc(size - 2 ? size - 2 : 1); // as long as it is said to be: sanitizers see one byte more
  require(body != NULL && (x.params[0] = strdup("m")) != NULL, "memory");
  memcpy(body, data + 2, size - 2);
  x.body = body;
  x.body_len = size - 2;
  route->handle(&x);
  free(body);
  require(!x.job == (x.status != 0), "an answer or a job");
  if (x.job) {
    const pare_model *m = served_model(x.job->served);
    check_job(x.job, pare_model_vocab_size(m), pare_model_max_tokens(m));
    x.answer->whole(&x);
    require(x.status == 200, "an answer");
    check_answer(&x);
  } else {
    json_t *answer = json_loadb(x.out.data, x.out.len, 0, NULL);
    require(x.status == 400 && json_is_string(json_object_get(answer, "error")), "an error in words");
    json_decref(answer);
  }
  exchange_free(&x);
  return 0;
}
