// oip.c - the Open Inference Protocol beside infer: who and what is here, generation, the repository.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "oip_case.h"
#include "server_metrics.h"

static const char generate[] = "/v2/models/{*}/generate", generate_stream[] = "/v2/models/{*}/generate_stream";

static void server_says_who_it_is(void **state) {
  (void)state;
  struct exchange *x = ask("GET", "/v2", NULL, NULL);
  json_t *answer = answer_json(x);
  assert_int_equal(x->status, 200);
  assert_string_equal(json_string_value(json_object_get(answer, "name")), "pare");
  assert_string_equal(json_string_value(json_object_get(answer, "version")), pare_version());
  assert_int_equal(json_array_size(json_object_get(answer, "extensions")), 7);
  json_decref(answer);
  free_exchange(x);
  x = ask("GET", "/v2/health/live", NULL, NULL);
  expect_json(x, 200, "{\"live\": true}");
  free_exchange(x);
  x = ask("GET", "/v2/health/ready", NULL, NULL);
  expect_json(x, 200, "{\"live\": true, \"ready\": true}");
  free_exchange(x);
}

static void model_metadata(void **state) {
  (void)state;
  struct exchange *x = ask("GET", "/v2/models/{*}", "sentiment", NULL);
  expect_json(x, 200,
              "{\"name\": \"sentiment\", \"versions\": [\"1\"], \"platform\": \"pare\","
              "\"inputs\": [{\"name\": \"text\", \"datatype\": \"BYTES\", \"shape\": [-1]}],"
              "\"outputs\": [{\"name\": \"logits\", \"datatype\": \"FP32\", \"shape\": [-1, 2]},"
              "{\"name\": \"label\", \"datatype\": \"BYTES\", \"shape\": [-1]},"
              "{\"name\": \"score\", \"datatype\": \"FP32\", \"shape\": [-1]},"
              "{\"name\": \"scores\", \"datatype\": \"FP32\", \"shape\": [-1, 2]}],"
              "\"parameters\": {\"task\": \"text-classification\", \"candidate_labels\": false,"
              "\"labels\": [\"negative\", \"positive\"]}}");
  free_exchange(x);
  x = ask("GET", "/v2/models/{*}", "group/nli", NULL);
  json_t *answer = answer_json(x);
  assert_int_equal(json_array_size(json_object_get(answer, "inputs")), 5);
  assert_true(json_is_true(json_object_get(json_object_get(answer, "parameters"), "candidate_labels")));
  assert_int_equal(json_integer_value(json_object_get(json_object_get(answer, "parameters"), "max_tokens")), 512);
  json_decref(answer);
  free_exchange(x);
  x = ask("GET", "/v2/models/{*}", "news", NULL);
  answer = answer_json(x);
  assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(answer, "inputs"), 0), "name")),
                      "text_input");
  json_decref(answer);
  free_exchange(x);
  expect_refusal(ask("GET", "/v2/models/{*}", "absent", NULL), 404, "'absent' is not here");
}

static void model_config(void **state) {
  (void)state;
  struct exchange *x = ask("GET", "/v2/models/{*}/config", "sentiment", NULL);
  expect_json(x, 200,
              "{\"name\": \"sentiment\", \"platform\": \"pare\", \"backend\": \"pare\", \"max_batch_size\": 0,"
              "\"input\": [{\"name\": \"text\", \"data_type\": \"TYPE_STRING\", \"dims\": [-1]}],"
              "\"output\": [{\"name\": \"logits\", \"data_type\": \"TYPE_FP32\", \"dims\": [-1, 2]},"
              "{\"name\": \"label\", \"data_type\": \"TYPE_STRING\", \"dims\": [-1]},"
              "{\"name\": \"score\", \"data_type\": \"TYPE_FP32\", \"dims\": [-1]},"
              "{\"name\": \"scores\", \"data_type\": \"TYPE_FP32\", \"dims\": [-1, 2]}]}");
  free_exchange(x);
}

