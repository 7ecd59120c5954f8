// eval.c - pare eval
#include "base/error.h"
#include "evaluation.h"

static enum pare_status check(const struct evaluation *o, const struct args *args, struct pare_error *err) {
  if (args->count != 1) return error_set(err, PARE_USAGE, "eval: expected one MODEL, found %zu arguments", args->count);
  return evaluation_check(o, "eval", err);
}

static enum pare_status evaluate(const struct evaluation *o, const struct args *args, const struct labels *labels,
                                 const struct opened *opened, pare_record **record, struct pare_error *err) {
  struct progress progress;
  struct pare_compare_options options;
  enum pare_status status = evaluation_options(o, labels, args, &options, err);
  if (status != PARE_OK) return status;
  options.progress = progress_start(&progress, &o->common);
  status = pare_eval(opened->engine, opened->path, o->data, &options, record, err);
  progress_end(&progress);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct evaluation *o = values;
  struct opened opened = {0};
  struct labels labels = {0};
  pare_record *record = NULL;
  enum pare_status status = check(o, args, err);
  if (status == PARE_OK && o->labels) status = labels_parse(o->labels, &labels, err);
  if (status == PARE_OK) status = resolve_model(args->words[0], &opened.path, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) status = evaluate(o, args, &labels, &opened, &record, err);
  if (status == PARE_OK) status = evaluation_print(o, record, err);
  pare_record_close(record);
  labels_free(&labels);
  opened_close(&opened);
  return status;
}

static const struct arg_spec spec = {
    .name = "eval",
    .usage = "MODEL --data FILE [options]",
    .about =
        "Measures one model on data: accuracy with its interval, macro precision, recall and F1, every class, the "
        "confusion\n"
        "matrix, confidence and how far it can be trusted, size, load time and memory. Without labels in the data what "
        "needs\n"
        "them is null. --json: the fields of one models[] entry of `pare compare`, beside task, dataset and machine.",
    .shared = evaluation_table,
    .shared_count = EVALUATION_OPTIONS,
    .example =
        "  pare eval agnews-gpt2 --data data/ag_news_test.csv --limit 500\n"
        "  pare eval nli-minilm --data data/mnli_dev_2000.jsonl --json\n",
    .run = run,
};

enum pare_status cmd_eval(int argc, char **argv, struct pare_error *err) {
  struct evaluation o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
