// spacy.c - the order in which spaCy applies its rules: text is cut at white space (a single ' ' belongs to no token,
// other white space is tokens); of each chunk prefixes and suffixes are taken off until it is an exception or nothing
// comes off; what is left is an exception, a URL, or cut at its infixes. Last, exceptions that the rules above can cut
// are looked for among the finished tokens, the longest first, and put together (or cut their own way).
#include "text/spacy.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

enum { MAX_EXCEPTION = 15 }; // characters; cuts are bits of 16

bool spacy_open(struct spacy *s) {
  for (size_t i = 0; i < spacy_exception_count; i++) {
    const char *text = spacy_exceptions[i].text;
    if (vocab_put(&s->exceptions, text, strlen(text), (uint32_t)i) != VOCAB_OK) return false;
  }
  return true;
}

void spacy_close(struct spacy *s) {
  vocab_free(&s->exceptions);
}

void spacy_text_free(struct spacy_text *t) {
  codes_free(&t->chars);
  codes_free(&t->cuts);
  codes_free(&t->matches);
  free(t->bytes);
  free(t->offsets);
  free(t->tokens);
  *t = (struct spacy_text){.bytes = NULL};
}

static bool spell(struct spacy_text *t) {
  size_t n = t->chars.len;
  if (n >= t->cap) {
    size_t cap = n + n / 2 + 64; // n < SPACY_MAX_CHARS: no overflow
    char *bytes = realloc(t->bytes, cap * 4);
    if (!bytes) return false;
    t->bytes = bytes;
    uint32_t *offsets = realloc(t->offsets, cap * sizeof *offsets);
    if (!offsets) return false;
    t->offsets = offsets;
    t->cap = cap;
  }
  size_t at = 0;
  for (size_t i = 0; i < n; i++) {
    t->offsets[i] = (uint32_t)at;
    at += unicode_write(t->chars.data[i], t->bytes + at);
  }
  t->offsets[n] = (uint32_t)at; // below 2^32: four bytes each at most
  return true;
}

static bool reserve_tokens(struct spacy_text *t, size_t more) {
  if (more <= t->token_cap - t->token_count) return true;
  size_t cap = t->token_cap * 2 + more + 64;
  struct spacy_token *p = realloc(t->tokens, cap * sizeof *p);
  if (!p) return false;
  t->tokens = p;
  t->token_cap = cap;
  return true;
}

static bool add_token(struct spacy_text *t, size_t start, size_t end) {
  if (!reserve_tokens(t, 1)) return false;
  t->tokens[t->token_count++] = (struct spacy_token){(uint32_t)start, (uint32_t)end, false, false};
  return true;
}

// The exception that the characters spell; NULL: none.
static const struct spacy_exception *exception(const struct spacy *s, const struct spacy_text *t, size_t start,
                                               size_t end) {
  if (end - start > MAX_EXCEPTION) return NULL;
  uint32_t from = t->offsets[start];
  int64_t row = vocab_find(&s->exceptions, t->bytes + from, t->offsets[end] - from);
  return row < 0 ? NULL : &spacy_exceptions[row];
}

static bool add_cut(struct spacy_text *t, size_t start, size_t end, uint16_t cuts) {
  size_t from = start;
  for (size_t i = start + 1; i < end; i++) {
    if (!(cuts >> (i - start) & 1)) continue;
    if (!add_token(t, from, i)) return false;
    from = i;
  }
  return add_token(t, from, end);
}

static bool add_at_infixes(struct spacy_text *t, size_t start, size_t end) {
  const uint32_t *c = t->chars.data + start;
  size_t n = end - start, from = 0, len;
  for (size_t i = 0; i < n; i += len ? len : 1) {
    len = spacy_infix(c, n, i);
    if (len == 0) continue;
    if (i > from && !add_token(t, start + from, start + i)) return false;
    if (!add_token(t, start + i, start + i + len)) return false;
    from = i + len;
  }
  return from == n || add_token(t, start + from, end);
}

// Takes off suffixes, keeping where they start in cuts, and prefixes, which become tokens. *start, *end: what is left.
static bool strip(const struct spacy *s, struct spacy_text *t, size_t *start, size_t *end) {
  const uint32_t *c = t->chars.data;
  size_t from = *start, to = *end;
  while (from < to && !exception(s, t, from, to)) {
    size_t prefix = spacy_prefix(c + from, to - from);
    size_t suffix = spacy_suffix(c + from + prefix, to - from - prefix);
    bool ends_right = prefix && from + prefix < to && exception(s, t, from + prefix, to);
    bool starts_right = !ends_right && suffix && from < to - suffix && exception(s, t, from, to - suffix);
    if (starts_right) prefix = 0;
    if (ends_right) suffix = 0;
    if (prefix + suffix == 0) break;
    if (prefix && !add_token(t, from, from + prefix)) return false;
    from += prefix;
    to -= suffix;
    if (suffix && !codes_push(&t->cuts, (uint32_t)to)) return false;
    if (ends_right || starts_right) break;
  }
  *start = from;
  *end = to;
  return true;
}

