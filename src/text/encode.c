// encode.c - text -> added tokens cut out -> normalized -> normalized added tokens cut out -> words -> ids, then
// truncation and the template that adds special tokens.
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/size.h"
#include "base/utf8.h"
#include "text/impl.h"
#include "text/unicode.h"

enum { MAX_TEXT = 1 << 30 }; // so that positions fit 32 bits with room to grow

struct encoder {
  const struct tokenizer *t;
  bool literal_special;
  size_t enough; // stop once more ids than this exist
  struct codes *out;
  struct normalize_scratch normalize;
  struct bpe_scratch bpe;
  struct codes hashes;
  struct buf spelled; // a word or text with its prefix space, or spelled for a model of characters
  enum pare_status status;
  struct pare_error *err;
};

static bool fail_memory(struct encoder *e) {
  e->status = error_no_memory(e->err);
  return false;
}

static bool fail_unknown(struct encoder *e) {
  e->status = error_set(e->err, PARE_DATA, "text holds an unknown word, and the tokenizer's unk_token has no id");
  return false;
}

// The functions below return false to stop: a failure, or enough ids.
static bool encode_word(struct encoder *e, struct text_span word) {
  const struct tokenizer *t = e->t;
  bool bytes = tokenizer_is_byte_level(t);
  if (t->model == MODEL_BPE) {
    bool unk_missing = false;
    if (!bpe_encode(&t->bpe, &t->vocab, word.data, word.len, bytes, &e->bpe, e->out, &unk_missing))
      return fail_memory(e);
    if (unk_missing) return fail_unknown(e);
    return e->out->len <= e->enough;
  }
  if (bytes) {
    struct buf *b = &e->bpe.spelled;
    b->len = 0;
    for (size_t i = 0; i < word.len; i++) {
      char text[4];
      buf_add(b, text, unicode_write(bpe_byte_to_char((uint8_t)word.data[i]), text));
    }
    if (b->failed) return fail_memory(e);
    word = (struct text_span){b->data, b->len};
  }
  switch (wordpiece_encode(&t->wordpiece, &t->vocab, word.data, word.len, &e->hashes, e->out)) {
    case WORDPIECE_OK: return e->out->len <= e->enough;
    case WORDPIECE_NO_UNK: return fail_unknown(e);
    case WORDPIECE_NO_MEMORY: break;
  }
  return fail_memory(e);
}

static bool encode_words(struct encoder *e, struct text_span text, size_t stage) {
  if (stage == e->t->pretokenizer_count) return encode_word(e, text);
  const struct pretokenizer *p = &e->t->pretokenizers[stage];
  if (p->kind == PRETOKENIZE_BYTE_LEVEL && p->add_prefix_space && text.data[0] != ' ') {
    e->spelled.len = 0;
    buf_add(&e->spelled, " ", 1);
    buf_add(&e->spelled, text.data, text.len);
    if (e->spelled.failed) return fail_memory(e);
    text = (struct text_span){e->spelled.data, e->spelled.len};
  }
  struct text_span word;
  for (size_t pos = 0; pretokenize_next(p, text, &pos, &word);) {
    if (!encode_words(e, word, stage + 1)) return false;
  }
  return true;
}

static bool word_before(struct text_span text, size_t pos) {
  if (pos == 0) return false;
  do pos--;
  while (pos > 0 && ((unsigned char)text.data[pos] & 0xC0) == 0x80);
  size_t n;
  return unicode_is_word(unicode_read(text.data + pos, &n));
}

static bool word_after(struct text_span text, size_t pos) {
  size_t n;
  return pos < text.len && unicode_is_word(unicode_read(text.data + pos, &n));
}

// Start of the white space that ends at pos, no earlier than from.
static size_t space_start(struct text_span text, size_t from, size_t pos) {
  while (pos > from) {
    size_t before = pos - 1, n;
    while (before > 0 && ((unsigned char)text.data[before] & 0xC0) == 0x80) before--;
    if (before < from || !unicode_is_space(unicode_read(text.data + before, &n))) break;
    pos = before;
  }
  return pos;
}

static size_t space_end(struct text_span text, size_t pos) {
  size_t n;
  while (pos < text.len && unicode_is_space(unicode_read(text.data + pos, &n))) pos += n;
  return pos;
}

