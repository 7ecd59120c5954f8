// quantize.h - drive: model directory + plan -> a smaller model, in the file format of a writer.
#ifndef PARE_QUANT_QUANTIZE_H
#define PARE_QUANT_QUANTIZE_H

#include "quant/calibrate.h"
#include "quant/save.h"

struct json_t;

// A model with every weight as it is to be written. All borrowed.
struct quantized {
  const pare_model *m;
  const struct plan *plan;
  const struct result *results; // in plan order
  const struct pare_quantize_options *options;
};

// A file format to write. The Hugging Face directory is ours; others lie above this layer and are handed in.
struct writer {
  const char *format; // as --format names it
  bool self_test;     // pare opens what is written: pare.json gets a stored answer
  // Before anything is computed: refuses a model or a plan that the format cannot hold.
  enum pare_status (*check)(const pare_model *m, const struct plan *plan, const struct pare_quantize_options *options,
                            struct pare_error *err);
  // Lays the output out: *bytes of the weight file, whose name is *file; *state goes to write and release.
  enum pare_status (*prepare)(const struct quantized *q, void **state, const char **file, size_t *bytes,
                              struct pare_error *err);
  // Writes everything but pare.json into dir.
  enum pare_status (*write)(void *state, const struct quantized *q, const char *dir, struct pare_error *err);
  void (*release)(void *state); // accepts NULL
};
extern const struct writer writer_hf;

struct quantize_job {
  pare_engine *engine;
  const char *path, *out;                      // model directory; output directory, or NULL with dry_run
  const struct pare_quantize_options *options; // `format` is not looked at
  const struct writer *writer;
  const struct calibration_texts *texts; // for schemes that calibrate; NULL: none. Texts no tensor needs are refused
};
// See pare_quantize. *record: the contract's quantize fields.
enum pare_status quantize_write(const struct quantize_job *job, struct json_t **record, struct pare_error *err);
// See pare_convert: the same without quantizing. The options' scheme and keep are not looked at.
enum pare_status quantize_convert(const struct quantize_job *job, struct json_t **record, struct pare_error *err);
// quantize_write as a Hugging Face directory.
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
