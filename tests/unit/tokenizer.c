// tokenizer.c - tokenizer files that are wrong are refused with a sentence that says where; limits, errors and threads
// of encode and decode. That right files give right ids is tests/golden/tokenizer.c.
#include "text/tokenizer.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// cmocka wants the ones above.
#include <cmocka.h>

#include "base/file.h"
#include "text/bpe.h"
#include "text/unicode.h"
#include "text/vocab.h"

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"
#define BYTES "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}"

// Opens a directory made of up to three files (name, content; NULL ends).
static enum pare_status open_files(const char *const files[], struct tokenizer **t, struct pare_error *err) {
  struct outdir dir;
  assert_int_equal(dir_create_temp(&dir, err), PARE_OK);
  for (size_t i = 0; files[i]; i += 2) {
    char *path = path_join(dir.temp, files[i]);
    assert_int_equal(file_write_all(path, files[i + 1], strlen(files[i + 1]), err), PARE_OK);
    free(path);
  }
  enum pare_status status = tokenizer_open(dir.temp, t, err);
  dir_discard(&dir);
  return status;
}

static struct tokenizer *open_json(const char *json) {
  struct tokenizer *t;
  struct pare_error err;
  const char *const files[] = {"tokenizer.json", json, NULL};
  if (open_files(files, &t, &err)) fail_msg("%s", err.text);
  return t;
}

static void refused(const char *const files[], enum pare_status code, const char *words) {
  struct tokenizer *t = (struct tokenizer *)&t;
  struct pare_error err = {.code = PARE_OK};
  enum pare_status status = open_files(files, &t, &err);
  if (status != code || err.code != code || !strstr(err.text, words)) {
    fail_msg("expected %d with \"%s\", got %d: %s", code, words, status, err.text);
  }
  assert_null(t);
}

static void wrong_json(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "tokenizer.json: line"},
      {"[]", "expected a JSON object"},
      {"{\n\"model\":\n}", "tokenizer.json: line 3"},
      {"{}", "model: expected an object, found nothing"},
      {"{\"version\":\"2.0\"," MODEL "}", "version \"2.0\""},
      {"{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", "model \"Unigram\" is not implemented"},
      {"{\"model\":{\"type\":\"BPE\",\"merges\":[]}}", "vocab: expected an object, found nothing"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", "vocab is empty"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", "merges: expected an array"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":\"0\"},\"merges\":[]}}", "\"a\": expected a number"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "\"a\": -1"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0.5},\"merges\":[]}}", "\"a\": 0.5"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":16777216},\"merges\":[]}}", "\"a\": 16777216"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1e300},\"merges\":[]}}", "\"a\": 1"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":3,\"b\":3},\"merges\":[]}}", "id 3 of \"b\" is given twice"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a c\"]}}", "merge 1, \"a c\": its right half"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"c\",\"a\"]]}}", "its left half"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a\"]}}", "their union"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", "merge 1 is not a pair"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a a a\"]}}", "merge 1 is not a pair"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\",1]]}}", "merge 1 is not a pair"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"byte_fallback\":true}}",
       "byte_fallback = true"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.5}}", "dropout = 0.5"},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"end_of_word_suffix\":\"</w>\"}}", "</w>"},
      {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0},\"max_input_chars_per_word\":-1}}",
       "max_input_chars_per_word"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Precompiled\"}}", "normalizer \"Precompiled\" is not implemented"},
      {"{" MODEL ",\"normalizer\":{}}", "normalizer has no \"type\""},
      {"{" MODEL ",\"normalizer\":3}", "normalizer: expected an object, found a number"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Nmt\"}]}}", "\"Nmt\""},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"x\"},\"content\":\"\"}}", "Regex"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}}", "pattern"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":1}}", "lowercase: expected true or false"},
      {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Metaspace\"}}", "pre_tokenizer \"Metaspace\""},
      {"{" MODEL ",\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"},{\"type\":"
       "\"Whitespace\"}]}}",
       "after ByteLevel"},
      {"{" MODEL ",\"decoder\":{\"type\":\"Metaspace\"}}", "decoder \"Metaspace\""},
      {"{" MODEL ",\"post_processor\":{\"type\":\"Magic\"}}", "post_processor \"Magic\""},
      {"{" MODEL ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"x\",9],\"sep\":[\"a\",0]}}",
       "id 9 is not in"},
      {"{" MODEL ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[9],\"sep\":[\"a\",0]}}",
       "cls: expected [token, id]"},
      {"{" MODEL
       ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}],"
       "\"pair\":[],\"special_tokens\":{}}}",
       "no sequence \"B\""},
      {"{" MODEL ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"X\","
       "\"type_id\":0}}],"
       "\"pair\":[],\"special_tokens\":{}}}",
       "X: expected an object, found nothing"},
      {"{" MODEL ",\"added_tokens\":{}}", "added_tokens: expected an array"},
      {"{" MODEL ",\"added_tokens\":[7]}", "added_tokens: expected objects"},
      {"{" MODEL ",\"added_tokens\":[{\"id\":3}]}", "no \"content\""},
      {"{" MODEL ",\"added_tokens\":[{\"id\":9,\"content\":\"x\"}]}", "has id 9 where 3 follows"},
      {"{" MODEL ",\"added_tokens\":[{\"id\":1,\"content\":\"a\"}]}", "has id 1 where 0 follows"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Strip\"},\"added_tokens\":[{\"id\":3,\"content\":\" \"}]}",
       "empty once normalized"},
      {"{" MODEL ",\"normalizer\":{\"type\":\"Lowercase\"},\"added_tokens\":[{\"id\":3,\"content\":\"X\"},{\"id\":4,"
       "\"content\":\"x\"}]}",
       "match the same text"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *const files[] = {"tokenizer.json", cases[i][0], NULL};
    refused(files, PARE_DATA, cases[i][1]);
  }
}

