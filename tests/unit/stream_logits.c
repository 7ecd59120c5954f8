// stream_logits.c - what a stream says of its model's logits: probabilities are those of a session's, before penalties;
// ties, logits that are no numbers, penalties and bias.
#include "streams.h"

#include "task/logprobs.h"

// The logits of every place of prompt and answer, from a session.
static float *session_rows_of(pare_model *m, const struct pare_prompt *p, const struct pare_stream *s) {
  uint32_t ids[256];
  size_t n = p->len + s->count;
  assert_true(n <= 256);
  memcpy(ids, p->ids, p->len * sizeof *ids);
  memcpy(ids + p->len, s->ids, s->count * sizeof *ids);
  size_t count;
  struct golden_case c = {.ids = ids, .types = (uint8_t[256]){0}, .len = n};
  return golden_run(m, &c, &count);
}

static void probabilities_are_the_sessions(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, PROJECT_DIR "/models/news-gpt2");
  size_t V = m->config.V;
  uint32_t ids[100];
  for (uint32_t i = 0; i < 100; i++) ids[i] = (11 + i * i * 7) % (uint32_t)V;
  struct pare_prompt p = {.ids = ids,
                          .len = 100,
                          .score = true,
                          .logprobs = true,
                          .top_count = 5,
                          .options = {.max_tokens = 6, .temperature = 1.5, .frequency_penalty = 1.5}};
  pare_generator *g = open_generator(m, 2, 33, false);
  size_t stream = start(g, &p);
  while (step(g)) continue;
  struct pare_stream s = pare_generator_state(g, stream);
  float *rows = session_rows_of(m, &p, &s);
  assert_int_equal(s.count, 6);
  assert_true(isnan(s.logprobs[0]) && isnan(s.tops[0].logprob));
  for (size_t at = 1; at < p.len + s.count; at++) {
    const float *row = rows + (at - 1) * V;
    uint32_t id = at < p.len ? ids[at] : s.ids[at - p.len];
    double sum = 0;
    for (size_t v = 0; v < V; v++) sum += exp((double)row[v]);
    assert_true(fabs((double)row[id] - log(sum) - (double)s.logprobs[at]) < 1e-5);
    const struct pare_logprob *tops = s.tops + at * 5;
    size_t above = 0;
    for (size_t v = 0; v < V; v++) above += row[v] > row[tops[4].id];
    assert_int_equal(above, 4);
    for (size_t k = 0; k < 5; k++) {
      assert_true(k == 0 || row[tops[k - 1].id] >= row[tops[k].id]);
      assert_true(fabs((double)row[tops[k].id] - log(sum) - (double)tops[k].logprob) < 1e-5);
    }
  }
  free(rows);
  pare_generator_close(g);
  model_close(m);
}

// A copy of the tiny model in a directory of its own, to be damaged.
static struct model_files *tiny_files(void) {
  struct model_files *f = files_open("generate");
  static const char *const beside[] = {"tokenizer.json", "tokenizer_config.json", "generation_config.json"};
  for (size_t i = 0; i < 3; i++) {
    struct pare_error err = {0};
    struct mapping map;
    char *path = path_join(TINY, beside[i]);
    must(file_map(path, &map, &err), &err);
    char *text = strndup((const char *)map.data, map.len);
    files_text(f, beside[i], text);
    file_unmap(&map);
    free(text);
    free(path);
  }
  return f;
}

