// api_quantize.c - quantizing and converting, as the public interface: the file formats that can be written, and the
// texts a scheme is calibrated on. Both are chosen here, for quantizing lies beside them.
#include "api_quantize.h"

#include <string.h>

#include "api_record.h"
#include "base/error.h"
#include "eval/dataset.h"
#include "export/onnx.h"
#include "quant/quantize.h"

static enum pare_status find_writer(const char *format, const struct writer **out, struct pare_error *err) {
  static const struct writer *const all[] = {&writer_hf, &writer_onnx};
  *out = all[0];
  if (!format) return PARE_OK;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    *out = all[i];
    if (!strcmp(all[i]->format, format)) return PARE_OK;
  }
  bool known = !strcmp(format, "gguf");
  return error_set(err, known ? PARE_UNAVAILABLE : PARE_USAGE, "format %.20s %s", format,
                   known ? "is not built yet (hf and onnx are)" : "is not known: hf, gguf or onnx");
}

static struct pare_text calibration_text(const void *data, size_t i) {
  return dataset_text(data, i);
}

static enum pare_status quantize_with_texts(pare_engine *engine, const char *path, const char *out,
                                            const struct pare_quantize_options *options, json_t **tree,
                                            struct pare_error *err) {
  const struct pare_calibrate_options *c = &options->calibrate;
  struct quantize_job job = {.engine = engine, .path = path, .out = out, .options = options};
  *tree = NULL;
  enum pare_status s = find_writer(options->format, &job.writer, err);
  if (!s) s = calibrate_check(c, err);
  if (s || !c->file) return s ? s : quantize_write(&job, tree, err);
  pare_dataset *data;
  struct pare_dataset_options rows = {.limit = c->rows ? c->rows : CALIBRATE_ROWS};
  s = dataset_open(c->file, &rows, &data, err);
  if (s) return s;
  struct calibration_texts texts = {
      .count = data->count, .text = calibration_text, .context = data, .path = c->file, .sha256 = data->sha256};
  job.texts = &texts;
  s = quantize_write(&job, tree, err);
  dataset_close(data);
  return s;
}

enum pare_status quantize_candidate(pare_engine *engine, const char *path, const char *out,
                                    const struct pare_quantize_options *options, json_t **tree,
                                    struct pare_error *err) {
  struct pare_quantize_options own = *options;
  struct scheme_choice choice;
  enum pare_status s = scheme_parse(options->scheme, &choice, err);
  if (s) return s;
  if (!choice.scheme->calibrated) own.calibrate = (struct pare_calibrate_options){0};
  return quantize_with_texts(engine, path, out, &own, tree, err);
}

enum pare_status candidates_check(const struct pare_compare_options *o, struct pare_error *err) {
  const char *needs = NULL;
  for (size_t i = 0; i < o->scheme_count; i++) {
    struct scheme_choice choice;
    enum pare_status s = scheme_parse(o->schemes[i], &choice, err);
    if (s) return s;
    if (choice.scheme->calibrated) needs = o->schemes[i];
  }
  if (needs && !o->calibrate.file)
    return error_set(err, PARE_USAGE, "scheme %s needs texts to calibrate on: --calibrate FILE", needs);
  if (!needs && o->calibrate.file) return error_set(err, PARE_USAGE, "--calibrate: none of the schemes calibrates");
  return calibrate_check(&o->calibrate, err);
}

enum pare_status pare_quantize(pare_engine *engine, const char *path, const char *out,
                               const struct pare_quantize_options *options, pare_record **record,
                               struct pare_error *err) {
  json_t *tree;
  *record = NULL;
  enum pare_status s = quantize_with_texts(engine, path, out, options, &tree, err);
  return record_wrap(RECORD_QUANTIZE, s, tree, record, err);
}

enum pare_status pare_convert(pare_engine *engine, const char *path, const char *out,
                              const struct pare_convert_options *options, pare_record **record,
                              struct pare_error *err) {
  json_t *tree;
  struct pare_quantize_options o = {
      .onnx_per_token = options->onnx_per_token, .dry_run = options->dry_run, .command = options->command};
  struct quantize_job job = {.engine = engine, .path = path, .out = out, .options = &o};
  *record = NULL;
  enum pare_status s = find_writer(options->format, &job.writer, err);
  if (s) return s;
  s = quantize_convert(&job, &tree, err);
  return record_wrap(RECORD_QUANTIZE, s, tree, record, err);
}