static void wrong_old_files(void **state) {
  (void)state;
  static const char *const nothing[] = {"model.txt", "x", NULL};
  refused(nothing, PARE_NOFILE, "no tokenizer.json");
  static const char *const half[] = {"vocab.json", "{\"a\":0}", NULL};
  refused(half, PARE_NOFILE, "no tokenizer.json");
  static const char *const merges[] = {"vocab.json", "{\"a\":0,\"aa\":1}", "merges.txt", "#version: 0.2\na a\n\n",
                                       NULL};
  refused(merges, PARE_DATA, "merges.txt: line 3");
  static const char *const missing[] = {"vocab.json", "{\"a\":0}", "merges.txt", "a b\n", NULL};
  refused(missing, PARE_DATA, "merge 1, \"a b\": its right half is not in the vocabulary");
  static const char *const vocab[] = {"vocab.json", "[1]", "merges.txt", "", NULL};
  refused(vocab, PARE_DATA, "vocab.json: expected a JSON object");
  static const char *const twice[] = {"vocab.json", "{\"a\":0,\"b\":0}", "merges.txt", "", NULL};
  refused(twice, PARE_DATA, "id 0 of \"b\" is given twice");
  static const char *const bytes[] = {"vocab.txt", "[UNK]\n\xFF\n", NULL};
  refused(bytes, PARE_DATA, "vocab.txt: not valid UTF-8 at byte 6");
  static const char *const empty[] = {"vocab.txt", "", NULL};
  refused(empty, PARE_DATA, "the vocabulary is empty");
  static const char *const class[] = {
      "vocab.json", "{\"a\":0}", "merges.txt", "", "tokenizer_config.json", "{\"tokenizer_class\":\"CLIPTokenizer\"}",
      NULL};
  refused(class, PARE_DATA, "tokenizer_class \"CLIPTokenizer\"");
  static const char *const bos[] = {
      "vocab.json", "{\"a\":0}", "merges.txt", "", "tokenizer_config.json", "{\"add_bos_token\":1}", NULL};
  refused(bos, PARE_DATA, "add_bos_token: expected true or false");
}

