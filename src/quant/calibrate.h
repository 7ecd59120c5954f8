// calibrate.h - the range of every linear layer's input, watched while the original reads texts: one pass, in f32, over
// at most CALIBRATE_ROWS texts unless told otherwise. Memory per layer is fixed: the extremes, and for percentiles
// histogram of HISTOGRAM_BINS counts whose range doubles when a value falls outside (neighbouring bins merge, so the
// counts are those of a histogram of the final range from the start, in whatever order values come).
#ifndef PARE_QUANT_CALIBRATE_H
#define PARE_QUANT_CALIBRATE_H

#include "quant/plan.h"

struct json_t;

enum { CALIBRATE_ROWS = 512, CALIBRATE_LM_TOKENS = 256 }; // a language model's logits would fill memory otherwise
#define CALIBRATE_PERCENTILE 99.99

// Texts to read; the file they came from is named in messages and in the record.
struct calibration_texts {
  size_t count;
  struct pare_text (*text)(const void *context, size_t i);
  const void *context;
  const struct pare_sequence *sequences; // (count) ids as they are, for a model without a tokenizer; or NULL
  const char *path, *sha256;
};

struct calibration_range {
  float lo, hi;    // lo <= 0 <= hi
  double clipped;  // share of the values seen that lie outside
  uint64_t values; // seen; 0: nothing was
};

struct calibration {
  struct calibration_range *ranges; // one per plan item
  size_t texts, tokens;
  double clipped; // share over all layers
};

// Opens the model at path once more, to compute with, and reads the texts. PARE_DATA when there is no text, when an
// input holds what is no number, or when a layer that is to be calibrated was never used (its name is in the message).
enum pare_status calibrate(pare_engine *engine, const char *path, const struct plan *p,
                           const struct calibration_texts *texts, const struct pare_calibrate_options *options,
                           const struct pare_progress *progress, struct calibration *out, struct pare_error *err);
void calibration_free(struct calibration *c); // accepts a zeroed struct
// PARE_USAGE unless method, percentile and rows make sense together.
enum pare_status calibrate_check(const struct pare_calibrate_options *options, struct pare_error *err);

// Writes the range into an int8-static weight: scale = (hi - lo) / 255, zero point = round(-lo / scale) - 128.
void calibration_store(const struct calibration_range *r, struct stored *weight);
// {file, sha256, rows, tokens, method, percentile, clipped}
struct json_t *calibration_json(const struct calibration *c, const struct calibration_texts *texts,
                                const struct pare_calibrate_options *options);

#endif
