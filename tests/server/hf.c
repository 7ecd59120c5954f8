// hf.c - POST /models/NAME: what is asked of each kind of model, and its answer.
#include "server/protocol_test.h"

static struct world *world;

static int setup(void **state) {
  (void)state;
  world = world_open();
  world_load(world, "intents", PROJECT_DIR "/models/intent-linear");
  world_load(world, "org/nli", PROJECT_DIR "/models/nli-minilm");
  world_load(world, "news", PROJECT_DIR "/models/news-gpt2");
  world_load(world, "titles", PROJECT_DIR "/models/wiki-title-bart");
  return 0;
}

static int teardown(void **state) {
  (void)state;
  world_close(world);
  return 0;
}

// ---- classification -----------------------------------------------------------------------------------------------

static double score_at(json_t *list, size_t i) {
  return json_real_value(json_object_get(json_array_get(list, i), "score"));
}

static const char *label_at(json_t *list, size_t i) {
  return json_string_value(json_object_get(json_array_get(list, i), "label"));
}

static void classification(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/models/intents",
                                "{\"inputs\":\"book a flight to rome\",\"parameters\":{\"top_k\":3},"
                                "\"options\":{\"use_cache\":false,\"wait_for_model\":true}}");
  answer_classify(x->job);
  json_t *value = whole_of(x), *list = json_array_get(value, 0);
  assert_int_equal(json_array_size(value), 1);
  assert_int_equal(json_array_size(list), 3);
  assert_string_equal(label_at(list, 0), "book_flight");
  assert_true(score_at(list, 0) > score_at(list, 1) && score_at(list, 1) > score_at(list, 2));
  json_decref(value);
  call_free(x);
  x = call_job(world, "/models/intents", "{\"inputs\":[\"book a flight\",\"wake me at six\"]}");
  answer_classify(x->job);
  value = whole_of(x);
  assert_int_equal(json_array_size(value), 2);
  assert_int_equal(json_array_size(json_array_get(value, 0)), job_labels(x->job)); // all of them
  assert_string_equal(label_at(json_array_get(value, 1), 0), "alarm");
  json_decref(value);
  call_free(x);
}

// However few are asked for, they are the first of all; ties stay in label order.
static void orders(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/models/intents", "{\"inputs\":\"book a flight\"}");
  answer_classify(x->job);
  struct job_item *item = x->job->items;
  size_t n = job_labels(x->job), all[512], some[512];
  assert_true(n > 40 && n <= 512);
  for (size_t i = 0; i < n; i++) item->scores[i] = (float)(i * 37 % 11); // many ties
  job_order(x->job, item, n, all);
  for (size_t i = 1; i < n; i++) {
    float before = item->scores[all[i - 1]], here = item->scores[all[i]];
    assert_true(before > here || (before == here && all[i - 1] < all[i]));
  }
  static const size_t mosts[] = {0, 1, 2, 15, 16, 17, 1000};
  for (size_t k = 0; k < sizeof mosts / sizeof *mosts; k++) {
    job_order(x->job, item, mosts[k], some);
    for (size_t i = 0; i < n && i < mosts[k]; i++) assert_int_equal(some[i], all[i]);
  }
  call_free(x);
}

static void functions(void **state) {
  (void)state;
  static const char *const names[] = {"softmax", "sigmoid", "none"};
  for (size_t k = 0; k < 3; k++) {
    char body[160];
    snprintf(body, sizeof body, "{\"inputs\":\"A dog runs.\",\"parameters\":{\"function_to_apply\":\"%s\"}}", names[k]);
    struct exchange *x = call_job(world, "/models/org/nli", body);
    answer_classify(x->job);
    const struct job_item *item = x->job->items;
    json_t *value = whole_of(x), *list = json_array_get(value, 0);
    size_t order[3], n = job_labels(x->job);
    assert_int_equal(n, 3);
    job_order(x->job, item, n, order);
    for (size_t i = 0; i < n; i++) {
      double z = (double)item->logits[order[i]];
      double want = k == 0 ? (double)item->scores[order[i]] : k == 1 ? 1 / (1 + exp(-z)) : z;
      assert_true(fabs(score_at(list, i) - want) < 1e-6);
      assert_string_equal(label_at(list, i), job_label(x->job, order[i]));
    }
    json_decref(value);
    call_free(x);
  }
}

static void zero_shot(void **state) {
  (void)state;
  struct exchange *x =
      call_job(world, "/models/org/nli",
               "{\"inputs\":\"The team won the cup.\",\"parameters\":{\"candidate_labels\":\"war, sport\","
               "\"hypothesis_template\":\"It is about {}.\",\"multi_label\":true}}");
  assert_int_equal(x->job->classify.label_count, 2);
  assert_string_equal(x->job->classify.template_text, "It is about {}.");
  assert_true(x->job->classify.multi_label);
  answer_classify(x->job);
  json_t *value = whole_of(x);
  assert_int_equal(json_array_size(value), 2);
  assert_string_equal(label_at(value, 0), "sport");
  assert_true((float)score_at(value, 0) == x->job->items[0].scores[1]);
  json_decref(value);
  call_free(x);
  x = call_job(world, "/models/org/nli",
               "{\"inputs\":[\"The team won the cup.\"],\"parameters\":{\"candidate_labels\":[\"war\",\"sport\"]}}");
  answer_classify(x->job);
  value = whole_of(x);
  assert_int_equal(json_array_size(value), 1);
  assert_string_equal(label_at(json_array_get(value, 0), 0), "sport");
  json_decref(value);
  call_free(x);
}

