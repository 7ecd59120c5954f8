// normalize.c - each normalizer turns one array of code points into another; UTF-8 only at both ends.
#include "text/normalize.h"

#include <string.h>

#include "base/size.h"
#include "text/unicode.h"

// Decomposition, then marks after each starter sorted by combining class, equal classes keeping their order
// (Unicode 15, section 3.11). A counting sort, so that a megabyte of accents stays linear.
static bool sort_marks(struct codes *c, struct codes *scratch) {
  for (size_t i = 0; i < c->len;) {
    if (unicode_combining_class(c->data[i]) == 0) {
      i++;
      continue;
    }
    size_t end = i, count[257] = {0};
    for (uint8_t k; end < c->len && (k = unicode_combining_class(c->data[end])) != 0; end++) count[k + 1]++;
    if (end - i > 1) {
      scratch->len = 0;
      if (!codes_reserve(scratch, end - i)) return false;
      memcpy(scratch->data, c->data + i, (end - i) * sizeof *c->data);
      for (size_t k = 1; k < 257; k++) count[k] += count[k - 1];
      for (size_t j = 0; j < end - i; j++) {
        uint32_t code = scratch->data[j];
        c->data[i + count[unicode_combining_class(code)]++] = code;
      }
    }
    i = end;
  }
  return true;
}

static bool decompose(const struct codes *in, bool compat, struct codes *out, struct codes *scratch) {
  out->len = 0;
  for (size_t i = 0; i < in->len; i++) {
    if (!codes_reserve(out, UNICODE_MAX_DECOMPOSED)) return false;
    out->len += unicode_decompose(in->data[i], compat, out->data + out->len);
  }
  return sort_marks(out, scratch);
}

// Canonical composition in place: each character joins the last starter unless something between blocks it.
static void compose(struct codes *c) {
  size_t out = 0, starter = SIZE_MAX;
  int last_class = -1; // of what follows the starter; -1: nothing does
  for (size_t i = 0; i < c->len; i++) {
    uint32_t code = c->data[i];
    int class = unicode_combining_class(code);
    if (starter != SIZE_MAX && last_class < class) {
      uint32_t composed = unicode_compose(c->data[starter], code);
      if (composed) {
        c->data[starter] = composed;
        continue;
      }
    }
    if (class == 0) {
      starter = out;
      last_class = -1;
    } else {
      last_class = class;
    }
    c->data[out++] = code;
  }
  c->len = out;
}

// Each reads in and writes out, two different arrays.
static bool bert_clean(const struct codes *in, struct codes *out) {
  out->len = 0;
  if (!codes_reserve(out, in->len)) return false;
  for (size_t i = 0; i < in->len; i++) {
    uint32_t c = in->data[i];
    if (c == 0 || c == 0xFFFD || unicode_is_control(c)) continue;
    out->data[out->len++] = unicode_is_space(c) ? ' ' : c;
  }
  return true;
}

static bool bert_space_cjk(const struct codes *in, struct codes *out) {
  out->len = 0;
  for (size_t i = 0; i < in->len; i++) {
    uint32_t c = in->data[i];
    if (!codes_reserve(out, 3)) return false;
    bool cjk = unicode_is_cjk(c);
    if (cjk) out->data[out->len++] = ' ';
    out->data[out->len++] = c;
    if (cjk) out->data[out->len++] = ' ';
  }
  return true;
}

static void drop(struct codes *c, bool (*unwanted)(uint32_t)) {
  size_t kept = 0;
  for (size_t i = 0; i < c->len; i++) {
    if (!unwanted(c->data[i])) c->data[kept++] = c->data[i];
  }
  c->len = kept;
}

static bool lowercase(const struct codes *in, struct codes *out) {
  out->len = 0;
  for (size_t i = 0; i < in->len; i++) {
    if (!codes_reserve(out, 2)) return false;
    out->len += unicode_lower(in->data[i], out->data + out->len);
  }
  return true;
}

static void strip(struct codes *c, bool left, bool right) {
  size_t start = 0;
  while (left && start < c->len && unicode_is_space(c->data[start])) start++;
  while (right && c->len > start && unicode_is_space(c->data[c->len - 1])) c->len--;
  c->len -= start;
  if (start) memmove(c->data, c->data + start, c->len * sizeof *c->data);
}

