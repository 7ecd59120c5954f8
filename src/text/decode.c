// decode.c - ids to text: ByteLevel joins bytes, WordPiece joins pieces with spaces except after the prefix and closes
// the spaces before punctuation, no decoder joins pieces with spaces.
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "text/impl.h"
#include "text/unicode.h"

static const char replacement[] = "\xEF\xBF\xBD"; // U+FFFD

// Length of the ill-formed bytes at p that one U+FFFD stands for: the longest start of a well-formed sequence, or one
// byte (Unicode 15, section 3.9, "substitution of maximal subparts", as Rust and browsers do).
static size_t ill_formed_len(const unsigned char *p, size_t len) {
  unsigned low = 0x80, high = 0xBF;
  size_t tails;
  if (p[0] >= 0xC2 && p[0] <= 0xDF) {
    tails = 1;
  } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
    tails = 2;
    if (p[0] == 0xE0) low = 0xA0;
    if (p[0] == 0xED) high = 0x9F;
  } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
    tails = 3;
    if (p[0] == 0xF0) low = 0x90;
    if (p[0] == 0xF4) high = 0x8F;
  } else {
    return 1;
  }
  size_t n = 1;
  while (n <= tails && n < len && p[n] >= low && p[n] <= high) {
    n++;
    low = 0x80;
    high = 0xBF;
  }
  return n;
}

static void add_lossy(struct buf *out, const char *bytes, size_t len) {
  for (size_t i = 0; i < len;) {
    size_t good = utf8_first_bad(bytes + i, len - i);
    buf_add(out, bytes + i, good);
    i += good;
    if (i == len) break;
    buf_add(out, replacement, 3);
    i += ill_formed_len((const unsigned char *)bytes + i, len - i);
  }
}

// A piece that is not spelled in byte characters throughout stands for itself (added tokens).
static void add_byte_level(struct buf *out, const char *piece, size_t len) {
  size_t n;
  for (size_t i = 0; i < len; i += n) {
    if (bpe_char_to_byte(unicode_read(piece + i, &n)) >= 0) continue;
    buf_add(out, piece, len);
    return;
  }
  for (size_t i = 0; i < len; i += n) {
    char byte = (char)bpe_char_to_byte(unicode_read(piece + i, &n));
    buf_add(out, &byte, 1);
  }
}

// Replaces every from in b by to, from left to right; to is not longer.
static void replace_all(struct buf *b, const char *from, const char *to) {
  size_t from_len = strlen(from), to_len = strlen(to), kept = 0;
  if (b->failed || b->len < from_len) return;
  for (size_t i = 0; i < b->len;) {
    if (b->len - i >= from_len && memcmp(b->data + i, from, from_len) == 0) {
      memcpy(b->data + kept, to, to_len);
      kept += to_len;
      i += from_len;
    } else {
      b->data[kept++] = b->data[i++];
    }
  }
  b->len = kept;
  b->data[kept] = 0;
}

// One rule after the other, as Hugging Face does: an earlier rule may make a later one match.
static void clean_up(struct buf *b, bool per_piece) {
  static const struct {
    const char *from, *to;
    bool piece_only; // in the WordPiece decoder, not in clean_up_tokenization_spaces
  } rules[] = {
      {" .", ".", false},   {" ?", "?", false},     {" !", "!", false},     {" ,", ",", false},
      {" ' ", "'", false},  {" n't", "n't", false}, {" 'm", "'m", false},   {" do not", " don't", true},
      {" 's", "'s", false}, {" 've", "'ve", false}, {" 're", "'re", false},
  };
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
    if (per_piece || !rules[i].piece_only) replace_all(b, rules[i].from, rules[i].to);
  }
}

static void add_wordpiece(const struct tokenizer *t, struct buf *out, const char *piece, size_t len, bool first,
                          struct buf *one) {
  size_t prefix_len = strlen(t->decoder_prefix);
  bool continues = !first && len >= prefix_len && memcmp(piece, t->decoder_prefix, prefix_len) == 0;
  if (continues) {
    piece += prefix_len;
    len -= prefix_len;
  }
  one->len = 0;
  if (!first && !continues) buf_add(one, " ", 1);
  buf_add(one, piece, len);
  if (t->decoder_cleanup) clean_up(one, true);
  if (one->failed) out->failed = true;
  buf_add(out, one->data, one->len);
}

// The text of an id when decoding: an added token that was normalized on the way in shows its normalized form.
static const char *decoded_piece(const struct tokenizer *t, uint32_t id, size_t *len) {
  const struct added_token *token = added_by_id(&t->added, id);
  if (!token) return vocab_piece(&t->vocab, id, len);
  *len = token->matched_len;
  return token->matched;
}

static bool is_special(const struct tokenizer *t, uint32_t id, const char *piece, size_t len) {
  if (!added_by_id(&t->added, id)) return false;
  const struct added_token *named = added_by_content(&t->added, piece, len);
  return named && named->special;
}

static enum pare_status take(struct buf *b, char **text, size_t *len, struct pare_error *err) {
  *len = b->len;
  *text = buf_take(b);
  return *text ? PARE_OK : error_no_memory(err);
}

enum pare_status tokenizer_decode(const struct tokenizer *t, const uint32_t *ids, size_t n, bool skip_special,
                                  char **text, size_t *len, struct pare_error *err) {
  struct buf out = {0}, one = {0};
  size_t size = tokenizer_vocab_size(t);
  bool first = true;
  *text = NULL;
  *len = 0;
  if (t->model == MODEL_NGRAMS)
    return error_set(err, PARE_DATA, "ids of hashed n-grams cannot be turned back into text");
  for (size_t i = 0; i < n; i++) {
    size_t piece_len;
    if (ids[i] >= size) {
      buf_free(&out);
      buf_free(&one);
      return error_set(err, PARE_DATA, "id %u at position %zu is not below the vocabulary's size, %zu", ids[i], i,
                       size);
    }
    const char *piece = decoded_piece(t, ids[i], &piece_len);
    if (!piece || (skip_special && is_special(t, ids[i], piece, piece_len))) continue;
    if (t->decoder == DECODE_BYTE_LEVEL) {
      add_byte_level(&out, piece, piece_len);
    } else if (t->decoder == DECODE_WORDPIECE) {
      add_wordpiece(t, &out, piece, piece_len, first, &one);
    } else {
      if (!first) buf_add(&out, " ", 1);
      buf_add(&out, piece, piece_len);
    }
    first = false;
  }
  if (t->decoder == DECODE_BYTE_LEVEL && !out.failed && utf8_first_bad(out.data, out.len) < out.len) {
    one.len = 0;
    add_lossy(&one, out.data, out.len);
    struct buf lossy = one;
    one = out;
    out = lossy;
  }
  if (t->text_cleanup) clean_up(&out, false);
  buf_free(&one);
  return take(&out, text, len, err);
}
