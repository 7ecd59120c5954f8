// perplexity.h - how well a language model predicts a text, and how far a second model's predictions are from it.
#ifndef PARE_EVAL_PERPLEXITY_H
#define PARE_EVAL_PERPLEXITY_H

#include "model/model.h"

struct json_t;

// See pare_perplexity.
enum pare_status perplexity_run(pare_engine *engine, const char *model, const char *data,
                                const struct pare_perplexity_options *options, struct json_t **record,
                                struct pare_error *err);

#endif