static void ties_go_to_the_lower_id(void **state) {
  (void)state;
  struct model_files *f = tiny_files();
  float *wte = files_bytes(f, "transformer.wte.weight");
  enum { C = 32 };
  for (size_t id = 100; id < 110; id++) memcpy(wte + id * C, wte + 99 * C, C * sizeof *wte);
  pare_model *m = files_model(f, &engine);
  pare_generator *g = open_generator(m, 1, 0, false);
  uint32_t ids[] = {5, 6};
  struct pare_logit_bias bias[10];
  for (uint32_t i = 0; i < 10; i++) bias[i] = (struct pare_logit_bias){109 - i, 100};
  struct pare_prompt p = {.ids = ids, .len = 2, .logprobs = true, .top_count = 20, .options.max_tokens = 1};
  size_t stream = start(g, &p);
  assert_int_equal(step(g), 0);
  struct pare_stream s = pare_generator_state(g, stream);
  for (size_t k = 1; k < 20; k++) {
    const struct pare_logprob *t = s.tops + 2 * 20 + k;
    assert_true(t[-1].logprob >= t->logprob);
    if (t[-1].logprob != t->logprob) continue;
    assert_true(t[-1].id < t->id);
  }
  float row[200];
  for (size_t i = 0; i < 200; i++) row[i] = i % 50 == 7 ? 3.0f : i % 50 == 9 ? 4.0f : i == 60 ? NAN : -1.0f;
  struct pare_logprob best[20];
  logprobs_best(row, 200, 0, 10, best);
  static const uint32_t want[] = {9, 59, 109, 159, 7, 57, 107, 157, 0, 1};
  for (size_t i = 0; i < 10; i++) assert_int_equal(best[i].id, want[i]);
  logprobs_best(row, 3, 0, 5, best);
  assert_true(best[2].id == 2 && isnan(best[3].logprob) && isnan(best[4].logprob));
  // Ten ids of one logit, lifted above the others: the lowest is taken, and its own probability is not the lifted one.
  pare_generator_end(g, stream);
  p.options.bias = bias;
  p.options.bias_count = 10;
  stream = start(g, &p);
  step(g);
  struct pare_stream with = pare_generator_state(g, stream);
  assert_int_equal(with.ids[0], 100);
  assert_true(with.logprobs[2] < logf(0.1f)); // at most a tenth: ten of them are alike
  pare_generator_close(g);
  model_close(m);
  files_close(f);
}

// Position 20 holds a NaN: a stream that comes there ends with PARE_DATA, the one beside it does not notice.
static void logits_that_are_no_numbers(void **state) {
  (void)state;
  struct model_files *f = tiny_files();
  float *wpe = files_bytes(f, "transformer.wpe.weight");
  wpe[20 * 32] = NAN;
  pare_model *m = files_model(f, &engine);
  pare_generator *g = open_generator(m, 3, 0, true);
  uint32_t ids[30];
  for (uint32_t i = 0; i < 30; i++) ids[i] = 40 + i;
  struct pare_prompt into = {.ids = ids, .len = 15, .logprobs = true, .options.max_tokens = 20},
                     beside = {.ids = ids, .len = 4, .options.max_tokens = 10},
                     scored = {.ids = ids, .len = 30, .score = true, .options.max_tokens = PARE_OFF};
  const struct pare_logit_bias no_end = {0, -100};
  beside.options.bias = &no_end;
  beside.options.bias_count = 1;
  size_t a = start(g, &into), b = start(g, &beside), c = start(g, &scored);
  while (step(g)) continue;
  struct pare_stream s = pare_generator_state(g, a);
  assert_true(s.done && s.status == PARE_DATA && s.count == 6 && s.settled == s.text_len); // 21 read, 15 of them given
  s = pare_generator_state(g, b);
  assert_true(s.done && s.status == PARE_OK && s.count == 10);
  s = pare_generator_state(g, c);
  assert_true(s.done && s.status == PARE_DATA && s.count == 0);
  assert_true(isnan(s.logprobs[21]));
  // What is left of it in the cache does no harm to the next.
  for (size_t i = 0; i < 3; i++) pare_generator_end(g, (size_t[]){a, b, c}[i]);
  size_t again[3];
  for (size_t i = 0; i < 3; i++) {
    beside.ids = ids + 20 + i;
    again[i] = start(g, &beside);
  }
  while (step(g)) continue;
  for (size_t i = 0; i < 3; i++) {
    s = pare_generator_state(g, again[i]);
    assert_true(s.done && s.status == PARE_OK && s.count == 10);
  }
  pare_generator_close(g);
  model_close(m);
  files_close(f);
}

