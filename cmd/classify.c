// classify.c - pare classify
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command.h"

struct options {
  struct preference use;
  const char *input, *text_column, *labels, *template_text;
  bool multi_label;
  size_t max_tokens;
};

enum { CHUNK = 64 }; // texts answered before they are printed

struct job {
  const struct options *o;
  const struct opened *opened;
  const pare_model *model;
  pare_session *session;
  struct pare_classify_options classify;
  const char **names; // (labels) what a label is called in the answer
  size_t labels;
  float *scores, *logits; // (CHUNK, labels)
  size_t *order;          // (labels) highest score first
};

static void sort_labels(struct job *j, const float *scores) {
  for (size_t i = 0; i < j->labels; i++) { // insertion sort: equal scores keep label order
    size_t at = i;
    for (; at > 0 && scores[j->order[at - 1]] < scores[i]; at--) j->order[at] = j->order[at - 1];
    j->order[at] = i;
  }
}

// A table shows the best label alone, and among a hundred labels sorting takes longer than answering.
static void find_best(struct job *j, const float *scores) {
  j->order[0] = 0;
  for (size_t i = 1; i < j->labels; i++)
    if (scores[i] > scores[j->order[0]]) j->order[0] = i;
}

static void print_json(const struct job *j, const struct pare_text *text, const float *scores, const float *logits) {
  printf("{\"text\":");
  output_json_string(text->text, text->len);
  if (text->pair) {
    printf(",\"pair\":");
    output_json_string(text->pair, text->pair_len);
  }
  printf(",\"label\":");
  output_json_string(j->names[j->order[0]], strlen(j->names[j->order[0]]));
  printf(",\"score\":%.9g,\"labels\":[", (double)scores[j->order[0]]);
  for (size_t i = 0; i < j->labels; i++) {
    if (i) putchar(',');
    output_json_string(j->names[j->order[i]], strlen(j->names[j->order[i]]));
  }
  printf("],\"scores\":");
  for (size_t i = 0; i < j->labels; i++) printf("%c%.9g", i ? ',' : '[', (double)scores[j->order[i]]);
  printf("],\"logits\":");
  for (size_t i = 0; i < j->labels; i++) printf("%c%.9g", i ? ',' : '[', (double)logits[j->order[i]]);
  putchar(']');
  output_json_used(j->opened);
  puts("}");
}

enum { LABEL_COLUMNS = 20, SCORE_COLUMNS = 8 };

static void print_row(const struct job *j, const struct pare_text *text, const float *scores, size_t width) {
  const char *label = j->names[j->order[0]];
  output_cell(text->text, text->len, width - LABEL_COLUMNS - SCORE_COLUMNS - 2);
  printf("  ");
  output_cell(label, strlen(label), LABEL_COLUMNS);
  printf("%*.4f\n", SCORE_COLUMNS, (double)scores[j->order[0]]);
}

static void print_all_labels(const struct job *j, const float *scores) {
  for (size_t i = 0; i < j->labels; i++) {
    const char *label = j->names[j->order[i]];
    output_cell(label, strlen(label), LABEL_COLUMNS);
    printf("%*.4f\n", SCORE_COLUMNS, (double)scores[j->order[i]]);
  }
}

static enum pare_status answer_all(struct job *j, const struct inputs *in, struct pare_error *err) {
  bool json = j->o->use.common.json;
  size_t width = output_width();
  if (!json && in->count > 1) {
    output_cell("text", 4, width - LABEL_COLUMNS - SCORE_COLUMNS - 2);
    printf("  %-*s%*s\n", LABEL_COLUMNS, "label", SCORE_COLUMNS, "score");
  }
  for (size_t i = 0; i < in->count && !output_failed(); i += CHUNK) {
    size_t n = in->count - i < CHUNK ? in->count - i : CHUNK;
    enum pare_status status = pare_classify(j->session, in->texts + i, n, &j->classify, j->scores, j->logits, err);
    if (status != PARE_OK) return status;
    for (size_t k = 0; k < n; k++) {
      const float *scores = j->scores + k * j->labels;
      if (json || in->count == 1) {
        sort_labels(j, scores);
      } else {
        find_best(j, scores);
      }
      if (json) {
        print_json(j, &in->texts[i + k], scores, j->logits + k * j->labels);
      } else if (in->count > 1) {
        print_row(j, &in->texts[i + k], scores, width);
      } else {
        print_all_labels(j, scores);
      }
    }
    fflush(stdout);
  }
  return PARE_OK;
}

