// eval.c - pare eval
#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *data, *text_column, *label_column, *labels, *template_text, *output, *report, *markdown, *samples;
  bool multi_label;
  size_t max_tokens, limit;
  uint64_t seed;
};

static enum pare_status check(const struct options *o, const struct args *args, struct pare_error *err) {
  if (args->count != 1) return error_set(err, PARE_USAGE, "eval: expected one MODEL, found %zu arguments", args->count);
  if (!o->data) return error_set(err, PARE_USAGE, "eval: expected --data FILE");
  enum pare_status status = output_probe(o->output, err);
  if (status == PARE_OK) status = output_probe(o->report, err);
  if (status == PARE_OK) status = output_probe(o->markdown, err);
  if (status == PARE_OK) status = output_probe(o->samples, err);
  return status;
}

static enum pare_status evaluate(const struct options *o, const struct args *args, const struct labels *labels,
                                 const struct opened *opened, pare_record **record, struct pare_error *err) {
  struct progress progress;
  struct pare_compare_options options = {
      .classify = {.labels = labels->count ? labels->phrases : NULL,
                   .label_count = labels->count,
                   .template_text = o->template_text,
                   .multi_label = o->multi_label,
                   .max_tokens = o->max_tokens},
      .data = {.text_column = o->text_column, .label_column = o->label_column, .limit = o->limit},
      .data_labels = labels->count ? labels->names : NULL,
      .seed = o->seed,
      .samples = o->samples,
      .command = args->command,
      .progress = progress_start(&progress, &o->common),
  };
  enum pare_status status = pare_eval(opened->engine, opened->path, o->data, &options, record, err);
  progress_end(&progress);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct opened opened = {0};
  struct labels labels = {0};
  pare_record *record = NULL;
  enum pare_status status = check(o, args, err);
  if (status == PARE_OK && o->labels) status = labels_parse(o->labels, &labels, err);
  if (status == PARE_OK) status = resolve_model(args->words[0], &opened.path, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) status = evaluate(o, args, &labels, &opened, &record, err);
  if (status == PARE_OK) status = output_file(record, PARE_JSON, o->output, err);
  if (status == PARE_OK) status = output_file(record, PARE_HTML, o->report, err);
  if (status == PARE_OK) status = output_file(record, PARE_MARKDOWN, o->markdown, err);
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  labels_free(&labels);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"data", 0, ARG_STRING, offsetof(struct options, data), "FILE",
     "labelled texts: .csv, .tsv, .jsonl, or .txt without labels"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME", "column with the text (text)"},
    {"label-column", 0, ARG_STRING, offsetof(struct options, label_column), "NAME", "column with the label (label)"},
    {"limit", 0, ARG_SIZE, offsetof(struct options, limit), "N", "first N rows only"},
    {"labels", 0, ARG_STRING, offsetof(struct options, labels), "A,B,C",
     "zero-shot over an NLI model: phrases to choose from;\nNAME=phrase for a label NAME of the data"},
    {"template", 0, ARG_STRING, offsetof(struct options, template_text), "TEXT",
     "sentence a phrase is put into (\"This example is {}.\")"},
    {"multi-label", 0, ARG_FLAG, offsetof(struct options, multi_label), NULL,
     "labels do not exclude each other: independent scores"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N",
     "cut texts to N tokens (the model's longest)"},
    {"seed", 0, ARG_SEED, offsetof(struct options, seed), "N", "of the bootstrap intervals (0)"},
    {"output", 'o', ARG_STRING, offsetof(struct options, output), "FILE", "the whole record as JSON"},
    {"report", 0, ARG_STRING, offsetof(struct options, report), "FILE", "the report as one HTML page"},
    {"markdown", 0, ARG_STRING, offsetof(struct options, markdown), "FILE", "the report as Markdown"},
    {"samples", 0, ARG_STRING, offsetof(struct options, samples), "FILE", "every answer and timing as JSON lines"},
};
static const struct arg_spec spec = {
    .name = "eval",
    .usage = "MODEL --data FILE [options]",
    .about =
        "Measures one model on data: accuracy with its interval, macro precision, recall and F1, every class, the "
        "confusion\n"
        "matrix, confidence and how far it can be trusted, size, load time and memory. Without labels in the data what "
        "needs\n"
        "them is null. --json: the fields of one models[] entry of `pare compare`, beside task, dataset and machine.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare eval agnews-gpt2 --data data/ag_news_test.csv --limit 500\n"
        "  pare eval nli-minilm --data data/mnli_dev_2000.jsonl --json\n",
    .run = run,
};

enum pare_status cmd_eval(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
