// fastai_text.c - descriptions of fastai tokenizers that are wrong are refused with a sentence that says where; texts
// that are wrong, long, or made to be slow. That right ones give right ids is tests/golden/fastai_text.c.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants the four above.
#include <cmocka.h>

#include "base/file.h"
#include "text/tokenizer.h"

#define START "{\"type\":\"fastai\",\"lang\":\"en\","
#define RULES START "\"rules\":[\"fix_html\",\"replace_rep\",\"lowercase\"],\"post_rules\":[\"replace_space\"],"

static const struct text_span none = {NULL, 0};

static enum pare_status open_description(const char *json, struct tokenizer **t, struct pare_error *err) {
  struct outdir dir;
  assert_int_equal(dir_create_temp(&dir, err), PARE_OK);
  char *path = path_join(dir.temp, "fastai_tokenizer.json");
  assert_int_equal(file_write_all(path, json, strlen(json), err), PARE_OK);
  free(path);
  enum pare_status status = tokenizer_open(dir.temp, t, err);
  dir_discard(&dir);
  return status;
}

static struct tokenizer *open_right(const char *json) {
  struct tokenizer *t;
  struct pare_error err;
  if (open_description(json, &t, &err)) fail_msg("%s", err.text);
  return t;
}

static void wrong_description(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "fastai_tokenizer.json: line"},
      {"[]", "expected a JSON object"},
      {"{}", "type: expected \"fastai\""},
      {"{\"type\":7}", "type: expected a string, found a number"},
      {"{\"type\":\"bert\"}", "found \"bert\""},
      {"{\"type\":\"fastai\",\"lang\":\"de\"}", "lang \"de\" is not implemented"},
      {START "\"vocab\":[]}", "rules: expected an array, found nothing"},
      {START "\"rules\":\"lowercase\"}", "rules: expected an array, found a string"},
      {START "\"rules\":[1]}", "rules: expected an array of strings, found a number"},
      {START "\"rules\":[\"stem\"]}", "fastai rule \"stem\" is not implemented"},
      {START
       "\"rules\":[\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\",\"x\","
       "\"x\"]}",
       "rules: 17 rules, expected at most 16"},
      {START "\"rules\":[],\"post_rules\":[\"x\"]}", "fastai post_rule \"x\" is not implemented"},
      {START "\"rules\":[]}", "post_rules: expected an array"},
      {RULES "\"unk\":\"xxunk\"}", "vocab: expected an array, found nothing"},
      {RULES "\"vocab\":{}}", "vocab: expected an array, found an object"},
      {RULES "\"vocab\":[\"xxunk\",null]}", "vocab: expected an array of strings, found null"},
      {RULES "\"vocab\":[\"xxunk\",\"a\",\"b\",\"a\"]}", "word 3, \"a\", is also word 1"},
      {RULES "\"vocab\":[]}", "expected the word for unknown words (xxunk) at 0, found it nowhere"},
      {RULES "\"vocab\":[\"a\",\"xxunk\"]}", "found it elsewhere"},
      {RULES "\"vocab\":[\"xxunk\"],\"unk\":\"u\"}", "unk: \"u\" is not in vocab"},
      {RULES "\"vocab\":[\"xxunk\"],\"pad\":\"p\"}", "pad: \"p\" is not in vocab"},
      {RULES "\"vocab\":[\"xxunk\"],\"bos\":[]}", "bos: expected a string, found an array"},
      {RULES "\"vocab\":[\"xxunk\"],\"mark_fields\":1}", "mark_fields: expected true or false, found a number"},
      {START "\"rules\":[\"lowercase\",\"replace_rep\"],\"post_rules\":[],\"vocab\":[\"xxunk\"]}",
       "lowercase is not the last"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct tokenizer *t = (struct tokenizer *)&t;
    struct pare_error err = {.code = PARE_OK};
    enum pare_status status = open_description(cases[i][0], &t, &err);
    if (status != PARE_DATA || !strstr(err.text, cases[i][1]) || !strstr(err.text, "fastai_tokenizer.json"))
      fail_msg("%s: expected \"%s\", got %d: %s", cases[i][0], cases[i][1], status, err.text);
    assert_null(t);
  }
}

static void expect(const struct tokenizer *t, const char *text, size_t len, const uint32_t *ids, size_t n) {
  struct encoded e = {0};
  struct pare_error err;
  struct encode_options opt = {.add_special = true};
  if (tokenizer_encode(t, (struct text_span){text, len}, none, &opt, &e, &err)) fail_msg("%s", err.text);
  if (e.len != n || (n && memcmp(e.ids, ids, n * sizeof *ids) != 0))
    fail_msg("\"%s\": %zu ids, expected %zu", text, e.len, n);
  encoded_free(&e);
}

