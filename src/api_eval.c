// api_eval.c - data and the main job, as the public interface.
#include "api_quantize.h"
#include "api_record.h"
#include "eval/bench.h"
#include "eval/compare.h"
#include "eval/dataset.h"
#include "eval/perplexity.h"
#include "eval/study_run.h"
#include "train/train.h"

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

enum pare_status pare_train(pare_engine *engine, const char *data, const char *out,
                            const struct pare_train_options *options, pare_record **record, struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = train_run(engine, data, out, options, &tree, err);
  return record_wrap(RECORD_TRAIN, status, tree, record, err);
}

enum pare_status pare_compare(pare_engine *engine, const char *original, const char *data,
                              const struct pare_compare_options *options, pare_record **record,
                              struct pare_error *err) {
  json_t *tree = NULL;
  *record = NULL;
  enum pare_status status = candidates_check(options, err);
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
  enum pare_status status = study_run(engine, path, options, candidates_check, quantize_candidate, &tree, err);
  return record_wrap(RECORD_STUDY, status, tree, record, err);
}
