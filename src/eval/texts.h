// texts.h - shared by outcome_texts.c, texts_score.c and texts_record.c: models that write text.
#ifndef PARE_EVAL_TEXTS_H
#define PARE_EVAL_TEXTS_H

#include "eval/compare.h"

// Reads each row's text, and the original's answer, with every model: how well it predicts the text (an
// encoder-decoder: the row's reference), and whether it would have written the answer as the original does, token by
// token. Fills c->texts.scored and .forced and every subject's nll, kl and same_top. After the answers of all models.
enum pare_status texts_score(struct comparison *c, struct pare_error *err);

// similarity, perplexity, rouge, length_ratio, generated, examples; against_base but for its speedup.
enum pare_status texts_fields(const struct comparison *c, const struct eval_subject *s, json_t *model,
                              struct pare_error *err);

#endif
