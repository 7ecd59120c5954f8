// openai_answer.c - /v1/completions: the JSON an answer becomes, whole and streamed.
#include "server/protocol_test.h"

static struct world *world;

static int setup(void **state) {
  (void)state;
  world = world_open();
  world_load(world, "news", PROJECT_DIR "/models/news-gpt2");
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

// ---- the answer ---------------------------------------------------------------------------------------------------

static void drop(json_t *value, const char *key) {
  assert_non_null(json_object_get(value, key));
  json_object_del(value, key);
}

static void plain_answer(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":[\"The\",\"A\"],\"max_tokens\":2}");
  answer_ids(x->job, &x->job->items[0], (uint32_t[]){279, 523}, 2, PARE_FINISH_LENGTH);
  answer_ids(x->job, &x->job->items[1], (uint32_t[]){523}, 1, PARE_FINISH_EOS);
  x->job->items[1].reused = 1;
  json_t *value = whole_of(x);
  assert_string_equal(x->content_type, "application/json");
  assert_true(json_integer_value(json_object_get(value, "created")) > 1500000000);
  drop(value, "created");
  const char *print = json_string_value(json_object_get(value, "system_fingerprint"));
  assert_memory_equal(print, "pare-", 5);
  assert_string_equal(strrchr(print, '-'), "-f16");
  drop(value, "system_fingerprint");
  same_json(value,
            "{\"id\":\"cmpl-r1\",\"object\":\"text_completion\",\"model\":\"news\",\"choices\":["
            "{\"index\":0,\"text\":\" c said\",\"logprobs\":null,\"finish_reason\":\"length\"},"
            "{\"index\":1,\"text\":\" said\",\"logprobs\":null,\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5,"
            "\"prompt_tokens_details\":{\"cached_tokens\":1}}}");
  json_decref(value);
  call_free(x);
}

// As lm-eval asks: ids, one more token, log probabilities of everything.
static void scored_ids(void **state) {
  (void)state;
  struct exchange *x = complete(
      "{\"model\":\"news\",\"prompt\":[[507,279,1447]],\"max_tokens\":1,\"logprobs\":1,"
      "\"echo\":true,\"temperature\":0,\"seed\":1234}");
  struct job_item *item = x->job->items;
  answer_ids(x->job, item, (uint32_t[]){523}, 1, PARE_FINISH_LENGTH);
  answer_logprobs(x->job, item);
  item->tops[2].id = 73; // not the one that came: it is there beside it
  item->tops[2].logprob = -0.0625f;
  json_t *value = whole_of(x), *choice = json_array_get(json_object_get(value, "choices"), 0);
  same_json(choice,
            "{\"index\":0,\"text\":\"The caf said\",\"finish_reason\":\"length\",\"logprobs\":{"
            "\"tokens\":[\"The\",\" c\",\"af\",\" said\"],\"token_logprobs\":[null,-0.125,-0.25,-0.375],"
            "\"top_logprobs\":[null,{\" c\":-0.125},{\"i\":-0.0625,\"af\":-0.25},{\" said\":-0.375}],"
            "\"text_offset\":[0,3,5,7]}}");
  json_decref(value);
  call_free(x);
}

// The model ends the text at once: there is still a token to cut off.
static void scored_to_the_end(void **state) {
  (void)state;
  struct exchange *x =
      complete("{\"model\":\"news\",\"prompt\":[507,279],\"max_tokens\":1,\"logprobs\":0,\"echo\":true}");
  struct job_item *item = x->job->items;
  answer_ids(x->job, item, NULL, 0, PARE_FINISH_EOS);
  answer_logprobs(x->job, item);
  json_t *value = whole_of(x), *choice = json_array_get(json_object_get(value, "choices"), 0);
  same_json(choice,
            "{\"index\":0,\"text\":\"The c\",\"finish_reason\":\"stop\",\"logprobs\":{"
            "\"tokens\":[\"The\",\" c\",\"\"],\"token_logprobs\":[null,-0.125,null],"
            "\"top_logprobs\":[null,{\" c\":-0.125},null],\"text_offset\":[0,3,5]}}");
  json_decref(value);
  call_free(x);
}

