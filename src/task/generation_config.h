// generation_config.h - how a model's own files say that it should write: generation_config.json, or config.json where
// older directories keep the same keys (task_specific_params are not read). Meanings are transformers'.
#ifndef PARE_TASK_GENERATION_CONFIG_H
#define PARE_TASK_GENERATION_CONFIG_H

#include "model/model.h"

enum { GENERATION_MAX_BEAMS = 64, GENERATION_MAX_IDS = 4096 };

struct id_list {
  uint32_t *ids; // owned
  size_t count;
};

struct generation_config {
  size_t beams;                          // num_beams, at least 1
  size_t max_length, min_length;         // of all the decoder's ids, its start or prompt among them; 0: not said
  size_t max_new_tokens, min_new_tokens; // of new ones; 0: not said; these win
  double length_penalty, repetition_penalty;
  enum pare_early_stopping early_stopping; // never PARE_EARLY_DEFAULT
  size_t no_repeat_ngram, encoder_no_repeat_ngram;
  int64_t forced_bos; // the first new id; -1: none
  struct id_list forced_eos, eos, suppress, begin_suppress;
  uint32_t start_id; // encoder-decoders: what the decoder reads first
};

// An encoder-decoder: every key of its files, checked against its vocabulary and lengths (PARE_DATA naming file and
// key; PARE_UNAVAILABLE for a key that asks for something not implemented, such as bad_words_ids). A language model:
// its end-of-text ids alone, those outside the vocabulary ignored, since it is greedy unless asked. Sampling keys are
// not read: drawing is for the user to ask for. To be freed, also after an error.
enum pare_status generation_config_load(const pare_model *m, struct generation_config *out, struct pare_error *err);
// The same from a JSON object; file names it in messages.
enum pare_status generation_config_parse(const pare_model *m, const struct json_t *json, const char *file,
                                         struct generation_config *out, struct pare_error *err);
void generation_config_free(struct generation_config *c);

bool id_list_has(const struct id_list *list, uint32_t id);

#endif