static void wrong_config(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"{", "tokenizer_config.json: line 1"},
      {"{\"model_max_length\":\"x\"}", "model_max_length: expected a number, found a string"},
      {"{\"model_max_length\":0}", "model_max_length: 0 is not positive"},
      {"{\"truncation_side\":\"middle\"}", "expected left or right, found \"middle\""},
      {"{\"bos_token\":7}", "bos_token: expected a string or an object"},
      {"{\"bos_token\":{}}", "bos_token has no \"content\""},
      {"{\"extra_special_tokens\":\"x\"}", "extra_special_tokens: expected an array"},
      {"{\"tokenizer_class\":[]}", "tokenizer_class: expected a string"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const char *const files[] = {"tokenizer.json", "{" MODEL "}", "tokenizer_config.json", cases[i][0], NULL};
    refused(files, PARE_DATA, cases[i][1]);
  }
}

static void special_tokens_from_config(void **state) {
  (void)state;
  struct tokenizer *t;
  struct pare_error err;
  static const char *const files[] = {
      "tokenizer.json",
      "{" MODEL "}",
      "tokenizer_config.json",
      "{\"bos_token\":\"a\",\"eos_token\":{\"content\":\"<end>\",\"lstrip\":true},\"pad_token\":null,"
      "\"model_max_length\":1000000000000000019884624838656,\"additional_special_tokens\":[\"<x>\"],\"sound_token\":\"<"
      "y>\"}",
      "special_tokens_map.json",
      "{\"bos_token\":\"b\"}",
      NULL};
  if (open_files(files, &t, &err)) fail_msg("%s", err.text);
  assert_int_equal(tokenizer_special_id(t, "bos_token"), 1); // the map overrides
  assert_int_equal(tokenizer_special_id(t, "eos_token"), 3); // added after the vocabulary
  assert_int_equal(tokenizer_id(t, "<y>"), 4);
  assert_int_equal(tokenizer_id(t, "<x>"), 5);
  assert_int_equal(tokenizer_special_id(t, "pad_token"), -1);
  assert_int_equal(tokenizer_special_id(t, "no_such_role"), -1);
  assert_true(tokenizer_model_max_length(t) == SIZE_MAX);
  assert_int_equal(tokenizer_vocab_size(t), 6);
  assert_string_equal(tokenizer_piece(t, 2), "ab");
  assert_string_equal(tokenizer_piece(t, 3), "<end>");
  assert_null(tokenizer_piece(t, 6));
  assert_null(tokenizer_piece(t, UINT32_MAX));
  assert_int_equal(tokenizer_id(t, "abab"), -1);
  tokenizer_close(t);
}

static void encode_errors(void **state) {
  (void)state;
  struct tokenizer *t = open_json(
      "{" MODEL "," BYTES ",\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\",1]}}");
  struct encoded e = {0};
  struct pare_error err;
  const struct text_span none = {NULL, 0}, good = {"ab", 2}, bad = {"ab\xC3(", 4}, empty = {"", 0};
  struct encode_options opt = {.add_special = true};
  assert_int_equal(tokenizer_encode(t, bad, none, &opt, &e, &err), PARE_DATA);
  assert_string_equal(err.text, "text is not valid UTF-8 at byte 2");
  assert_int_equal(tokenizer_encode(t, good, bad, &opt, &e, &err), PARE_DATA);
  assert_string_equal(err.text, "pair text is not valid UTF-8 at byte 2");
  opt.max_tokens = 1;
  assert_int_equal(tokenizer_encode(t, good, none, &opt, &e, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "too few"));
  opt.truncation = TRUNCATE_NONE; // then the limit does not count
  assert_int_equal(tokenizer_encode(t, good, none, &opt, &e, &err), PARE_OK);
  assert_int_equal(e.len, 3);
  assert_false(e.truncated);
  opt = (struct encode_options){.add_special = true, .max_tokens = 4, .truncation = TRUNCATE_ONLY_FIRST};
  assert_int_equal(tokenizer_encode(t, good, good, &opt, &e, &err), PARE_DATA);
  opt.truncation = TRUNCATE_LONGEST_FIRST;
  assert_int_equal(tokenizer_encode(t, good, good, &opt, &e, &err), PARE_OK);
  assert_int_equal(e.len, 4);
  assert_true(e.truncated);
  assert_int_equal(tokenizer_encode(t, good, empty, &(struct encode_options){.add_special = true}, &e, &err), PARE_OK);
  assert_int_equal(e.len, 4); // an empty second text is still a pair
  assert_int_equal(tokenizer_encode(t, none, none, &(struct encode_options){.add_special = false}, &e, &err), PARE_OK);
  assert_int_equal(e.len, 0);
  encoded_free(&e);
  tokenizer_close(t);
}

