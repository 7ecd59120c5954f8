// openai_embeddings.c - /v1/embeddings, and /models/NAME, over an encoder: the shipped entailment model without its
// head.
#include "server/protocol_test.h"

static struct world *world;
static char folder[64];
static const char *const files[] = {"model.safetensors", "tokenizer.json", "tokenizer_config.json"};

static void make_encoder(void) {
  char from[300], to[300];
  snprintf(folder, sizeof folder, "/tmp/pare-encoder-XXXXXX");
  assert_non_null(mkdtemp(folder));
  for (size_t i = 0; i < 3; i++) {
    snprintf(from, sizeof from, "%s/models/nli-minilm/%s", PROJECT_DIR, files[i]);
    snprintf(to, sizeof to, "%s/%s", folder, files[i]);
    assert_int_equal(symlink(from, to), 0);
  }
  json_t *config = json_load_file(PROJECT_DIR "/models/nli-minilm/config.json", 0, NULL);
  json_object_set_new(config, "architectures", json_pack("[s]", "DistilBertModel"));
  snprintf(to, sizeof to, "%s/config.json", folder);
  assert_int_equal(json_dump_file(config, to, 0), 0);
  json_decref(config);
}

static int setup(void **state) {
  (void)state;
  make_encoder();
  world = world_open();
  world_load(world, "encoder", folder);
  world_load(world, "news", PROJECT_DIR "/models/news-gpt2");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  world_close(world);
  char path[300];
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s/%s", folder, files[i]);
    unlink(path);
  }
  snprintf(path, sizeof path, "%s/config.json", folder);
  unlink(path);
  rmdir(folder);
  return 0;
}

static struct exchange *embed(const char *body) {
  return call_job(world, "/v1/embeddings", body);
}

// Vectors 3, 4, 0, 0 ... and 0.25, 0, 0 ...
static size_t answer_vectors(struct job *job) {
  size_t width = pare_model_output_width(served_model(job->served));
  for (size_t i = 0; i < job->count; i++) {
    job->items[i].tokens = 4;
    job->items[i].vector = job_alloc(job, width * sizeof(float));
    job->items[i].vector[0] = i ? 0.25f : 3;
    job->items[i].vector[1] = i ? 0 : 4;
  }
  return width;
}

static void floats(void **state) {
  (void)state;
  struct exchange *x = embed("{\"model\":\"encoder\",\"input\":[\"a\",\"b\"],\"user\":\"me\"}");
  assert_int_equal(x->job->op, JOB_EMBED);
  assert_int_equal(x->job->count, 2);
  assert_false(x->job->raw);
  size_t width = answer_vectors(x->job);
  json_t *value = whole_of(x), *data = json_object_get(value, "data"), *second = json_array_get(data, 1);
  assert_string_equal(json_string_value(json_object_get(value, "model")), "encoder");
  same_json(json_object_get(value, "usage"), "{\"prompt_tokens\":8,\"total_tokens\":8}");
  assert_string_equal(json_string_value(json_object_get(second, "object")), "embedding");
  assert_int_equal(json_integer_value(json_object_get(second, "index")), 1);
  json_t *vector = json_object_get(second, "embedding");
  assert_int_equal(json_array_size(vector), width);
  assert_true(json_real_value(json_array_get(vector, 0)) == 0.25);
  json_decref(value);
  call_free(x);
}

static void base64(void **state) {
  (void)state;
  struct exchange *x = embed("{\"model\":\"encoder\",\"input\":\"a\",\"encoding_format\":\"base64\",\"dimensions\":2}");
  answer_vectors(x->job);
  json_t *value = whole_of(x), *first = json_array_get(json_object_get(value, "data"), 0);
  // 0.6f and 0.8f: the first two of 3, 4, 0, ..., of length 1 again. 9a 99 19 3f, cd cc 4c 3f.
  assert_string_equal(json_string_value(json_object_get(first, "embedding")), "mpkZP83MTD8=");
  json_decref(value);
  call_free(x);
}