static void versions(void **state) {
  (void)state;
  struct exchange *x = ask_bytes("GET", "/v2/models/{*}/versions/{}/ready", "news", "1", NULL, 0);
  expect_json(x, 200, "{\"name\": \"news\", \"ready\": true}");
  free_exchange(x);
  expect_refusal(ask_bytes("GET", "/v2/models/{*}/versions/{}", "news", "2", NULL, 0), 404, "in version 1, not '2'");
  expect_refusal(ask_bytes("GET", "/v2/models/{*}/versions/{}", "news", "01", NULL, 0), 404, "not '01'");
}

// Every longer pattern stands before those that would swallow it.
static void order_of_routes(void **state) {
  (void)state;
  for (size_t i = 0; i < oip_route_count; i++) {
    const char *a = oip_routes[i].pattern, *star = strstr(a, "{*}");
    for (size_t k = i + 1; star && k < oip_route_count; k++) {
      const char *b = oip_routes[k].pattern, *tail = star + 3;
      size_t n = strlen(b), m = strlen(tail);
      bool swallows = !strcmp(oip_routes[i].method, oip_routes[k].method) && !strncmp(a, b, (size_t)(star - a)) &&
                      n > (size_t)(star - a) + m && !strcmp(b + n - m, tail);
      if (swallows) fail_msg("%s stands before %s", a, b);
    }
  }
}

// ---- generation -----------------------------------------------------------------------------------------------------

static void what_generation_is_asked(void **state) {
  (void)state;
  struct exchange *x = ask("POST", generate, "news", "{\"text_input\": \"Oil\"}");
  struct job *job = expect_job(x);
  assert_int_equal(job->op, JOB_GENERATE);
  assert_int_equal(job->count, 1);
  assert_false(job->stream);
  assert_false(job->logprobs);
  assert_int_equal(job->items[0].text.len, 3);
  assert_memory_equal(job->items[0].text.text, "Oil", 3);
  assert_int_equal(job->generate.max_tokens, 20);
  assert_true(job->generate.temperature == 0);
  free_exchange(x);
  x = ask("POST", generate_stream, "news",
          "{\"text_input\": \"a\\u0000b\", \"parameters\": {\"temperature\": 0.5, \"top_p\": 0.9, \"top_k\": 40,"
          "\"max_tokens\": 7, \"stop\": [\".\", \"\\n\"], \"seed\": 11, \"repetition_penalty\": 1.2, \"details\": true,"
          "\"something_else\": [1]}}");
  job = expect_job(x);
  assert_true(job->stream);
  assert_true(job->logprobs);
  assert_memory_equal(job->items[0].text.text, "a\0b", 3);
  assert_int_equal(job->items[0].text.len, 3);
  assert_int_equal(job->generate.max_tokens, 7);
  assert_int_equal(job->generate.top_k, 40);
  assert_true(job->generate.temperature == 0.5 && job->generate.top_p == 0.9);
  assert_true(job->generate.repetition_penalty == 1.2);
  assert_int_equal(job->items[0].seed, 11);
  assert_int_equal(job->generate.stop_count, 2);
  assert_string_equal(job->generate.stop[1], "\n");
  free_exchange(x);
  x = ask("POST", generate, "news", "{\"text_input\": \"a\", \"parameters\": {\"stop\": \"end\", \"max_tokens\": 64}}");
  job = expect_job(x);
  assert_int_equal(job->generate.stop_count, 1);
  assert_string_equal(job->generate.stop[0], "end");
  free_exchange(x);
}

