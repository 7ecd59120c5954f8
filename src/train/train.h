// train.h - labelled texts -> a linear classifier's directory.
#ifndef PARE_TRAIN_TRAIN_H
#define PARE_TRAIN_TRAIN_H

#include "model/model.h"

struct json_t;

// See pare_train.
enum pare_status train_run(pare_engine *engine, const char *data, const char *out,
                           const struct pare_train_options *options, struct json_t **record, struct pare_error *err);

#endif
