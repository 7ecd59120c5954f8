// fastai_text.c - the ids of data/fastai/tokens.json against what fastai 2.8 with spaCy 3.8 answered, written by
// tools/golden_fastai.py: several sets of rules, pairs, marked fields, truncation, decoding, all code points.
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants the four above.
#include <cmocka.h>

#include "base/file.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#define DATA TEST_DIR "/golden/data/fastai"

static const struct text_span none = {NULL, 0};

static json_t *load(void) {
  json_error_t err;
  json_t *v = json_load_file(DATA "/tokens.json", JSON_ALLOW_NUL, &err);
  if (!v) fail_msg("tokens.json: line %d: %s", err.line, err.text);
  return v;
}

static json_t *get(const json_t *v, const char *key) {
  json_t *found = json_object_get(v, key);
  if (!found) fail_msg("tokens.json has no %s", key);
  return found;
}

// mark: mark_fields; negative: absent
static struct tokenizer *open_case(const json_t *data, size_t which, int mark) {
  const json_t *c = json_array_get(get(data, "cases"), which);
  json_t *d = json_pack("{s:s, s:s, s:O, s:O, s:O, s:s, s:s, s:s}", "type", "fastai", "lang", "en", "rules",
                        get(c, "rules"), "post_rules", get(c, "post_rules"), "vocab", get(data, "vocab"), "unk",
                        "xxunk", "pad", "xxpad", "bos", "xxbos");
  struct tokenizer *t;
  struct pare_error err;
  assert_non_null(d);
  if (mark >= 0) json_object_set_new(d, "mark_fields", json_boolean(mark));
  if (tokenizer_from_fastai(d, "case", &t, &err)) fail_msg("%s", err.text);
  json_decref(d);
  return t;
}

static struct text_span span(const json_t *v) {
  return (struct text_span){json_string_value(v), json_string_length(v)};
}

static void encode(const struct tokenizer *t, struct text_span a, struct text_span b, struct encode_options opt,
                   struct encoded *e) {
  struct pare_error err;
  if (tokenizer_encode(t, a, b, &opt, e, &err)) fail_msg("%s", err.text);
}

// from: ids of the list that are not expected; the first limit of the rest are.
static void check(const struct encoded *e, const char *what, size_t index, const json_t *ids, size_t from,
                  size_t limit) {
  size_t n = json_array_size(ids) - from;
  if (n > limit) n = limit;
  for (size_t i = 0; i < n && i < e->len; i++) {
    json_int_t expected = json_integer_value(json_array_get(ids, from + i));
    if (expected != e->ids[i])
      fail_msg("%s %zu: id %zu is %u, expected %lld", what, index, i, e->ids[i], (long long)expected);
    assert_int_equal(e->types[i], 0);
  }
  if (n != e->len) fail_msg("%s %zu: %zu ids, expected %zu", what, index, e->len, n);
}

static bool has_lowercase(const json_t *rules) {
  size_t i;
  json_t *v;
  json_array_foreach(rules, i, v) {
    if (strcmp(json_string_value(v), "lowercase") == 0) return true;
  }
  return false;
}

static void ids(void **state) {
  (void)state;
  json_t *data = load();
  const json_t *texts = get(data, "texts");
  assert_true(json_array_size(texts) > 400);
  assert_int_equal(json_array_size(get(data, "cases")), 5);
  struct encoded e = {0};
  for (size_t k = 0; k < 5; k++) {
    const json_t *c = json_array_get(get(data, "cases"), k), *expected = get(c, "ids");
    struct tokenizer *t = open_case(data, k, -1);
    size_t first = has_lowercase(get(c, "rules")); // xxbos
    assert_int_equal(tokenizer_special_count(t, false), first);
    assert_int_equal(tokenizer_special_count(t, true), first);
    assert_int_equal(tokenizer_vocab_size(t), json_array_size(get(data, "vocab")));
    for (size_t i = 0; i < json_array_size(texts); i++) {
      struct text_span text = span(json_array_get(texts, i));
      const json_t *want = json_array_get(expected, i);
      encode(t, text, none, (struct encode_options){.add_special = true}, &e);
      check(&e, "text", i, want, 0, SIZE_MAX);
      assert_false(e.truncated);
      encode(t, text, none, (struct encode_options){.add_special = false}, &e);
      check(&e, "text without special tokens", i, want, first, SIZE_MAX);
      encode(t, text, none, (struct encode_options){.add_special = true, .max_tokens = 4}, &e);
      check(&e, "truncated text", i, want, 0, 4);
      assert_int_equal(e.truncated, json_array_size(want) > 4);
    }
    tokenizer_close(t);
  }
  encoded_free(&e);
  json_decref(data);
}