// Cuts the tokens of trie out of text and hands what lies between to rest. The order of steps is Hugging Face's, also
// where a token that eats white space overlaps the next one.
static bool split_added(struct encoder *e, const struct added_trie *trie, struct text_span text,
                        bool (*rest)(struct encoder *, struct text_span)) {
  size_t done = 0, search = 0, match_end = 0;
  size_t space_from = 0, space_to = 0; // the last white space looked through for rstrip
  const struct added_token *token;
  for (; (token = added_search(&e->t->added, trie, text, &search, &match_end)) != NULL; search = match_end) {
    if (e->literal_special && token->special) continue;
    size_t start = search, stop = match_end;
    if (token->single_word && (word_before(text, start) || word_after(text, stop))) continue;
    if (token->lstrip) start = start > done ? space_start(text, done, start) : done;
    if (token->rstrip) {
      if (stop < space_from || stop >= space_to) {
        space_from = stop;
        space_to = space_end(text, stop);
      }
      stop = size_max(stop, space_to);
    }
    if (done < start && !rest(e, (struct text_span){text.data + done, start - done})) return false;
    if (start < stop && !codes_push(e->out, token->id)) return fail_memory(e);
    if (e->out->len > e->enough) return false;
    done = start < stop ? stop : start;
  }
  return done >= text.len || rest(e, (struct text_span){text.data + done, text.len - done});
}

static bool encode_normalized(struct encoder *e, struct text_span text) {
  return encode_words(e, text, 0);
}

static bool encode_raw(struct encoder *e, struct text_span text) {
  const struct tokenizer *t = e->t;
  struct text_span normal;
  if (!normalize_text(t->normalizers, t->normalizer_count, text.data, text.len, &e->normalize, &normal.data,
                      &normal.len)) {
    return fail_memory(e);
  }
  return normal.len == 0 || split_added(e, &t->added.normalized, normal, encode_normalized);
}

static enum pare_status check_text(struct text_span text, const char *which, struct pare_error *err) {
  if (text.len > MAX_TEXT) return error_set(err, PARE_DATA, "%s is longer than 1 GiB", which);
  size_t bad = utf8_first_bad(text.data, text.len);
  if (bad < text.len) return error_set(err, PARE_DATA, "%s is not valid UTF-8 at byte %zu", which, bad);
  return PARE_OK;
}

static enum pare_status encode_one(struct encoder *e, struct text_span text, struct codes *out) {
  e->out = out;
  if (text.len) split_added(e, &e->t->added.raw, text, encode_raw);
  return e->status;
}

// How many ids of each text stay, total at most max. Longest first: as if the longer one lost a token at a time, except
// that an odd rest goes to the text that was longer (the second when equal), as in Hugging Face.
static enum pare_status truncated_lengths(const struct encode_options *opt, size_t max, size_t *first, size_t *second,
                                          struct pare_error *err) {
  size_t total = *first + *second;
  if (total <= max) return PARE_OK;
  if (max == 0) {
    *first = *second = 0;
    return PARE_OK;
  }
  if (opt->truncation == TRUNCATE_ONLY_FIRST) {
    if (*first <= total - max) {
      return error_set(err, PARE_DATA, "the pair's second text of %zu tokens leaves no room for the first within %zu",
                       *second, max);
    }
    *first -= total - max;
    return PARE_OK;
  }
  bool first_longer = *first > *second;
  size_t shorter = first_longer ? *second : *first;
  size_t longer = shorter <= max / 2 ? max - shorter : max - max / 2;
  if (shorter > max / 2) shorter = max / 2;
  *first = first_longer ? longer : shorter;
  *second = first_longer ? shorter : longer;
  return PARE_OK;
}

static enum pare_status grow(struct encoded *out, size_t need, struct pare_error *err) {
  if (need <= out->cap) return PARE_OK;
  size_t cap = size_max(need, out->cap * 2);
  uint32_t *ids = realloc(out->ids, cap * sizeof *ids);
  if (!ids) return error_no_memory(err);
  out->ids = ids;
  uint8_t *types = realloc(out->types, cap);
  if (!types) return error_no_memory(err);
  out->types = types;
  out->cap = cap;
  return PARE_OK;
}

static enum pare_status assemble(const struct template *form, bool add_special, const uint32_t *const ids[2],
                                 const size_t lens[2], struct encoded *out, struct pare_error *err) {
  for (size_t i = 0; i < form->count; i++) {
    struct template_part part = form->parts[i];
    if (part.what == PART_SPECIAL && !add_special) continue;
    const uint32_t *from = part.what == PART_SPECIAL ? &part.id : ids[part.what];
    size_t len = part.what == PART_SPECIAL ? 1 : lens[part.what];
    enum pare_status status = grow(out, out->len + len, err);
    if (status) return status;
    if (len) {
      memcpy(out->ids + out->len, from, len * sizeof *from);
      memset(out->types + out->len, part.type, len);
    }
    out->len += len;
  }
  return PARE_OK;
}

