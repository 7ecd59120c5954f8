// fastai_rules.h - fastai's rules (fastai.text.core): what is done to a text before it is tokenized, and to each token
// after.
#ifndef PARE_TEXT_FASTAI_RULES_H
#define PARE_TEXT_FASTAI_RULES_H

#include "base/buf.h"
#include "text/codes.h"

// Changes the text (code points) in place; spare is scratch. False: out of memory.
struct fastai_rule {
  const char *name; // as the function in fastai is called
  bool (*apply)(struct codes *text, struct codes *spare);
};
const struct fastai_rule *fastai_rule_find(const char *name); // NULL: none of that name

// The same for a token, in UTF-8. spare is scratch; running out of memory shows in token.
struct fastai_post_rule {
  const char *name;
  void (*apply)(struct buf *token, struct buf *spare);
};
const struct fastai_post_rule *fastai_post_rule_find(const char *name);

#endif
