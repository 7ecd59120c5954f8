// quantize_any.h - quantize_model for every scheme: those that calibrate read a few sequences of small ids.
#ifndef PARE_TESTS_QUANTIZE_ANY_H
#define PARE_TESTS_QUANTIZE_ANY_H

#include "quant/quantize.h"

static inline enum pare_status quantize_any(pare_engine *engine, const char *path, const char *out,
                                            const struct pare_quantize_options *options, struct json_t **record,
                                            struct pare_error *err) {
  static const uint32_t ids[] = {1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41};
  static const struct pare_sequence sequences[] = {
      {.ids = ids, .len = 14}, {.ids = ids + 4, .len = 7}, {.ids = ids + 2, .len = 1}};
  struct calibration_texts texts = {
      .count = 3, .sequences = sequences, .path = "few", .sha256 = "no file: ids of the tests"};
  struct scheme_choice choice;
  enum pare_status s = scheme_parse(options->scheme, &choice, err);
  bool calibrates = !s && choice.scheme->calibrated;
  struct quantize_job job = {engine, path, out, options, &writer_hf, calibrates ? &texts : NULL};
  return quantize_write(&job, record, err);
}

#endif