static bool add_chunk(const struct spacy *s, struct spacy_text *t, size_t start, size_t end) {
  size_t from = start, to = end;
  const struct spacy_exception *e;
  t->cuts.len = 0;
  if (!strip(s, t, &from, &to)) return false;
  if (from < to) {
    bool done;
    if ((e = exception(s, t, from, to)) != NULL) {
      done = add_cut(t, from, to, e->cuts);
    } else if (spacy_is_url(t->chars.data + from, to - from)) {
      done = add_token(t, from, to);
    } else {
      done = add_at_infixes(t, from, to);
    }
    if (!done) return false;
  }
  for (size_t i = t->cuts.len; i-- > 0;) {
    if (!add_token(t, t->cuts.data[i], i ? t->cuts.data[i - 1] : end)) return false;
  }
  return true;
}

static bool add_chunks(const struct spacy *s, struct spacy_text *t) {
  const uint32_t *c = t->chars.data;
  size_t n = t->chars.len, start = 0;
  bool in_space = n && char_is(c[0], KIND_SPACE);
  for (size_t i = 1; i < n; i++) {
    if (char_is(c[i], KIND_SPACE) == in_space) continue;
    if (start < i && !add_chunk(s, t, start, i)) return false;
    in_space = !in_space;
    start = i;
    if (c[i] != ' ') continue;
    t->tokens[t->token_count - 1].space = true;
    start++;
  }
  return start >= n || add_chunk(s, t, start, n);
}

enum { MATCH_CODES = 3 }; // of a match: its first token, how many, the row of the exceptions

// Every exception that tokens from first on spell, spaces between them or not, cut as the rules cut it.
static bool find_matches_at(const struct spacy *s, struct spacy_text *t, size_t first) {
  char spelled[MAX_EXCEPTION * 4];
  size_t len = 0, chars = 0;
  uint32_t cuts = 0;
  uint64_t hash = vocab_hash_start();
  for (size_t i = first; i < t->token_count; i++) {
    const struct spacy_token *k = &t->tokens[i];
    uint32_t from = t->offsets[k->start], bytes = t->offsets[k->end] - from;
    if (chars) cuts |= 1u << chars;
    chars += k->end - k->start;
    if (chars > MAX_EXCEPTION) break;
    memcpy(spelled + len, t->bytes + from, bytes);
    for (uint32_t b = 0; b < bytes; b++) hash = vocab_hash_add(hash, (unsigned char)spelled[len + b]);
    len += bytes;
    int64_t row = vocab_find_hashed(&s->exceptions, hash, NULL, 0, spelled, len);
    if (row < 0 || spacy_exceptions[row].usual != (cuts | 1)) continue;
    if (!codes_reserve(&t->matches, MATCH_CODES)) return false;
    codes_push(&t->matches, (uint32_t)first);
    codes_push(&t->matches, (uint32_t)(i - first + 1));
    codes_push(&t->matches, (uint32_t)row);
  }
  return true;
}

// Of matches that overlap the longest counts, then the first; one that overlaps any other, even one that does not count
// itself, loses. A match that does not count gets count 0.
static void choose_matches(struct spacy_text *t) {
  for (uint32_t count = MAX_EXCEPTION; count > 0; count--) {
    for (size_t i = 0; i < t->matches.len; i += MATCH_CODES) {
      uint32_t *m = t->matches.data + i;
      if (m[1] != count) continue;
      bool lost = t->tokens[m[0]].seen || t->tokens[m[0] + count - 1].seen;
      for (uint32_t k = 0; k < count; k++) t->tokens[m[0] + k].seen = true;
      if (lost) m[1] = 0;
    }
  }
}

// The tokens again, with the matches that count (in the order of their first token) cut as the exceptions say.
static bool apply_matches(struct spacy_text *t) {
  size_t old_count = t->token_count, at = 0;
  if (!reserve_tokens(t, old_count)) return false;
  for (size_t i = 0; i <= t->matches.len; i += MATCH_CODES) {
    bool last = i == t->matches.len;
    const uint32_t *m = t->matches.data + i;
    if (!last && m[1] == 0) continue;
    size_t stop = last ? old_count : m[0];
    for (; at < stop; at++) {
      if (!add_token(t, t->tokens[at].start, t->tokens[at].end)) return false;
    }
    if (last) break;
    size_t end = at + m[1];
    bool spaced = false;
    for (size_t k = at; k + 1 < end; k++) spaced |= t->tokens[k].space;
    if (spaced) continue; // its text is no exception: the tokens stay
    if (!add_cut(t, t->tokens[at].start, t->tokens[end - 1].end, spacy_exceptions[m[2]].cuts)) return false;
    at = end;
  }
  t->token_count -= old_count;
  memmove(t->tokens, t->tokens + old_count, t->token_count * sizeof *t->tokens);
  return true;
}

bool spacy_tokenize(const struct spacy *s, struct spacy_text *t) {
  t->token_count = t->matches.len = 0;
  if (!spell(t) || !add_chunks(s, t)) return false;
  for (size_t i = 0; i < t->token_count; i++) {
    if (!find_matches_at(s, t, i)) return false;
  }
  if (t->matches.len == 0) return true;
  choose_matches(t);
  return apply_matches(t);
}