// An encoder-decoder follows its own configuration where nothing is said; who draws, searches with no beams.
static void what_an_encoder_decoder_is_asked(void **state) {
  (void)state;
  load_model("titles", TEST_DIR "/golden/data/models/bart");
  struct exchange *x = ask("POST", generate, "titles", "{\"text_input\": \"a\", \"parameters\": {\"details\": true}}");
  struct job *job = expect_job(x);
  assert_int_equal(job->generate.max_tokens, 0);
  assert_int_equal(job->generate.beams, 0);
  assert_false(job->logprobs);
  job->items[0].output = strdup("x");
  job->items[0].output_len = 1;
  job->items[0].output_ids = calloc(1, sizeof(uint32_t));
  job->items[0].output_ids[0] = 5;
  job->items[0].output_count = 1;
  job->items[0].finish = PARE_FINISH_EOS;
  x->answer->whole(x);
  json_t *answer = answer_json(x), *details = json_object_get(answer, "details");
  assert_string_equal(json_string_value(json_object_get(details, "finish_reason")), "eos_token");
  assert_true(json_string_length(json_object_get(json_array_get(json_object_get(details, "logprobs"), 0), "text")) > 0);
  assert_true(json_is_null(json_object_get(json_array_get(json_object_get(details, "logprobs"), 0), "logprob")));
  json_decref(answer);
  free_exchange(x);
  x = ask("POST", generate, "titles",
          "{\"text_input\": \"a\", \"parameters\": {\"max_tokens\": 5, \"temperature\": 1}}");
  assert_int_equal(expect_job(x)->generate.max_tokens, 5);
  assert_int_equal(x->job->generate.beams, 1);
  free_exchange(x);
  models_unload(models, "titles", NULL);
}

static void generation_refuses(void **state) {
  (void)state;
  expect_refusal(ask("POST", generate, "news", ""), 422, "found none");
  expect_refusal(ask("POST", generate, "news", "[1]"), 422, "found a list");
  expect_refusal(ask("POST", generate, "news", "{\"text_input\": 1}"), 422, "text_input: expected a text");
  expect_refusal(ask("POST", generate, "news", "{\"text_input\": \"a\", \"parameters\": 3}"), 422,
                 "expected an object");
  expect_refusal(ask("POST", generate, "news", "{\"text_input\": \"a\", \"parameters\": {\"max_tokens\": 65}}"), 422,
                 "parameters.max_tokens: expected a whole number from 1 to 64, found 65");
  expect_refusal(ask("POST", generate, "news", "{\"text_input\": \"a\", \"parameters\": {\"temperature\": -1}}"), 422,
                 "parameters.temperature");
  expect_refusal(ask("POST", generate, "news", "{\"text_input\": \"a\", \"parameters\": {\"stop\": [\"a\", \"\"]}}"),
                 422, "not empty");
  expect_refusal(ask("POST", generate, "news", "{\"text_input\": \"\xff\"}"), 422, "not JSON");
  expect_refusal(ask("POST", generate, "sentiment", "{\"text_input\": \"a\"}"), 422, "/v2/models/sentiment/infer");
  expect_refusal(ask("POST", generate, "absent", "{\"text_input\": \"a\"}"), 404, "absent");
}

// An answer of three tokens by hand: "Oil", " prices" and half of what a stop text then cut off.
static void fill_generation(struct job *job) {
  struct job_item *item = &job->items[0];
  static const uint32_t ids[] = {300, 301, 302};
  static const size_t ends[] = {3, 10, 14};
  item->tokens = 2;
  item->output = strdup("Oil prices h");
  item->output_len = 12;
  item->output_ids = malloc(sizeof ids);
  memcpy(item->output_ids, ids, sizeof ids);
  item->ends = malloc(sizeof ends);
  memcpy(item->ends, ends, sizeof ends);
  item->output_count = 3;
  item->finish = PARE_FINISH_STOP;
  item->logprobs = calloc(5, sizeof *item->logprobs);
  for (size_t i = 2; i < 5; i++) item->logprobs[i] = -0.5f * (float)i;
  item->done = true;
}

static void a_generated_answer(void **state) {
  (void)state;
  struct exchange *x = ask("POST", generate, "news", "{\"text_input\": \"a\"}");
  fill_generation(expect_job(x));
  x->answer->whole(x);
  expect_json(x, 200, "{\"model_name\": \"news\", \"model_version\": \"1\", \"text_output\": \"Oil prices h\"}");
  free_exchange(x);
  x = ask("POST", generate, "news", "{\"text_input\": \"a\", \"parameters\": {\"details\": true}}");
  fill_generation(expect_job(x));
  x->answer->whole(x);
  expect_json(x, 200,
              "{\"model_name\": \"news\", \"model_version\": \"1\", \"text_output\": \"Oil prices h\", \"details\": {"
              "\"finish_reason\": \"stop_sequence\", \"prompt_tokens\": 2, \"generated_tokens\": 3, \"logprobs\": ["
              "{\"id\": 300, \"text\": \"Oil\", \"logprob\": -1.0, \"special\": false},"
              "{\"id\": 301, \"text\": \" prices\", \"logprob\": -1.5, \"special\": false},"
              "{\"id\": 302, \"text\": \" h\", \"logprob\": -2.0, \"special\": false}]}}");
  free_exchange(x);
}