// One column that is no number, of an id that nobody asked for: no answer is made of such a row, whichever id it would
// have been, however it is asked for and before any bias.
static void one_logit_that_is_no_number(void **state) {
  (void)state;
  enum { C = 32, ID = 201 };
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
    struct model_files *f = tiny_files();
    float *wte = files_bytes(f, "transformer.wte.weight");
    for (size_t c = 0; c < C; c++) wte[ID * C + c] = bad[k];
    pare_model *m = files_model(f, &engine);
    pare_generator *g = open_generator(m, 1, 0, false);
    const uint32_t ids[] = {40, 41, 42};
    const struct pare_logit_bias never = {ID, -100};
    struct pare_prompt prompts[4];
    for (size_t i = 0; i < 4; i++)
      prompts[i] = (struct pare_prompt){.ids = ids, .len = 3, .options = {.max_tokens = 4, .seed = 3}};
    prompts[1].options.temperature = 1;
    prompts[2].options.bias = &never;
    prompts[2].options.bias_count = 1;
    prompts[3].logprobs = true;
    for (size_t i = 0; i < 4; i++) {
      size_t stream = start(g, &prompts[i]);
      while (step(g)) continue;
      struct pare_stream s = pare_generator_state(g, stream);
      if (!s.done || s.status != PARE_DATA || s.count)
        fail_msg("%g, prompt %zu: %zu tokens", (double)bad[k], i, s.count);
      pare_generator_end(g, stream);
    }
    pare_generator_close(g);
    struct pare_generate_options ways[] = {
        {.beams = 3}, {.min_tokens = 2}, {.no_repeat_ngram = 2, .temperature = 1}, {0}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
      struct pare_error err = {0};
      struct pare_generation out;
      const struct pare_text text = {.text = "a", .len = 1};
      ways[i].max_tokens = 4;
      assert_int_equal(pare_generate(m, &text, 1, &ways[i], &out, &err), PARE_DATA);
      assert_non_null(strstr(err.text, "the logits are not numbers")); // server/search.c looks for this
    }
    model_close(m);
    files_close(f);
  }
}

static void penalties_and_bias(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, TINY);
  size_t V = m->config.V;
  pare_generator *g = open_generator(m, 1, 0, false);
  uint32_t ids[] = {17, 18, 19, 74, 74};
  const struct pare_logit_bias bias[] = {{33, 1.5f}, {188, -3}};
  struct pare_prompt p = {.ids = ids, .len = 5};
  p.options = (struct pare_generate_options){
      .max_tokens = 40, .presence_penalty = 0.25, .frequency_penalty = 0.75, .bias = bias, .bias_count = 2};
  size_t stream = start(g, &p);
  while (step(g)) continue;
  struct pare_stream s = pare_generator_state(g, stream);
  assert_true(s.count > 8);
  float *rows = session_rows_of(m, &p, &s);
  bool mattered = false;
  for (size_t i = 0; i < s.count; i++) {
    float *row = rows + (p.len - 1 + i) * V;
    size_t plain = 0, best = 0;
    for (size_t v = 1; v < V; v++) plain = row[v] > row[plain] ? v : plain;
    for (size_t v = 0; v < V; v++) {
      size_t times = 0;
      for (size_t k = 0; k < i; k++) times += s.ids[k] == v; // those of the prompt do not count
      if (times) row[v] = (float)((double)row[v] - 0.25 - 0.75 * (double)times);
    }
    for (size_t k = 0; k < 2; k++) row[bias[k].id] += bias[k].bias;
    for (size_t v = 1; v < V; v++) best = row[v] > row[best] ? v : best;
    assert_int_equal(s.ids[i], best);
    mattered |= best != plain;
  }
  assert_true(mattered);
  free(rows);
  pare_generator_end(g, stream);
  struct pare_logit_bias only = {200, 100};
  p.options = (struct pare_generate_options){.max_tokens = 3, .bias = &only, .bias_count = 1};
  stream = start(g, &p);
  only = (struct pare_logit_bias){201, 100}; // it was copied
  while (step(g)) continue;
  s = pare_generator_state(g, stream);
  for (size_t i = 0; i < 3; i++) assert_int_equal(s.ids[i], 200);
  pare_generator_close(g);
  model_close(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(probabilities_are_the_sessions), cmocka_unit_test(ties_go_to_the_lower_id),
      cmocka_unit_test(logits_that_are_no_numbers), cmocka_unit_test(one_logit_that_is_no_number),
      cmocka_unit_test(penalties_and_bias)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
