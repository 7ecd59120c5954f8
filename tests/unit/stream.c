// stream.c - generation stream by stream: answers are the same bits alone and among others that come and go, however
// prompts are cut, with and without keys taken over; what is called settled stays.
#include "task/stream.h"
#include <pthread.h>

#include "base/rng.h"
#include "quantize_any.h"

#include "streams.h"

// ---- the same bits --------------------------------------------------------------------------------------------------

enum { PROMPTS = 24, MOST = 64, TOPS = 3 };

struct answer {
  uint32_t ids[MOST];
  char text[4096];
  float logprobs[MOST];
  struct pare_logprob tops[MOST * TOPS];
  size_t ends[MOST], text_len, count;
  enum pare_finish finish;
};

static void keep(struct answer *a, const struct pare_stream *s) {
  assert_true(s->done && s->status == PARE_OK && s->settled == s->text_len && s->text_len < sizeof a->text);
  assert_int_equal(strlen(s->text) < s->text_len ? 0 : strlen(s->text),
                   memchr(s->text, 0, s->text_len) ? 0 : s->text_len);
  memset(a, 0, sizeof *a); // two are compared whole
  a->count = s->count;
  a->text_len = s->text_len;
  a->finish = s->finish;
  size_t places = s->prompt_len + s->count;
  memcpy(a->ids, s->ids, s->count * sizeof *a->ids);
  memcpy(a->ends, s->ends, s->count * sizeof *a->ends);
  memcpy(a->text, s->text, s->text_len);
  if (s->logprobs) memcpy(a->logprobs, s->logprobs, places * sizeof *a->logprobs);
  if (s->tops) memcpy(a->tops, s->tops, places * TOPS * sizeof *a->tops);
  if (s->count) assert_int_equal(s->ends[s->count - 1], s->text_len);
}

static void same(const struct answer *a, const struct answer *b, size_t index) {
  if (memcmp(a, b, sizeof *a) != 0) fail_msg("prompt %zu: another answer (%zu and %zu ids)", index, a->count, b->count);
}

struct prompts {
  struct pare_prompt list[PROMPTS];
  uint32_t ids[PROMPTS][MOST];
  struct answer alone[PROMPTS];
};

// Prompts of 1 to 40 ids that begin alike in groups, asked for in every way.
static void make_prompts(struct prompts *p, size_t V) {
  static const char *const stop[] = {"e", "<T"};
  static const struct pare_logit_bias bias[] = {{30, 2.5f}, {31, -100}};
  struct rng rng;
  rng_seed(&rng, 5);
  for (size_t i = 0; i < PROMPTS; i++) {
    size_t len = 1 + rng_below(&rng, 40), shared = i % 3 ? rng_below(&rng, len) : 0;
    memcpy(p->ids[i], p->ids[i - i % 3], shared * sizeof(uint32_t));
    for (size_t k = shared; k < len; k++) p->ids[i][k] = 1 + (uint32_t)rng_below(&rng, V - 1);
    struct pare_prompt *q = &p->list[i];
    *q = (struct pare_prompt){.ids = p->ids[i], .len = len, .options.max_tokens = 1 + rng_below(&rng, 30)};
    q->options.seed = i;
    if (i % 2) q->options.temperature = 0.5 + (double)i / 8;
    if (i % 4 == 3) q->options.top_p = 0.9;
    if (i % 5 == 1) q->options.repetition_penalty = 1.3;
    if (i % 5 == 2) q->options.presence_penalty = 1, q->options.frequency_penalty = 0.5;
    if (i % 5 == 3) q->options.bias = bias, q->options.bias_count = 2;
    if (i % 6 == 4) q->options.stop = stop, q->options.stop_count = 2;
    q->logprobs = i % 3 == 1;
    q->score = i % 4 == 2;
    if (q->logprobs || q->score) q->top_count = i % 7 ? TOPS : 0;
    if (i == 10 || i == 20) q->options.max_tokens = PARE_OFF;
  }
}