static void a_stream(void **state) {
  (void)state;
  struct exchange *x = ask("POST", generate_stream, "news", "{\"text_input\": \"a\"}");
  struct job_item *item = &expect_job(x)->items[0];
  fill_generation(x->job);
  item->output_len = 2; // of one token, of which the end is not certain yet
  item->output_count = 0;
  x->answer->piece(x, 0, 0, 0, false);
  assert_string_equal(x->out.data,
                      "data: {\"model_name\":\"news\",\"model_version\":\"1\",\"text_output\":\"Oi\"}\n\n");
  x->answer->piece(x, 0, 2, 0, false); // nothing new: no event
  item->output_len = 12;
  item->output_count = 3;
  x->answer->piece(x, 0, 2, 0, true);
  x->answer->end(x);
  assert_string_equal(x->out.data,
                      "data: {\"model_name\":\"news\",\"model_version\":\"1\",\"text_output\":\"Oi\"}\n\n"
                      "data: {\"model_name\":\"news\",\"model_version\":\"1\",\"text_output\":\"l prices h\"}\n\n");
  free_exchange(x);
}

static void a_stream_with_details(void **state) {
  (void)state;
  struct exchange *x =
      ask("POST", generate_stream, "news", "{\"text_input\": \"a\", \"parameters\": {\"details\": true}}");
  struct job_item *item = &expect_job(x)->items[0];
  fill_generation(x->job);
  item->output_len = 3;
  item->output_count = 1;
  x->answer->piece(x, 0, 0, 0, false);
  item->output_len = 12;
  item->output_count = 3;
  x->answer->piece(x, 0, 3, 1, true);
  x->answer->end(x);
#define EVENT(text, id, token, logprob)                                            \
  "data: {\"model_name\":\"news\",\"model_version\":\"1\",\"text_output\":\"" text \
  "\",\"details\":{\"token\":{\"id\":" id ",\"text\":\"" token "\",\"logprob\":" logprob ",\"special\":false}"
  assert_string_equal(x->out.data, EVENT("Oil", "300", "Oil", "-1.0") "}}\n\n"
                      EVENT(" prices", "301", " prices", "-1.5") "}}\n\n"
                      EVENT(" h", "302", " h", "-2.0") ",\"finish_reason\":\"stop_sequence\",\"prompt_tokens\":2,"
                      "\"generated_tokens\":3}}\n\n");
#undef EVENT
  free_exchange(x);
}

static void a_failure(void **state) {
  (void)state;
  struct exchange *x = ask("POST", generate_stream, "news", "{\"text_input\": \"a\"}");
  struct job *job = expect_job(x);
  job->failure = JOB_BROKEN;
  snprintf(job->error.text, sizeof job->error.text, "the logits are not numbers");
  x->answer->end(x);
  assert_string_equal(x->out.data, "data: {\"error\":\"the logits are not numbers\"}\n\n");
  exchange_fail_job(x); // nothing was sent yet: a status is still possible
  expect_json(x, 424, "{\"error\": \"the logits are not numbers\"}");
  free_exchange(x);
}

// ---- the repository -------------------------------------------------------------------------------------------------

