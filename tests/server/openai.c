// openai.c - /v1/completions and /v1/models: the job a request becomes, and the mistakes of one.
#include "server/protocol_test.h"

static struct world *world;

static int setup(void **state) {
  (void)state;
  world = world_open();
  world_load(world, "news", PROJECT_DIR "/models/news-gpt2");
  world_load(world, "org/titles", PROJECT_DIR "/models/wiki-title-bart");
  world_load(world, "intents", PROJECT_DIR "/models/intent-linear");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  world_close(world);
  return 0;
}

static const char completions[] = "/v1/completions";

static struct exchange *complete(const char *body) {
  return call_job(world, completions, body);
}

// ---- the job ------------------------------------------------------------------------------------------------------

static void defaults(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":\"The\"}");
  const struct job *job = x->job;
  assert_int_equal(job->op, JOB_GENERATE);
  assert_int_equal(job->count, 1);
  assert_int_equal(job->generate.max_tokens, 16);
  assert_true(job->generate.temperature == 1 && job->generate.top_p == 1 && job->generate.top_k == 0);
  assert_false(job->logprobs || job->score || job->stream);
  assert_int_equal(job->items[0].text.len, 3);
  assert_memory_equal(job->items[0].text.text, "The", 3);
  assert_null(job->items[0].ids);
  call_free(x);
}

static void every_option(void **state) {
  (void)state;
  struct exchange *x = complete(
      "{\"model\":\"news\",\"prompt\":[\"a\",\"b\"],\"max_tokens\":7,\"temperature\":0.5,\"top_p\":0.25,\"top_k\":9,"
      "\"min_p\":0.125,\"n\":2,\"best_of\":3,\"stop\":[\"x\",\"y\"],\"seed\":100,\"presence_penalty\":-1,"
      "\"frequency_penalty\":2,\"repetition_penalty\":1.5,\"logit_bias\":{\"5\":-100,\"0\":1.5},\"logprobs\":3,"
      "\"echo\":true,\"user\":\"me\",\"suffix\":null,\"unknown\":{\"a\":[1]}}");
  const struct job *job = x->job;
  const struct pare_generate_options *o = &job->generate;
  assert_int_equal(job->count, 6);
  assert_true(o->max_tokens == 7 && o->temperature == 0.5 && o->top_p == 0.25 && o->top_k == 9 && o->min_p == 0.125);
  assert_true(o->presence_penalty == -1 && o->frequency_penalty == 2 && o->repetition_penalty == 1.5);
  assert_int_equal(o->stop_count, 2);
  assert_string_equal(o->stop[1], "y");
  assert_int_equal(o->bias_count, 2);
  for (size_t i = 0; i < 2; i++) assert_true(o->bias[i].id == 5 ? o->bias[i].bias == -100 : o->bias[i].bias == 1.5f);
  assert_true(job->logprobs && job->score && job->top_count == 3);
  for (size_t i = 0; i < 6; i++) {
    assert_int_equal(job->items[i].seed, 100 + i);
    assert_memory_equal(job->items[i].text.text, i < 3 ? "a" : "b", 1);
  }
  call_free(x);
}

static void prompts(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":[1,2,8191]}");
  assert_int_equal(x->job->count, 1);
  assert_int_equal(x->job->items[0].id_count, 3);
  assert_int_equal(x->job->items[0].ids[2], 8191);
  call_free(x);
  x = complete("{\"model\":\"news\",\"prompt\":[[1],[2,3]]}");
  assert_int_equal(x->job->count, 2);
  assert_int_equal(x->job->items[1].id_count, 2);
  assert_int_equal(x->job->items[1].ids[1], 3);
  call_free(x);
  x = complete("{\"model\":\"news\",\"prompt\":[\"a\\u0000b\",\"\"]}");
  assert_int_equal(x->job->items[0].text.len, 3);
  assert_memory_equal(x->job->items[0].text.text, "a\0b", 3);
  assert_int_equal(x->job->items[1].text.len, 0);
  call_free(x);
}

static void values_that_mean_something(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":\"a\",\"temperature\":0,\"seed\":-1,\"top_k\":-1}");
  assert_true(x->job->generate.temperature == 0 && x->job->generate.top_k == 0);
  assert_true(x->job->items[0].seed == UINT64_MAX);
  call_free(x);
  x = complete("{\"model\":\"news\",\"prompt\":\"a\",\"top_p\":0}"); // the likeliest alone, not all
  assert_true(x->job->generate.temperature == 0);
  call_free(x);
  x = complete("{\"model\":\"news\",\"prompt\":\"a\",\"echo\":true,\"max_tokens\":0,\"logprobs\":0}");
  assert_true(x->job->generate.max_tokens == PARE_OFF && x->job->score && x->job->logprobs && !x->job->top_count);
  call_free(x);
  x = complete("{\"model\":\"news\",\"prompt\":\"a\",\"max_tokens\":2.0,\"stop\":null,\"logprobs\":null,\"n\":null}");
  assert_true(x->job->generate.max_tokens == 2 && !x->job->logprobs);
  call_free(x);
  x = complete("{\"model\":\"news\",\"prompt\":\"a\",\"stop\":[]}");
  assert_int_equal(x->job->generate.stop_count, 0);
  call_free(x);
  struct exchange *other = complete("{\"model\":\"news\",\"prompt\":\"a\"}");
  x = complete("{\"model\":\"news\",\"prompt\":\"a\"}");
  assert_true(x->job->items[0].seed != other->job->items[0].seed); // by chance: one time in 2^64 this fails
  call_free(other);
  call_free(x);
}

