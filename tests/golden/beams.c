// beams.c - beam search and greedy search with lengths, n-grams and forced ids: the ids equal transformers' generate()
// for two tiny BARTs and a tiny GPT-2; alone or among others, on every table and thread count, in every scheme, the
// same ids. Goldens are written by tools/golden_bart.py and tools/golden_beams.py.
#include "golden.h"

#include "base/file.h"
#include "quant/scheme.h"
#include "quantize_any.h"
#include "task/generate.h"
#include "task/search.h"

#define DATA TEST_DIR "/golden/data"
enum { MAX_ENGINES = 8 };
static json_t *golden;
static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return golden_setup(DATA "/beams.json", &golden, &engine);
}

static int teardown(void **state) {
  (void)state;
  return golden_teardown(golden, &engine);
}

static const char *text_of(const json_t *c, const char *key) {
  return json_string_value(json_object_get(c, key));
}

// A language model takes no lengths from its own files, so the configuration is handed to the search itself.
static void run_case(pare_model *m, const json_t *c, size_t number) {
  const json_t *keys = json_object_get(c, "config"), *ids = json_object_get(c, "ids");
  const char *words = text_of(c, "text");
  struct pare_text text = {.text = words, .len = strlen(words)};
  struct pare_generate_options o = {0};
  struct pare_error err = {0};
  struct pare_generation g = {0};
  if (json_is_null(keys)) {
    must(generate_run(m, &text, 1, &o, &g, &err), &err);
  } else {
    struct generation_config config;
    must(generation_config_parse(m, keys, "case", &config, &err), &err);
    must(search_run(m, &text, 1, &o, &config, &g, &err), &err);
    generation_config_free(&config);
  }
  char *shown = json_dumps(keys, JSON_ENCODE_ANY);
  if (g.count != json_array_size(ids)) {
    fail_msg("case %zu, %s, \"%s\", %s: %zu ids, expected %zu", number, text_of(c, "model"), words, shown, g.count,
             json_array_size(ids));
  }
  for (size_t k = 0; k < g.count; k++)
    if (g.ids[k] != json_integer_value(json_array_get(ids, k)))
      fail_msg("case %zu, %s, \"%s\", %s: id %zu is %u, expected %lld", number, text_of(c, "model"), words, shown, k,
               g.ids[k], (long long)json_integer_value(json_array_get(ids, k)));
  assert_int_equal(g.finish, strcmp(text_of(c, "finish"), "eos") ? PARE_FINISH_LENGTH : PARE_FINISH_EOS);
  free(shown);
  generation_free(&g);
}

static void ids_equal_transformers(void **state) {
  (void)state;
  const json_t *c;
  pare_model *m = NULL;
  const char *open = "";
  size_t i;
  assert_true(json_array_size(golden) >= 250);
  json_array_foreach(golden, i, c) {
    const char *name = text_of(c, "model");
    if (strcmp(name, open) != 0) {
      char dir[1000];
      snprintf(dir, sizeof dir, "%s/%s", DATA, name);
      model_close(m);
      m = golden_open(&engine, dir);
      open = name;
    }
    run_case(m, c, i);
  }
  model_close(m);
}

enum { TEXTS = 20 };
static const char *const words[] = {"The quick brown fox", "a",      "on and on and on", "Zürich",
                                    "one two three",       "x y z w"};

static void texts_make(struct pare_text *texts) {
  for (size_t i = 0; i < TEXTS; i++) texts[i] = (struct pare_text){.text = words[i % 6], .len = strlen(words[i % 6])};
}

static const struct pare_generate_options search_options = {.beams = 3,
                                                            .max_tokens = 12,
                                                            .min_tokens = 2,
                                                            .no_repeat_ngram = 3,
                                                            .length_penalty = 0.7,
                                                            .has_length_penalty = true,
                                                            .early_stopping = PARE_EARLY_TRUE};