static void unknown_word_without_unk(void **state) {
  (void)state;
  struct tokenizer *t = open_json("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0},\"unk_token\":\"[UNK]\"}}");
  struct encoded e = {0};
  struct pare_error err;
  const struct text_span none = {NULL, 0}, known = {"a", 1}, unknown = {"b", 1};
  struct encode_options opt = {.add_special = true};
  assert_int_equal(tokenizer_encode(t, known, none, &opt, &e, &err), PARE_OK);
  assert_int_equal(tokenizer_encode(t, unknown, none, &opt, &e, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "unk_token"));
  encoded_free(&e);
  tokenizer_close(t);
}

static void decode_errors(void **state) {
  (void)state;
  struct tokenizer *t = open_json(
      "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\u00c3\":3},\"merges\":[]},"
      "\"decoder\":{\"type\":\"ByteLevel\"}}");
  struct pare_error err;
  char *text;
  size_t len;
  const uint32_t outside[] = {0, 4}, hole[] = {0, 1, 3, 0};
  assert_int_equal(tokenizer_decode(t, outside, 2, false, &text, &len, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "id 4 at position 1"));
  assert_null(text);
  assert_int_equal(tokenizer_decode(t, hole, 4, false, &text, &len, &err), PARE_OK);
  assert_string_equal(text,
                      "a\xEF\xBF\xBD"
                      "a"); // a hole says nothing, a cut sequence U+FFFD
  free(text);
  assert_int_equal(tokenizer_decode(t, NULL, 0, false, &text, &len, &err), PARE_OK);
  assert_string_equal(text, "");
  free(text);
  tokenizer_close(t);
}

