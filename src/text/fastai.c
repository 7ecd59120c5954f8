// fastai.c - text -> fastai's rules -> spaCy's tokens -> rules on each -> ids.
#include "text/fastai.h"

#include <stdlib.h>

#include "base/size.h"
#include "text/unicode.h"

void fastai_free(struct fastai *f) {
  if (!f) return;
  spacy_close(&f->spacy);
  free(f);
}

static bool add_text(struct codes *out, struct text_span text) {
  if (text.len == 0) return true;
  if (!codes_reserve(out, text.len)) return false;
  uint32_t *to = out->data + out->len;
  for (size_t i = 0, n; i < text.len; i += n) *to++ = unicode_read(text.data + i, &n);
  out->len = (size_t)(to - out->data);
  return true;
}

#define SPAN(literal) ((struct text_span){literal, sizeof literal - 1})

// As fastai joins the text columns of a table.
static bool join(const struct fastai *f, struct text_span text, struct text_span pair, struct codes *out) {
  bool mark = pair.data ? f->mark_two : f->mark_one;
  if (mark && !add_text(out, SPAN("xxfld 1 "))) return false;
  if (!add_text(out, text)) return false;
  return !pair.data || (add_text(out, mark ? SPAN(" xxfld 2 ") : SPAN(" ")) && add_text(out, pair));
}

struct scratch {
  struct codes spare;
  struct spacy_text text;
  struct buf token, spare_token;
};

static bool apply_rules(const struct fastai *f, struct scratch *s) {
  for (size_t i = 0; i < f->rule_count; i++) {
    if (!f->rules[i]->apply(&s->text.chars, &s->spare)) return false;
  }
  return true;
}

static bool add_ids(const struct fastai *f, const struct vocab *vocab, struct scratch *s, size_t enough,
                    struct codes *out) {
  const struct spacy_text *t = &s->text;
  for (size_t i = 0; i < t->token_count && out->len <= enough; i++) {
    uint32_t from = t->offsets[t->tokens[i].start];
    s->token.len = 0;
    buf_add(&s->token, t->bytes + from, t->offsets[t->tokens[i].end] - from);
    for (size_t k = 0; k < f->post_rule_count; k++) f->post_rules[k]->apply(&s->token, &s->spare_token);
    if (s->token.failed) return false;
    int64_t id = vocab_find(vocab, s->token.data, s->token.len);
    if (!codes_push(out, id < 0 || id == f->fake ? f->unk : (uint32_t)id)) return false;
  }
  return true;
}

enum pare_status fastai_encode(const struct fastai *f, const struct vocab *vocab, struct text_span text,
                               struct text_span pair, size_t enough, struct codes *out, struct pare_error *err) {
  struct scratch s = {.spare = {0}};
  enum pare_status status = PARE_OK;
  if (!join(f, text, pair, &s.text.chars) || !apply_rules(f, &s)) {
    status = error_no_memory(err);
  } else if (s.text.chars.len >= SPACY_MAX_CHARS) {
    status = error_set(err, PARE_DATA, "text has %zu characters after fastai's rules; spaCy takes fewer than %d",
                       s.text.chars.len, SPACY_MAX_CHARS);
  } else if (!spacy_tokenize(&f->spacy, &s.text) || !add_ids(f, vocab, &s, enough, out)) {
    status = error_no_memory(err);
  }
  codes_free(&s.spare);
  spacy_text_free(&s.text);
  buf_free(&s.token);
  buf_free(&s.spare_token);
  return status;
}