static void answers_alone(pare_model *m, struct prompts *p) {
  pare_generator *g = open_generator(m, 1, 128, false);
  for (size_t i = 0; i < PROMPTS; i++) {
    size_t stream = start(g, &p->list[i]), steps = 1;
    while (step(g)) steps++;
    struct pare_stream s = pare_generator_state(g, stream);
    assert_int_equal(s.prompt_read, p->list[i].len);
    if (!p->list[i].score) assert_int_equal(steps, size_max(1, s.count + (s.finish == PARE_FINISH_EOS)));
    keep(&p->alone[i], &s);
    pare_generator_end(g, stream);
  }
  pare_generator_close(g);
}

// What the caller of a generator keeps of its streams.
struct seen {
  size_t stream, index, settled, text_len, certain, ends[MOST];
  char text[4096];
};

// Text that was called settled is still there, ends within it have not moved, and all ends lie in order.
static void look(const pare_generator *g, struct seen *v) {
  struct pare_stream s = pare_generator_state(g, v->stream);
  assert_true(s.settled >= v->settled && s.settled <= s.text_len);
  assert_memory_equal(s.text, v->text, v->settled);
  for (size_t i = 0; i < v->certain; i++) assert_int_equal(s.ends[i], v->ends[i]);
  for (size_t i = 0; i < s.count; i++) assert_true(s.ends[i] <= s.text_len && (i == 0 || s.ends[i - 1] <= s.ends[i]));
  memcpy(v->text, s.text, s.text_len);
  memcpy(v->ends, s.ends, s.count * sizeof *v->ends);
  v->settled = s.settled;
  v->certain = 0;
  while (v->certain < s.count && s.ends[v->certain] <= s.settled) v->certain++;
}

// Random prompts come and go; some are ended before they are done.
static size_t crowd(pare_model *m, const struct prompts *p, size_t streams, size_t step_tokens, bool reuse,
                    uint64_t seed) {
  static struct seen live[8];
  struct rng rng;
  size_t n = 0, finished = 0, reused = 0;
  rng_seed(&rng, seed);
  pare_generator *g = open_generator(m, streams, step_tokens, reuse);
  while (finished < 3 * PROMPTS) {
    while (n < streams && rng_below(&rng, 3)) {
      size_t index = rng_below(&rng, PROMPTS);
      live[n] = (struct seen){.stream = start(g, &p->list[index]), .index = index};
      n++;
      assert_int_equal(pare_generator_free_streams(g), streams - n);
    }
    step(g);
    for (size_t i = 0; i < n; i++) {
      struct pare_stream s = pare_generator_state(g, live[i].stream);
      look(g, &live[i]);
      if (!s.done && rng_below(&rng, 60)) continue;
      if (s.done) {
        struct answer a;
        keep(&a, &s);
        same(&a, &p->alone[live[i].index], live[i].index);
        if (p->list[live[i].index].score) assert_int_equal(s.reused, 0);
        assert_true(s.reused < s.prompt_len);
        reused += s.reused;
        finished++;
      }
      pare_generator_end(g, live[i].stream);
      live[i--] = live[--n];
    }
  }
  pare_generator_close(g);
  return reused;
}

static void answers_do_not_depend_on_company(void **state) {
  (void)state;
  static const char *const schemes[] = {"f32", "int8", "int4", "llm-int8"};
  static struct prompts p;
  for (size_t i = 0; i < 4; i++) {
    struct pare_error err = {0};
    struct outdir dir;
    must(dir_create_temp(&dir, &err), &err);
    char *out = path_join(dir.temp, "lm");
    json_t *record = NULL;
    struct pare_quantize_options o = {.scheme = schemes[i], .even_if_larger = true};
    must(quantize_any(&engine, TINY, out, &o, &record, &err), &err);
    pare_model *m = golden_open(&engine, out);
    memset(&p, 0, sizeof p);
    make_prompts(&p, m->config.V);
    answers_alone(m, &p);
    assert_int_equal(crowd(m, &p, 3, 5, false, 1), 0);
    assert_int_equal(crowd(m, &p, 8, 64, false, 2), 0);
    size_t reused = crowd(m, &p, 3, 7, true, 3) + crowd(m, &p, 8, 20, true, 4) + crowd(m, &p, 2, 2, true, 5);
    assert_true(i == 3 ? reused == 0 : reused > 100);
    model_close(m);
    json_decref(record);
    free(out);
    dir_discard(&dir);
  }
}

