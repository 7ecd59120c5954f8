// fastai.h - fastai's way from text to ids: rules on the text, spaCy's English tokenizer, rules on each token, a list
// of words. Private to text/.
#ifndef PARE_TEXT_FASTAI_H
#define PARE_TEXT_FASTAI_H

#include "text/fastai_rules.h"
#include "text/spacy.h"
#include "text/tokenizer.h"

enum { FASTAI_MAX_RULES = 16 };
#define FASTAI_BOS "xxbos"
#define FASTAI_FAKE "xxfake" // fills a vocabulary up to a multiple of eight; there may be several

struct fastai {
  const struct fastai_rule *rules[FASTAI_MAX_RULES];
  const struct fastai_post_rule *post_rules[FASTAI_MAX_RULES];
  size_t rule_count, post_rule_count;
  struct spacy spacy;
  uint32_t unk;
  int64_t fake;            // the first FASTAI_FAKE, which no text leads to; -1: none
  bool mark_one, mark_two; // fields are marked ("xxfld 1 ...") when there is one text; when there are two
};
void fastai_free(struct fastai *f); // accepts NULL

// Appends the ids of the text, or of both texts joined (pair.data not NULL), without the first special token. Both are
// valid UTF-8. May stop once there are more ids than enough.
enum pare_status fastai_encode(const struct fastai *f, const struct vocab *vocab, struct text_span text,
                               struct text_span pair, size_t enough, struct codes *out, struct pare_error *err);

#endif
