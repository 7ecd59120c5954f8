// ngram.c - see ngram.h. A word's hash is a polynomial over its characters, an n-gram's one over its words (or
// characters), all in 64 bits: the hash of the last n is the hash of the last n - 1 as it was, times the base, plus the
// new one. So a text is read once, whatever n is.
#include "text/ngram.h"

#include <stdlib.h>
#include <string.h>

#include "base/rice.h"
#include "base/utf8.h"
#include "text/unicode.h"

// Odd numbers without structure: the golden ratio's and the first ones of MurmurHash3's and SplitMix64's mixers.
static const uint64_t BASE = 0x9E3779B97F4A7C15, MIX = 0xBF58476D1CE4E5B9, SALT = 0xFF51AFD7ED558CCD;
enum { MARK = 1, FIRST_CHAR = 2, SALT_CHARS = 16 }; // MARK: the end of a word; characters are counted from FIRST_CHAR

const char *ngram_settings_problem(const struct ngram_settings *s) {
  if (s->word_max == 0 && s->char_max == 0) return "neither words nor chars";
  if (s->word_max > NGRAM_MAX_N || s->char_max > NGRAM_MAX_N) return "n-grams of at most 8 expected";
  if (s->word_max && (s->word_min < 1 || s->word_min > s->word_max)) return "words: expected 1 <= shortest <= longest";
  if (s->char_max && (s->char_min < 1 || s->char_min > s->char_max)) return "chars: expected 1 <= shortest <= longest";
  if (s->bits < NGRAM_MIN_BITS || s->bits > NGRAM_MAX_BITS) return "bits: expected 8 to 24";
  return NULL;
}

struct extractor {
  const struct ngram_settings *s;
  struct ngram_sink *sink;
  uint64_t salt;
  uint64_t word;                   // hash of the word being read
  bool in_word;                    // it has characters
  uint64_t words[NGRAM_MAX_N + 1]; // [n]: hash of the last n words
  uint64_t chars[NGRAM_MAX_N + 1]; // [n]: of the last n characters of this word
  unsigned words_seen, chars_seen; // as many as count, at most NGRAM_MAX_N
};

static inline void emit(struct extractor *e, uint64_t hash, unsigned kind) {
  struct ngram_sink *sink = e->sink;
  uint64_t h = hash + e->salt + kind * SALT;
  h = (h ^ h >> 32) * MIX;
  h = (h ^ h >> 29) * BASE;
  if (sink->n == NGRAM_BUFFER) {
    sink->take(sink->context, sink->buffer, sink->n);
    sink->n = 0;
  }
  sink->buffer[sink->n++] = (uint32_t)(h >> (64 - e->s->bits));
}

// One more word or character: every hash takes it in, those long enough are features.
static inline void advance(struct extractor *e, uint64_t *last, unsigned *seen, uint64_t value, unsigned min,
                           unsigned max, unsigned kind) {
  for (unsigned n = max; n > 1; n--) last[n] = last[n - 1] * BASE + value;
  last[1] = value;
  if (*seen < max) ++*seen;
  for (unsigned n = min; n <= *seen; n++) emit(e, last[n], kind + n);
}

static inline void add_to_chars(struct extractor *e, uint64_t c) {
  if (e->s->char_max) advance(e, e->chars, &e->chars_seen, c, e->s->char_min, e->s->char_max, SALT_CHARS);
}

static inline void add_char(struct extractor *e, uint32_t c) {
  if (!e->in_word) {
    e->in_word = true;
    e->word = 0;
    e->chars_seen = 0;
    add_to_chars(e, MARK);
  }
  e->word = e->word * BASE + (FIRST_CHAR + c);
  add_to_chars(e, (uint64_t)FIRST_CHAR + c);
}

static inline void end_word(struct extractor *e) {
  if (!e->in_word) return;
  add_to_chars(e, MARK);
  e->in_word = false;
  uint64_t hash = (e->word ^ e->word >> 32) * MIX; // so that words do not add up like characters
  if (e->s->word_max) advance(e, e->words, &e->words_seen, hash, e->s->word_min, e->s->word_max, 0);
}