struct one_thread {
  pare_model *m;
  const struct prompts *p;
  bool alone;
  pthread_t thread;
};

// Every prompt twice over, four at a time. No cmocka call here: it is not for several threads.
static void *generate_all(void *context) {
  const struct one_thread *t = context;
  pare_generator *g = NULL;
  struct pare_generator_options o = {.streams = 4, .step_tokens = 16, .reuse = true, .alone = t->alone};
  bool good = !pare_generator_open(t->m, &o, &g, NULL), taken[4] = {false};
  size_t index[4], stream, live, begun = 0, ended = 0;
  while (good && ended < 2 * PROMPTS) {
    while (good && begun < 2 * PROMPTS && pare_generator_free_streams(g)) {
      good = !pare_generator_start(g, &t->p->list[begun % PROMPTS], &stream, NULL);
      if (!good) break;
      taken[stream] = true;
      index[stream] = begun++ % PROMPTS;
    }
    good = good && !pare_generator_step(g, &live, NULL);
    for (stream = 0; good && stream < 4; stream++) {
      if (!taken[stream]) continue;
      struct pare_stream s = pare_generator_state(g, stream);
      if (!s.done) continue;
      const struct answer *a = &t->p->alone[index[stream]];
      good = s.count == a->count && !memcmp(s.ids, a->ids, s.count * sizeof *s.ids);
      pare_generator_end(g, stream);
      taken[stream] = false;
      ended++;
    }
  }
  pare_generator_close(g);
  return good ? context : NULL;
}

// One has the engine's threads, another computes on its own.
static void generators_of_one_engine_run_at_once(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, TINY);
  static struct prompts p;
  make_prompts(&p, m->config.V);
  answers_alone(m, &p);
  struct one_thread threads[3];
  for (size_t i = 0; i < 3; i++) {
    threads[i] = (struct one_thread){.m = m, .p = &p, .alone = i == 2};
    assert_int_equal(pthread_create(&threads[i].thread, NULL, generate_all, &threads[i]), 0);
  }
  for (size_t i = 0; i < 3; i++) {
    void *good;
    assert_int_equal(pthread_join(threads[i].thread, &good), 0);
    assert_ptr_equal(good, &threads[i]);
  }
  model_close(m);
}

// The beginning that two prompts of the same moment share is read once; an answer's own ids are taken over as well.
static void beginnings_are_read_once(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, TINY);
  pare_generator *g = open_generator(m, 4, 64, true);
  uint32_t ids[50];
  for (uint32_t i = 0; i < 50; i++) ids[i] = 3 + i * 5;
  struct pare_prompt p = {.ids = ids, .len = 40, .options.max_tokens = 4};
  size_t streams[4], total = 0;
  for (size_t i = 0; i < 3; i++) streams[i] = start(g, &p);
  while (step(g)) continue;
  for (size_t i = 0; i < 3; i++) total += pare_generator_state(g, streams[i]).reused;
  assert_int_equal(total, 2 * 39);
  struct pare_stream s = pare_generator_state(g, streams[0]);
  assert_int_equal(s.count, 4);
  memcpy(ids + 40, s.ids, 4 * sizeof *ids);
  ids[44] = 7;
  p.len = 45;
  pare_generator_end(g, streams[0]);
  // 43: the last of the answer's ids was chosen but never read.
  assert_int_equal(pare_generator_state(g, start(g, &p)).reused, 43);
  ids[2] = 200;
  p.len = 30;
  pare_generator_end(g, streams[1]);
  assert_int_equal(pare_generator_state(g, start(g, &p)).reused, 2);
  pare_generator_close(g);
  model_close(m);
}