static void same_answers(const char *what, const struct pare_generation *a, const struct pare_generation *b, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (a[i].count != b[i].count || memcmp(a[i].ids, b[i].ids, a[i].count * sizeof *a[i].ids) != 0)
      fail_msg("%s: text %zu: other ids", what, i);
    assert_string_equal(a[i].text, b[i].text);
    assert_int_equal(a[i].finish, b[i].finish);
  }
}

static void free_all(struct pare_generation *g, size_t n) {
  for (size_t i = 0; i < n; i++) generation_free(&g[i]);
}

static void texts_do_not_see_each_other(void **state) {
  (void)state;
  static const char *const models[] = {DATA "/models/bart", DATA "/generate"};
  for (size_t k = 0; k < 4; k++) {
    pare_model *m = golden_open(&engine, models[k / 2]);
    struct pare_error err = {0};
    struct pare_text texts[TEXTS];
    struct pare_generation together[TEXTS], alone[TEXTS];
    struct pare_generate_options o = search_options;
    if (k % 2) o = (struct pare_generate_options){.max_tokens = 12, .min_tokens = 4, .temperature = 1.2, .seed = 5};
    texts_make(texts);
    must(generate_run(m, texts, TEXTS, &o, together, &err), &err);
    for (size_t i = 0; i < TEXTS; i++) {
      struct pare_generate_options mine = o;
      mine.seed = o.seed + i;
      must(generate_run(m, &texts[i], 1, &mine, &alone[i], &err), &err);
    }
    same_answers(models[k / 2], together, alone, TEXTS);
    free_all(together, TEXTS);
    free_all(alone, TEXTS);
    model_close(m);
  }
}

// One directory on every table with one thread and with two.
static void check_tables(const char *what, const char *dir) {
  struct pare_generation first[TEXTS], now[TEXTS];
  struct pare_text texts[TEXTS];
  bool have = false;
  texts_make(texts);
  for (size_t threads = 1; threads <= 2; threads++) {
    pare_engine engines[MAX_ENGINES];
    size_t n = open_engines(engines, MAX_ENGINES, threads);
    for (size_t e = 0; e < n; e++) {
      pare_model *m;
      struct pare_error err = {0};
      must(model_open(&engines[e], dir, &m, &err), &err);
      if (engines[e].kernels->bf16_dot && !strncmp(m->scheme, "bf16", 4)) { // the one exception to "same bits"
        model_close(m);
        continue;
      }
      must(generate_run(m, texts, 6, &search_options, have ? now : first, &err), &err);
      if (have) same_answers(what, first, now, 6);
      if (have) free_all(now, 6);
      have = true;
      model_close(m);
    }
    close_engines(engines, n);
  }
  assert_true(have);
  free_all(first, 6);
}

static void every_scheme_gives_the_same_ids(void **state) {
  (void)state;
  size_t count;
  const struct scheme *all = schemes_all(&count);
  for (size_t i = 0; i < 2 * count; i++) {
    const struct scheme *scheme = &all[i / 2];
    if (!scheme->encoding) continue;
    struct pare_error err = {0};
    struct outdir dir;
    must(dir_create_temp(&dir, &err), &err);
    char *out = path_join(dir.temp, "model");
    json_t *record = NULL;
    struct pare_quantize_options o = {.scheme = scheme->name, .even_if_larger = true};
    const char *source = i % 2 ? DATA "/models/bart-f16" : DATA "/models/bart";
    must(quantize_any(&engine, source, out, &o, &record, &err), &err);
    check_tables(scheme->name, out);
    json_decref(record);
    free(out);
    dir_discard(&dir);
  }
}

