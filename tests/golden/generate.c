// generate.c - generation and perplexity: greedy ids and text equal transformers', sampling filters keep the same
// tokens with the same probabilities, step by step gives the same bits as the whole text, prompts do not see each
// other. Goldens are written by tools/golden_generate.py.
#include "golden.h"

#include <unistd.h>
#include "base/file.h"

#include "eval/perplexity.h"
#include "model/decoder.h"
#include "quant/quantize.h"
#include "task/generate.h"
#include "task/sample.h"

#define FOLDER TEST_DIR "/golden/data/generate"
static json_t *golden;
static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return golden_setup(FOLDER "/golden.json", &golden, &engine);
}

static int teardown(void **state) {
  (void)state;
  return golden_teardown(golden, &engine);
}

static void greedy_equals_transformers(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, FOLDER);
  const json_t *cases = json_object_get(golden, "greedy"), *c;
  size_t i;
  assert_true(json_array_size(cases) >= 8);
  json_array_foreach(cases, i, c) {
    const char *prompt = json_string_value(json_object_get(c, "prompt")),
               *text = json_string_value(json_object_get(c, "text"));
    struct pare_generate_options o = {.max_tokens = (size_t)json_integer_value(json_object_get(c, "max_new")),
                                      .repetition_penalty = json_number_value(json_object_get(c, "penalty"))};
    struct pare_generation g;
    struct pare_error err = {0};
    must(generate_run(m, &(struct pare_text){.text = prompt, .len = strlen(prompt)}, 1, &o, &g, &err), &err);
    const json_t *ids = json_object_get(c, "ids");
    assert_int_equal(g.count, json_array_size(ids));
    for (size_t k = 0; k < g.count; k++) assert_int_equal(g.ids[k], json_integer_value(json_array_get(ids, k)));
    assert_string_equal(g.text, text);
    assert_int_equal(g.finish, g.count < o.max_tokens ? PARE_FINISH_EOS : PARE_FINISH_LENGTH);
    generation_free(&g);
  }
  model_close(m);
}

// Frequencies of many draws against transformers' filtered probabilities: what it drops is never drawn, what it keeps
// comes as often as it should, within five standard deviations.
static void filters_equal_transformers(void **state) {
  (void)state;
  enum { DRAWS = 20000 };
  const json_t *cases = json_object_get(golden, "filters"), *c;
  size_t i;
  json_array_foreach(cases, i, c) {
    const json_t *values = json_object_get(c, "logits"), *p = json_object_get(c, "probabilities");
    size_t V = json_array_size(values), hits[64] = {0};
    float logits[64];
    struct pare_generate_options o = {.temperature = json_number_value(json_object_get(c, "temperature")),
                                      .top_k = (size_t)json_integer_value(json_object_get(c, "top_k")),
                                      .top_p = json_number_value(json_object_get(c, "top_p")),
                                      .min_p = json_number_value(json_object_get(c, "min_p"))};
    struct sampler_scratch *scratch;
    struct pare_error err = {0};
    struct rng rng;
    rng_seed(&rng, 1234);
    must(sampler_scratch_new(V, &scratch, &err), &err);
    for (size_t d = 0; d < DRAWS; d++) {
      for (size_t v = 0; v < V; v++) logits[v] = (float)json_number_value(json_array_get(values, v));
      hits[sample_token(logits, V, &o, &rng, scratch)]++;
    }
    sampler_scratch_free(scratch);
    for (size_t v = 0; v < V; v++) {
      double q = json_number_value(json_array_get(p, v)), sd = sqrt(DRAWS * q * (1 - q));
      if (fabs((double)hits[v] - DRAWS * q) > 5 * sd + 1e-9)
        fail_msg("case %zu, token %zu: %zu draws of %d, expected %.1f", i, v, hits[v], DRAWS, DRAWS * q);
    }
  }
}

