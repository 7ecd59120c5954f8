// selftest.h - a stored input and its answer: written with a quantized model, re-checked at every load.
#ifndef PARE_MODEL_SELFTEST_H
#define PARE_MODEL_SELFTEST_H

#include "model/model.h"

// Raised when a change to kernels or layers changes bits: answers stored under another number are compared with a
// tolerance.
enum { SELFTEST_NUMERICS = 2 };

// {"numerics": n, "ids": [...], "logits": [...]} for pare.json; the model is open and its weights are the ones as
// written.
enum pare_status selftest_make(pare_model *m, struct json_t **out, struct pare_error *err);
// PARE_OK when there is nothing to check or the answer is the stored one; PARE_DATA otherwise.
enum pare_status selftest_check(pare_model *m, struct pare_error *err);

#endif
