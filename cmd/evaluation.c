// evaluation.c - what `pare eval` and `pare compare` have in common: the data, how its texts are answered, where the
// record goes.
#include "evaluation.h"

#include <string.h>

#include "base/error.h"

// Two outputs of one name: the second would silently replace the first.
enum pare_status evaluation_check_outputs(const struct evaluation *e, struct pare_error *err) {
  const char *const paths[] = {e->output, e->report, e->markdown, e->text, e->samples};
  enum { COUNT = sizeof paths / sizeof paths[0] };
  for (size_t i = 0; i < COUNT; i++) {
    for (size_t k = 0; k < i; k++) {
      if (!paths[i] || !paths[k] || strcmp(paths[i], paths[k]) != 0) continue;
      return error_set(err, PARE_USAGE, "%s: expected another file for each output, found it twice", paths[i]);
    }
  }
  enum pare_status status = PARE_OK;
  for (size_t i = 0; status == PARE_OK && i < COUNT; i++) status = output_probe(paths[i], err);
  return status;
}

enum pare_status evaluation_check(const struct evaluation *e, const char *command, struct pare_error *err) {
  if (!e->data) return error_set(err, PARE_USAGE, "%s: expected --data FILE", command);
  enum pare_status status = labels_check_template(e->labels, e->template_text, err);
  return status == PARE_OK ? evaluation_check_outputs(e, err) : status;
}

enum pare_status evaluation_options(const struct evaluation *e, const struct labels *labels, const struct args *args,
                                    struct pare_compare_options *out, struct pare_error *err) {
  *out = (struct pare_compare_options){
      .classify = {.labels = labels->count ? labels->phrases : NULL,
                   .label_count = labels->count,
                   .template_text = e->template_text,
                   .multi_label = e->multi_label,
                   .max_tokens = e->max_tokens},
      .generate = {.max_tokens = e->max_tokens, .beams = e->beams},
      .data = {.text_column = e->text_column,
               .label_column = e->label_column,
               .reference_column = e->reference_column,
               .limit = e->limit},
      .data_labels = labels->count ? labels->names : NULL,
      .seed = e->sampling.seed,
      .samples = e->samples,
      .command = args->command,
  };
  enum pare_status status = sampling_repetition(e->repetition_penalty, &out->generate, err);
  return status == PARE_OK ? sampling_options(&e->sampling, &out->generate, err) : status;
}

enum pare_status evaluation_print(const struct evaluation *e, const pare_record *record, struct pare_error *err) {
  enum pare_status status = output_file(record, PARE_JSON, e->output, err);
  if (status == PARE_OK) status = output_file(record, PARE_HTML, e->report, err);
  if (status == PARE_OK) status = output_file(record, PARE_MARKDOWN, e->markdown, err);
  if (status == PARE_OK) status = output_file(record, PARE_TEXT, e->text, err);
  if (status == PARE_OK) status = output_record(record, &e->common, err);
  return status;
}

const struct arg_option evaluation_table[EVALUATION_OPTIONS] = {
    {"data", 0, ARG_STRING, offsetof(struct evaluation, data), "FILE",
     "labelled texts or prompts: .csv, .tsv, .jsonl, or .txt"},
    {"text-column", 0, ARG_STRING, offsetof(struct evaluation, text_column), "NAME", "column with the text (text)"},
    {"label-column", 0, ARG_STRING, offsetof(struct evaluation, label_column), "NAME", "column with the label (label)"},
    {"reference-column", 0, ARG_STRING, offsetof(struct evaluation, reference_column), "NAME",
     "column with the text a model should write\n(reference, else summary)"},
    {"limit", 0, ARG_SIZE, offsetof(struct evaluation, limit), "N", "first N rows only"},
    {"labels", 0, ARG_STRING, offsetof(struct evaluation, labels), "A,B,C",
     "zero-shot over an NLI model: phrases to choose from;\nNAME=phrase for a label NAME of the data"},
    {"template", 0, ARG_STRING, offsetof(struct evaluation, template_text), "TEXT",
     "sentence a phrase is put into (\"This example is {}.\")"},
    {"multi-label", 0, ARG_FLAG, offsetof(struct evaluation, multi_label), NULL,
     "labels do not exclude each other: independent scores"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct evaluation, max_tokens), "N",
     "classifiers: cut texts to N tokens (the model's longest);\nelse: most new tokens (32, or as the model says)"},
    {"temperature", 0, ARG_STRING, offsetof(struct evaluation, sampling.temperature), "T",
     "of models that write text, as the next six: 0 is greedy (the default)"},
    {"top-k", 0, ARG_SIZE, offsetof(struct evaluation, sampling.top_k), "K", "draw among the K likeliest tokens"},
    {"top-p", 0, ARG_STRING, offsetof(struct evaluation, sampling.top_p), "P",
     "draw among the likeliest that together reach P"},
    {"min-p", 0, ARG_STRING, offsetof(struct evaluation, sampling.min_p), "P",
     "draw among those at least P times as likely as the likeliest"},
    {"repetition-penalty", 0, ARG_STRING, offsetof(struct evaluation, repetition_penalty), "R",
     "above 1: make tokens seen before less likely"},
    {"beams", 0, ARG_SIZE, offsetof(struct evaluation, beams), "N",
     "beam search (1, or as an encoder-decoder's own configuration says)"},
    {"stop", 0, ARG_LIST, offsetof(struct evaluation, sampling.stop), "TEXT",
     "end an answer before TEXT; may be given several times"},
    {"seed", 0, ARG_SEED, offsetof(struct evaluation, sampling.seed), "N",
     "of interleaving, bootstrap intervals and draws (0)"},
    {"output", 'o', ARG_STRING, offsetof(struct evaluation, output), "FILE", "the whole record as JSON"},
    {"report", 0, ARG_STRING, offsetof(struct evaluation, report), "FILE", "the report as one HTML page"},
    {"markdown", 0, ARG_STRING, offsetof(struct evaluation, markdown), "FILE", "the report as Markdown"},
    {"text", 0, ARG_STRING, offsetof(struct evaluation, text), "FILE", "the report as plain text"},
    {"samples", 0, ARG_STRING, offsetof(struct evaluation, samples), "FILE", "every answer and timing as JSON lines"},
};
