// tokenizer.c - every tokenizer under data/tokenizer (and two shipped models) against what Hugging Face's
// transformers 5.23 answered, written by tools/golden_tokenizer.py: ids, types, truncation, decoding, 100 kB inputs,
// all code points.
#include "text/tokenizer.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants the four above.
#include <cmocka.h>

#include "base/file.h"
#include "text/unicode.h"

#define DATA TEST_DIR "/golden/data/tokenizer"

struct fixture {
  const char *name;
  struct tokenizer *t;
  json_t *shared, *expected; // texts.json and expected.json
  struct encoded e;
};

static uint32_t crc32_add(uint32_t crc, const void *bytes, size_t len) {
  for (size_t i = 0; i < len; i++) {
    crc ^= ((const unsigned char *)bytes)[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return crc;
}

static uint32_t crc32_ids(const struct encoded *e, bool types) {
  uint32_t crc = 0xFFFFFFFFu;
  for (size_t i = 0; i < e->len; i++) crc = crc32_add(crc, &e->ids[i], 4); // little-endian, as this project assumes
  for (size_t i = 0; types && i < e->len; i++) {
    uint32_t type = e->types[i];
    crc = crc32_add(crc, &type, 4);
  }
  return crc ^ 0xFFFFFFFFu;
}

static json_t *load(const char *path) {
  json_error_t err;
  json_t *v = json_load_file(path, JSON_ALLOW_NUL, &err);
  if (!v) fail_msg("%s: line %d: %s", path, err.line, err.text);
  return v;
}

static bool shipped(const char *name) {
  return strcmp(name, "agnews-gpt2") == 0 || strcmp(name, "nli-minilm") == 0;
}

static void open_fixture(struct fixture *f, const char *name) {
  char path[512];
  struct pare_error err;
  snprintf(path, sizeof path, "%s/%s", shipped(name) ? PROJECT_DIR "/models" : DATA, name);
  *f = (struct fixture){.name = name};
  if (tokenizer_open(path, &f->t, &err)) fail_msg("%s: %s", name, err.text);
  snprintf(path, sizeof path, DATA "/%s/expected.json", name);
  f->expected = load(path);
  f->shared = load(DATA "/texts.json");
}

static void close_fixture(struct fixture *f) {
  tokenizer_close(f->t);
  json_decref(f->expected);
  json_decref(f->shared);
  encoded_free(&f->e);
}

static json_t *get(const struct fixture *f, const char *key) {
  json_t *v = json_object_get(f->expected, key);
  if (!v) fail_msg("%s: expected.json has no %s", f->name, key);
  return v;
}

static struct text_span text_at(const struct fixture *f, size_t i) {
  const json_t *v = json_array_get(json_object_get(f->shared, "texts"), i);
  assert_true(json_is_string(v));
  return (struct text_span){json_string_value(v), json_string_length(v)};
}

static void encode(struct fixture *f, struct text_span a, struct text_span b, struct encode_options opt) {
  struct pare_error err;
  if (tokenizer_encode(f->t, a, b, &opt, &f->e, &err)) fail_msg("%s: %s", f->name, err.text);
}

static void check_ids(const struct fixture *f, const char *what, size_t index, const json_t *ids) {
  size_t n = json_array_size(ids);
  for (size_t i = 0; i < n && i < f->e.len; i++) {
    if (json_integer_value(json_array_get(ids, i)) == f->e.ids[i]) continue;
    fail_msg("%s: %s %zu: id %zu is %u, expected %lld", f->name, what, index, i, f->e.ids[i],
             (long long)json_integer_value(json_array_get(ids, i)));
  }
  if (n != f->e.len) fail_msg("%s: %s %zu: %zu ids, expected %zu", f->name, what, index, f->e.len, n);
}

static void check_types(const struct fixture *f, const char *what, size_t index, const json_t *types) {
  assert_int_equal(json_array_size(types), f->e.len);
  for (size_t i = 0; i < f->e.len; i++) {
    if (json_integer_value(json_array_get(types, i)) == f->e.types[i]) continue;
    fail_msg("%s: %s %zu: type %zu is %u", f->name, what, index, i, f->e.types[i]);
  }
}

static void check_crc(const struct fixture *f, const char *what, size_t index, bool types, const json_t *crc) {
  if (crc32_ids(&f->e, types) == (uint32_t)json_integer_value(crc)) return;
  fail_msg("%s: %s %zu: %zu ids differ from the expected ones", f->name, what, index, f->e.len);
}

static void check_facts(struct fixture *f) {
  assert_int_equal(tokenizer_vocab_size(f->t), json_integer_value(get(f, "vocab_size")));
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(tokenizer_special_count(f->t, i == 1), json_integer_value(json_array_get(get(f, "specials"), i)));
  }
  const json_t *max = get(f, "max_length");
  size_t length = json_is_null(max) ? SIZE_MAX : (size_t)json_integer_value(max);
  assert_int_equal(tokenizer_model_max_length(f->t), length);
  const char *role;
  json_t *id;
  json_object_foreach(get(f, "roles"), role, id) {
    int64_t found = tokenizer_special_id(f->t, role), expected = json_is_null(id) ? -1 : json_integer_value(id);
    if (found != expected)
      fail_msg("%s: %s is %lld, expected %lld", f->name, role, (long long)found, (long long)expected);
  }
}

static void check_texts(struct fixture *f) {
  const struct text_span none = {NULL, 0};
  size_t count = json_array_size(json_object_get(f->shared, "texts"));
  assert_true(count > 50 && json_array_size(get(f, "texts")) == count);
  for (size_t i = 0; i < count; i++) {
    const json_t *v = json_array_get(get(f, "texts"), i);
    encode(f, text_at(f, i), none, (struct encode_options){.add_special = true});
    check_ids(f, "text", i, json_array_get(v, 0));
    check_types(f, "text", i, json_array_get(v, 1));
    encode(f, text_at(f, i), none, (struct encode_options){.add_special = false});
    check_crc(f, "text without special tokens", i, false, json_array_get(get(f, "plain"), i));
    encode(f, text_at(f, i), none, (struct encode_options){.add_special = true, .literal_special = true});
    check_crc(f, "text with literal special tokens", i, false, json_array_get(get(f, "literal"), i));
  }
}

static void check_cut(struct fixture *f) {
  const json_t *which = json_object_get(f->shared, "cut");
  for (size_t i = 0; i < json_array_size(which); i++) {
    for (size_t k = 0; k < 2; k++) {
      struct text_span a = text_at(f, (size_t)json_integer_value(json_array_get(which, i))), none = {NULL, 0};
      encode(f, a, none, (struct encode_options){.add_special = true});
      bool too_long = f->e.len > 6 + k;
      encode(f, a, none, (struct encode_options){.add_special = true, .max_tokens = 6 + k});
      check_ids(f, "cut text", i, json_array_get(json_array_get(get(f, "cut"), i), k));
      assert_true(f->e.truncated == too_long);
    }
  }
}

// One pair at one limit, both strategies, with and without special tokens. An expected null with room for the special
// tokens is a refusal.
static void check_cut_pair(struct fixture *f, struct text_span a, struct text_span b, size_t limit, size_t *next) {
  for (int k = 0; k < 4; k++) {
    struct encode_options opt = {.add_special = k % 2 == 0,
                                 .max_tokens = limit,
                                 .truncation = k < 2 ? TRUNCATE_LONGEST_FIRST : TRUNCATE_ONLY_FIRST};
    const json_t *expected = json_array_get(get(f, "cut_pairs"), (*next)++);
    struct pare_error err = {.code = PARE_OK};
    enum pare_status status = tokenizer_encode(f->t, a, b, &opt, &f->e, &err);
    if (limit == 0) {
      assert_int_equal(status, PARE_OK); // no limit; Hugging Face was not asked
    } else if (json_is_null(expected)) {
      assert_int_equal(status, PARE_DATA);
      assert_true(err.text[0] != 0);
    } else {
      assert_int_equal(status, PARE_OK);
      assert_true(f->e.len <= limit || !opt.max_tokens);
      check_crc(f, "cut pair", *next - 1, true, expected);
    }
  }
}

static void check_pairs(struct fixture *f) {
  const json_t *pairs = json_object_get(f->shared, "pairs"), *limits = json_object_get(f->shared, "limits");
  size_t next = 0;
  for (size_t i = 0; i < json_array_size(pairs); i++) {
    const json_t *pair = json_array_get(pairs, i), *v = json_array_get(get(f, "pairs"), i);
    struct text_span a = text_at(f, (size_t)json_integer_value(json_array_get(pair, 0)));
    struct text_span b = text_at(f, (size_t)json_integer_value(json_array_get(pair, 1)));
    encode(f, a, b, (struct encode_options){.add_special = true});
    check_ids(f, "pair", i, json_array_get(v, 0));
    check_types(f, "pair", i, json_array_get(v, 1));
    for (size_t k = 0; k < json_array_size(limits); k++) {
      check_cut_pair(f, a, b, (size_t)json_integer_value(json_array_get(limits, k)), &next);
    }
  }
  assert_int_equal(next, json_array_size(get(f, "cut_pairs")));
}

static void check_decoded(const struct fixture *f, const json_t *ids, const json_t *expected, bool skip) {
  size_t n = json_array_size(ids), len;
  uint32_t *list = malloc((n + 1) * sizeof *list);
  struct pare_error err;
  char *text;
  assert_non_null(list);
  for (size_t i = 0; i < n; i++) list[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
  if (tokenizer_decode(f->t, list, n, skip, &text, &len, &err)) fail_msg("%s: %s", f->name, err.text);
  if (len != json_string_length(expected) || memcmp(text, json_string_value(expected), len) != 0) {
    fail_msg("%s: decoded \"%s\", expected \"%s\"", f->name, text, json_string_value(expected));
  }
  assert_int_equal(text[len], 0);
  free(text);
  free(list);
}

static void check_decode(const struct fixture *f) {
  for (size_t i = 0; i < json_array_size(get(f, "decoded")); i++) {
    const json_t *ids = json_array_get(json_array_get(get(f, "texts"), i), 0),
                 *v = json_array_get(get(f, "decoded"), i);
    for (size_t skip = 0; skip < 2; skip++) check_decoded(f, ids, json_array_get(v, skip), skip == 1);
  }
  for (size_t i = 0; i < json_array_size(get(f, "random_ids")); i++) {
    const json_t *v = json_array_get(get(f, "random_ids"), i);
    for (size_t skip = 0; skip < 2; skip++)
      check_decoded(f, json_array_get(v, 0), json_array_get(v, 1 + skip), skip == 1);
  }
}

enum { LONG_TEXTS = 12 };

// The same twelve texts as long_texts() in tools/golden_tokenizer.py. To be freed.
static char *long_text(size_t which, size_t *len) {
  static const struct {
    const char *unit;
    size_t times;
  } repeated[] = {{"a", 100000}, {" ", 100000},      {"'", 100000},  {"ab", 50000}, {"abc ", 25000},
                  {"中", 33333}, {"a\u0301", 33333}, {"\n", 100000}, {"1", 100000}, {" \u00a0", 33333}};
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz     '.\n19";
  char *text = malloc(200000);
  assert_non_null(text);
  *len = 0;
  if (which < 10) {
    size_t n = strlen(repeated[which].unit);
    for (size_t i = 0; i < repeated[which].times; i++, *len += n) memcpy(text + *len, repeated[which].unit, n);
    return text;
  }
  uint32_t state = 1;
  for (size_t i = 0; i < 100000; i++) {
    state = (state * 1103515245u + 12345u) & 0x7FFFFFFFu;
    size_t k = (state >> 16) % 36;
    if (which == 10 || k < 26) text[(*len)++] = letters[k];
  }
  return text;
}

static void check_long(struct fixture *f) {
  assert_int_equal(json_array_size(get(f, "long")), LONG_TEXTS);
  for (size_t i = 0; i < LONG_TEXTS; i++) {
    const json_t *v = json_array_get(get(f, "long"), i);
    size_t len;
    char *text = long_text(i, &len);
    encode(f, (struct text_span){text, len}, (struct text_span){NULL, 0}, (struct encode_options){.add_special = true});
    assert_int_equal(f->e.len, json_integer_value(json_array_get(v, 0)));
    check_crc(f, "long text", i, false, json_array_get(v, 1));
    free(text);
  }
}

static size_t sweep_text(uint32_t first, char *text) {
  size_t len = 0;
  for (uint32_t c = first; c < first + 256; c++) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c > first) text[len++] = ' ';
    text[len++] = 'a';
    len += unicode_write(c, text + len);
    text[len++] = 'b';
  }
  return len;
}

