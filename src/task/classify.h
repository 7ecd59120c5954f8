// classify.h - texts to label scores, by the model's own head or zero-shot over a natural-language-inference model.
#ifndef PARE_TASK_CLASSIFY_H
#define PARE_TASK_CLASSIFY_H

#include "model/session.h"

size_t classify_label_count(const pare_model *m, const struct pare_classify_options *options);
// Name of label i: the model's, or the candidate phrase.
const char *classify_label(const pare_model *m, const struct pare_classify_options *options, size_t i);
// True when scores are independent (sigmoid) rather than a distribution.
bool classify_multi_label(const pare_model *m, const struct pare_classify_options *options);
// See pare_classify_sequence_count, pare_classify_tokenize, pare_classify_scores.
size_t classify_sequence_count(const struct pare_classify_options *options);
enum pare_status classify_tokenize(const pare_model *m, const struct pare_text *text,
                                   const struct pare_classify_options *options, struct encoded *out,
                                   struct pare_error *err);
enum pare_status classify_scores(const pare_model *m, const struct pare_classify_options *options, const float *rows,
                                 float *scores, float *logits, struct pare_error *err);
// See pare_classify.
enum pare_status classify_run(pare_session *s, const struct pare_text *texts, size_t n,
                              const struct pare_classify_options *options, float *scores, float *logits,
                              struct pare_error *err);

#endif