static void loading_and_unloading(void **state) {
  (void)state;
  struct exchange *x = ask("POST", "/v2/repository/models/{*}/unload", "extra", "{\"parameters\": {}}");
  assert_int_equal(x->status, 200);
  free_exchange(x);
  expect_refusal(ask("POST", "/v2/repository/models/{*}/unload", "extra", NULL), 400, "not loaded");
  expect_refusal(ask("GET", "/v2/models/{*}/ready", "extra", NULL), 503, "not loaded");
  expect_refusal(ask("GET", "/v2/models/{*}/ready", "absent", NULL), 404, "absent");
  x = ask("POST", "/v2/repository/index", NULL, NULL);
  expect_json(x, 200,
              "[{\"name\": \"sentiment\", \"version\": \"1\", \"state\": \"READY\", \"reason\": \"\"},"
              "{\"name\": \"group/nli\", \"version\": \"1\", \"state\": \"READY\", \"reason\": \"\"},"
              "{\"name\": \"news\", \"version\": \"1\", \"state\": \"READY\", \"reason\": \"\"},"
              "{\"name\": \"extra\", \"version\": \"\", \"state\": \"UNAVAILABLE\", \"reason\": \"unloaded\"}]");
  free_exchange(x);
  x = ask("POST", "/v2/repository/models/{*}/load", "extra", "{}");
  expect_json(x, 200, "{\"name\": \"extra\", \"state\": \"READY\", \"version\": \"2\"}");
  free_exchange(x);
  x = ask("POST", "/v2/repository/index", NULL, "{\"ready\": true}");
  json_t *answer = answer_json(x);
  assert_int_equal(json_array_size(answer), 4);
  assert_string_equal(json_string_value(json_object_get(json_array_get(answer, 3), "version")), "2");
  json_decref(answer);
  free_exchange(x);
  expect_refusal(ask("POST", "/v2/repository/models/{*}/load", "absent", NULL), 400, "not configured");
  expect_refusal(ask("POST", "/v2/repository/models/{*}/load", "extra", "{\"parameters\": {\"path\": \"/etc\"}}"), 400,
                 "parameters.path");
}

static void a_model_that_does_not_open(void **state) {
  (void)state;
  struct pare_error err = {0};
  struct serve_model_config c = {.name = "broken", .path = PROJECT_DIR "/models/none"};
  assert_int_not_equal(models_load(models, &c, &err), PARE_OK);
  expect_refusal(ask("POST", "/v2/repository/models/{*}/load", "broken", NULL), 400, "could not be loaded");
  struct exchange *x = ask("POST", "/v2/repository/index", NULL, "{}");
  json_t *answer = answer_json(x), *entry = json_array_get(answer, json_array_size(answer) - 1);
  assert_string_equal(json_string_value(json_object_get(entry, "name")), "broken");
  assert_string_equal(json_string_value(json_object_get(entry, "state")), "UNAVAILABLE");
  assert_non_null(strstr(json_string_value(json_object_get(entry, "reason")), "none"));
  json_decref(answer);
  free_exchange(x);
}

static void promotion_and_rollback(void **state) {
  (void)state;
  const char load[] = "/v2/repository/models/{*}/load";
  struct exchange *x = ask("POST", load, "sentiment", "{\"parameters\": {\"variant\": \"original\"}}");
  expect_json(x, 200, "{\"name\": \"sentiment\", \"active\": \"original\"}");
  free_exchange(x);
  expect_refusal(ask("POST", load, "sentiment", "{\"parameters\": {\"variant\": \"quantized\"}}"), 400,
                 "no quantized form");
  expect_refusal(ask("POST", load, "sentiment", "{\"parameters\": {\"variant\": \"smaller\"}}"), 400,
                 "expected original or quantized");
  x = ask("GET", "/v2/models/{*}/stats", "sentiment", NULL);
  json_t *answer = answer_json(x), *stats = json_array_get(json_object_get(answer, "model_stats"), 0);
  const json_t *original = json_object_get(json_object_get(stats, "forms"), "original");
  assert_string_equal(json_string_value(json_object_get(stats, "name")), "sentiment");
  assert_string_equal(json_string_value(json_object_get(stats, "version")), "1");
  assert_string_equal(json_string_value(json_object_get(json_object_get(stats, "rollout"), "active")), "original");
  assert_true(json_is_true(json_object_get(original, "open")));
  assert_true(json_integer_value(json_object_get(original, "size_bytes")) > 1000);
  assert_true(json_is_false(json_object_get(json_object_get(json_object_get(stats, "forms"), "quantized"), "open")));
  json_decref(answer);
  free_exchange(x);
  x = ask("GET", "/v2/models/stats", NULL, NULL);
  answer = answer_json(x);
  assert_int_equal(json_array_size(json_object_get(answer, "model_stats")), 4);
  json_decref(answer);
  free_exchange(x);
}

