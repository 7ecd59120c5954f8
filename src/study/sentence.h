// sentence.h - an author's sentence: text with {metric}, {part:metric} or {part:model:metric} where figures belong.
#ifndef PARE_STUDY_SENTENCE_H
#define PARE_STUDY_SENTENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "study/metric.h"

// false: why says what is wrong: a figure with a unit outside braces (the records could not support it), a brace that
// does not close, a metric there is none of.
bool sentence_check(const char *text, char *why, size_t size);

// The model a study names: part NULL is the first; model NULL or "ship" the part's shipped candidate, "original" the
// original. false: the study has no such part or model, or nothing is shipped.
bool study_view_find(const json_t *study, const char *part, const char *model, struct study_view *out);

// text with its figures filled in; one the record cannot give becomes "n/a". text has passed sentence_check.
void sentence_fill(const json_t *study, const char *text, struct buf *out);

#endif
