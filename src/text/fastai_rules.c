// fastai_rules.c - the regular expressions of fastai 2.8's rules, written as the scans they amount to; each takes time
// linear in the text. Characters are what Python takes them for (chars.h).
#include "text/fastai_rules.h"

#include <stdio.h>
#include <string.h>

#include "text/chars.h"
#include "text/html.h"
#include "text/unicode.h"

static void swap(struct codes *a, struct codes *b) {
  struct codes was = *a;
  *a = *b;
  *b = was;
}

static bool add(struct codes *out, const uint32_t *c, size_t n) {
  if (!codes_reserve(out, n)) return false;
  if (n) memcpy(out->data + out->len, c, n * sizeof *c);
  out->len += n;
  return true;
}

static bool add_ascii(struct codes *out, const char *text) {
  for (; *text; text++) {
    if (!codes_push(out, (unsigned char)*text)) return false;
  }
  return true;
}

// ---- fix_html ----

static void replace_all(struct codes *text, const char *from, const uint32_t *to) {
  size_t n = strlen(from), kept = 0;
  uint32_t *c = text->data;
  for (size_t i = 0; i < text->len;) {
    size_t k = 0;
    while (k < n && i + k < text->len && c[i + k] == (unsigned char)from[k]) k++;
    if (k < n) {
      c[kept++] = c[i++];
      continue;
    }
    for (const uint32_t *t = to; *t; t++) c[kept++] = *t; // not longer than from
    i += n;
  }
  text->len = kept;
}

static bool fix_html(struct codes *text, struct codes *spare) {
  (void)spare;
  static const struct {
    const char *from;
    uint32_t to[6]; // 0 at the end
  } messy[] = {
      // one after the other: an earlier one may make a later one match
      {"#39;", {'\''}},       {"amp;", {'&'}},
      {"#146;", {'\''}},      {"nbsp;", {' '}},
      {"#36;", {'$'}},        {"\\n", {'\n'}},
      {"quot;", {'\''}},      {"<br />", {'\n'}},
      {"\\\"", {'"'}},        {"<unk>", {'x', 'x', 'u', 'n', 'k'}},
      {" @.@ ", {'.'}},       {" @-@ ", {'-'}},
      {"...", {' ', 0x2026}},
  };
  for (size_t i = 0; i < sizeof messy / sizeof messy[0]; i++) replace_all(text, messy[i].from, messy[i].to);
  html_unescape(text);
  return true;
}

// ---- replace_rep, replace_wrep ----

static bool add_repeat(struct codes *out, const char *token, size_t times, const uint32_t *c, size_t n) {
  char text[48];
  snprintf(text, sizeof text, " %s %zu ", token, times);
  return add_ascii(out, text) && add(out, c, n) && add_ascii(out, " ");
}

// (\S)(\1{2,})
static bool replace_rep(struct codes *text, struct codes *spare) {
  const uint32_t *c = text->data;
  spare->len = 0;
  for (size_t i = 0, run; i < text->len; i += run) {
    for (run = 1; i + run < text->len && c[i + run] == c[i];) run++;
    bool long_run = run >= 3 && !char_is(c[i], KIND_SPACE);
    if (!(long_run ? add_repeat(spare, "xxrep", run, c + i, 1) : add(spare, c + i, run))) return false;
  }
  swap(text, spare);
  return true;
}

static size_t run_of(const uint32_t *c, size_t n, size_t i, uint32_t kind) {
  size_t end = i;
  while (end < n && char_is(c[end], kind)) end++;
  return end - i;
}

// What follows (\s|^) in  (?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$). A word can only be a whole run of word characters,
// since space must follow it; so the pattern counts equal words between spaces, and the last of them may be followed by
// something else that is no word character. Returns the end of the match, 0: none; *word: the length of the word;
// *times: how often it is there; the text from *rest to the end is the last group.
static size_t repeated_word(const uint32_t *c, size_t n, size_t start, size_t *word, size_t *times, size_t *rest) {
  size_t len = run_of(c, n, start, KIND_WORD), last_end = 0, found = 1;
  size_t at = start + len, space = len ? run_of(c, n, at, KIND_SPACE) : 0;
  if (space == 0) return 0;
  *word = len;
  for (at += space; n - at >= len && memcmp(c + at, c + start, len * sizeof *c) == 0; at = last_end + space) {
    size_t end = at + len;
    if (end < n && char_is(c[end], KIND_WORD)) break;
    space = run_of(c, n, end, KIND_SPACE);
    found++;
    last_end = end;
    if (space == 0) break;
  }
  if (found < 3) return 0; // two words are no repetition
  *times = found;
  *rest = last_end;
  return last_end < n ? last_end + 1 : n;
}

static bool replace_wrep(struct codes *text, struct codes *spare) {
  const uint32_t *c = text->data;
  size_t n = text->len, word, times, rest;
  spare->len = 0;
  for (size_t i = 0; i < n;) {
    bool space = char_is(c[i], KIND_SPACE);
    size_t end = space || i == 0 ? repeated_word(c, n, i + space, &word, &times, &rest) : 0;
    if (end == 0) {
      if (!codes_push(spare, c[i++])) return false;
      continue;
    }
    if (!add_repeat(spare, "xxwrep", times, c + i + space, word) || !add(spare, c + rest, end - rest)) return false;
    i = end;
  }
  swap(text, spare);
  return true;
}

// ---- spaces ----