// ---- text ---------------------------------------------------------------------------------------------------------

// Every stop string of two characters that the answer holds, over pieces of the shipped model: the text ends before it,
// and no part of it was called settled before.
static void stops_across_pieces(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, PROJECT_DIR "/models/news-gpt2");
  struct pare_error err = {0};
  pare_generator *g = open_generator(m, 2, 64, true);
  struct pare_tokens tokens = {0};
  const char *text = "The government said on Tuesday that";
  must(pare_tokenize(m, &(struct pare_text){.text = text, .len = strlen(text)}, 0, &tokens, &err), &err);
  struct pare_prompt p = {.ids = tokens.ids, .len = tokens.len, .options = {.max_tokens = 24, .temperature = 0.9}};
  size_t stream = start(g, &p), across = 0;
  while (step(g)) continue;
  struct answer whole;
  struct pare_stream s = pare_generator_state(g, stream);
  keep(&whole, &s);
  pare_generator_end(g, stream);
  for (size_t at = 0; at + 2 <= whole.text_len; at++) {
    const char stop[] = {whole.text[at], whole.text[at + 1], 0}, *list[] = {stop};
    size_t first = (size_t)(strstr(whole.text, stop) - whole.text);
    for (size_t i = 0; i < whole.count; i++) across += whole.ends[i] == at + 1;
    p.options.stop = list;
    p.options.stop_count = 1;
    struct seen v = {.stream = start(g, &p)};
    do look(g, &v);
    while (step(g));
    look(g, &v);
    s = pare_generator_state(g, v.stream);
    assert_int_equal(s.finish, PARE_FINISH_STOP);
    assert_int_equal(s.text_len, first);
    assert_int_equal(s.text[first], 0);
    assert_memory_equal(s.text, whole.text, first);
    assert_true(s.count <= whole.count && s.ends[s.count - 1] == first);
    pare_generator_end(g, v.stream);
  }
  assert_true(across > 10);
  pare_tokens_free(&tokens);
  pare_generator_close(g);
  model_close(m);
}

// A stream that is told what to say: one id, or the end of text for id 0.
static void say(const struct stream_tools *t, struct stream *s, uint32_t id) {
  struct pare_error err = {0};
  float *row = calloc(t->m->config.V, sizeof *row);
  row[id] = 9;
  must(stream_advance(t, s, row, &err), &err);
  free(row);
}