// Characters over several tokens, in the prompt and in the answer.
static void tokens_within_characters(void **state) {
  (void)state;
  struct exchange *x = complete(
      "{\"model\":\"news\",\"prompt\":\"caf\xC3\xA9 \xE2\x82\xAC\",\"max_tokens\":9,"
      "\"logprobs\":1,\"echo\":true}");
  struct job_item *item = x->job->items;
  static const uint32_t ids[] = {221, 173, 254, 247, 223, 73};
  answer_ids(x->job, item, ids, 6, PARE_FINISH_STOP);
  for (size_t i = 1; i < 4; i++) item->ends[i] = 5; // ids of one character share its end
  answer_logprobs(x->job, item);
  json_t *value = whole_of(x), *choice = json_array_get(json_object_get(value, "choices"), 0);
  json_t *logprobs = json_object_get(choice, "logprobs");
  assert_string_equal(json_string_value(json_object_get(choice, "text")), "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80i");
  json_t *tokens = json_object_get(logprobs, "tokens"), *offsets = json_object_get(logprobs, "text_offset");
  size_t n = json_array_size(tokens), prompt = item->tokens;
  assert_int_equal(n, prompt + 6);
  same_json(json_array_get(tokens, prompt - 3), "\"bytes:\\\\xe2\"");
  same_json(json_array_get(tokens, prompt - 1), "\"bytes:\\\\xac\"");
  same_json(json_array_get(tokens, prompt + 1), "\"bytes:\\\\xf0\"");
  same_json(json_array_get(tokens, prompt + 4), "\"bytes:\\\\x80\"");
  const char *chosen = json_string_value(json_array_get(tokens, prompt + 1));
  assert_non_null(json_object_get(json_array_get(json_object_get(logprobs, "top_logprobs"), prompt + 1), chosen));
  // caf é space €: the three bytes of the last begin where it does.
  for (size_t i = prompt - 3; i < prompt; i++) assert_int_equal(json_integer_value(json_array_get(offsets, i)), 5);
  assert_int_equal(json_integer_value(json_array_get(offsets, prompt)), 6);
  for (size_t i = prompt + 1; i < prompt + 5; i++) assert_int_equal(json_integer_value(json_array_get(offsets, i)), 7);
  assert_int_equal(json_integer_value(json_array_get(offsets, prompt + 5)), 8);
  json_decref(value);
  call_free(x);
}

static void no_numbers(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":\"The\",\"logprobs\":2}");
  struct job_item *item = x->job->items;
  answer_ids(x->job, item, (uint32_t[]){523}, 1, PARE_FINISH_EOS);
  answer_logprobs(x->job, item);
  item->logprobs[1] = -0.5f;
  item->tops[2] = (struct pare_logprob){523, -0.5f};
  item->tops[3] = (struct pare_logprob){73, -INFINITY};
  json_t *value = whole_of(x), *choice = json_array_get(json_object_get(value, "choices"), 0);
  same_json(json_object_get(choice, "logprobs"),
            "{\"tokens\":[\" said\"],\"token_logprobs\":[-0.5],\"top_logprobs\":"
            "[{\" said\":-0.5,\"i\":-9999.0}],\"text_offset\":[0]}");
  json_decref(value);
  call_free(x);
}

static void the_best_of(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":[\"The\",\"A\"],\"n\":2,\"best_of\":4}");
  assert_true(x->job->logprobs && !x->job->score);
  static const uint32_t ids[8] = {279, 523, 73, 296, 507, 279, 523, 73};
  static const float logprobs[8] = {-3, -1, -2, -1, -1, -2, -3, 0};
  for (size_t i = 0; i < 8; i++) {
    answer_ids(x->job, &x->job->items[i], &ids[i], i == 7 ? 0 : 1, PARE_FINISH_LENGTH);
    answer_logprobs(x->job, &x->job->items[i]);
    x->job->items[i].logprobs[x->job->items[i].tokens] = logprobs[i];
  }
  json_t *value = whole_of(x), *choices = json_object_get(value, "choices");
  static const char *const texts[4] = {" said", " h", "The", " c"};
  assert_int_equal(json_array_size(choices), 4);
  for (size_t i = 0; i < 4; i++) {
    json_t *choice = json_array_get(choices, i);
    assert_int_equal(json_integer_value(json_object_get(choice, "index")), i);
    assert_string_equal(json_string_value(json_object_get(choice, "text")), texts[i]);
    assert_true(json_is_null(json_object_get(choice, "logprobs")));
  }
  json_t *usage = json_object_get(value, "usage");
  assert_int_equal(json_integer_value(json_object_get(usage, "prompt_tokens")), 2);
  assert_int_equal(json_integer_value(json_object_get(usage, "completion_tokens")), 7); // all that were made
  json_decref(value);
  call_free(x);
}

// ---- streams ------------------------------------------------------------------------------------------------------

// The next event's JSON, its "created" and fingerprint taken out; its framing is checked byte for byte.
static json_t *next_event(struct exchange *x, size_t *at) {
  assert_memory_equal(x->out.data + *at, "data: ", 6);
  char *end = strstr(x->out.data + *at, "\n\n");
  assert_non_null(end);
  json_t *value = json_loadb(x->out.data + *at + 6, (size_t)(end - x->out.data) - *at - 6, 0, NULL);
  if (!value) fail_msg("not JSON: %s", x->out.data + *at);
  if (json_object_get(value, "created")) {
    drop(value, "created");
    drop(value, "system_fingerprint");
  }
  *at = (size_t)(end - x->out.data) + 2;
  return value;
}

