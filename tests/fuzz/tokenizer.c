// tokenizer.c - fuzz target. The input is a tokenizer.json, a NUL, and a text; or, without a NUL, a text for a small
// byte-level tokenizer. What opens must encode and decode without a fault; every id must be in the vocabulary.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/load.h"

static const char small[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,\"\\u0120a\":4},"
    "\"merges\":[\"a b\",\"\\u0120 a\"],\"unk_token\":\"a\"},\"normalizer\":{\"type\":\"NFKC\"},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},\"decoder\":{\"type\":\"ByteLevel\"},"
    "\"added_tokens\":[{\"id\":5,\"content\":\"<s>\",\"special\":true,\"lstrip\":true,\"rstrip\":true}]}";

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
  const void *json = nul ? (const void *)data : small;
  size_t json_len = nul ? (size_t)(nul - data) : sizeof small - 1;
  const char *text = nul ? (const char *)nul + 1 : (const char *)data;
  struct tokenizer *t = calloc(1, sizeof *t);
  struct pare_error err;
  if (!t) return 0;
  if (load_tokenizer_json(t, json, json_len, "fuzz", &err) == PARE_OK && tokenizer_finish(t, "fuzz", &err) == PARE_OK) {
    check(t, text, nul ? size - (size_t)(text - (const char *)data) : size);
  } else if (!err.text[0] || !nul) {
    abort();
  }
  tokenizer_close(t);
  return 0;
}