// Characters of two to four ids of one byte, and a byte that begins none: what is settled ends with a character, and
// the ids of one share its end.
static void characters_of_several_ids(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, TINY);
  struct pare_error err = {0};
  struct id_list eos = {.ids = (uint32_t[]){0}, .count = 1};
  struct stream_tools t = {.m = m, .eos = &eos};
  must(sampler_scratch_new(m->config.V, &t.scratch, &err), &err);
  // a é x 😀 \xF0 y \xE2
  static const unsigned char bytes[] = "a\xC3\xA9x\xF0\x9F\x98\x80\xF0y\xE2";
  static const size_t settled[] = {1, 1, 3, 4, 4, 4, 4, 8, 8, 12, 12};
  static const size_t ends[] = {1, 3, 3, 4, 8, 8, 8, 8, 12, 12, 15};
  static const size_t behind_stop[] = {0, 0, 1, 1, 1, 1, 1, 4, 4, 8, 8}; // two bytes less, or more: whole characters
  const char *stop[] = {"zzz"};
  for (size_t with_stop = 0; with_stop < 2; with_stop++) {
    uint32_t ids[64] = {5};
    struct stream s;
    struct pare_prompt p = {.ids = ids, .len = 1, .options = {.max_tokens = 40, .stop = stop, .stop_count = with_stop}};
    must(stream_init(&s, m, &p, 64, &err), &err);
    s.ids = ids;
    for (size_t i = 0; i + 1 < sizeof bytes; i++) {
      char spelled[8] = {(char)bytes[i]};
      if (bytes[i] >= 0xA1) spelled[0] = (char)(0xC0 | bytes[i] >> 6), spelled[1] = (char)(0x80 | (bytes[i] & 0x3F));
      if (bytes[i] >= 0x7F && bytes[i] < 0xA1) { // the 34th to the 67th that are spelled from U+0100 on
        unsigned code = 0x100u + 33 + bytes[i] - 0x7F;
        spelled[0] = (char)(0xC0 | code >> 6), spelled[1] = (char)(0x80 | (code & 0x3F));
      }
      int64_t id = tokenizer_id(m->tokenizer, spelled);
      assert_true(id > 0);
      say(&t, &s, (uint32_t)id);
      assert_int_equal(s.settled, with_stop ? behind_stop[i] : settled[i]);
    }
    assert_false(s.done);
    say(&t, &s, 0);
    assert_true(s.done && s.finish == PARE_FINISH_EOS && s.settled == 15 && s.text_len == 15);
    assert_string_equal(s.text.text.data, "aéx😀\uFFFDy\uFFFD");
    for (size_t i = 0; i + 1 < sizeof bytes; i++) assert_int_equal(s.ends[i], ends[i]);
    stream_free(&s);
  }
  sampler_scratch_free(t.scratch);
  model_close(m);
}

// ---- what is refused ----------------------------------------------------------------------------------------------

static void refused(pare_generator *g, const struct pare_prompt *p, enum pare_status expected, const char *says) {
  struct pare_error err = {0};
  size_t stream, before = pare_generator_free_streams(g);
  assert_int_equal(pare_generator_start(g, p, &stream, &err), expected);
  if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
  assert_int_equal(pare_generator_free_streams(g), before);
}