// Step by step over cached cross-attention: the bits of the whole, whatever stream reads the text.
static void steps_give_the_bits_of_the_whole(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, DATA "/models/bart");
  struct pare_error err = {0};
  enum { S = 29, N = 23, SLOTS = 3 };
  size_t V = m->config.V;
  uint32_t source[2][S], ids[N];
  for (uint32_t i = 0; i < S; i++)
    source[0][i] = (5 + i * i * 31) % (uint32_t)V, source[1][i] = (9 + i * 7) % (uint32_t)V;
  for (uint32_t i = 0; i < N; i++) ids[i] = (2 + i * i * 17) % (uint32_t)V;
  float *whole[2], *logits = calloc(SLOTS * V, sizeof *logits);
  for (size_t k = 0; k < 2; k++) {
    struct golden_case c = {.ids = source[k], .types = NULL, .len = S, .decoder_ids = ids, .decoder_len = N};
    size_t count;
    whole[k] = golden_run(m, &c, &count);
    assert_int_equal(count, N * V);
  }
  struct decoder *d;
  struct decoder_size size = {.slots = SLOTS, .positions = N, .step_tokens = 40, .texts = 2, .source_tokens = S};
  must(decoder_open_sized(m, &size, &d, &err), &err);
  struct decoder_step texts[2] = {{.ids = source[1], .len = S, .text = 0}, {.ids = source[0], .len = S, .text = 1}};
  assert_int_equal(decoder_encode(d, texts, 2, &err), PARE_USAGE); // 58 tokens at once: a pass takes 40
  for (size_t k = 0; k < 2; k++) must(decoder_encode(d, &texts[k], 1, &err), &err);
  for (size_t i = 0; i + 4 < N; i += i ? 1 : 4) { // streams 0 and 2 read text 0, stream 1 text 1
    struct decoder_step steps[SLOTS];
    for (size_t k = 0; k < SLOTS; k++)
      steps[k] = (struct decoder_step){.slot = k, .ids = ids + i, .len = i ? 1 : 4, .text = k == 1};
    must(decoder_run(d, steps, SLOTS, logits, &err), &err);
    for (size_t k = 0; k < SLOTS; k++)
      assert_memory_equal(logits + k * V, whole[k != 1] + (i ? i : 3) * V, V * sizeof *logits);
  }
  decoder_close(d);
  free(whole[0]);
  free(whole[1]);
  free(logits);
  model_close(m);
}

static void expect_parse(pare_model *m, const char *json, enum pare_status status, const char *key) {
  struct generation_config c;
  struct pare_error err = {0};
  json_t *j = json_loads(json, 0, NULL);
  assert_non_null(j);
  assert_int_equal(generation_config_parse(m, j, "generation_config.json", &c, &err), status);
  if (key && !strstr(err.text, key)) fail_msg("%s: \"%s\" does not name %s", json, err.text, key);
  generation_config_free(&c);
  json_decref(j);
}

static void hostile_configurations(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, DATA "/models/bart");
  expect_parse(m, "{}", PARE_OK, NULL);
  expect_parse(m, "{\"num_beams\": 0}", PARE_DATA, "num_beams");
  expect_parse(m, "{\"num_beams\": 65}", PARE_DATA, "num_beams");
  expect_parse(m, "{\"num_beams\": 1e3}", PARE_DATA, "num_beams");
  expect_parse(m, "{\"max_length\": 1}", PARE_DATA, "max_length");
  expect_parse(m, "{\"max_length\": 10, \"min_length\": 11}", PARE_DATA, "min_length");
  expect_parse(m, "{\"max_new_tokens\": 3, \"min_new_tokens\": 4}", PARE_DATA, "min_new_tokens");
  expect_parse(m, "{\"eos_token_id\": 272}", PARE_DATA, "eos_token_id");
  expect_parse(m, "{\"eos_token_id\": [2, -1]}", PARE_DATA, "eos_token_id");
  expect_parse(m, "{\"eos_token_id\": \"2\"}", PARE_DATA, "eos_token_id");
  expect_parse(m, "{\"forced_bos_token_id\": [1, 2]}", PARE_DATA, "forced_bos_token_id");
  expect_parse(m, "{\"forced_eos_token_id\": [1, 999]}", PARE_DATA, "forced_eos_token_id");
  expect_parse(m, "{\"decoder_start_token_id\": 1e9}", PARE_DATA, "decoder_start_token_id");
  expect_parse(m, "{\"length_penalty\": \"long\"}", PARE_DATA, "length_penalty");
  expect_parse(m, "{\"repetition_penalty\": 0}", PARE_DATA, "repetition_penalty");
  expect_parse(m, "{\"early_stopping\": \"always\"}", PARE_DATA, "early_stopping");
  expect_parse(m, "{\"no_repeat_ngram_size\": -1}", PARE_DATA, "no_repeat_ngram_size");
  expect_parse(m, "{\"bad_words_ids\": [[5]]}", PARE_UNAVAILABLE, "bad_words_ids");
  expect_parse(m, "{\"num_beam_groups\": 2}", PARE_UNAVAILABLE, "num_beam_groups");
  expect_parse(m, "{\"guidance_scale\": 1.0, \"bad_words_ids\": [], \"num_beam_groups\": 1}", PARE_OK, NULL);
  model_close(m);
}