static void encoder_decoder(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"org/titles\",\"prompt\":\"Some text.\"}");
  const struct pare_generate_options *o = &x->job->generate;
  assert_true(o->max_tokens == 0 && o->temperature == 0 && o->repetition_penalty == 0); // its own configuration's
  call_free(x);
  x = complete("{\"model\":\"org/titles\",\"prompt\":\"Some text.\",\"max_tokens\":5,\"temperature\":0.5}");
  assert_true(x->job->generate.max_tokens == 5 && x->job->generate.temperature == 0.5);
  call_free(x);
  refused(world, completions, "{\"model\":\"org/titles\",\"prompt\":\"a\",\"logprobs\":1}", "logprobs", "log prob");
  refused(world, completions, "{\"model\":\"org/titles\",\"prompt\":[1,2]}", "prompt", "texts");
  refused(world, completions, "{\"model\":\"org/titles\",\"prompt\":\"a\",\"presence_penalty\":1}", "presence_penalty",
          "encoder-decoder");
  refused(world, completions, "{\"model\":\"org/titles\",\"prompt\":\"a\",\"logit_bias\":{\"1\":1}}", "logit_bias",
          "encoder-decoder");
}

// ---- mistakes -----------------------------------------------------------------------------------------------------

static const struct {
  const char *key, *value;
} wrong_value[] = {
    {"prompt", "3"},
    {"prompt", "[]"},
    {"prompt", "[[]]"},
    {"prompt", "[[1],\"a\"]"},
    {"prompt", "[\"a\",1]"},
    {"prompt", "[1,\"a\"]"},
    {"prompt", "[1,2.5]"},
    {"prompt", "[-1]"},
    {"prompt", "[8192]"},
    {"prompt", "[9223372036854775807]"},
    {"prompt", "[null]"},
    {"prompt", "{\"a\":1}"},
    {"prompt", "[[[1]]]"},
    {"prompt", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]"},
    {"max_tokens", "0"},
    {"max_tokens", "101"},
    {"max_tokens", "-1"},
    {"max_tokens", "1.5"},
    {"max_tokens", "1e308"},
    {"max_tokens", "\"5\""},
    {"max_tokens", "true"},
    {"temperature", "-0.1"},
    {"temperature", "1e308"},
    {"temperature", "\"hot\""},
    {"top_p", "1.01"},
    {"top_p", "[]"},
    {"top_k", "-2"},
    {"top_k", "1.5"},
    {"min_p", "2"},
    {"n", "0"},
    {"n", "9"},
    {"best_of", "0"},
    {"stream", "1"},
    {"stream_options", "[]"},
    {"stream_options", "{\"include_usage\":1}"},
    {"stream_options", "{\"include_usage\":true}"},
    {"logprobs", "21"},
    {"logprobs", "true"},
    {"logprobs", "-1"},
    {"echo", "\"yes\""},
    {"stop", "\"\""},
    {"stop", "[\"a\",\"\"]"},
    {"stop", "[1]"},
    {"stop", "\"a\\u0000b\""},
    {"stop", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\"]"},
    {"seed", "1.5"},
    {"seed", "\"1\""},
    {"presence_penalty", "2.1"},
    {"frequency_penalty", "-2.1"},
    {"frequency_penalty", "1e308"},
    {"repetition_penalty", "0"},
    {"logit_bias", "[]"},
    {"logit_bias", "{\"8192\":1}"},
    {"logit_bias", "{\"-1\":1}"},
    {"logit_bias", "{\"01\":1}"},
    {"logit_bias", "{\"\":1}"},
    {"logit_bias", "{\"1x\":1}"},
    {"logit_bias", "{\"99999999999999999999999\":1}"},
    {"logit_bias", "{\"1\":101}"},
    {"logit_bias", "{\"1\":\"2\"}"},
    {"suffix", "\"the end\""},
    {"suffix", "5"},
    {"model", "5"},
    {"model", "\"ne\\u0000ws\""},
};

static void wrong_values(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrong_value / sizeof *wrong_value; i++) {
    char body[400], param[40];
    bool model = !strcmp(wrong_value[i].key, "model"), prompt = !strcmp(wrong_value[i].key, "prompt");
    snprintf(body, sizeof body, "{%s%s\"%s\":%s}", model ? "" : "\"model\":\"news\",",
             prompt ? "" : "\"prompt\":\"a\",", wrong_value[i].key, wrong_value[i].value);
    snprintf(param, sizeof param, "%s", wrong_value[i].key);
    bool below = strstr(wrong_value[i].value, "include_usage\":1") != NULL;
    refused(world, completions, body, below ? "stream_options.include_usage" : param, below ? "include_usage" : param);
  }
}