// What a sampler is not often given: NaN, infinities, a temperature that overflows, ties at the edge of top-k.
static void odd_logits(void **state) {
  (void)state;
  enum { V = 40, DRAWS = 2000 };
  struct sampler_scratch *scratch;
  struct pare_error err = {0};
  struct rng rng;
  rng_seed(&rng, 3);
  must(sampler_scratch_new(V, &scratch, &err), &err);
  const struct pare_generate_options greedy = {0}, cold = {.temperature = 1e-307},
                                     three = {.temperature = 1, .top_k = 3};
  float x[V];
  for (size_t i = 0; i < V; i++) x[i] = i % 3 ? (float)i : NAN;
  x[38] = 90; // 39 is NaN, and so is 0
  assert_int_equal(sample_token(x, V, &greedy, &rng, scratch), 38);
  assert_int_equal(sample_token(x, V, &cold, &rng, scratch), 38);
  x[1] = INFINITY;
  assert_int_equal(sample_token(x, V, &three, &rng, scratch), 1);
  for (size_t i = 0; i < V; i++) x[i] = NAN;
  assert_true(sample_token(x, V, &greedy, &rng, scratch) < V && sample_token(x, V, &three, &rng, scratch) < V);
  // 5 5 then 4 4 4: the third best ties with the fourth and the fifth.
  for (size_t i = 0; i < V; i++) x[i] = i < 10 && i % 2 ? (i < 4 ? 5.0f : 4.0f) : 0.0f;
  size_t hits[V] = {0};
  for (size_t d = 0; d < DRAWS; d++) hits[sample_token(x, V, &three, &rng, scratch)]++;
  for (size_t i = 0; i < V; i++) assert_int_equal(hits[i] > 0, x[i] > 0);
  // Once, however often an id was seen; twice in a row, so that nothing is remembered.
  const uint32_t ids[] = {1, 7, 1, 1, V, 0};
  for (size_t pass = 0; pass < 2; pass++) {
    x[1] = 6;
    x[7] = -6;
    sample_penalize(x, V, ids, 6, 1.5, scratch);
    assert_true(x[1] == 4 && x[7] == -9 && x[0] == 0);
  }
  sampler_scratch_free(scratch);
}

// Reads `ids` in pieces of `piece` tokens on stream `slot`; the logits after the last.
static void read_in_pieces(struct decoder *d, size_t slot, const uint32_t *ids, size_t n, size_t piece, float *logits) {
  struct pare_error err = {0};
  decoder_reset(d, slot);
  for (size_t i = 0; i < n; i += piece) {
    struct decoder_step step = {.slot = slot, .ids = ids + i, .len = size_min(piece, n - i)};
    must(decoder_run(d, &step, 1, logits, &err), &err);
  }
  assert_int_equal(decoder_length(d, slot), n);
}

static void check_steps(const char *dir) {
  pare_model *m = golden_open(&engine, dir);
  struct pare_error err = {0};
  enum { N = 41 };
  uint32_t ids[N];
  for (uint32_t i = 0; i < N; i++) ids[i] = (7 + i * i * 31) % (uint32_t)m->config.V;
  size_t V = m->config.V, count;
  struct golden_case whole = {.ids = ids, .types = (uint8_t[N]){0}, .len = N};
  float *all = golden_run(m, &whole, &count), *logits = calloc(3 * V, sizeof *logits);
  const float *last = all + (N - 1) * V;
  struct decoder *d;
  must(decoder_open(m, 3, 0, 64, &d, &err), &err);
  static const size_t pieces[] = {1, 2, 5, 24, 25, N};
  for (size_t p = 0; p < 6; p++) {
    read_in_pieces(d, p % 3, ids, N, pieces[p], logits);
    if (memcmp(logits, last, V * sizeof *logits) != 0)
      fail_msg("%s: pieces of %zu: other bits than the whole text", dir, pieces[p]);
  }
  // Three streams at different places step together; stream 2 continues a copy of stream 0.
  read_in_pieces(d, 0, ids, N - 1, 7, logits);
  read_in_pieces(d, 1, ids, 3, 3, logits);
  decoder_copy(d, 0, 2, N - 1);
  struct decoder_step steps[3] = {{.slot = 0, .ids = ids + N - 1, .len = 1},
                                  {.slot = 1, .ids = ids + 3, .len = 2},
                                  {.slot = 2, .ids = ids + N - 1, .len = 1}};
  must(decoder_run(d, steps, 3, logits, &err), &err);
  assert_memory_equal(logits, last, V * sizeof *logits);
  assert_memory_equal(logits + V, all + 4 * V, V * sizeof *logits);
  assert_memory_equal(logits + 2 * V, last, V * sizeof *logits);
  decoder_close(d);
  free(all);
  free(logits);
  model_close(m);
}