static bool spec_add_spaces(struct codes *text, struct codes *spare) {
  spare->len = 0;
  for (size_t i = 0; i < text->len; i++) {
    uint32_t c = text->data[i];
    bool apart = c == '/' || c == '#' || c == '\\';
    if (apart && !codes_push(spare, ' ')) return false;
    if (!codes_push(spare, c) || (apart && !codes_push(spare, ' '))) return false;
  }
  swap(text, spare);
  return true;
}

static bool rm_useless_spaces(struct codes *text, struct codes *spare) {
  (void)spare;
  size_t kept = 0;
  for (size_t i = 0; i < text->len; i++) {
    if (text->data[i] == ' ' && kept && text->data[kept - 1] == ' ') continue;
    text->data[kept++] = text->data[i];
  }
  text->len = kept;
  return true;
}

// ---- capitals ----

// A capital sigma at the end of a word: a cased character before it, none after, ignorable ones aside (Unicode 3.13).
static bool is_final(const uint32_t *c, size_t n, size_t i) {
  size_t before = i, after = i + 1;
  while (before > 0 && char_is(c[before - 1], KIND_IGNORABLE)) before--;
  while (after < n && char_is(c[after], KIND_IGNORABLE)) after++;
  return before > 0 && char_is(c[before - 1], KIND_CASED) && (after == n || !char_is(c[after], KIND_CASED));
}

static bool add_lower(struct codes *out, const uint32_t *c, size_t n) {
  enum { SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2 };
  if (!codes_reserve(out, n)) return false;
  for (size_t i = 0; i < n; i++) {
    uint32_t lower[2];
    size_t len = unicode_lower(c[i], lower);
    if (c[i] == SIGMA && is_final(c, n, i)) lower[0] = FINAL_SIGMA;
    if (!add(out, lower, len)) return false;
  }
  return true;
}

static bool is_ascii_upper(uint32_t c) {
  return c >= 'A' && c <= 'Z';
}

// (\s|^)([A-Z]+[^a-z\s]*)(?=(\s|$)): a whole word between spaces
static bool is_all_caps(const uint32_t *c, size_t n) {
  if (!is_ascii_upper(c[0])) return false;
  for (size_t i = 1; i < n; i++) {
    if (c[i] >= 'a' && c[i] <= 'z') return false;
  }
  return true;
}

// (\s|^)([A-Z][^A-Z\s]*)(?=(\s|$))
static bool is_capitalized(const uint32_t *c, size_t n) {
  if (!is_ascii_upper(c[0])) return false;
  for (size_t i = 1; i < n; i++) {
    if (is_ascii_upper(c[i])) return false;
  }
  return true;
}

static bool mark_words(struct codes *text, struct codes *spare, bool (*is_marked)(const uint32_t *, size_t),
                       const char *mark) {
  const uint32_t *c = text->data;
  spare->len = 0;
  for (size_t i = 0, end; i < text->len; i = end) {
    if (char_is(c[i], KIND_SPACE)) {
      if (!codes_push(spare, c[i])) return false;
      end = i + 1;
      continue;
    }
    for (end = i + 1; end < text->len && !char_is(c[end], KIND_SPACE);) end++;
    bool marked = is_marked(c + i, end - i);
    if (marked && end - i > 1 && !add_ascii(spare, mark)) return false;
    if (!(marked ? add_lower : add)(spare, c + i, end - i)) return false;
  }
  swap(text, spare);
  return true;
}

static bool replace_all_caps(struct codes *text, struct codes *spare) {
  return mark_words(text, spare, is_all_caps, "xxup ");
}

static bool replace_maj(struct codes *text, struct codes *spare) {
  return mark_words(text, spare, is_capitalized, "xxmaj ");
}

// Strips as well. The "xxbos " that fastai writes before the text is the tokenizer's special token here.
static bool lowercase(struct codes *text, struct codes *spare) {
  spare->len = 0;
  if (!add_lower(spare, text->data, text->len)) return false;
  size_t start = 0, end = spare->len;
  while (start < end && char_is(spare->data[start], KIND_SPACE)) start++;
  while (end > start && char_is(spare->data[end - 1], KIND_SPACE)) end--;
  text->len = 0;
  return start == end || add(text, spare->data + start, end - start);
}

const struct fastai_rule *fastai_rule_find(const char *name) {
  static const struct fastai_rule rules[] = {
      {"fix_html", fix_html},
      {"replace_rep", replace_rep},
      {"replace_wrep", replace_wrep},
      {"spec_add_spaces", spec_add_spaces},
      {"rm_useless_spaces", rm_useless_spaces},
      {"replace_all_caps", replace_all_caps},
      {"replace_maj", replace_maj},
      {"lowercase", lowercase},
  };
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
    if (strcmp(rules[i].name, name) == 0) return &rules[i];
  }
  return NULL;
}

// ' ' inside a token (of white space) becomes U+2581, so that tokens can be joined with spaces and split again.
static void replace_space(struct buf *token, struct buf *spare) {
  if (token->failed || !token->len || !memchr(token->data, ' ', token->len)) return;
  spare->len = 0;
  for (size_t i = 0; i < token->len; i++) {
    if (token->data[i] == ' ') {
      buf_add(spare, "\xE2\x96\x81", 3);
    } else {
      buf_add(spare, token->data + i, 1);
    }
  }
  struct buf was = *token;
  *token = *spare;
  *spare = was;
}

const struct fastai_post_rule *fastai_post_rule_find(const char *name) {
  static const struct fastai_post_rule rules[] = {{"replace_space", replace_space}};
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
    if (strcmp(rules[i].name, name) == 0) return &rules[i];
  }
  return NULL;
}