// Truncates both texts' ids and writes them into the template.
static enum pare_status finish(const struct tokenizer *t, const struct codes texts[2], bool pair,
                               const struct encode_options *opt, struct encoded *out, struct pare_error *err) {
  const struct template *form = pair ? &t->pair : &t->single;
  size_t lens[2] = {texts[0].len, texts[1].len};
  if (opt->max_tokens && opt->truncation != TRUNCATE_NONE) {
    size_t specials = opt->add_special ? form->specials : 0;
    if (opt->max_tokens < specials) {
      return error_set(err, PARE_DATA, "%zu tokens are too few for the tokenizer's %zu special tokens", opt->max_tokens,
                       specials);
    }
    enum pare_status status = truncated_lengths(opt, opt->max_tokens - specials, &lens[0], &lens[1], err);
    if (status) return status;
  }
  const uint32_t *ids[2];
  for (size_t i = 0; i < 2; i++) {
    ids[i] = texts[i].data;
    if (lens[i] == texts[i].len) continue;
    out->truncated = true;
    if (t->truncate_left) ids[i] += texts[i].len - lens[i];
  }
  return assemble(form, opt->add_special, ids, lens, out, err);
}

// Ids are the rows of n-grams: nothing to normalize, no specials, never more than there are rows.
static enum pare_status encode_ngrams(const struct tokenizer *t, struct text_span text, struct text_span pair,
                                      const struct encode_options *opt, struct encoded *out, struct pare_error *err) {
  size_t cap = t->ngrams.rows;
  if (opt->max_tokens && opt->truncation != TRUNCATE_NONE) cap = size_min(cap, opt->max_tokens);
  out->len = 0;
  enum pare_status status = grow(out, size_max(cap, 1), err);
  uint64_t *seen = calloc(1, ngrams_seen_bytes(t->ngrams.rows) + 1);
  if (!status && !seen) status = error_no_memory(err);
  struct ngram_rows rows = {.ngrams = &t->ngrams, .seen = seen, .ids = out->ids, .cap = cap};
  if (!status) status = ngram_rows_add(&rows, text, err);
  if (!status && pair.data) status = ngram_rows_add(&rows, pair, err);
  free(seen);
  if (status) return status;
  out->len = rows.len;
  out->truncated = rows.truncated;
  memset(out->types, 0, rows.len);
  return PARE_OK;
}

enum pare_status tokenizer_encode(const struct tokenizer *t, struct text_span text, struct text_span pair,
                                  const struct encode_options *opt, struct encoded *out, struct pare_error *err) {
  if (t->model == MODEL_NGRAMS) return encode_ngrams(t, text, pair, opt, out, err);
  struct encoder e = {.t = t, .literal_special = opt->literal_special, .enough = SIZE_MAX, .err = err};
  struct codes ids[2] = {{0}, {0}};
  // One text cut at its end: what follows the cut need not be looked at. (Of a pair, the full lengths matter.)
  if (opt->max_tokens && opt->truncation != TRUNCATE_NONE && !pair.data && !t->truncate_left)
    e.enough = opt->max_tokens;
  out->len = 0;
  out->truncated = false;
  enum pare_status status = check_text(text, "text", err);
  if (status == PARE_OK && pair.data) status = check_text(pair, "pair text", err);
  if (status == PARE_OK && t->model == MODEL_FASTAI) {
    status = fastai_encode(t->fastai, &t->vocab, text, pair, e.enough, &ids[0], err);
  } else {
    if (status == PARE_OK) status = encode_one(&e, text, &ids[0]);
    if (status == PARE_OK && pair.data) status = encode_one(&e, pair, &ids[1]);
  }
  if (status == PARE_OK) status = finish(t, ids, pair.data != NULL, opt, out, err);
  normalize_scratch_free(&e.normalize);
  bpe_scratch_free(&e.bpe);
  codes_free(&e.hashes);
  codes_free(&ids[0]);
  codes_free(&ids[1]);
  buf_free(&e.spelled);
  return status;
}

void encoded_free(struct encoded *e) {
  free(e->ids);
  free(e->types);
  *e = (struct encoded){0};
}