static bool replace(const struct codes *in, const struct codes *pattern, const struct codes *content,
                    struct codes *out) {
  out->len = 0;
  for (size_t i = 0; i < in->len;) {
    bool match =
        in->len - i >= pattern->len && memcmp(in->data + i, pattern->data, pattern->len * sizeof *pattern->data) == 0;
    if (!codes_reserve(out, size_max(content->len, 1))) return false;
    if (!match) {
      out->data[out->len++] = in->data[i++];
      continue;
    }
    if (content->len) memcpy(out->data + out->len, content->data, content->len * sizeof *content->data);
    out->len += content->len;
    i += pattern->len;
  }
  return true;
}

static void swap(struct normalize_scratch *s) {
  struct codes t = s->a;
  s->a = s->b;
  s->b = t;
}

static bool step_decompose(struct normalize_scratch *s, bool compat) {
  bool plain = true; // nothing below U+00A0 decomposes
  for (size_t i = 0; plain && i < s->a.len; i++) plain = s->a.data[i] < 0xA0;
  if (plain) return true;
  if (!decompose(&s->a, compat, &s->b, &s->sorted)) return false;
  swap(s);
  return true;
}

static bool step_bert(const struct normalizer *n, struct normalize_scratch *s) {
  if (n->clean_text) {
    if (!bert_clean(&s->a, &s->b)) return false;
    swap(s);
  }
  if (n->cjk) {
    if (!bert_space_cjk(&s->a, &s->b)) return false;
    swap(s);
  }
  if (n->strip_accents) {
    if (!step_decompose(s, false)) return false;
    drop(&s->a, unicode_is_nonspacing);
  }
  if (n->lowercase) {
    if (!lowercase(&s->a, &s->b)) return false;
    swap(s);
  }
  return true;
}

// From s->a to s->a.
static bool step(const struct normalizer *n, struct normalize_scratch *s) {
  switch (n->kind) {
    case NORMALIZE_BERT: return step_bert(n, s);
    case NORMALIZE_NFD: return step_decompose(s, false);
    case NORMALIZE_NFKD: return step_decompose(s, true);
    case NORMALIZE_NFC:
    case NORMALIZE_NFKC:
      if (!step_decompose(s, n->kind == NORMALIZE_NFKC)) return false;
      compose(&s->a);
      return true;
    case NORMALIZE_LOWERCASE:
      if (!lowercase(&s->a, &s->b)) return false;
      swap(s);
      return true;
    case NORMALIZE_STRIP_ACCENTS: drop(&s->a, unicode_is_mark); return true;
    case NORMALIZE_STRIP: strip(&s->a, n->left, n->right); return true;
    case NORMALIZE_REPLACE:
      if (!replace(&s->a, &n->pattern, &n->content, &s->b)) return false;
      swap(s);
      return true;
  }
  return true;
}

bool normalize_text(const struct normalizer *list, size_t count, const char *text, size_t len,
                    struct normalize_scratch *s, const char **out, size_t *out_len) {
  *out = text;
  *out_len = len;
  if (count == 0) return true;
  s->a.len = 0;
  if (!codes_reserve(&s->a, len)) return false;
  for (size_t i = 0, n; i < len; i += n) s->a.data[s->a.len++] = unicode_read(text + i, &n);
  for (size_t i = 0; i < count; i++) {
    if (!step(&list[i], s)) return false;
  }
  if (s->a.len * 4 > s->text_cap || !s->text) {
    size_t cap = size_max(s->a.len * 4, 256);
    char *p = realloc(s->text, cap);
    if (!p) return false;
    s->text = p;
    s->text_cap = cap;
  }
  size_t n = 0;
  for (size_t i = 0; i < s->a.len; i++) n += unicode_write(s->a.data[i], s->text + n);
  *out = s->text;
  *out_len = n;
  return true;
}

void normalize_scratch_free(struct normalize_scratch *s) {
  codes_free(&s->a);
  codes_free(&s->b);
  codes_free(&s->sorted);
  free(s->text);
  *s = (struct normalize_scratch){0};
}