static void contradictions(void **state) {
  (void)state;
  static const struct pare_generate_options bad[] = {{.beams = 65},
                                                     {.beams = 2, .temperature = 1},
                                                     {.beams = 2, .has_length_penalty = true, .length_penalty = NAN},
                                                     {.beams = 2, .max_tokens = 4, .min_tokens = 5}};
  static const char *const names[] = {"beams", "temperature", "length-penalty", "min-tokens"};
  static const char *const models[] = {DATA "/models/bart", DATA "/generate"};
  for (size_t k = 0; k < 8; k++) {
    pare_model *m = golden_open(&engine, models[k / 4]);
    struct pare_text text = {.text = "a", .len = 1};
    struct pare_generation g;
    struct pare_error err = {0};
    assert_int_equal(generate_run(m, &text, 1, &bad[k % 4], &g, &err), PARE_USAGE);
    assert_non_null(strstr(err.text, names[k % 4]));
    model_close(m);
  }
}

// A text longer than the model reads is cut and says so; a stop string ends an answer; the pieces are the answer.
static void count_text(void *context, size_t index, const char *text, size_t len) {
  (void)index;
  (void)text;
  *(size_t *)context += len;
}

static void long_texts_and_stops(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, DATA "/models/bart");
  char longer[500];
  memset(longer, 'q', sizeof longer);
  struct pare_text texts[2] = {{.text = longer, .len = sizeof longer}, {.text = longer, .len = 30}};
  struct pare_generation g[2], cut;
  struct pare_error err = {0};
  size_t seen = 0;
  struct pare_generate_options o = {
      .beams = 4, .max_tokens = 20, .min_tokens = 15, .on_text = count_text, .context = &seen};
  must(generate_run(m, texts, 2, &o, g, &err), &err);
  assert_true(g[0].truncated && !g[1].truncated);
  assert_int_equal(seen, g[0].text_len + g[1].text_len);
  assert_true(g[0].text_len > 4);
  size_t half = g[0].text_len / 2;
  while (half > 1 && ((unsigned char)g[0].text[half] & 0xC0) == 0x80) half--;
  const char *list[] = {g[0].text + half};
  o.stop = list;
  o.stop_count = 1;
  must(generate_run(m, texts, 1, &o, &cut, &err), &err);
  assert_int_equal(cut.finish, PARE_FINISH_STOP);
  assert_int_equal(cut.text_len, (size_t)(strstr(g[0].text, list[0]) - g[0].text));
  generation_free(&cut);
  free_all(g, 2);
  model_close(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(ids_equal_transformers),
                                     cmocka_unit_test(texts_do_not_see_each_other),
                                     cmocka_unit_test(every_scheme_gives_the_same_ids),
                                     cmocka_unit_test(steps_give_the_bits_of_the_whole),
                                     cmocka_unit_test(hostile_configurations),
                                     cmocka_unit_test(contradictions),
                                     cmocka_unit_test(long_texts_and_stops)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
