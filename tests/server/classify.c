// classify.c - /v1/classify and /classify: jobs, and answers that are the model's own.
#include "server/protocol_test.h"

static struct world *world;

static int setup(void **state) {
  (void)state;
  world = world_open();
  world_load(world, "intents", PROJECT_DIR "/models/intent-linear");
  world_load(world, "nli", PROJECT_DIR "/models/nli-minilm");
  world_load(world, "news", PROJECT_DIR "/models/news-gpt2");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  world_close(world);
  return 0;
}

static void own_labels(void **state) {
  (void)state;
  static const char *const paths[] = {"/v1/classify", "/classify"};
  for (size_t p = 0; p < 2; p++) {
    struct exchange *x =
        call_job(world, paths[p], "{\"model\":\"intents\",\"input\":[\"book a flight to rome\",\"wake me at six\"]}");
    assert_int_equal(x->job->op, JOB_CLASSIFY);
    assert_int_equal(x->job->count, 2);
    assert_null(x->job->classify.labels);
    answer_classify(x->job);
    json_t *value = whole_of(x), *data = json_object_get(value, "data"), *first = json_array_get(data, 0);
    assert_string_equal(json_string_value(json_object_get(value, "id")), "classify-r1");
    assert_string_equal(json_string_value(json_object_get(value, "object")), "list");
    assert_string_equal(json_string_value(json_object_get(value, "model")), "intents");
    assert_true(json_integer_value(json_object_get(value, "created")) > 1500000000);
    same_json(json_object_get(value, "usage"), "{\"prompt_tokens\":10,\"total_tokens\":10,\"completion_tokens\":0}");
    assert_int_equal(json_array_size(data), 2);
    assert_string_equal(json_string_value(json_object_get(first, "label")), "book_flight");
    assert_string_equal(json_string_value(json_object_get(json_array_get(data, 1), "label")), "alarm");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 1), "index")), 1);
    json_t *probs = json_object_get(first, "probs");
    size_t n = json_array_size(probs);
    assert_int_equal(json_integer_value(json_object_get(first, "num_classes")), n);
    assert_int_equal(n, pare_model_label_count(served_model(x->job->served)));
    for (size_t i = 0; i < n; i++) // every bit of it
      assert_true((float)json_real_value(json_array_get(probs, i)) == x->job->items[0].scores[i]);
    json_decref(value);
    call_free(x);
  }
}

static void candidates(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/v1/classify",
                                "{\"model\":\"nli\",\"input\":\"The team won the cup.\",\"labels\":[\"sport\",\"war\"],"
                                "\"hypothesis_template\":\"It is about {}.\",\"multi_label\":true,\"max_tokens\":50}");
  const struct pare_classify_options *o = &x->job->classify;
  assert_int_equal(o->label_count, 2);
  assert_string_equal(o->labels[1], "war");
  assert_string_equal(o->template_text, "It is about {}.");
  assert_true(o->multi_label && o->max_tokens == 50);
  answer_classify(x->job);
  json_t *value = whole_of(x), *first = json_array_get(json_object_get(value, "data"), 0);
  assert_string_equal(json_string_value(json_object_get(first, "label")), "sport");
  assert_int_equal(json_array_size(json_object_get(first, "probs")), 2);
  json_decref(value);
  call_free(x);
  x = call_job(world, "/v1/classify",
               "{\"model\":\"nli\",\"input\":\"a\",\"labels\":\" sport , ,war,\",\"truncate_prompt_tokens\":9}");
  o = &x->job->classify;
  assert_int_equal(o->label_count, 2);
  assert_string_equal(o->labels[0], "sport");
  assert_string_equal(o->labels[1], "war");
  assert_true(!o->multi_label && !o->template_text && o->max_tokens == 9);
  call_free(x);
  x = call_job(world, "/v1/classify", "{\"model\":\"nli\",\"input\":\"a\",\"truncate_prompt_tokens\":-1}");
  assert_int_equal(x->job->classify.max_tokens, 0);
  call_free(x);
}

// The job may outlive the request: nothing in it is the body's.
static void the_job_alone(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/v1/classify", "{\"model\":\"nli\",\"input\":\"a text\",\"labels\":\"b,c\"}");
  struct job *job = x->job;
  x->job = NULL;
  call_free(x);
  answer_classify(job);
  assert_memory_equal(job->items[0].text.text, "a text", 6);
  assert_string_equal(job->classify.labels[0], "b");
  job_free(job);
}

static void mistakes(void **state) {
  (void)state;
  static const struct {
    const char *body, *param;
  } wrong[] = {
      {"{\"input\":\"a\"}", "model"},
      {"{\"model\":\"news\",\"input\":\"a\"}", "model"},
      {"{\"model\":\"nli\"}", "input"},
      {"{\"model\":\"nli\",\"input\":[]}", "input"},
      {"{\"model\":\"nli\",\"input\":[1]}", "input"},
      {"{\"model\":\"nli\",\"input\":{\"text\":\"a\"}}", "input"},
      {"{\"model\":\"nli\",\"input\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}", "input"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":[]}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":\" , \"}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":\"\"}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":[\"a\",\"\"]}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":[\"a\\u0000b\"]}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":\"a\\u0000b\"}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":{\"a\":1}}", "labels"},
      {"{\"model\":\"intents\",\"input\":\"a\",\"labels\":[\"a\"]}", "labels"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":[\"a\"],\"multi_label\":1}", "multi_label"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":[\"a\"],\"hypothesis_template\":\"none\"}",
       "hypothesis_template"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"labels\":[\"a\"],\"hypothesis_template\":3}", "hypothesis_template"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"max_tokens\":0}", "max_tokens"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"max_tokens\":100000}", "max_tokens"},
      {"{\"model\":\"nli\",\"input\":\"a\",\"truncate_prompt_tokens\":1e308}", "truncate_prompt_tokens"},
      {"[]", NULL},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    refused(world, "/v1/classify", wrong[i].body, wrong[i].param, wrong[i].param ? wrong[i].param : "object");
  // A thousand labels and one.
  char *body = malloc(20000);
  strcpy(body, "{\"model\":\"nli\",\"input\":\"a\",\"labels\":\"x");
  char *at = body + strlen(body);
  for (size_t i = 0; i < 1000; i++, at += 2) memcpy(at, ",x", 2);
  strcpy(at, "\"}");
  refused(world, "/v1/classify", body, "labels", "1 to 1000 labels");
  free(body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(own_labels),
      cmocka_unit_test(candidates),
      cmocka_unit_test(the_job_alone),
      cmocka_unit_test(mistakes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
