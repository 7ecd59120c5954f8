// bench.c - what a benchmark of texts and of generation hands out; and that the ids it generates are the likeliest.
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "eval/greedy.h"
#include "model/session.h"
#include "pare.h"
#include "report/record.h"
#include "task/sample.h"

static const char agnews[] = PROJECT_DIR "/models/agnews-gpt2", minilm[] = PROJECT_DIR "/models/nli-minilm";
static const char ag_news_csv[] = PROJECT_DIR "/data/ag_news_test.csv";
static const char gpt2[] = TEST_DIR "/golden/data/generate", bart[] = TEST_DIR "/golden/data/models/bart";

static int enter(void **state) {
  return pare_engine_open(&(struct pare_engine_options){.threads = 1}, (pare_engine **)state, NULL) != PARE_OK;
}

static int leave(void **state) {
  pare_engine_close(*state);
  return 0;
}

static json_t *benched(pare_engine *engine, const char *model, const struct pare_bench_options *options) {
  struct pare_error err = {0};
  pare_record *record;
  char *text;
  if (pare_bench(engine, model, options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
  assert_int_equal(pare_record_render(record, PARE_TEXT, NULL, &text, NULL), PARE_OK);
  assert_true(strlen(text) > 100);
  free(text);
  assert_int_equal(pare_record_render(record, PARE_JSON, NULL, &text, NULL), PARE_OK);
  json_t *tree = json_loads(text, 0, NULL);
  free(text);
  pare_record_close(record);
  return tree;
}

static double number(const json_t *tree, const char *path) {
  double x = 0;
  if (!record_number(tree, path, &x)) fail_msg("no number %s", path);
  return x;
}

static void near(double found, double expected) {
  if (fabs(found - expected) > 1e-9 * fabs(expected)) fail_msg("found %.17g, expected %.17g", found, expected);
}

static void refused(pare_engine *engine, const char *model, const struct pare_bench_options *options) {
  struct pare_error err = {0};
  pare_record *record;
  assert_int_equal(pare_bench(engine, model, options, &record, &err), PARE_USAGE);
  assert_null(record);
}

// ---- the ids ----

static uint32_t likeliest(const float *row, size_t V) {
  size_t best = 0;
  for (size_t i = 1; i < V; i++)
    if (row[i] > row[best] || isnan(row[best])) best = i;
  return (uint32_t)best;
}

static void highest_is_the_first_of_the_highest(void **state) {
  (void)state;
  float x[70];
  struct rng rng;
  rng_seed(&rng, 5);
  for (size_t V = 1; V <= 70; V++) {
    for (size_t round = 0; round < 20; round++) {
      for (size_t i = 0; i < V; i++) {
        static const float kinds[] = {NAN, -INFINITY, INFINITY, -0.0f, 0.0f, 1.0f, -2.5f};
        // Rounds of values that mostly tie, of NaN and infinities, and of NaN alone.
        x[i] = round < 10 ? (float)rng_below(&rng, 4) : round < 19 ? kinds[rng_below(&rng, 7)] : NAN;
      }
      assert_int_equal(sample_highest(x, V), likeliest(x, V));
    }
  }
}

// Every id follows from the logits of all before it, read whole; and a stream gives the same among others.
static void generation_takes_the_likeliest(pare_engine *engine, const char *path) {
  pare_model *m;
  pare_session *s;
  struct greedy *g;
  struct greedy_cost cost;
  struct pare_error err = {0};
  struct rng rng;
  const struct greedy_size size = {.streams = 3, .prompt = 5, .generate = 6};
  rng_seed(&rng, 1);
  assert_int_equal(model_open(engine, path, &m, &err), PARE_OK);
  assert_int_equal(session_open(m, 0, &s, &err), PARE_OK);
  assert_int_equal(greedy_open(m, &size, m->config.V, &rng, &g, &err), PARE_OK);
  for (int again = 0; again < 2; again++) assert_int_equal(greedy_run(g, &cost, &err), PARE_OK);
  bool reads = m->config.task == ARCH_SEQ2SEQ;
  size_t V = m->config.V;
  float *logits = calloc((size.prompt + size.generate) * V, sizeof *logits);
  for (size_t b = 0; b < size.streams; b++) {
    const uint32_t *prompt = greedy_prompts(g) + b * size.prompt, *ids = greedy_ids(g) + b * size.generate;
    uint32_t known[16] = {m->config.start_id};
    size_t len = reads ? 1 : size.prompt;
    if (!reads) memcpy(known, prompt, size.prompt * sizeof *prompt);
    for (size_t i = 0; i < size.generate; i++, len++) {
      struct pare_sequence q = {.ids = reads ? prompt : known,
                                .len = reads ? size.prompt : len,
                                .decoder_ids = reads ? known : NULL,
                                .decoder_len = reads ? len : 0};
      assert_int_equal(session_logits(s, &q, 1, logits, &err), PARE_OK);
      assert_int_equal(ids[i], likeliest(logits + (len - 1) * V, V));
      known[len] = ids[i];
    }
  }
  // Both parts are counted: 5 steps of 3 streams after 15 tokens of prompts.
  assert_true(cost.first.operations > 0 && cost.rest.operations > 0);
  assert_true(cost.first.weight_bytes > 0 && cost.rest.weight_bytes > 0 && cost.rest.weight_bytes % 5 == 0);
  free(logits);
  greedy_close(g);
  session_close(s);
  model_close(m);
}

static void language_models_take_the_likeliest(void **state) {
  generation_takes_the_likeliest(*state, gpt2);
}

static void encoder_decoders_take_the_likeliest(void **state) {
  generation_takes_the_likeliest(*state, bart);
}

// ---- the records ----

static void generation_counts_streams(void **state) {
  static const size_t prompts[] = {4, 9}, streams[] = {1, 3};
  struct pare_bench_options options = {.against = gpt2,
                                       .generate = 6,
                                       .prompts = prompts,
                                       .prompt_count = 2,
                                       .streams = streams,
                                       .stream_count = 2,
                                       .iterations = 7};
  json_t *tree = benched(*state, gpt2, &options);
  const json_t *rows = record_get(tree, "rows");
  assert_int_equal(json_array_size(rows), 4);
  for (size_t i = 0; i < 4; i++) {
    const json_t *row = json_array_get(rows, i);
    double n = (double)streams[i / 2], prompt = (double)prompts[i % 2], ci[2];
    assert_true(number(row, "shape.streams") == n && number(row, "shape.prompt") == prompt);
    assert_true(number(row, "shape.generate") == 6);
    near(number(row, "prefill.tokens_per_s"), n * prompt / (number(row, "first_token_ms.median") * 1e-3));
    near(number(row, "decode.tokens_per_s"), n / (number(row, "token_ms.median") * 1e-3));
    near(number(row, "tokens_per_s"), n * 6 / (number(row, "latency_ms.median") * 1e-3));
    for (size_t k = 0; k < 7; k++) {
      double whole = json_real_value(json_array_get(record_get(row, "latency_samples_ms"), k));
      double first = json_real_value(json_array_get(record_get(row, "first_token_samples_ms"), k));
      double token = json_real_value(json_array_get(record_get(row, "token_samples_ms"), k));
      near(whole, first + 5 * token);
    }
    near(number(row, "against.prefill_ratio.value"),
         number(row, "against.first_token_ms.median") / number(row, "first_token_ms.median"));
    near(number(row, "against.decode_ratio.value"),
         number(row, "against.token_ms.median") / number(row, "token_ms.median"));
    assert_true(record_interval(row, "against.decode_ratio.ci95", ci));
    assert_true(number(row, "decode.gb_per_s") > 0 && number(row, "rss_bytes") > 0 && number(row, "load_ms") > 0);
  }
  json_decref(tree);
}

static void one_new_token_has_no_decoding(void **state) {
  json_t *tree = benched(*state, gpt2, &(struct pare_bench_options){.generate = 1, .iterations = 3});
  const json_t *row = json_array_get(record_get(tree, "rows"), 0);
  assert_true(number(row, "shape.prompt") == 16 && number(row, "prefill.tokens_per_s") > 0);
  assert_true(json_is_null(json_object_get(row, "decode")) && json_is_null(json_object_get(row, "token_ms")));
  assert_non_null(record_string(row, "decode_reason"));
  json_decref(tree);
}

static void texts_are_one_batch(void **state) {
  struct pare_bench_options options = {
      .against = minilm, .data = ag_news_csv, .source = {.limit = 5}, .max_tokens = 100, .iterations = 3};
  json_t *tree = benched(*state, agnews, &options);
  const json_t *rows = record_get(tree, "rows"), *row = json_array_get(rows, 0);
  assert_int_equal(json_array_size(rows), 1);
  assert_true(number(tree, "dataset.n") == 5);
  pare_model *m;
  pare_dataset *data;
  assert_int_equal(pare_model_open(*state, agnews, &m, NULL), PARE_OK);
  assert_int_equal(pare_dataset_open(ag_news_csv, &options.source, &data, NULL), PARE_OK);
  struct pare_tokens tokens = {0};
  size_t sum = 0, longest = 0;
  for (size_t i = 0; i < 5; i++) {
    struct pare_text text = pare_dataset_text(data, i);
    assert_int_equal(pare_tokenize(m, &text, 100, &tokens, NULL), PARE_OK);
    sum += tokens.len;
    longest = tokens.len > longest ? tokens.len : longest;
  }
  assert_true(number(row, "shape.texts") == 5 && number(row, "shape.tokens") == (double)sum);
  assert_true(number(row, "shape.longest") == (double)longest);
  near(number(row, "tokens_per_s"), (double)sum / (number(row, "latency_ms.median") * 1e-3));
  // Each model by its own tokenizer.
  assert_true(number(row, "against.shape.texts") == 5 && number(row, "against.shape.tokens") != (double)sum);
  pare_tokens_free(&tokens);
  pare_dataset_close(data);
  pare_model_close(m);
  json_decref(tree);
}

static void opening_is_told_apart(void **state) {
  static const size_t length = 8;
  json_t *tree = benched(
      *state, minilm, &(struct pare_bench_options){.lengths = &length, .length_count = 1, .iterations = 3});
  const json_t *row = json_array_get(record_get(tree, "rows"), 0);
  double load = number(row, "load_ms"), tokenizer = number(row, "tokenizer_ms"), open = number(row, "open_ms");
  assert_true(load > 0 && tokenizer > 0);
  assert_true(number(row, "self_test_ms") > 0); // the model has a stored answer
  assert_true(load < open && tokenizer < open);
  assert_true(number(row, "size_bytes") > 1e6 && number(row, "rss_bytes") > 1e6);
  json_decref(tree);
}

static void ways_are_not_mixed(void **state) {
  static const size_t n = 4, much = 100000;
  refused(*state, gpt2, &(struct pare_bench_options){.prompts = &n, .prompt_count = 1});
  refused(*state, gpt2, &(struct pare_bench_options){.generate = 2, .batches = &n, .batch_count = 1});
  refused(*state, gpt2, &(struct pare_bench_options){.generate = 2, .data = ag_news_csv});
  refused(*state, agnews, &(struct pare_bench_options){.data = ag_news_csv, .lengths = &n, .length_count = 1});
  // A classifier does not generate; a model is not read past its longest; streams have an end.
  refused(*state, agnews, &(struct pare_bench_options){.generate = 2});
  refused(*state, gpt2, &(struct pare_bench_options){.generate = SIZE_MAX});
  refused(*state, gpt2, &(struct pare_bench_options){.generate = 2, .prompts = &much, .prompt_count = 1});
  static const size_t huge = SIZE_MAX;
  refused(*state, gpt2, &(struct pare_bench_options){.generate = 2, .streams = &huge, .stream_count = 1});
  refused(*state, bart, &(struct pare_bench_options){.generate = 2, .prompts = &huge, .prompt_count = 1});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(highest_is_the_first_of_the_highest),
      cmocka_unit_test(language_models_take_the_likeliest),
      cmocka_unit_test(encoder_decoders_take_the_likeliest),
      cmocka_unit_test(generation_counts_streams),
      cmocka_unit_test(one_new_token_has_no_decoding),
      cmocka_unit_test(texts_are_one_batch),
      cmocka_unit_test(opening_is_told_apart),
      cmocka_unit_test(ways_are_not_mixed),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
