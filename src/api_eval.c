// api_eval.c - data, quantizing and the main job, as the public interface. Calibration texts are read here: quantizing
// lies beside evaluation, which knows data files.
#include "api_record.h"
#include "base/error.h"
#include "eval/bench.h"
#include "eval/compare.h"
#include "eval/dataset.h"
#include "eval/perplexity.h"
#include "eval/study_run.h"
#include "quant/quantize.h"

enum pare_status pare_dataset_open(const char *path, const struct pare_dataset_options *options, pare_dataset **out,
                                   struct pare_error *err) {
  return dataset_open(path, options, out, err);
}

void pare_dataset_close(pare_dataset *data) {
  dataset_close(data);
}

size_t pare_dataset_rows(const pare_dataset *data) {
  return data->count;
}

struct pare_text pare_dataset_text(const pare_dataset *data, size_t row) {
  return dataset_text(data, row);
}

const char *pare_dataset_label(const pare_dataset *data, size_t row) {
  return data->rows[row].label;
}

static struct pare_text calibration_text(const void *data, size_t i) {
  return dataset_text(data, i);
}

static enum pare_status quantize_with_texts(pare_engine *engine, const char *path, const char *out,
                                            const struct pare_quantize_options *options, json_t **tree,
                                            struct pare_error *err) {
  const struct pare_calibrate_options *c = &options->calibrate;
  *tree = NULL;
  enum pare_status s = calibrate_check(c, err);
  if (s || !c->file) return s ? s : quantize_model(engine, path, out, options, tree, err);
  pare_dataset *data;
  struct pare_dataset_options rows = {.limit = c->rows ? c->rows : CALIBRATE_ROWS};
  s = dataset_open(c->file, &rows, &data, err);
  if (s) return s;
  struct calibration_texts texts = {
      .count = data->count, .text = calibration_text, .context = data, .path = c->file, .sha256 = data->sha256};
  s = quantize_calibrated(engine, path, out, options, &texts, tree, err);
  dataset_close(data);
  return s;
}

enum pare_status pare_quantize(pare_engine *engine, const char *path, const char *out,
                               const struct pare_quantize_options *options, pare_record **record,
                               struct pare_error *err) {
  json_t *tree;
  *record = NULL;
  enum pare_status s = quantize_with_texts(engine, path, out, options, &tree, err);
  return record_wrap(RECORD_QUANTIZE, s, tree, record, err);
}

// compare's calibration is for those schemes that need one.
static enum pare_status quantize_candidate(pare_engine *engine, const char *path, const char *out,
                                           const struct pare_quantize_options *options, json_t **tree,
                                           struct pare_error *err) {
  struct pare_quantize_options own = *options;
  struct scheme_choice choice;
  enum pare_status s = scheme_parse(options->scheme, &choice, err);
  if (s) return s;
  if (!choice.scheme->calibrated) own.calibrate = (struct pare_calibrate_options){0};
  return quantize_with_texts(engine, path, out, &own, tree, err);
}

// Before anything long: every scheme is one, and texts to calibrate on are there when one needs them, and only then.
static enum pare_status check_schemes(const struct pare_compare_options *o, struct pare_error *err) {
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

enum pare_status pare_compare(pare_engine *engine, const char *original, const char *data,
                              const struct pare_compare_options *options, pare_record **record,
                              struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = check_schemes(options, err);
  if (status == PARE_OK) status = compare_run(engine, original, data, options, quantize_candidate, &tree, err);
  return record_wrap(RECORD_COMPARE, status, tree, record, err);
}

enum pare_status pare_eval(pare_engine *engine, const char *model, const char *data,
                           const struct pare_compare_options *options, pare_record **record, struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = eval_run(engine, model, data, options, &tree, err);
  return record_wrap(RECORD_EVAL, status, tree, record, err);
}

enum pare_status pare_bench(pare_engine *engine, const char *model, const struct pare_bench_options *options,
                            pare_record **record, struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = bench_run(engine, model, options, &tree, err);
  return record_wrap(RECORD_BENCH, status, tree, record, err);
}

enum pare_status pare_perplexity(pare_engine *engine, const char *model, const char *data,
                                 const struct pare_perplexity_options *options, pare_record **record,
                                 struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = perplexity_run(engine, model, data, options, &tree, err);
  return record_wrap(RECORD_PERPLEXITY, status, tree, record, err);
}

enum pare_status pare_study(pare_engine *engine, const char *path, const struct pare_study_options *options,
                            pare_record **record, struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = study_run(engine, path, options, quantize_model, &tree, err);
  return record_wrap(RECORD_STUDY, status, tree, record, err);
}