static void zero_shot_as_a_pipeline(void **state) {
  (void)state;
  static const char *const inputs[] = {"\"The team won the cup.\"", "[\"The team won the cup.\"]"};
  for (size_t k = 0; k < 2; k++) {
    char body[240];
    snprintf(body, sizeof body,
             "{\"inputs\":%s,\"parameters\":{\"candidate_labels\":[\"war\",\"sport\"],\"output\":\"pipeline\"}}",
             inputs[k]);
    struct exchange *x = call_job(world, "/models/org/nli", body);
    answer_classify(x->job);
    json_t *value = whole_of(x), *one = k ? json_array_get(value, 0) : value;
    assert_int_equal(json_object_size(one), 3);
    assert_string_equal(json_string_value(json_object_get(one, "sequence")), "The team won the cup.");
    same_json(json_object_get(one, "labels"), "[\"sport\",\"war\"]");
    json_t *scores = json_object_get(one, "scores");
    assert_true((float)json_real_value(json_array_get(scores, 0)) == x->job->items[0].scores[1]);
    assert_true((float)json_real_value(json_array_get(scores, 1)) == x->job->items[0].scores[0]);
    json_decref(value);
    call_free(x);
  }
}

// ---- text ---------------------------------------------------------------------------------------------------------

static void continuation(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/models/news", "{\"inputs\":\"The\"}");
  assert_true(x->job->generate.temperature == 0 && x->job->generate.max_tokens == 20);
  answer_ids(x->job, x->job->items, (uint32_t[]){279, 523}, 2, PARE_FINISH_LENGTH);
  json_t *value = whole_of(x);
  same_json(value, "[{\"generated_text\":\"The c said\"}]");
  json_decref(value);
  call_free(x);
  x = call_job(world, "/models/news",
               "{\"inputs\":[\"The\",\"A\"],\"parameters\":{\"max_new_tokens\":5,\"temperature\":0.5,\"top_k\":3,"
               "\"top_p\":0.5,\"repetition_penalty\":1.25,\"stop\":[\"x\"],\"return_full_text\":false,\"seed\":7,"
               "\"num_return_sequences\":2,\"do_sample\":true}}");
  const struct pare_generate_options *o = &x->job->generate;
  assert_true(o->max_tokens == 5 && o->temperature == 0.5 && o->top_k == 3 && o->top_p == 0.5);
  assert_true(o->repetition_penalty == 1.25 && o->stop_count == 1);
  assert_int_equal(x->job->count, 4);
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(x->job->items[i].seed, 7 + i);
    answer_ids(x->job, &x->job->items[i], (uint32_t[]){i % 2 ? 279 : 523}, 1, PARE_FINISH_LENGTH);
  }
  value = whole_of(x);
  same_json(value,
            "[[{\"generated_text\":\" said\"},{\"generated_text\":\" c\"}],"
            "[{\"generated_text\":\" said\"},{\"generated_text\":\" c\"}]]");
  json_decref(value);
  call_free(x);
}