static void steps_give_the_bits_of_the_whole(void **state) {
  (void)state;
  static const char *const schemes[] = {"f32", "int8", "int4", "nf4", "f16"};
  for (size_t i = 0; i < 5; i++) {
    struct pare_error err = {0};
    struct outdir dir;
    must(dir_create_temp(&dir, &err), &err);
    char *out = path_join(dir.temp, "lm");
    json_t *record = NULL;
    struct pare_quantize_options o = {.scheme = schemes[i], .even_if_larger = true};
    must(quantize_model(&engine, FOLDER, out, &o, &record, &err), &err);
    check_steps(out);
    json_decref(record);
    free(out);
    dir_discard(&dir);
  }
}

// Every stream filled to its last position in one step of more tokens than the model's longest: the most a step takes.
static void a_full_step(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, FOLDER);
  struct pare_error err = {0};
  enum { SLOTS = 5, P = 64 };
  size_t V = m->config.V;
  assert_int_equal(m->config.P, P);
  uint32_t ids[SLOTS * P];
  for (uint32_t i = 0; i < SLOTS * P; i++) ids[i] = (5 + i * i * 17) % (uint32_t)V;
  struct decoder_step steps[SLOTS];
  for (size_t b = 0; b < SLOTS; b++) steps[b] = (struct decoder_step){.slot = b, .ids = ids + b * P, .len = P};
  float *together = calloc(SLOTS * V, sizeof *together), *alone = calloc(V, sizeof *alone);
  struct decoder *d;
  must(decoder_open(m, SLOTS, 0, SLOTS * P, &d, &err), &err);
  must(decoder_run(d, steps, SLOTS, together, &err), &err);
  for (size_t b = 0; b < SLOTS; b++) {
    read_in_pieces(d, b, steps[b].ids, P, 9, alone);
    assert_memory_equal(alone, together + b * V, V * sizeof *alone);
  }
  assert_int_equal(decoder_run(d, &(struct decoder_step){.slot = 0, .ids = ids, .len = 1}, 1, alone, &err),
                   PARE_USAGE); // no room left
  decoder_close(d);
  free(together);
  free(alone);
  model_close(m);
}

static void collect(void *context, size_t index, const char *text, size_t len) {
  struct buf {
    char text[2][4096];
    size_t len[2];
  } *b = context;
  memcpy(b->text[index] + b->len[index], text, len);
  b->len[index] += len;
  b->text[index][b->len[index]] = 0;
}

static void prompts_do_not_see_each_other(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, FOLDER);
  struct pare_error err = {0};
  static const char *const words[] = {"The quick", "a", "", "one two three four", "x y", "Zürich"};
  enum { N = 20 };
  struct pare_text prompts[N];
  struct pare_generation together[N], alone;
  for (size_t i = 0; i < N; i++) prompts[i] = (struct pare_text){.text = words[i % 6], .len = strlen(words[i % 6])};
  struct pare_generate_options o = {.max_tokens = 12, .temperature = 1.1, .top_k = 40, .top_p = 0.95, .seed = 9};
  must(generate_run(m, prompts, N, &o, together, &err), &err);
  bool differ = false;
  for (size_t i = 0; i < N; i++) {
    struct pare_generate_options mine = o;
    mine.seed = o.seed + i; // alone it is prompt 0
    must(generate_run(m, &prompts[i], 1, &mine, &alone, &err), &err);
    assert_int_equal(alone.count, together[i].count);
    assert_memory_equal(alone.ids, together[i].ids, alone.count * sizeof *alone.ids);
    assert_string_equal(alone.text, together[i].text);
    differ |= i >= 6 && strcmp(together[i].text, together[i - 6].text) != 0;
    generation_free(&alone);
  }
  assert_true(differ); // the same prompt with another seed
  for (size_t i = 0; i < N; i++) generation_free(&together[i]);
  model_close(m);
}