static void wrong_together(void **state) {
  (void)state;
  refused(world, completions, "{\"model\":\"news\"}", "prompt", "found nothing");
  refused(world, completions, "{\"prompt\":\"a\"}", "model", "name of a model");
  refused(world, completions, "{\"model\":\"intents\",\"prompt\":\"a\"}", "model", "/v1/classify");
  refused(world, completions, "{\"model\":\"news\",\"prompt\":\"a\",\"n\":3,\"best_of\":2}", "best_of", "at least n");
  refused(world, completions, "{\"model\":\"news\",\"prompt\":\"a\",\"best_of\":2,\"stream\":true}", "best_of",
          "stream");
  refused(world, completions, "{\"model\":\"news\",\"prompt\":[\"a\",\"b\",\"c\"],\"n\":3}", "prompt", "at most 8");
  struct exchange *x = call(world, completions, "{\"model\":\"nobody\",\"prompt\":\"a\"}");
  assert_int_equal(x->status, 404);
  call_free(x);
}

static void broken_bodies(void **state) {
  (void)state;
  static const char *const bodies[] = {"",
                                       "nonsense",
                                       "[]",
                                       "\"a\"",
                                       "{\"prompt\":",
                                       "{\"model\":\"news\",}",
                                       "{\"model\":\"news\",\"model\":\"news\",\"prompt\":\"a\"}",
                                       "{\"model\":\"news\",\"prompt\":\"\\ud800\"}",
                                       "{\"model\":\"news\",\"prompt\":\"a\",\"n\":18446744073709551616}",
                                       "{\"model\":\"news\",\"prompt\":\"\xff\"}",
                                       "{\"model\":\"news\",\"prompt\":\"a\",\"temperature\":1e999}",
                                       "{\"model\":\"news\",\"prompt\":\"a\",\"temperature\":NaN}"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) refused(world, completions, bodies[i], NULL, "");
  size_t deep = 5000;
  char *nested = calloc(1, 2 * deep + 100);
  strcpy(nested, "{\"model\":\"news\",\"prompt\":");
  memset(nested + strlen(nested), '[', deep);
  refused(world, completions, nested, NULL, "depth");
  free(nested);
}

static void long_prompts(void **state) {
  (void)state;
  size_t len = 10 << 20;
  char *body = malloc(len + 100);
  strcpy(body, "{\"model\":\"news\",\"prompt\":\"");
  size_t at = strlen(body);
  memset(body + at, 'a', len);
  strcpy(body + at + len, "\"}");
  struct exchange *x = complete(body);
  assert_int_equal(x->job->items[0].text.len, len);
  call_free(x);
  strcpy(body, "{\"model\":\"news\",\"prompt\":[1");
  for (size_t i = 1; i < 256; i++) strcat(body, ",1");
  strcat(body, "]}");
  refused(world, completions, body, "prompt", "fewer than 256 ids");
  body[strlen(body) - 1] = 0;
  strcat(body, ",\"echo\":true,\"max_tokens\":0}");
  call_free(complete(body)); // it is only read
  char *bracket = strchr(body, ']');
  memmove(bracket + 2, bracket, strlen(bracket) + 1);
  memcpy(bracket, ",1", 2);
  refused(world, completions, body, "prompt", "1 to 256 ids");
  free(body);
}

// ---- models -------------------------------------------------------------------------------------------------------

static void drop(json_t *value, const char *key) {
  assert_non_null(json_object_get(value, key));
  json_object_del(value, key);
}

static void the_models(void **state) {
  (void)state;
  struct exchange *x = call(world, "/v1/models", NULL);
  assert_int_equal(x->status, 200);
  json_t *value = answer_of(x), *data = json_object_get(value, "data");
  assert_string_equal(json_string_value(json_object_get(value, "object")), "list");
  assert_int_equal(json_array_size(data), 3);
  json_t *first = json_array_get(data, 0);
  drop(first, "created");
  same_json(first,
            "{\"id\":\"news\",\"object\":\"model\",\"owned_by\":\"pare\",\"max_model_len\":256,"
            "\"task\":\"language-model\"}");
  json_decref(value);
  call_free(x);
  x = call(world, "/v1/models/org/titles", NULL);
  value = answer_of(x);
  assert_int_equal(x->status, 200);
  assert_string_equal(json_string_value(json_object_get(value, "id")), "org/titles");
  json_decref(value);
  call_free(x);
  x = call(world, "/v1/models/nobody", NULL);
  assert_int_equal(x->status, 404);
  call_free(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults),        cmocka_unit_test(every_option),
      cmocka_unit_test(prompts),         cmocka_unit_test(values_that_mean_something),
      cmocka_unit_test(encoder_decoder), cmocka_unit_test(wrong_values),
      cmocka_unit_test(wrong_together),  cmocka_unit_test(broken_bodies),
      cmocka_unit_test(long_prompts),    cmocka_unit_test(the_models),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
