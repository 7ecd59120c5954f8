// fastai.h - what a fastai export (Learner.export) of a text classifier says besides its weights.
#ifndef PARE_FORMAT_FASTAI_H
#define PARE_FORMAT_FASTAI_H

#include "format/format.h"
#include "format/pickle.h"

// True for a pickled Learner: an object of fastai with a model and data loaders.
bool fastai_is_export(const struct pickle_value *root);

// The hyper-parameters and labels as a config.json (model_type awd_lstm), and the tokenizer's description
// (docs/formats.md says what it holds); both to be freed by json_decref. file is for messages. PARE_UNAVAILABLE names
// what is no AWD-LSTM classifier over words of spaCy's; PARE_DATA what is missing.
enum pare_status fastai_config(const struct pickle_value *root, const char *file, struct json_t **out,
                               struct pare_error *err);
enum pare_status fastai_tokenizer(const struct pickle_value *root, const char *file, struct json_t **out,
                                  struct pare_error *err);

// Sizes that config, of model_type awd_lstm, does not say are taken from the tensors' shapes: vocab_size, emb_size,
// hidden_size, num_layers, head_layers, num_labels. A config of another model is left alone.
enum pare_status fastai_complete_config(struct json_t *config, const struct tensors *t, struct pare_error *err);

#endif