static void stops_and_streams(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, FOLDER);
  struct pare_error err = {0};
  struct pare_text prompts[2] = {{.text = "The quick brown fox", .len = 19}, {.text = "a", .len = 1}};
  struct {
    char text[2][4096];
    size_t len[2];
  } seen = {0};
  struct pare_generation whole[2], cut[2];
  struct pare_generate_options o = {.max_tokens = 24, .on_text = collect, .context = &seen};
  must(generate_run(m, prompts, 2, &o, whole, &err), &err);
  for (size_t i = 0; i < 2; i++) assert_string_equal(seen.text[i], whole[i].text); // the pieces are the answer
  const char *stop = "B>";                                                         // in the middle of the first answer
  assert_non_null(strstr(whole[0].text, stop));
  memset(&seen, 0, sizeof seen);
  o.stop = &stop;
  o.stop_count = 1;
  must(generate_run(m, prompts, 2, &o, cut, &err), &err);
  assert_int_equal(cut[0].finish, PARE_FINISH_STOP);
  assert_int_equal(strlen(cut[0].text), (size_t)(strstr(whole[0].text, stop) - whole[0].text));
  assert_memory_equal(cut[0].text, whole[0].text, strlen(cut[0].text));
  for (size_t i = 0; i < 2; i++) assert_string_equal(seen.text[i], cut[i].text); // nothing of the stop string got out
  for (size_t i = 0; i < 2; i++) {
    generation_free(&whole[i]);
    generation_free(&cut[i]);
  }
  model_close(m);
}

// Nearly uniform draws make two-byte characters out of bytes. Every piece of such an answer as a stop string: what was
// streamed is the answer, no byte more.
static void stops_across_characters(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, FOLDER);
  struct pare_text prompt = {.text = "a", .len = 1};
  struct {
    char text[2][4096];
    size_t len[2];
  } seen = {0};
  size_t stops = 0;
  for (uint64_t seed = 0; seed < 20; seed++) {
    struct pare_error err = {0};
    struct pare_generation whole, cut;
    struct pare_generate_options o = {.max_tokens = 40, .temperature = 1000, .seed = seed};
    must(generate_run(m, &prompt, 1, &o, &whole, &err), &err);
    for (size_t at = 2; at + 1 < whole.text_len; at++) {
      const char *letter = whole.text + at;
      if ((letter[0] & 0xE0) != 0xC0 || memchr(letter - 2, 0, 4) || (letter[-1] & 0x80) || (letter[-2] & 0x80))
        continue;
      const char stop[] = {letter[-2], letter[-1], letter[0], letter[1], 0}, *list[] = {stop};
      struct pare_generate_options with = o;
      with.stop = list;
      with.stop_count = 1;
      with.on_text = collect;
      with.context = &seen;
      memset(&seen, 0, sizeof seen);
      must(generate_run(m, &prompt, 1, &with, &cut, &err), &err);
      assert_int_equal(cut.finish, PARE_FINISH_STOP);
      assert_int_equal(seen.len[0], cut.text_len);
      assert_memory_equal(seen.text[0], cut.text, cut.text_len);
      assert_memory_equal(whole.text, cut.text, cut.text_len);
      generation_free(&cut);
      stops++;
    }
    generation_free(&whole);
  }
  assert_true(stops > 0);
  model_close(m);
}

