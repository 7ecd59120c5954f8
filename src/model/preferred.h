// preferred.h - the quantized model that stands beside an original, or the original when that one cannot be used.
#ifndef PARE_MODEL_PREFERRED_H
#define PARE_MODEL_PREFERRED_H

#include "model/model.h"

// See pare_model_open_preferred.
enum pare_status preferred_open(pare_engine *engine, const char *path, const struct pare_preference *preference,
                                pare_model **out, struct pare_used *used, struct pare_error *err);

#endif
