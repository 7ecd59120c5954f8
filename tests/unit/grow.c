// grow.c - a text that grows id by id is the text of all ids at every step, and what is settled never changes.
#include "model_files.h"

#include "base/rng.h"
#include "text/grow.h"

// Random runs of ids; `lead` of ten come from the first `few`.
static void check(const char *dir, size_t few, size_t least_settled) {
  enum { RUNS = 60, LONGEST = 120 };
  struct tokenizer *t;
  struct pare_error err = {0};
  struct rng rng;
  size_t settled_bytes = 0;
  rng_seed(&rng, 77);
  must(tokenizer_open(dir, &t, &err), &err);
  size_t V = tokenizer_vocab_size(t);
  for (size_t run = 0; run < RUNS; run++) {
    uint32_t ids[LONGEST];
    struct growing_text g = {.settled = 0};
    char *settled = calloc(1, 1 << 16), *whole;
    size_t have = 0, len;
    for (size_t n = 1; n <= LONGEST; n++) {
      ids[n - 1] = (uint32_t)rng_below(&rng, rng_below(&rng, 10) < 7 ? few : V);
      if (rng_below(&rng, 4) == 0) continue; // several ids at once
      must(text_grow(t, ids, n, &g, &err), &err);
      must(tokenizer_decode(t, ids, n, true, &whole, &len, &err), &err);
      assert_int_equal(g.text.len, len);
      assert_memory_equal(g.text.data, whole, len + 1);
      assert_true(g.settled >= have && g.settled <= len && len < 1 << 16);
      assert_memory_equal(whole, settled, have);
      have = g.settled;
      memcpy(settled, whole, have);
      free(whole);
    }
    settled_bytes += have;
    buf_free(&g.text);
    free(settled);
  }
  assert_true(settled_bytes > least_settled);
  tokenizer_close(t);
}

static void byte_level(void **state) {
  (void)state;
  check(TEST_DIR "/golden/data/generate", 256, 2000); // single bytes, characters out of them by chance
  check(PROJECT_DIR "/models/news-gpt2", 8192, 10000);
}

// Spaces before punctuation are closed over the whole text, so what is said may still change.
static void closed_spaces(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  files_text(f, "vocab.txt",
             "[PAD]\n.\n?\n!\n,\n'\nn\nt\nm\ns\n##n't\n##s\ndo\nnot\nve\nre\n##re\n##'\n[UNK]\nword\nx\n"
             "[CLS]\n[SEP]\n[MASK]\n##z\n");
  files_text(f, "tokenizer_config.json", "{\"do_lower_case\": true, \"clean_up_tokenization_spaces\": true}");
  check(f->dir.temp, 18, 4000);
  files_text(f, "tokenizer_config.json", "{\"do_lower_case\": true, \"clean_up_tokenization_spaces\": false}");
  check(f->dir.temp, 18, 8000);
  files_close(f);
}

// A whole character is decoded once: each step looks at the ids behind the last one only.
static void known_text_is_not_read_again(void **state) {
  (void)state;
  struct tokenizer *t;
  struct pare_error err = {0};
  struct growing_text g = {.settled = 0};
  must(tokenizer_open(TEST_DIR "/golden/data/generate", &t, &err), &err);
  int64_t a = tokenizer_id(t, "a"), first = tokenizer_id(t, "\xC3\x83"), second = tokenizer_id(t, "\xC2\xA9"); // C3 A9
  assert_true(a >= 0 && first >= 0 && second >= 0);
  const uint32_t ids[] = {(uint32_t)a, (uint32_t)first, (uint32_t)second, (uint32_t)a};
  static const size_t known[] = {1, 1, 3, 4}, settled[] = {1, 1, 3, 4};
  static const char *const texts[] = {"a", "a\uFFFD", "aé", "aéa"};
  for (size_t n = 1; n <= 4; n++) {
    must(text_grow(t, ids, n, &g, &err), &err);
    assert_string_equal(g.text.data, texts[n - 1]);
    assert_int_equal(g.known_ids, known[n - 1]);
    assert_int_equal(g.settled, settled[n - 1]);
  }
  buf_free(&g.text);
  tokenizer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(byte_level), cmocka_unit_test(closed_spaces),
                                     cmocka_unit_test(known_text_is_not_read_again)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