static void vocabulary(void **state) {
  (void)state;
  struct tokenizer *t = open_right(RULES "\"vocab\":[\"xxunk\",\"xxpad\",\"xxbos\",\"hi\",\"xxfake\",\"xxfake\"]}");
  assert_int_equal(tokenizer_vocab_size(t), 6);
  assert_string_equal(tokenizer_piece(t, 5), "xxfake");
  assert_null(tokenizer_piece(t, 6));
  assert_int_equal(tokenizer_id(t, "hi"), 3);
  assert_int_equal(tokenizer_id(t, "ho"), -1);
  // xxfake is no word; a special word in a text is the word.
  expect(t, "Hi xxfake there xxpad", 21, (const uint32_t[]){2, 3, 0, 0, 1}, 5);
  expect(t, "hi\0hi", 5, (const uint32_t[]){2, 0}, 2);
  expect(t, "", 0, (const uint32_t[]){2}, 1);
  tokenizer_close(t);
  // Without xxbos in the vocabulary it is an unknown word like any other, as in fastai.
  t = open_right(RULES "\"vocab\":[\"xxunk\",\"hi\"]}");
  expect(t, "hi", 2, (const uint32_t[]){0, 1}, 2);
  assert_int_equal(tokenizer_special_id(t, "bos_token"), -1);
  tokenizer_close(t);
  t = open_right(START
                 "\"rules\":[],\"post_rules\":[],\"vocab\":[\"u\",\"hi\",\"xxeos\"],\"unk\":\"u\",\"eos\":\"xxeos\"}");
  expect(t, "hi", 2, (const uint32_t[]){1}, 1);
  expect(t, "", 0, NULL, 0);
  assert_int_equal(tokenizer_special_id(t, "eos_token"), 2);
  tokenizer_close(t);
}

static void wrong_text(void **state) {
  (void)state;
  struct tokenizer *t = open_right(RULES "\"vocab\":[\"xxunk\",\"xxbos\"]}");
  struct encoded e = {0};
  struct pare_error err;
  struct encode_options opt = {.add_special = true};
  const struct text_span good = {"good", 4}, bad = {"ab\xC3(", 4};
  assert_int_equal(tokenizer_encode(t, bad, none, &opt, &e, &err), PARE_DATA);
  assert_string_equal(err.text, "text is not valid UTF-8 at byte 2");
  assert_int_equal(tokenizer_encode(t, good, bad, &opt, &e, &err), PARE_DATA);
  assert_string_equal(err.text, "pair text is not valid UTF-8 at byte 2");
  char *text;
  size_t len;
  assert_int_equal(tokenizer_decode(t, (const uint32_t[]){2}, 1, false, &text, &len, &err), PARE_DATA);
  encoded_free(&e);
  tokenizer_close(t);
}

// Half a million characters of each: a rule that takes the square of that would not end in the time a test has.
static void slow_text(void **state) {
  (void)state;
  static const char *const units[] = {
      "a",   ".",    "'",    "(",        ")",      "a.",   "@",  "a@b.c", "&",       "&#1", "Σ",    "a ",
      "aa ", "aa\n", "-",    "a-",       "://",    "a:80", "1.", "'s",    "…",       ": ",  "(:",   "5km",
      " \n", "\\",   "&amp", "\xCC\x81", "xxrep ", "Aa ",  "A",  "...a",  "http://", "%20", "</3 ", "\xC2\xAD",
  };
  enum { LENGTH = 500000 };
  struct tokenizer *t =
      open_right(START
                 "\"rules\":[\"fix_html\",\"replace_rep\",\"replace_wrep\",\"spec_add_spaces\",\"rm_useless_spaces\","
                 "\"replace_all_caps\",\"replace_maj\",\"lowercase\"],\"post_rules\":[\"replace_space\"],"
                 "\"vocab\":[\"xxunk\",\"xxbos\"]}");
  struct tokenizer *bare = open_right(START "\"rules\":[],\"post_rules\":[],\"vocab\":[\"xxunk\"]}");
  char *text = malloc(LENGTH);
  struct encoded e = {0};
  struct pare_error err;
  struct encode_options opt = {.add_special = true};
  assert_non_null(text);
  for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
    size_t n = strlen(units[i]), len = 0;
    for (; len + n <= LENGTH; len += n) memcpy(text + len, units[i], n);
    if (tokenizer_encode(t, (struct text_span){text, len}, none, &opt, &e, &err)) fail_msg("%s", err.text);
    assert_true(e.len >= 1);
    if (tokenizer_encode(bare, (struct text_span){text, len}, none, &opt, &e, &err)) fail_msg("%s", err.text);
    assert_true(e.len >= 1);
  }
  free(text);
  encoded_free(&e);
  tokenizer_close(t);
  tokenizer_close(bare);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_description),
      cmocka_unit_test(vocabulary),
      cmocka_unit_test(wrong_text),
      cmocka_unit_test(slow_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