static void refusals(void **state) {
  (void)state;
  pare_model *m = golden_open(&engine, TINY);
  struct pare_error err = {0};
  pare_generator *g = open_generator(m, 2, 1, true);
  uint32_t ids[65] = {1, 2, 3}, bad[] = {1, 268};
  const struct pare_prompt good = {.ids = ids, .len = 3, .options.max_tokens = 2};
  const char *empty = "", *half = "\xC3";
  struct pare_prompt p = good;
  p.len = 0;
  refused(g, &p, PARE_DATA, "1 to 63 tokens, found 0");
  p.len = 64;
  refused(g, &p, PARE_DATA, "1 to 63 tokens, found 64");
  p.options.max_tokens = PARE_OFF;
  p.len = 65;
  refused(g, &p, PARE_DATA, "1 to 64 tokens, found 65");
  p = good, p.ids = bad, p.len = 2;
  refused(g, &p, PARE_DATA, "token 1: id 268");
  p = good, p.top_count = 21;
  refused(g, &p, PARE_USAGE, "top-count");
  p = good, p.options.presence_penalty = 2.01;
  refused(g, &p, PARE_USAGE, "presence-penalty: expected -2 to 2");
  p = good, p.options.frequency_penalty = NAN;
  refused(g, &p, PARE_USAGE, "frequency-penalty: expected -2 to 2");
  struct pare_logit_bias bias = {268, 1};
  p = good, p.options.bias = &bias, p.options.bias_count = 1;
  refused(g, &p, PARE_USAGE, "bias: id 268");
  bias = (struct pare_logit_bias){1, 100.5f};
  refused(g, &p, PARE_USAGE, "bias: expected -100 to 100");
  bias.bias = NAN;
  refused(g, &p, PARE_USAGE, "bias: expected -100 to 100");
  p = good, p.options.stop = &empty, p.options.stop_count = 1;
  refused(g, &p, PARE_USAGE, "stop");
  p.options.stop = &half;
  refused(g, &p, PARE_USAGE, "UTF-8");
  p = good, p.options.temperature = -1;
  refused(g, &p, PARE_USAGE, "temperature");
  size_t a = start(g, &good);
  start(g, &good);
  refused(g, &good, PARE_UNAVAILABLE, "all 2 streams");
  pare_generator_end(g, a); // before anything was read
  a = start(g, &good);
  while (step(g)) continue;
  assert_int_equal(pare_generator_state(g, a).count, 2);
  assert_int_equal(step(g), 0); // nothing is left to do
  pare_generator_close(g);
  // The longest prompt of all, only read and scored.
  g = open_generator(m, 1, 10, false);
  p = (struct pare_prompt){.ids = ids, .len = 64, .score = true, .options.max_tokens = PARE_OFF};
  a = start(g, &p);
  while (step(g)) continue;
  struct pare_stream s = pare_generator_state(g, a);
  assert_true(s.done && s.count == 0 && s.finish == PARE_FINISH_LENGTH && !strcmp(s.text, "") &&
              !isnan(s.logprobs[63]));
  pare_generator_close(g);
  assert_int_equal(pare_generator_open(m, &(struct pare_generator_options){.streams = SIZE_MAX / 2}, &g, &err),
                   PARE_USAGE);
  assert_null(g);
  model_close(m);
  m = golden_open(&engine, PROJECT_DIR "/models/wiki-title-bart");
  assert_int_equal(pare_generator_open(m, NULL, &g, &err), PARE_USAGE);
  struct pare_generation out;
  struct pare_text text = {.text = "x", .len = 1};
  assert_int_equal(pare_generate(m, &text, 1, &(struct pare_generate_options){.presence_penalty = 1}, &out, &err),
                   PARE_USAGE);
  model_close(m);
  m = golden_open(&engine, PROJECT_DIR "/models/intent-linear");
  assert_int_equal(pare_generator_open(m, NULL, &g, &err), PARE_USAGE);
  model_close(m);
}

static bool count_down(void *context) {
  size_t *left = context;
  return (*left)-- > 0;
}

// Streams, searches and encoder-decoders stop between two steps when they are told to.
static void the_caller_stops(void **state) {
  (void)state;
  static const char *const models[] = {TINY, TINY, PROJECT_DIR "/models/wiki-title-bart"};
  static const char words[] = "The capital of a country is a city.";
  for (size_t i = 0; i < 3; i++) {
    pare_model *m = golden_open(&engine, models[i]);
    for (size_t steps = 0; steps < 3; steps++) {
      struct pare_error err = {0};
      struct pare_generation out[2];
      struct pare_text texts[2] = {{.text = words, .len = 20}, {.text = words, .len = sizeof words - 1}};
      size_t left = steps;
      struct pare_generate_options o = {.max_tokens = 20, .go_on = count_down, .context = &left};
      if (i) o.beams = 2;
      assert_int_equal(pare_generate(m, texts, 2, &o, out, &err), PARE_UNAVAILABLE);
      assert_string_equal(err.text, "stopped by the caller");
      assert_true(left == SIZE_MAX && !out[0].text && !out[1].text);
      left = 1000;
      must(pare_generate(m, texts, 2, &o, out, &err), &err);
      assert_true(left < 1000);
      for (size_t k = 0; k < 2; k++) pare_generation_free(&out[k]);
    }
    model_close(m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(answers_do_not_depend_on_company),
                                     cmocka_unit_test(generators_of_one_engine_run_at_once),
                                     cmocka_unit_test(beginnings_are_read_once),
                                     cmocka_unit_test(stops_across_pieces),
                                     cmocka_unit_test(characters_of_several_ids),
                                     cmocka_unit_test(refusals),
                                     cmocka_unit_test(the_caller_stops)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