static void ill_formed_bytes_decode_to_replacements(void **state) {
  (void)state;
  static const struct {
    const char *bytes, *text;
  } cases[] = {{"\xF0\x9F\x98", "\uFFFD"},
               {"\xF0\x9F\x98x", "\uFFFDx"},
               {"\xC0\xAF", "\uFFFD\uFFFD"},
               {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
               {"\xE0\x80", "\uFFFD\uFFFD"},
               {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
               {"\x80\xC3\xA9\xFF", "\uFFFD\u00e9\uFFFD"}};
  char json[16384];
  size_t n = (size_t)snprintf(
      json, sizeof json, "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
  for (unsigned b = 0; b < 256; b++) {
    n += (size_t)snprintf(json + n, sizeof json - n, "%s\"\\u%04x\":%u", b ? "," : "", bpe_byte_to_char((uint8_t)b), b);
  }
  snprintf(json + n, sizeof json - n, "}}}");
  struct tokenizer *t = open_json(json);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    uint32_t ids[8];
    char *text;
    size_t len, count = strlen(cases[i].bytes);
    struct pare_error err;
    for (size_t k = 0; k < count; k++) ids[k] = (uint8_t)cases[i].bytes[k];
    assert_int_equal(tokenizer_decode(t, ids, count, false, &text, &len, &err), PARE_OK);
    assert_string_equal(text, cases[i].text);
    free(text);
  }
  tokenizer_close(t);
}

static void bytes_and_characters_are_one_to_one(void **state) {
  (void)state;
  bool seen[512] = {false};
  for (unsigned b = 0; b < 256; b++) {
    uint32_t c = bpe_byte_to_char((uint8_t)b);
    assert_true(c > 0x20 && c < 0x144 && !seen[c]);
    seen[c] = true;
    assert_int_equal(bpe_char_to_byte(c), b);
  }
  for (uint32_t c = 0; c < 512; c++) {
    if (!seen[c]) assert_int_equal(bpe_char_to_byte(c), -1);
  }
}

static void vocabulary(void **state) {
  (void)state;
  struct vocab v = {0};
  assert_int_equal(vocab_find(&v, "a", 1), -1);
  assert_int_equal(vocab_put(&v, "", 0, 2), VOCAB_OK);
  assert_int_equal(vocab_put(&v, "a\0b", 3, 1), VOCAB_OK);
  assert_int_equal(vocab_put(&v, "x", 1, 1), VOCAB_SAME_ID);
  assert_int_equal(vocab_put(&v, "", 0, 7), VOCAB_SAME_TEXT);
  assert_int_equal(vocab_find(&v, "", 0), 2);
  assert_int_equal(vocab_find(&v, "a\0b", 3), 1);
  assert_int_equal(vocab_find(&v, "a", 1), -1);
  assert_null(vocab_piece(&v, 0, NULL));
  assert_int_equal(vocab_move(&v, "", 0, 5), VOCAB_OK);
  assert_null(vocab_piece(&v, 2, NULL));
  assert_int_equal(vocab_find(&v, "", 0), 5);
  assert_int_equal(v.size, 6);
  assert_int_equal(v.count, 2);
  for (uint32_t i = 10; i < 5000; i++) {
    char name[16];
    assert_int_equal(vocab_put(&v, name, (size_t)snprintf(name, sizeof name, "%u", i), i), VOCAB_OK);
  }
  for (uint32_t i = 10; i < 5000; i++) {
    char name[16];
    assert_int_equal(vocab_find(&v, name, (size_t)snprintf(name, sizeof name, "%u", i)), i);
    assert_string_equal(vocab_piece(&v, i, NULL), name);
  }
  vocab_free(&v);
}

struct worker {
  const struct tokenizer *t;
  const struct encoded *expected;
  struct text_span text;
  bool same;
};

static void *encode_many(void *arg) {
  struct worker *w = arg;
  struct encoded e = {0};
  const struct encode_options opt = {.add_special = true};
  w->same = true;
  for (int i = 0; i < 200; i++) {
    enum pare_status status = tokenizer_encode(w->t, w->text, (struct text_span){NULL, 0}, &opt, &e, NULL);
    w->same &= status == PARE_OK && e.len == w->expected->len && memcmp(e.ids, w->expected->ids, e.len * 4) == 0;
  }
  encoded_free(&e);
  return NULL;
}

static void threads_share_a_tokenizer(void **state) {
  (void)state;
  struct tokenizer *t;
  struct pare_error err;
  if (tokenizer_open(PROJECT_DIR "/models/nli-minilm", &t, &err)) fail_msg("%s", err.text);
  const char *text = "Four threads read one na\u00efve vocabulary, [SEP] and all: \u6771\u4eac.";
  struct encoded expected = {0};
  const struct encode_options opt = {.add_special = true};
  struct text_span span = {text, strlen(text)};
  assert_int_equal(tokenizer_encode(t, span, (struct text_span){NULL, 0}, &opt, &expected, &err), PARE_OK);
  assert_true(expected.len > 10);
  struct worker workers[4];
  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++) {
    workers[i] = (struct worker){.t = t, .expected = &expected, .text = span};
    assert_int_equal(pthread_create(&threads[i], NULL, encode_many, &workers[i]), 0);
  }
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_true(workers[i].same);
  }
  encoded_free(&expected);
  tokenizer_close(t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wrong_json),
      cmocka_unit_test(wrong_old_files),
      cmocka_unit_test(wrong_config),
      cmocka_unit_test(special_tokens_from_config),
      cmocka_unit_test(encode_errors),
      cmocka_unit_test(unknown_word_without_unk),
      cmocka_unit_test(decode_errors),
      cmocka_unit_test(ill_formed_bytes_decode_to_replacements),
      cmocka_unit_test(bytes_and_characters_are_one_to_one),
      cmocka_unit_test(vocabulary),
      cmocka_unit_test(threads_share_a_tokenizer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
