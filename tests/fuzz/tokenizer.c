// tokenizer.c - fuzz target. The input is a tokenizer.json or a description of a fastai tokenizer, a NUL, and a text;
// or, without a NUL, a text for a small byte-level tokenizer and a small fastai one. What opens must encode and decode
// without a fault; every id must be in the vocabulary.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/load.h"

static const char small[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,\"\\u0120a\":4},"
    "\"merges\":[\"a b\",\"\\u0120 a\"],\"unk_token\":\"a\"},\"normalizer\":{\"type\":\"NFKC\"},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true,\"lstrip\":true,\"rstrip\":true}]}";

static const char words[] =
    "{\"type\":\"fastai\",\"rules\":[\"fix_html\",\"replace_rep\",\"replace_wrep\",\"spec_add_spaces\","
    "\"rm_useless_spaces\",\"replace_all_caps\",\"replace_maj\",\"lowercase\"],\"post_rules\":[\"replace_space\"],"
    "\"vocab\":[\"xxunk\",\"xxpad\",\"xxbos\",\"a\",\".\",\"'s\",\"xxfake\",\"xxfake\"]}";

static void check(const struct tokenizer *t, const char *text, size_t len) {
  struct encoded e = {0};
  struct pare_error err;
  const struct text_span a = {text, len / 2}, b = {text + len / 2, len - len / 2}, none = {NULL, 0};
  for (size_t limit = 0; limit < 12; limit += 3) {
    struct encode_options opt = {.add_special = limit % 2 == 0, .max_tokens = limit};
    if (tokenizer_encode(t, (struct text_span){text, len}, none, &opt, &e, &err) == PARE_OK) {
      char *back;
      size_t back_len;
      for (size_t i = 0; i < e.len; i++) {
        if (!tokenizer_piece(t, e.ids[i])) abort();
      }
      if (limit && e.len > limit && t->single.count == t->single.specials + 1) abort();
      if (tokenizer_decode(t, e.ids, e.len, limit == 3, &back, &back_len, &err) == PARE_OK) free(back);
    }
    opt.truncation = limit == 6 ? TRUNCATE_ONLY_FIRST : TRUNCATE_LONGEST_FIRST;
    (void)tokenizer_encode(t, a, b, &opt, &e, &err);
  }
  encoded_free(&e);
}

// A description of a fastai tokenizer where there is the word, else a tokenizer.json.
static enum pare_status open_json(const void *json, size_t len, struct tokenizer **out, struct pare_error *err) {
  *out = NULL;
  if (memmem(json, len, "fastai", 6)) {
    json_t *root;
    enum pare_status status = json_parse(json, len, "fuzz", &root, err);
    if (status) return status;
    status = tokenizer_from_fastai(root, "fuzz", out, err);
    json_decref(root);
    return status;
  }
  struct tokenizer *t = calloc(1, sizeof *t);
  if (!t) return error_set(err, PARE_DATA, "no memory");
  enum pare_status status = load_tokenizer_json(t, json, len, "fuzz", err);
  if (status == PARE_OK) status = tokenizer_finish(t, "fuzz", err);
  if (status) {
    tokenizer_close(t);
  } else {
    *out = t;
  }
  return status;
}

static void run_ours(struct tokenizer **t, const char *json, const char *text, size_t len) {
  struct pare_error err;
  if (!*t && open_json(json, strlen(json), t, &err)) abort(); // once; it stays open
  check(*t, text, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct tokenizer *bytes, *fastai;
  const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
  if (!nul) {
    run_ours(&bytes, small, (const char *)data, size);
    run_ours(&fastai, words, (const char *)data, size);
    return 0;
  }
  size_t json_len = (size_t)(nul - data);
  struct tokenizer *t;
  struct pare_error err = {.code = PARE_OK};
  if (open_json(data, json_len, &t, &err) == PARE_OK) {
    check(t, (const char *)nul + 1, size - json_len - 1);
  } else if (!err.text[0]) {
    abort();
  }
  tokenizer_close(t);
  return 0;
}
