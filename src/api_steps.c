// api_steps.c - pare_serving.h: the steps of classification and of embedding apart. (api_serving.c: generation stream
// by stream.)
#include <stdlib.h>

#include "base/size.h"
#include "pare_serving.h"
#include "task/classify.h"
#include "task/embed.h"

bool pare_model_is_linear(const pare_model *model) {
  return model->arch->bag;
}

size_t pare_model_type_count(const pare_model *model) {
  return model->config.Y;
}

size_t pare_classify_sequence_count(const pare_model *model, const struct pare_classify_options *options) {
  (void)model;
  return classify_sequence_count(options);
}

enum pare_status pare_classify_tokenize(const pare_model *model, const struct pare_text *text,
                                        const struct pare_classify_options *options, struct pare_tokens *tokens,
                                        struct pare_error *err) {
  size_t n = classify_sequence_count(options);
  struct encoded few[4], *encoded = n <= 4 ? few : calloc(n, sizeof *encoded);
  if (!encoded) return error_no_memory(err);
  for (size_t i = 0; i < n; i++)
    encoded[i] = (struct encoded){tokens[i].ids, tokens[i].types, tokens[i].len, tokens[i].cap, tokens[i].truncated};
  enum pare_status s = classify_tokenize(model, text, options, encoded, err);
  for (size_t i = 0; i < n; i++)
    tokens[i] = (struct pare_tokens){encoded[i].ids, encoded[i].types, s ? 0 : encoded[i].len, encoded[i].cap,
                                     encoded[i].truncated};
  if (encoded != few) free(encoded);
  return s;
}

enum pare_status pare_classify_scores(const pare_model *model, const struct pare_classify_options *options,
                                      const float *rows, float *scores, float *logits, struct pare_error *err) {
  return classify_scores(model, options, rows, scores, logits, err);
}

enum pare_pooling pare_pooling_of(const char *path) {
  return embed_pooling(path);
}

void pare_embed_pool(const pare_model *model, enum pare_pooling pooling, const float *rows, size_t tokens, bool raw,
                     float *vector) {
  embed_pool(pooling, rows, tokens, model->config.C, raw, vector);
}