static inline bool ascii_is_word(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline void add_ascii(struct extractor *e, unsigned char c) {
  if (ascii_is_word(c)) {
    add_char(e, c >= 'A' && c <= 'Z' && e->s->lowercase ? c + ('a' - 'A') : c);
    return;
  }
  end_word(e);
  if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f)) return;
  add_char(e, c);
  end_word(e);
}

static void add_code_point(struct extractor *e, uint32_t c) {
  uint32_t lower[2] = {c, 0};
  size_t n = e->s->lowercase ? unicode_lower(c, lower) : 1;
  if (unicode_is_word(c)) {
    for (size_t i = 0; i < n; i++) add_char(e, lower[i]);
    return;
  }
  end_word(e);
  if (unicode_is_space(c)) return;
  add_char(e, lower[0]);
  end_word(e);
}

enum pare_status ngram_extract(const struct ngram_settings *s, struct text_span text, struct ngram_sink *sink,
                               struct pare_error *err) {
  struct extractor e = {.s = s, .sink = sink, .salt = s->seed * MIX};
  const unsigned char *p = (const unsigned char *)text.data;
  sink->n = 0;
  for (size_t i = 0; i < text.len;) {
    if (p[i] < 0x80) {
      add_ascii(&e, p[i++]);
      continue;
    }
    size_t len = utf8_sequence_len(p + i, text.len - i);
    if (!len) return error_set(err, PARE_DATA, "text is not valid UTF-8 at byte %zu", i);
    add_code_point(&e, unicode_read(text.data + i, &len));
    i += len;
  }
  end_word(&e);
  if (sink->n) sink->take(sink->context, sink->buffer, sink->n);
  sink->n = 0;
  return PARE_OK;
}

enum pare_status ngrams_init(struct ngrams *g, const struct ngram_settings *s, const uint8_t *code, size_t code_bytes,
                             size_t rows, const char *file, struct pare_error *err) {
  size_t buckets = (size_t)1 << s->bits, blocks = buckets / 64;
  struct rice_reader r;
  *g = (struct ngrams){.settings = *s, .rows = rows, .blocks = calloc(blocks, sizeof *g->blocks)};
  if (!g->blocks) return error_no_memory(err);
  uint64_t bucket;
  bool good = rice_open(&r, code, code_bytes);
  for (size_t i = 0; good && i < rows; i++) {
    good = rice_next(&r, buckets, &bucket);
    if (good) g->blocks[bucket / 64].present |= 1ull << bucket % 64;
  }
  if (!good || !rice_at_end(&r)) {
    ngrams_free(g);
    return error_set(err, PARE_DATA, "%s: tensor ngrams: expected a list of %zu buckets below 2^%u", file, rows,
                     s->bits);
  }
  for (size_t b = 1; b < blocks; b++)
    g->blocks[b].before = g->blocks[b - 1].before + (uint64_t)__builtin_popcountll(g->blocks[b - 1].present);
  return PARE_OK;
}

void ngrams_free(struct ngrams *g) {
  free(g->blocks);
  *g = (struct ngrams){0};
}

static void take_rows(void *context, const uint32_t *buckets, size_t n) {
  struct ngram_rows *r = context;
  for (size_t i = 0; i < n; i++) {
    const struct ngram_block *b = &r->ngrams->blocks[buckets[i] / 64];
    uint64_t bit = 1ull << buckets[i] % 64;
    if (!(b->present & bit)) continue;
    size_t row = (size_t)b->before + (size_t)__builtin_popcountll(b->present & (bit - 1));
    uint64_t *seen = &r->seen[row / 64], mark = 1ull << row % 64;
    if (*seen & mark) continue;
    if (r->len == r->cap) {
      r->truncated = true;
      return;
    }
    *seen |= mark;
    r->ids[r->len++] = (uint32_t)row;
  }
}

enum pare_status ngram_rows_add(struct ngram_rows *r, struct text_span text, struct pare_error *err) {
  struct ngram_sink sink;
  sink.take = take_rows;
  sink.context = r;
  return ngram_extract(&r->ngrams->settings, text, &sink, err);
}

void ngram_rows_end(struct ngram_rows *r) {
  for (size_t i = 0; i < r->len; i++) r->seen[r->ids[i] / 64] = 0;
}