static enum pare_status prepare(struct job *j, const struct labels *labels, struct pare_error *err) {
  j->labels = pare_classify_label_count(j->model, &j->classify);
  if (j->labels == 0) {
    return error_set(err, PARE_USAGE, "classify: expected a classifier, found a language model without labels");
  }
  j->names = calloc(j->labels, sizeof *j->names);
  j->order = calloc(j->labels, sizeof *j->order);
  j->scores = calloc(CHUNK * j->labels, sizeof *j->scores);
  j->logits = calloc(CHUNK * j->labels, sizeof *j->logits);
  if (!j->names || !j->order || !j->scores || !j->logits) return error_no_memory(err);
  for (size_t i = 0; i < j->labels; i++) j->names[i] = labels->count ? labels->names[i] : pare_model_label(j->model, i);
  return PARE_OK;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count < 1) return error_set(err, PARE_USAGE, "classify: expected MODEL and TEXT, found nothing");
  struct opened opened = {0};
  struct inputs in = {0};
  struct labels labels = {0};
  struct input_source source = {
      .words = args->words + 1, .count = args->count - 1, .file = o->input, .text_column = o->text_column};
  struct job j = {.o = o};
  enum pare_status status = labels_check_template(o->labels, o->template_text, err);
  if (status == PARE_OK && o->labels) status = labels_parse(o->labels, &labels, err);
  if (status == PARE_OK && args->count == 1 && !o->input) {
    status = error_set(err, PARE_USAGE, "classify: expected TEXT, --input FILE or - after MODEL, found none");
  }
  if (status == PARE_OK) status = open_preferred(&o->use, args->words[0], &opened, err);
  if (status == PARE_OK) status = pare_session_open(opened.model, NULL, &opened.session, err);
  if (status == PARE_OK) status = inputs_read(&source, &in, err);
  j.opened = &opened;
  j.model = opened.model;
  j.session = opened.session;
  j.classify = (struct pare_classify_options){.labels = labels.count ? labels.phrases : NULL,
                                              .label_count = labels.count,
                                              .template_text = o->template_text,
                                              .multi_label = o->multi_label,
                                              .max_tokens = o->max_tokens};
  if (status == PARE_OK) status = prepare(&j, &labels, err);
  if (status == PARE_OK) status = answer_all(&j, &in, err);
  free(j.names);
  free(j.order);
  free(j.scores);
  free(j.logits);
  labels_free(&labels);
  inputs_free(&in);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"input", 0, ARG_STRING, offsetof(struct options, input), "FILE",
     "texts from .txt, .csv, .tsv or .jsonl; - is standard input"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME",
     "column of FILE with the text (text)"},
    {"labels", 0, ARG_STRING, offsetof(struct options, labels), "A,B,C",
     "choose among these phrases (zero-shot: an NLI model decides);\nNAME=phrase answers NAME"},
    {"template", 0, ARG_STRING, offsetof(struct options, template_text), "TEXT",
     "sentence a phrase is put into (\"This example is {}.\")"},
    {"multi-label", 0, ARG_FLAG, offsetof(struct options, multi_label), NULL,
     "labels do not exclude each other: independent scores"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N",
     "cut texts to N tokens (the model's longest)"},
};
static const struct arg_spec spec = {
    .name = "classify",
    .usage = "MODEL TEXT... [options]\n       pare classify MODEL --input FILE [options]",
    .about =
        "Labels texts and says how sure the model is. Without --labels the model's own labels are used; with --labels "
        "a model\n"
        "trained on natural language inference decides among your phrases. One text prints every label; several print "
        "a table.\n"
        "TEXT may be - for the lines of standard input. --json: text, label, score, then labels, scores and logits, "
        "all three\n"
        "highest score first.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .shared = preference_table,
    .shared_count = PREFERENCE_OPTIONS,
    .example =
        "  pare classify agnews-gpt2 \"Oil prices fall as OPEC raises output\"\n"
        "  pare classify nli-minilm \"The match ended in a draw\" --labels sports,business,science\n",
    .run = run,
};

enum pare_status cmd_classify(int argc, char **argv, struct pare_error *err) {
  struct options o = {.use = {.common = {0}}};
  return args_run(&spec, argc, argv, &o, err);
}
