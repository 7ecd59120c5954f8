// tokenizer.h - text to ids and back, equal to Hugging Face's fast tokenizers and to fastai's words.
#ifndef PARE_TEXT_TOKENIZER_H
#define PARE_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tokenizer; // immutable after open; shared by threads

// dir: a Hugging Face directory. Reads tokenizer.json, else vocab.json + merges.txt (byte-level BPE), else vocab.txt
// (WordPiece, BERT normalizer; do_lower_case, strip_accents, tokenize_chinese_chars from tokenizer_config.json).
// A fastai_tokenizer.json comes before all of them.
// A component that is not implemented (an unknown normalizer, model, pre-tokenizer ...) is refused by name (PARE_DATA).
// PARE_NOFILE when the directory holds none of these.
enum pare_status tokenizer_open(const char *dir, struct tokenizer **out, struct pare_error *err);
// fastai 2.8's tokenizer: {"type": "fastai", "lang": "en", "rules": [names], "post_rules": [names], "vocab": [words],
// "unk": "xxunk", "pad": "xxpad", "bos": "xxbos", "mark_fields": null}. The last four may be missing. A rule that is
// not implemented is refused by name (PARE_DATA); file names the description in messages. A pair becomes one text, its
// fields marked as fastai marks columns. What fastai writes before each text (xxbos) is the special token; special
// words in a text are what fastai takes them for, literal_special or not. docs/tokenizers.md
struct json_t;
enum pare_status tokenizer_from_fastai(const struct json_t *description, const char *file, struct tokenizer **out,
                                       struct pare_error *err);
void tokenizer_close(struct tokenizer *t); // accepts NULL

// One whose ids are the rows of hashed n-grams (text/ngram.h), in the order of the text, each once. A pair's rows are
// those of both texts. Takes ngrams over, also on failure. Such ids have no pieces and cannot be decoded.
struct ngrams;
enum pare_status tokenizer_of_ngrams(struct ngrams *ngrams, struct tokenizer **out, struct pare_error *err);
const struct ngrams *tokenizer_ngrams(const struct tokenizer *t); // NULL for the others

struct text_span {
  const char *data; // need not be NUL-terminated; may hold NUL bytes
  size_t len;
};

enum truncation { TRUNCATE_LONGEST_FIRST, TRUNCATE_ONLY_FIRST, TRUNCATE_NONE };
struct encode_options {
  bool add_special;           // run the post-processor
  size_t max_tokens;          // 0: unlimited; counts special tokens
  enum truncation truncation; // ONLY_FIRST cannot make it fit: PARE_DATA, as Hugging Face raises
  bool literal_special;       // true: added special tokens in the text are plain text (untrusted input)
};

// Ids of one text, or of a pair (named encoded, since pack/ owns the word encoding). Grown by tokenizer_encode, reused
// between calls, freed by encoded_free.
struct encoded {
  uint32_t *ids;
  uint8_t *types; // token type (segment) of each id
  size_t len, cap;
  bool truncated;
};
// Replaces out's contents. pair.data NULL: a single text. Text that is not valid UTF-8: PARE_DATA naming the byte
// offset.
enum pare_status tokenizer_encode(const struct tokenizer *t, struct text_span text, struct text_span pair,
                                  const struct encode_options *opt, struct encoded *out, struct pare_error *err);
void encoded_free(struct encoded *e);

// The text of ids, NUL-terminated, to be freed by the caller (*len without the NUL). skip_special drops special tokens.
// Bytes that are not valid UTF-8 become U+FFFD as in Hugging Face. An id out of range: PARE_DATA.
enum pare_status tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_special,
                                  char **text, size_t *len, struct pare_error *err);

size_t tokenizer_vocab_size(const struct tokenizer *t); // highest id + 1, added tokens included
// As in the vocabulary ("Ġthe", "##ing"); NULL: no such id.
const char *tokenizer_piece(const struct tokenizer *t, uint32_t id);
int64_t tokenizer_id(const struct tokenizer *t, const char *piece); // -1: no such piece
// tokenizer_config.json; SIZE_MAX when absent or absurdly large.
size_t tokenizer_model_max_length(const struct tokenizer *t);
size_t tokenizer_special_count(const struct tokenizer *t, bool pair); // ids the post-processor adds
// Ids of the special tokens by role ("bos_token", "eos_token", "pad_token", "cls_token", "sep_token", "unk_token",
// "mask_token") from tokenizer_config.json or special_tokens_map.json; -1 when absent.
int64_t tokenizer_special_id(const struct tokenizer *t, const char *role);

#endif