static void drawing_or_not(void **state) {
  (void)state;
  static const struct {
    const char *parameters;
    double temperature;
  } cases[] = {
      {"{}", 0},
      {"null", 0},
      {"{\"do_sample\":true}", 1},
      {"{\"do_sample\":false,\"temperature\":0.5}", 0},
      {"{\"temperature\":0.5}", 0.5},
      {"{\"top_k\":5}", 1},
      {"{\"top_p\":0.5}", 1},
      {"{\"do_sample\":null,\"temperature\":null}", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char body[160];
    snprintf(body, sizeof body, "{\"inputs\":\"a\",\"parameters\":%s}", cases[i].parameters);
    struct exchange *x = call_job(world, "/models/news", body);
    assert_true(x->job->generate.temperature == cases[i].temperature);
    call_free(x);
  }
}

static void summary(void **state) {
  (void)state;
  struct exchange *x = call_job(world, "/models/titles", "{\"inputs\":\"Some text.\"}");
  const struct pare_generate_options *o = &x->job->generate;
  assert_true(!o->max_tokens && !o->min_tokens && !o->beams && !o->has_length_penalty && !o->no_repeat_ngram);
  assert_true(o->temperature == 0 && o->repetition_penalty == 0 && o->early_stopping == PARE_EARLY_DEFAULT);
  x->job->items[0].output = strdup("A title");
  x->job->items[0].output_len = 7;
  json_t *value = whole_of(x);
  same_json(value, "[{\"summary_text\":\"A title\"}]");
  json_decref(value);
  call_free(x);
  x = call_job(world, "/models/titles",
               "{\"inputs\":[\"a\",\"b\"],\"parameters\":{\"max_length\":20,\"min_length\":5,\"num_beams\":3,"
               "\"length_penalty\":0,\"no_repeat_ngram_size\":0,\"early_stopping\":true}}");
  o = &x->job->generate;
  // Both lengths count the id that the decoder starts with.
  assert_true(o->max_tokens == 19 && o->min_tokens == 4 && o->beams == 3);
  assert_true(o->has_length_penalty && o->length_penalty == 0 && o->no_repeat_ngram == PARE_OFF);
  assert_true(o->early_stopping == PARE_EARLY_TRUE);
  for (size_t i = 0; i < 2; i++) x->job->items[i].output = strdup("");
  value = whole_of(x);
  same_json(value, "[{\"summary_text\":\"\"},{\"summary_text\":\"\"}]");
  json_decref(value);
  call_free(x);
  x = call_job(world, "/models/titles",
               "{\"inputs\":\"a\",\"parameters\":{\"generate_parameters\":{\"max_new_tokens\":9,\"min_length\":0}}}");
  assert_true(x->job->generate.max_tokens == 9 && x->job->generate.min_tokens == PARE_OFF);
  call_free(x);
}

// ---- mistakes -----------------------------------------------------------------------------------------------------

static void mistakes(void **state) {
  (void)state;
  static const struct {
    const char *model, *body, *part;
  } wrong[] = {
      {"news", "{}", "inputs"},
      {"news", "[]", "object"},
      {"news", "{\"inputs\":3}", "inputs"},
      {"news", "{\"inputs\":[]}", "inputs"},
      {"news", "{\"inputs\":[[\"a\"]]}", "inputs"},
      {"news", "{\"inputs\":\"a\",\"stream\":true}", "/v1/completions"},
      {"news", "{\"inputs\":\"a\",\"parameters\":[]}", "parameters: expected an object"},
      {"news", "{\"inputs\":\"a\",\"options\":3}", "options: expected an object"},
      {"news", "{\"inputs\":\"a\",\"normalize\":{}}", "normalize"},
      {"news", "{\"inputs\":\"a\",\"options\":{\"use_cache\":3}}", "options.use_cache"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"max_new_tokens\":101}}", "parameters.max_new_tokens"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"temperature\":1e308}}", "parameters.temperature"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"do_sample\":\"no\"}}", "parameters.do_sample"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"stop\":[\"\"]}}", "parameters.stop"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"num_return_sequences\":0}}", "parameters.num_return_sequences"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"num_return_sequences\":9}}", "inputs"},
      {"news", "{\"inputs\":[\"a\",\"b\",\"c\"],\"parameters\":{\"num_return_sequences\":4}}", "1 to 2 texts"},
      {"news", "{\"inputs\":\"a\",\"parameters\":{\"candidate_labels\":[\"a\"]}}", "candidate_labels"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"max_length\":1}}", "parameters.max_length"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"max_length\":5,\"min_length\":6}}", "parameters.min_length"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"num_beams\":65}}", "parameters.num_beams"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"num_beams\":2,\"temperature\":1}}", "parameters.num_beams"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"early_stopping\":\"now\"}}", "parameters.early_stopping"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"generate_parameters\":{\"max_new_tokens\":0}}}",
       "parameters.generate_parameters.max_new_tokens"},
      {"titles", "{\"inputs\":\"a\",\"parameters\":{\"generate_parameters\":3}}", "parameters.generate_parameters"},
      {"intents", "{\"inputs\":\"a\",\"parameters\":{\"candidate_labels\":[\"a\"]}}", "only its own labels"},
      {"intents", "{\"inputs\":\"a\",\"parameters\":{\"top_k\":0}}", "parameters.top_k"},
      {"intents", "{\"inputs\":\"a\",\"parameters\":{\"function_to_apply\":\"tanh\"}}", "parameters.function_to_apply"},
      {"org/nli", "{\"inputs\":\"a\",\"parameters\":{\"candidate_labels\":[]}}", "parameters.candidate_labels"},
      {"org/nli", "{\"inputs\":\"a\",\"parameters\":{\"candidate_labels\":\",\"}}", "parameters.candidate_labels"},
      {"org/nli", "{\"inputs\":\"a\",\"parameters\":{\"candidate_labels\":\"a\",\"hypothesis_template\":\"x\"}}",
       "parameters.hypothesis_template"},
      {"org/nli", "{\"inputs\":\"a\",\"parameters\":{\"candidate_labels\":\"a\",\"output\":\"table\"}}",
       "parameters.output"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char path[40];
    snprintf(path, sizeof path, "/models/%s", wrong[i].model);
    refused(world, path, wrong[i].body, NULL, wrong[i].part);
  }
  struct exchange *x = call(world, "/models/nobody", "{\"inputs\":\"a\"}");
  assert_int_equal(x->status, 404);
  call_free(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classification),
      cmocka_unit_test(orders),
      cmocka_unit_test(functions),
      cmocka_unit_test(zero_shot),
      cmocka_unit_test(zero_shot_as_a_pipeline),
      cmocka_unit_test(continuation),
      cmocka_unit_test(drawing_or_not),
      cmocka_unit_test(summary),
      cmocka_unit_test(mistakes),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