// All code points but surrogates, 256 to a text. No block is excepted: src/text/unicode_tables.h covers every
// difference.
static void check_sweep(struct fixture *f) {
  char path[512], text[256 * 8];
  struct mapping m;
  struct pare_error err;
  snprintf(path, sizeof path, DATA "/%s/sweep.bin", f->name);
  if (!file_exists(path)) return;
  assert_int_equal(file_map(path, &m, &err), PARE_OK);
  assert_int_equal(m.len, 0x110000 / 256 * 4);
  size_t different = 0;
  for (uint32_t block = 0; block < 0x1100; block++) {
    uint32_t expected;
    memcpy(&expected, m.data + block * 4, 4);
    encode(f, (struct text_span){text, sweep_text(block * 256, text)}, (struct text_span){NULL, 0},
           (struct encode_options){.add_special = false});
    if (crc32_ids(&f->e, false) == expected) continue;
    print_error("%s: U+%04X..U+%04X differ\n", f->name, block * 256, block * 256 + 255);
    different++;
  }
  file_unmap(&m);
  assert_int_equal(different, 0);
}

static void golden(void **state) {
  struct fixture f;
  open_fixture(&f, *state);
  check_facts(&f);
  check_texts(&f);
  check_cut(&f);
  check_pairs(&f);
  check_decode(&f);
  check_long(&f);
  check_sweep(&f);
  close_fixture(&f);
}

int main(void) {
  static const char *const names[] = {
      "agnews-gpt2", "nli-minilm",     "bart-legacy", "bert-added",   "bert-cased", "bert-uncased", "bytes-accents",
      "bytes-bert",  "bytes-lower",    "bytes-nfc",   "bytes-nfd",    "bytes-nfkc", "bytes-nfkd",   "bytes-no-regex",
      "bytes-whole", "chars-drop",     "chars-fuse",  "chars-whole",  "gpt2-bos",   "gpt2-legacy",  "roberta-json",
      "sequence",    "roberta-legacy", "tangled",     "wordpiece-at",
  };
  enum { COUNT = sizeof names / sizeof names[0] };
  struct CMUnitTest tests[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    tests[i] = (struct CMUnitTest){.name = names[i], .test_func = golden, .initial_state = (void *)names[i]};
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
