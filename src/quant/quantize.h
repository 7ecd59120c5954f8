// quantize.h - drive: model directory + plan -> a quantized directory.
#ifndef PARE_QUANT_QUANTIZE_H
#define PARE_QUANT_QUANTIZE_H

#include "quant/calibrate.h"

struct json_t;

// See pare_quantize. *record: the contract's quantize fields.
enum pare_status quantize_model(pare_engine *engine, const char *path, const char *out,
                                const struct pare_quantize_options *options, struct json_t **record,
                                struct pare_error *err);

// The same with texts to calibrate on, for schemes that need them; NULL: none. Texts that no tensor needs are refused.
enum pare_status quantize_calibrated(pare_engine *engine, const char *path, const char *out,
                                     const struct pare_quantize_options *options, const struct calibration_texts *texts,
                                     struct json_t **record, struct pare_error *err);

// Every scheme: name, bits_per_weight, encoding, method, calibrated, formats, available.
struct json_t *schemes_record(void);

#endif
