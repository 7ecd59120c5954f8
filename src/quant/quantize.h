// quantize.h - drive: model directory + plan -> a quantized directory.
#ifndef PARE_QUANT_QUANTIZE_H
#define PARE_QUANT_QUANTIZE_H

#include "model/model.h"

struct json_t;

// See pare_quantize. *record: the contract's quantize fields.
enum pare_status quantize_model(pare_engine *engine, const char *path, const char *out,
                                const struct pare_quantize_options *options, struct json_t **record,
                                struct pare_error *err);

// Every scheme: name, bits_per_weight, encoding, method, calibrated, formats, available.
struct json_t *schemes_record(void);

#endif