static void refusals(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, FOLDER);
  struct pare_error err = {0};
  struct pare_generation g;
  char longer[2000];
  memset(longer, 'q', sizeof longer);
  struct pare_text text = {.text = longer, .len = sizeof longer};
  assert_int_equal(generate_run(m, &text, 1, &(struct pare_generate_options){0}, &g, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "prompt 0"));
  text.len = 2;
  assert_int_equal(generate_run(m, &text, 1, &(struct pare_generate_options){.top_p = 1.5}, &g, &err), PARE_USAGE);
  assert_int_equal(generate_run(m, &text, 1, &(struct pare_generate_options){.temperature = NAN}, &g, &err),
                   PARE_USAGE);
  assert_int_equal(generate_run(m, &text, 1, &(struct pare_generate_options){.min_p = -1}, &g, &err), PARE_USAGE);
  const char *empty = "";
  assert_int_equal(
      generate_run(m, &text, 1, &(struct pare_generate_options){.stop = &empty, .stop_count = 1}, &g, &err),
      PARE_USAGE);
  const char *half = "\xC3";
  assert_int_equal(generate_run(m, &text, 1, &(struct pare_generate_options){.stop = &half, .stop_count = 1}, &g, &err),
                   PARE_USAGE);
  assert_int_equal(generate_run(m, &text, 1, &(struct pare_generate_options){.repetition_penalty = 1e-300}, &g, &err),
                   PARE_USAGE);
  must(generate_run(m, NULL, 0, &(struct pare_generate_options){0}, NULL, &err), &err);
  struct decoder *d;
  assert_int_equal(decoder_open(m, SIZE_MAX / 2, 0, 64, &d, &err), PARE_USAGE);
  must(decoder_open(m, 1, 8, 8, &d, &err), &err);
  uint32_t ids[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, bad = (uint32_t)m->config.V;
  float *logits = calloc(m->config.V, sizeof *logits);
  assert_int_equal(decoder_run(d, &(struct decoder_step){.slot = 0, .ids = ids, .len = 9}, 1, logits, &err),
                   PARE_USAGE);
  assert_int_equal(decoder_run(d, &(struct decoder_step){.slot = 0, .ids = &bad, .len = 1}, 1, logits, &err),
                   PARE_DATA);
  free(logits);
  decoder_close(d);
  model_close(m);
}

static json_t *measure(const char *model, const char *base, const json_t *n, struct pare_error *err,
                       enum pare_status expected) {
  char path[] = "/tmp/pare-nll-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  const char *text = json_string_value(json_object_get(n, "text"));
  assert_int_equal(write(fd, text, strlen(text)), strlen(text));
  close(fd);
  struct pare_perplexity_options o = {.base = base,
                                      .context = (size_t)json_integer_value(json_object_get(n, "context")),
                                      .stride = (size_t)json_integer_value(json_object_get(n, "stride"))};
  json_t *record = NULL;
  enum pare_status s = perplexity_run(&engine, model, path, &o, &record, err);
  unlink(path);
  if (s != expected) fail_msg("status %d: %s", s, err->text);
  return record;
}

static double value(const json_t *record, const char *key) {
  const json_t *v = json_object_get(record, key);
  if (!json_is_number(v)) fail_msg("%s is missing", key);
  return json_number_value(v);
}

static void perplexity_equals_transformers(void **state) {
  (void)state;
  const json_t *n = json_object_get(golden, "nll");
  struct pare_error err = {0};
  json_t *r = measure(FOLDER, NULL, n, &err, PARE_OK);
  assert_int_equal(json_integer_value(json_object_get(r, "tokens")), json_integer_value(json_object_get(n, "tokens")));
  double mean = json_number_value(json_object_get(n, "mean"));
  assert_true(fabs(value(r, "nll") - mean) < 1e-5 * mean);
  assert_true(fabs(value(r, "perplexity") - exp(mean)) < 1e-4 * exp(mean));
  json_decref(r);
  // Against itself nothing differs.
  r = measure(FOLDER, FOLDER, n, &err, PARE_OK);
  assert_true(value(r, "kl_mean") == 0 && value(r, "kl_max") == 0 && value(r, "same_top") == 1 &&
              value(r, "ln_ratio_mean") == 0);
  assert_true(json_is_null(json_object_get(r, "kl_p99")) &&
              json_object_get(r, "kl_p99_reason")); // 267 tokens, 299 needed
  json_decref(r);
  measure(TEST_DIR "/golden/data/models/gpt2-cls", NULL, n, &err, PARE_USAGE);
  measure(FOLDER, TEST_DIR "/golden/data/models/gpt2-lm", n, &err, PARE_DATA);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(greedy_equals_transformers),
                                     cmocka_unit_test(filters_equal_transformers),
                                     cmocka_unit_test(odd_logits),
                                     cmocka_unit_test(steps_give_the_bits_of_the_whole),
                                     cmocka_unit_test(a_full_step),
                                     cmocka_unit_test(prompts_do_not_see_each_other),
                                     cmocka_unit_test(stops_and_streams),
                                     cmocka_unit_test(stops_across_characters),
                                     cmocka_unit_test(refusals),
                                     cmocka_unit_test(perplexity_equals_transformers)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