static void statistics(void **state) {
  (void)state;
  static const struct metric_family requests = {"pare_requests_total", "Requests.", METRIC_COUNTER, NULL, 0};
  static const char *const codes[] = {"200", "200", "504"}, *const names[] = {"news", "extra", "news"};
  struct server with = {.metrics = metrics_new(), .models = models, .config = &config};
  struct form_metrics form;
  for (size_t i = 0; i < 3; i++)
    metric_add(
        metrics_series(with.metrics, &requests, (struct metric_label[]){{"model", names[i]}, {"code", codes[i]}}, 2),
        (double)(i + 2));
  for (int v = 0; v < VARIANT_COUNT; v++) {
    form_metrics_find(with.metrics, "news", variant_name((enum variant)v), &form);
    metric_observe(form.inference_seconds, 0.5);
  }
  metric_observe(form.queue_seconds, 0.25);
  metric_add(form.cache_hits, 3);
  server = &with;
  struct exchange *x = ask("GET", "/v2/models/{*}/stats", "news", NULL);
  server = NULL;
  json_t *answer = answer_json(x), *stats = json_array_get(json_object_get(answer, "model_stats"), 0),
         *expected = json_loads(
             "{\"success\": {\"count\": 2}, \"fail\": {\"count\": 4}, \"queue\": {\"count\": 1,"
             "\"ns\": 250000000}, \"compute_input\": {\"count\": 0, \"ns\": 0}, \"compute_infer\":"
             "{\"count\": 2, \"ns\": 1000000000}, \"cache_hit\": {\"count\": 3}}",
             0, NULL);
  assert_true(json_equal(json_object_get(stats, "inference_stats"), expected));
  assert_int_equal(json_integer_value(json_object_get(stats, "inference_count")), 2);
  assert_int_equal(json_integer_value(json_object_get(stats, "execution_count")), 2);
  json_decref(expected);
  json_decref(answer);
  free_exchange(x);
  server = &with;
  with.draining = true;
  x = ask("GET", "/v2/health/ready", NULL, NULL);
  expect_json(x, 503, "{\"live\": true, \"ready\": false}");
  free_exchange(x);
  server = NULL;
  metrics_free(with.metrics);
}

static void nothing_is_served(void **state) {
  (void)state;
  const char *const names[] = {"sentiment", "group/nli", "news", "extra"};
  for (size_t i = 0; i < 4; i++) models_unload(models, names[i], NULL);
  struct exchange *x = ask("GET", "/v2/health/ready", NULL, NULL);
  expect_json(x, 503, "{\"live\": true, \"ready\": false}");
  free_exchange(x);
}

static int open_all(void **state) {
  if (open_models(state)) return -1;
  load_model("sentiment", "sentiment-linear");
  load_model("group/nli", "nli-minilm");
  load_model("news", "news-gpt2");
  load_model("extra", "sentiment-linear");
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(server_says_who_it_is),
      cmocka_unit_test(model_metadata),
      cmocka_unit_test(model_config),
      cmocka_unit_test(versions),
      cmocka_unit_test(order_of_routes),
      cmocka_unit_test(what_generation_is_asked),
      cmocka_unit_test(generation_refuses),
      cmocka_unit_test(a_generated_answer),
      cmocka_unit_test(a_stream),
      cmocka_unit_test(a_stream_with_details),
      cmocka_unit_test(a_failure),
      cmocka_unit_test(loading_and_unloading),
      cmocka_unit_test(a_model_that_does_not_open),
      cmocka_unit_test(promotion_and_rollback),
      cmocka_unit_test(what_an_encoder_decoder_is_asked),
      cmocka_unit_test(statistics),
      cmocka_unit_test(nothing_is_served),
  };
  return cmocka_run_group_tests(tests, open_all, close_models);
}
