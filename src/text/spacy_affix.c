// spacy_affix.c - spaCy's prefix, suffix and infix patterns. Each is a set of single characters (chars.h) and a few
// longer forms, so a look at the characters around a place decides; a search for a suffix takes the one that starts
// first, which is the longest.
#include "text/spacy.h"
#include "text/unicode.h"

// Characters of c that the string text spells, 0 when they differ.
static size_t spells(const char *text, const uint32_t *c, size_t n) {
  size_t i = 0, bytes;
  for (; *text; i++, text += bytes) {
    if (i == n || unicode_read(text, &bytes) != c[i]) return 0;
  }
  return i;
}

static size_t one_of(const char *const *list, const uint32_t *c, size_t n) {
  for (; *list; list++) {
    size_t len = spells(*list, c, n);
    if (len) return len;
  }
  return 0;
}

static size_t dots(const uint32_t *c, size_t n) {
  size_t run = 0;
  while (run < n && c[run] == '.') run++;
  return run;
}

size_t spacy_prefix(const uint32_t *c, size_t n) {
  if (n == 0) return 0;
  if (c[0] == '+') return n == 1 || !char_is_ascii_digit(c[1]);
  if (char_is(c[0], KIND_PREFIX)) return 1;
  if (c[0] == '.') {
    size_t run = dots(c, n);
    return run >= 2 ? run : 0;
  }
  return c[0] >= 'A' && c[0] <= 'Z' ? one_of(spacy_long_prefixes, c, n) : 0; // "US$"
}

// A unit, a currency or a plus sign after a digit; they hold no digit themselves.
static size_t digit_suffix(const uint32_t *c, size_t n) {
  enum { LONGEST = 5 }; // "اكواب"
  for (size_t len = 1; len <= LONGEST && len < n; len++) {
    if (!char_is_ascii_digit(c[n - len - 1])) continue;
    for (const char *const *s = spacy_digit_suffixes; *s; s++) {
      if (spells(*s, c + n - len, len) == len) return len;
    }
    return 0;
  }
  return 0;
}

static size_t dot_suffix(const uint32_t *c, size_t n) {
  size_t run = 1;
  while (run < n && c[n - run - 1] == '.') run++;
  if (run >= 2) return run;
  if (n < 2) return 0;
  uint32_t before = c[n - 2];
  if (char_is(before, KIND_BEFORE_DOT)) return 1;
  if (n < 3) return 0;
  if (char_is(before, KIND_UPPER) && char_is(c[n - 3], KIND_UPPER)) return 1;
  uint32_t letter = before | 0x20;
  return c[n - 3] == 0xB0 && before < 128 && (letter == 'c' || letter == 'f' || letter == 'k'); // degrees
}

size_t spacy_suffix(const uint32_t *c, size_t n) {
  if (n == 0) return 0;
  uint32_t last = c[n - 1];
  if (last == '.') return dot_suffix(c, n);
  if (n >= 2 && (last == 's' || last == 'S' || last == 0x2026) && one_of(spacy_long_suffixes, c + n - 2, 2)) return 2;
  size_t len = char_is_ascii_digit(last) ? 0 : digit_suffix(c, n);
  if (len) return len;
  return char_is(last, KIND_SUFFIX);
}

size_t spacy_infix(const uint32_t *c, size_t n, size_t i) {
  uint32_t here = c[i];
  if (here == 0x2026 || char_is(here, KIND_ICON)) return 1;
  if (here < 128 ? char_is(here, KIND_WORD) : here != 0x2013 && here != 0x2014) return 0;
  if (here == '.') {
    size_t run = dots(c + i, n - i);
    if (run >= 2) return run;
  }
  if (i == 0 || i + 1 == n) return 0;
  uint32_t before = c[i - 1], after = c[i + 1];
  bool digit = char_is_ascii_digit(before), alpha = char_is(before, KIND_ALPHA);
  if (here == '.') return char_is(before, KIND_LOWER | KIND_QUOTE) && char_is(after, KIND_UPPER | KIND_QUOTE);
  if (here == ',') return alpha && char_is(after, KIND_ALPHA);
  if (digit && (here == '+' || here == '-' || here == '*' || here == '^') &&
      (char_is_ascii_digit(after) || after == '-')) {
    return 1;
  }
  if (!digit && !alpha) return 0;
  if (here == ':' || here == '<' || here == '>' || here == '=' || here == '/') return char_is(after, KIND_ALPHA);
  for (const char *const *s = spacy_hyphens; *s; s++) {
    size_t len = spells(*s, c + i, n - i);
    if (len && i + len < n && char_is(c[i + len], KIND_ALPHA)) return len;
  }
  return 0;
}
