// features.h - what a linear classifier's directory says of its features: config.json's "ngrams" object (how text
// becomes hashed n-grams) and the tensor "ngrams" (which of them have a row of weights).
#ifndef PARE_MODEL_FEATURES_H
#define PARE_MODEL_FEATURES_H

#include "model/model.h"
#include "text/ngram.h"

#define FEATURES_TENSOR "ngrams"

// Fills m->tokenizer and m->ngrams. PARE_DATA names the key or tensor; also when weights are not finite.
enum pare_status features_open(pare_model *m, struct pare_error *err);
// {"lowercase": true, "words": [1, 2], "chars": [0, 0], "bits": 18, "seed": 0}; NULL when out of memory.
struct json_t *features_settings(const struct ngram_settings *s);

#endif
