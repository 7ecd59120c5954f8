// api_quantize.h - quantizing as a comparison wants it.
#ifndef PARE_API_QUANTIZE_H
#define PARE_API_QUANTIZE_H

#include <jansson.h>

#include "pare.h"

// Before anything long: every scheme is one, and texts to calibrate on are there when one needs them, and only then.
enum pare_status candidates_check(const struct pare_compare_options *o, struct pare_error *err);
// A compare_quantizer. The options' calibration is for a scheme that needs one; others leave it.
enum pare_status quantize_candidate(pare_engine *engine, const char *path, const char *out,
                                    const struct pare_quantize_options *options, json_t **tree, struct pare_error *err);

#endif
