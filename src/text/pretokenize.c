// pretokenize.c - BERT: words and single punctuation marks. Whitespace: \w+|[^\w\s]+. WhitespaceSplit: \S+.
// ByteLevel: GPT-2's pattern
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// scanned by hand: each alternative needs one character of look-ahead, so no input makes it back up.
#include "text/pretokenize.h"

#include <string.h>

#include "text/unicode.h"

static enum char_class class_at(struct text_span t, size_t pos, size_t *bytes) {
  unsigned char c = (unsigned char)t.data[pos];
  if (c < 0x80) {
    *bytes = 1;
    return unicode_class(c);
  }
  return unicode_class(unicode_read(t.data + pos, bytes));
}

static size_t run_end(struct text_span t, size_t pos, enum char_class class) {
  size_t n;
  while (pos < t.len && class_at(t, pos, &n) == class) pos += n;
  return pos;
}

// Length of 's 't 're 've 'm 'll 'd at pos, or 0.
static size_t contraction(struct text_span t, size_t pos) {
  if (t.data[pos] != '\'' || pos + 1 == t.len) return 0;
  char a = t.data[pos + 1], b = pos + 2 < t.len ? t.data[pos + 2] : 0;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' || a == 'v') && b == 'e') return 3;
  return a == 'l' && b == 'l' ? 3 : 0;
}

// End of the match of GPT-2's pattern at pos < t.len.
static size_t byte_level_end(struct text_span t, size_t pos) {
  size_t n = contraction(t, pos);
  if (n) return pos + n;
  enum char_class class = class_at(t, pos, &n);
  if (class != CHAR_SPACE) return run_end(t, pos + n, class);
  if (t.data[pos] == ' ' && pos + 1 < t.len) {
    enum char_class next = class_at(t, pos + 1, &n);
    if (next != CHAR_SPACE) return run_end(t, pos + 1 + n, next);
  }
  // White space: all of it at the end of the text, else all but its last character (\s+(?!\S)), else that one (\s+).
  size_t end = pos, last = pos;
  while (end < t.len && class_at(t, end, &n) == CHAR_SPACE) {
    last = end;
    end += n;
  }
  return end == t.len || last == pos ? end : last;
}

static size_t skip_space(struct text_span t, size_t pos) {
  size_t n;
  while (pos < t.len && unicode_is_space(unicode_read(t.data + pos, &n))) pos += n;
  return pos;
}

static size_t bert_end(struct text_span t, size_t pos) {
  size_t n;
  for (size_t start = pos; pos < t.len; pos += n) {
    uint32_t c = unicode_read(t.data + pos, &n);
    if (unicode_is_space(c)) break;
    if (unicode_is_punct(c)) return pos == start ? pos + n : pos;
  }
  return pos;
}

static size_t word_end(struct text_span t, size_t pos) {
  size_t n;
  bool word = unicode_is_word(unicode_read(t.data + pos, &n));
  for (pos += n; pos < t.len; pos += n) {
    uint32_t c = unicode_read(t.data + pos, &n);
    if (unicode_is_space(c) || unicode_is_word(c) != word) break;
  }
  return pos;
}

static size_t space_or_end(struct text_span t, size_t pos) {
  size_t n;
  while (pos < t.len && !unicode_is_space(unicode_read(t.data + pos, &n))) pos += n;
  return pos;
}

bool pretokenize_next(const struct pretokenizer *p, struct text_span text, size_t *pos, struct text_span *word) {
  if (p->kind != PRETOKENIZE_BYTE_LEVEL) *pos = skip_space(text, *pos);
  if (*pos >= text.len) return false;
  size_t start = *pos, end = text.len;
  switch (p->kind) {
    case PRETOKENIZE_BERT: end = bert_end(text, start); break;
    case PRETOKENIZE_WHITESPACE: end = word_end(text, start); break;
    case PRETOKENIZE_WHITESPACE_SPLIT: end = space_or_end(text, start); break;
    case PRETOKENIZE_BYTE_LEVEL:
      if (p->use_regex) end = byte_level_end(text, start);
      break;
  }
  *word = (struct text_span){text.data + start, end - start};
  *pos = end;
  return true;
}