static void ids(void **state) {
  (void)state;
  struct exchange *x = embed("{\"model\":\"encoder\",\"input\":[[1,2],[3]],\"dimensions\":1}");
  assert_int_equal(x->job->items[0].id_count, 2);
  assert_int_equal(x->job->items[1].ids[0], 3);
  answer_vectors(x->job);
  json_t *value = whole_of(x), *first = json_array_get(json_object_get(value, "data"), 0);
  same_json(json_object_get(first, "embedding"), "[1.0]");
  json_decref(value);
  call_free(x);
}

// The same vectors as huggingface_hub asks for them: a list for each text, also for one alone.
static void features(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/models/encoder", "{\"inputs\":\"a\",\"normalize\":false}");
  assert_true(x->job->op == JOB_EMBED && x->job->count == 1 && x->job->raw);
  size_t width = answer_vectors(x->job);
  json_t *value = whole_of(x), *vector = json_array_get(value, 0);
  assert_int_equal(json_array_size(value), 1);
  assert_int_equal(json_array_size(vector), width);
  assert_true(json_real_value(json_array_get(vector, 1)) == 4);
  json_decref(value);
  call_free(x);
  x = call_job(world, "/models/encoder", "{\"inputs\":[\"a\",\"b\"]}");
  assert_true(x->job->count == 2 && !x->job->raw);
  call_free(x);
}

static void similarity(void **state) {
  (void)state;
  struct exchange *x =
      call_job(world, "/models/encoder", "{\"inputs\":{\"source_sentence\":\"a\",\"sentences\":[\"b\",\"c\"]}}");
  assert_true(x->job->op == JOB_EMBED && x->job->count == 3);
  assert_memory_equal(x->job->items[0].text.text, "a", 2);
  assert_memory_equal(x->job->items[2].text.text, "c", 2);
  answer_vectors(x->job);
  json_t *value = whole_of(x);
  same_json(value, "[0.75,0.75]");
  json_decref(value);
  call_free(x);
  refused(world, "/models/encoder", "{\"inputs\":{}}", NULL, "inputs.sentences");
  refused(world, "/models/encoder", "{\"inputs\":{\"sentences\":[\"b\"]}}", NULL, "inputs.source_sentence");
  refused(world, "/models/encoder", "{\"inputs\":{\"source_sentence\":\"a\",\"sentences\":[3]}}", NULL,
          "inputs.sentences");
  refused(world, "/models/encoder", "{\"inputs\":{\"source_sentence\":[\"a\"],\"sentences\":[\"b\"]}}", NULL,
          "inputs.source_sentence");
  refused(world, "/models/encoder", "{\"inputs\":\"a\",\"normalize\":3}", NULL, "normalize");
}

static void mistakes(void **state) {
  (void)state;
  static const struct {
    const char *body, *param;
  } wrong[] = {
      {"{\"model\":\"news\",\"input\":\"a\"}", "model"},
      {"{\"model\":\"encoder\"}", "input"},
      {"{\"model\":\"encoder\",\"input\":[]}", "input"},
      {"{\"model\":\"encoder\",\"input\":[[]]}", "input"},
      {"{\"model\":\"encoder\",\"input\":[1000000]}", "input"},
      {"{\"model\":\"encoder\",\"input\":{}}", "input"},
      {"{\"model\":\"encoder\",\"input\":\"a\",\"encoding_format\":\"hex\"}", "encoding_format"},
      {"{\"model\":\"encoder\",\"input\":\"a\",\"dimensions\":0}", "dimensions"},
      {"{\"model\":\"encoder\",\"input\":\"a\",\"dimensions\":100000}", "dimensions"},
      {"{\"model\":\"encoder\",\"input\":\"a\",\"dimensions\":\"2\"}", "dimensions"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    refused(world, "/v1/embeddings", wrong[i].body, wrong[i].param, wrong[i].param);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(floats),   cmocka_unit_test(base64),     cmocka_unit_test(ids),
      cmocka_unit_test(features), cmocka_unit_test(similarity), cmocka_unit_test(mistakes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