static void expect_event(struct exchange *x, size_t *at, const char *expected) {
  json_t *value = next_event(x, at);
  same_json(value, expected);
  json_decref(value);
}

#define HEAD "{\"id\":\"cmpl-r1\",\"object\":\"text_completion\",\"model\":\"news\",\"choices\":["

static void streamed(void **state) {
  (void)state;
  struct exchange *x = complete(
      "{\"model\":\"news\",\"prompt\":[\"The\",\"A\"],\"stream\":true,\"echo\":true,"
      "\"stream_options\":{\"include_usage\":true}}");
  assert_true(x->job->stream);
  assert_string_equal(x->content_type, "text/event-stream");
  answer_ids(x->job, &x->job->items[0], (uint32_t[]){279, 523}, 2, PARE_FINISH_LENGTH);
  answer_ids(x->job, &x->job->items[1], (uint32_t[]){523}, 1, PARE_FINISH_STOP);
  struct job_item *item = x->job->items;
  item->output_count = 1; // as it was then
  item->output_len = 2;
  x->answer->piece(x, 0, 0, 0, false);
  x->answer->piece(x, 1, 0, 0, true);
  item->output_count = 2;
  item->output_len = 7;
  x->answer->piece(x, 0, 2, 1, true);
  x->answer->end(x);
  size_t at = 0;
  expect_event(x, &at,
               HEAD "{\"index\":0,\"text\":\"The c\",\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}");
  expect_event(x, &at,
               HEAD
               "{\"index\":1,\"text\":\"A said\",\"logprobs\":null,\"finish_reason\":\"stop\"}],"
               "\"usage\":null}");
  expect_event(x, &at,
               HEAD
               "{\"index\":0,\"text\":\" said\",\"logprobs\":null,\"finish_reason\":\"length\"}],"
               "\"usage\":null}");
  expect_event(x, &at,
               HEAD
               "],\"usage\":{\"prompt_tokens\":2,\"completion_tokens\":3,\"total_tokens\":5,"
               "\"prompt_tokens_details\":{\"cached_tokens\":0}}}");
  assert_string_equal(x->out.data + at, "data: [DONE]\n\n");
  call_free(x);
}

static void streamed_logprobs(void **state) {
  (void)state;
  struct exchange *x = complete("{\"model\":\"news\",\"prompt\":\"The\",\"stream\":true,\"echo\":true,\"logprobs\":0}");
  struct job_item *item = x->job->items;
  answer_ids(x->job, item, (uint32_t[]){279, 523}, 2, PARE_FINISH_LENGTH);
  answer_logprobs(x->job, item);
  item->output_count = 0;
  item->output_len = 0;
  x->answer->piece(x, 0, 0, 0, false);
  item->output_count = 2;
  item->output_len = 7;
  x->answer->piece(x, 0, 0, 0, true); // the prompt is not said again
  x->answer->end(x);
  size_t at = 0;
  expect_event(x, &at,
               HEAD
               "{\"index\":0,\"text\":\"The\",\"logprobs\":{\"tokens\":[\"The\"],\"token_logprobs\":[null],"
               "\"top_logprobs\":[null],\"text_offset\":[0]},\"finish_reason\":null}]}");
  expect_event(x, &at,
               HEAD
               "{\"index\":0,\"text\":\" c said\",\"logprobs\":{\"tokens\":[\" c\",\" said\"],"
               "\"token_logprobs\":[-0.125,-0.25],\"top_logprobs\":[{\" c\":-0.125},{\" said\":-0.25}],"
               "\"text_offset\":[3,5]},\"finish_reason\":\"length\"}]}");
  assert_string_equal(x->out.data + at, "data: [DONE]\n\n");
  call_free(x);
}

static void a_stream_that_breaks(void **state) {
  (void)state;
  struct exchange *x = complete(
      "{\"model\":\"news\",\"prompt\":\"The\",\"stream\":true,"
      "\"stream_options\":{\"include_usage\":true}}");
  x->job->failure = JOB_BROKEN;
  snprintf(x->job->error.text, sizeof x->job->error.text, "it broke");
  x->answer->end(x);
  size_t at = 0;
  expect_event(x, &at, "{\"error\":{\"message\":\"it broke\",\"type\":\"server_error\",\"param\":null,\"code\":500}}");
  assert_string_equal(x->out.data + at, "data: [DONE]\n\n");
  call_free(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_answer),
      cmocka_unit_test(scored_ids),
      cmocka_unit_test(scored_to_the_end),
      cmocka_unit_test(tokens_within_characters),
      cmocka_unit_test(no_numbers),
      cmocka_unit_test(the_best_of),
      cmocka_unit_test(streamed),
      cmocka_unit_test(streamed_logprobs),
      cmocka_unit_test(a_stream_that_breaks),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
