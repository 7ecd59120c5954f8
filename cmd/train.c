// train.c - pare train
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *data, *out, *valid, *text_column, *label_column;
  const char *words, *chars, *precision, *prune, *c, *max_accuracy_drop;
  size_t bits, min_count, max_iterations, max_bytes;
  uint64_t seed;
  bool keep_case, unnormalized;
};

// "1-2" or "2"; "0": none.
static enum pare_status parse_range(const char *text, const char *option, size_t *min, size_t *max,
                                    struct pare_error *err) {
  if (!text) return PARE_OK;
  char *end;
  bool good = *text >= '0' && *text <= '9';
  unsigned long low = good ? strtoul(text, &end, 10) : 0, high = low;
  if (good && *end == '-' && end[1] >= '0' && end[1] <= '9') high = strtoul(end + 1, &end, 10);
  if (!good || *end || low > high || high > 8 || (high && !low))
    return error_set(err, PARE_USAGE, "--%s: expected lengths of n-grams as 1-2, at most 8, or 0 for none; found '%s'",
                     option, text);
  *min = low;
  *max = high;
  return PARE_OK;
}

static enum pare_status read_options(const struct options *o, const struct args *args, struct pare_train_options *out,
                                     struct pare_error *err) {
  if (args->count) return error_set(err, PARE_USAGE, "train: expected no argument, found '%s'", args->words[0]);
  if (!o->data) return error_set(err, PARE_USAGE, "train: expected --data FILE");
  if (!o->out) return error_set(err, PARE_USAGE, "train: expected -o OUT");
  *out = (struct pare_train_options){.data = {.text_column = o->text_column, .label_column = o->label_column},
                                     .valid = o->valid,
                                     .word_min = 1,
                                     .word_max = 2,
                                     .bits = o->bits,
                                     .keep_case = o->keep_case,
                                     .unnormalized = o->unnormalized,
                                     .min_count = o->min_count,
                                     .max_iterations = o->max_iterations,
                                     .max_accuracy_drop = 0.005,
                                     .max_bytes = o->max_bytes,
                                     .seed = o->seed,
                                     .command = args->command};
  enum pare_status s = parse_range(o->words, "words", &out->word_min, &out->word_max, err);
  if (!s) s = parse_range(o->chars, "chars", &out->char_min, &out->char_max, err);
  if (!s && !out->word_max && !out->char_max)
    s = error_set(err, PARE_USAGE, "train: expected n-grams of words or of characters, found neither");
  if (!s) s = args_real(o->prune, "prune", &out->prune, err);
  if (!s) s = args_real(o->c, "c", &out->c, err);
  if (!s && o->max_accuracy_drop)
    s = args_real(o->max_accuracy_drop, "max-accuracy-drop", &out->max_accuracy_drop, err);
  if (s || !o->precision || !strcmp(o->precision, "auto")) return s;
  if (!strcmp(o->precision, "8")) out->precision = 8;
  if (!strcmp(o->precision, "16")) out->precision = 16;
  if (!strcmp(o->precision, "32")) out->precision = 32;
  if (out->precision) return PARE_OK;
  return error_set(err, PARE_USAGE, "--precision: expected 32, 16, 8 or auto, found '%s'", o->precision);
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct pare_train_options options;
  struct opened opened = {0};
  struct progress progress = {.on = false};
  pare_record *record = NULL;
  enum pare_status status = read_options(o, args, &options, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) {
    options.progress = progress_start(&progress, &o->common);
    status = pare_train(opened.engine, o->data, o->out, &options, &record, err);
    progress_end(&progress);
  }
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"data", 0, ARG_STRING, offsetof(struct options, data), "FILE", "labelled texts: .csv, .tsv or .jsonl"},
    {"output", 'o', ARG_STRING, offsetof(struct options, out), "OUT", "directory to write; appears only when complete"},
    {"valid", 0, ARG_STRING, offsetof(struct options, valid), "FILE",
     "labelled texts accuracy is measured on (a tenth of the data, which\nis then learnt from too)"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME", "column with the text (text)"},
    {"label-column", 0, ARG_STRING, offsetof(struct options, label_column), "NAME", "column with the label (label)"},
    {"words", 0, ARG_STRING, offsetof(struct options, words), "1-2", "features: so many words in a row; 0: none (1-2)"},
    {"chars", 0, ARG_STRING, offsetof(struct options, chars), "3-5",
     "features: so many characters of a word in a row (0: none)"},
    {"keep-case", 0, ARG_FLAG, offsetof(struct options, keep_case), NULL, "upper and lower case differ"},
    {"unnormalized", 0, ARG_FLAG, offsetof(struct options, unnormalized), NULL,
     "long texts weigh more: no division by the length of the features"},
    {"bits", 0, ARG_SIZE, offsetof(struct options, bits), "N", "features are hashed to 2^N buckets, 8 to 24 (20)"},
    {"min-count", 0, ARG_SIZE, offsetof(struct options, min_count), "N", "features of at least N texts (2)"},
    {"c", 0, ARG_STRING, offsetof(struct options, c), "X",
     "how much the data counts against small weights, as scikit-learn's\nC (the best of 0.3, 1, 3, 10, 30)"},
    {"max-iterations", 0, ARG_SIZE, offsetof(struct options, max_iterations), "N", "of the solver (100)"},
    {"precision", 0, ARG_STRING, offsetof(struct options, precision), "BITS",
     "32, 16 or 8 bits a weight, or auto: the smallest file that loses\nlittle (auto)"},
    {"max-accuracy-drop", 0, ARG_STRING, offsetof(struct options, max_accuracy_drop), "X",
     "how little, as a fraction (0.005)"},
    {"prune", 0, ARG_STRING, offsetof(struct options, prune), "SHARE",
     "take out this share of the weights and learn the rest again"},
    {"max-bytes", 0, ARG_SIZE, offsetof(struct options, max_bytes), "N",
     "take out as many weights as it needs for a weight file of N bytes"},
    {"seed", 0, ARG_SEED, offsetof(struct options, seed), "N", "which tenth is held out (0)"},
};
static const struct arg_spec spec = {
    .name = "train",
    .usage = "--data FILE -o OUT [options]",
    .about =
        "Learns a linear text classifier: multinomial logistic regression over hashed n-grams of words, of characters, "
        "or both.\n"
        "Writes a model directory that every command takes. Weights are stored at 32, 16 or 8 bits, all of them or "
        "only those\n"
        "that are not zero, whichever file is smaller; the answer says what was kept and why. The same data and "
        "options give the\n"
        "same bytes, whatever the number of threads.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare train --data train.csv -o intents\n"
        "  pare train --data reviews.jsonl --chars 3-5 --max-bytes 5000 -o sentiment\n",
    .run = run,
};

enum pare_status cmd_train(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