static void fields(void **state) {
  (void)state;
  json_t *data = load(), *v;
  size_t i;
  struct encoded e = {0};
  struct tokenizer *t = open_case(data, 0, -1), *marking = open_case(data, 0, true), *not = open_case(data, 0, false);
  assert_true(json_array_size(get(data, "pairs")) >= 5);
  json_array_foreach(get(data, "pairs"), i, v) {
    struct text_span a = span(json_array_get(v, 0)), b = span(json_array_get(v, 1));
    encode(t, a, b, (struct encode_options){.add_special = true}, &e);
    check(&e, "pair", i, json_array_get(v, 2), 0, SIZE_MAX);
    encode(marking, a, b, (struct encode_options){.add_special = true, .max_tokens = 3}, &e);
    check(&e, "truncated pair", i, json_array_get(v, 2), 0, 3);
  }
  json_array_foreach(get(data, "marked"), i, v) {
    struct text_span text = span(json_array_get(get(data, "texts"), i));
    encode(marking, text, none, (struct encode_options){.add_special = true}, &e);
    check(&e, "marked text", i, v, 0, SIZE_MAX);
  }
  // Without marks a pair is its two texts with a space between.
  struct encoded joined = {0};
  encode(not, (struct text_span){"Hello, world!", 13}, (struct text_span){"What's up?", 10},
         (struct encode_options){.add_special = true}, &e);
  encode(not, (struct text_span){"Hello, world! What's up?", 24}, none, (struct encode_options){.add_special = true},
         &joined);
  assert_int_equal(e.len, joined.len);
  assert_memory_equal(e.ids, joined.ids, e.len * sizeof *e.ids);
  encoded_free(&joined);
  encoded_free(&e);
  tokenizer_close(t);
  tokenizer_close(marking);
  tokenizer_close(not );
  json_decref(data);
}

static void decoded(void **state) {
  (void)state;
  json_t *data = load(), *v;
  size_t i;
  struct pare_error err;
  struct encoded e = {0};
  struct tokenizer *t = open_case(data, 0, -1);
  assert_true(json_array_size(get(data, "decoded")) > 40);
  json_array_foreach(get(data, "decoded"), i, v) {
    char *text;
    size_t len;
    encode(t, span(json_array_get(get(data, "texts"), i)), none, (struct encode_options){.add_special = true}, &e);
    assert_int_equal(tokenizer_decode(t, e.ids, e.len, false, &text, &len, &err), PARE_OK);
    if (len != json_string_length(v) || memcmp(text, json_string_value(v), len) != 0)
      fail_msg("text %zu: decoded \"%s\", expected \"%s\"", i, text, json_string_value(v));
    free(text);
  }
  uint32_t special[] = {2, 5, 1, 1}; // xxbos xxrep xxpad xxpad
  char *text;
  size_t len;
  assert_int_equal(tokenizer_decode(t, special, 4, true, &text, &len, &err), PARE_OK);
  assert_string_equal(text, "xxrep");
  free(text);
  assert_int_equal(tokenizer_special_id(t, "unk_token"), 0);
  assert_int_equal(tokenizer_special_id(t, "pad_token"), 1);
  assert_int_equal(tokenizer_special_id(t, "bos_token"), 2);
  assert_int_equal(tokenizer_special_id(t, "eos_token"), -1);
  encoded_free(&e);
  tokenizer_close(t);
  json_decref(data);
}

static uint32_t crc32_ids(const struct encoded *e) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < e->len * 4; i++) { // little-endian, as this project assumes
    crc ^= ((const unsigned char *)e->ids)[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return crc ^ 0xFFFFFFFFu;
}

// As sweep() in tools/golden_fastai.py: 256 code points, each in four places.
static size_t sweep_text(uint32_t first, char *text) {
  static const char *const around[4][2] = {{"a", "b"}, {" 5", ""}, {" ", "A."}, {" x.", ""}};
  size_t len = 0;
  for (uint32_t c = first; c < first + 256; c++) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c > first) text[len++] = ' ';
    for (size_t k = 0; k < 4; k++) {
      for (const char *p = around[k][0]; *p; p++) text[len++] = *p;
      len += unicode_write(c, text + len);
      for (const char *p = around[k][1]; *p; p++) text[len++] = *p;
    }
  }
  return len;
}

static void sweep(void **state) {
  (void)state;
  json_t *data = load();
  struct tokenizer *t = open_case(data, 0, -1);
  struct mapping m;
  struct pare_error err;
  struct encoded e = {0};
  static char text[256 * 32];
  size_t different = 0;
  assert_int_equal(file_map(DATA "/sweep.bin", &m, &err), PARE_OK);
  assert_int_equal(m.len, 0x1100 * 4);
  for (uint32_t block = 0; block < 0x1100; block++) {
    uint32_t expected;
    memcpy(&expected, m.data + block * 4, 4);
    encode(t, (struct text_span){text, sweep_text(block * 256, text)}, none,
           (struct encode_options){.add_special = true}, &e);
    if (crc32_ids(&e) == expected) continue;
    print_error("U+%04X..U+%04X differ\n", block * 256, block * 256 + 255);
    different++;
  }
  assert_int_equal(different, 0);
  file_unmap(&m);
  encoded_free(&e);
  tokenizer_close(t);
  json_decref(data);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ids),
      cmocka_unit_test(fields),
      cmocka_unit_test(decoded),
      cmocka_unit_test(sweep),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
