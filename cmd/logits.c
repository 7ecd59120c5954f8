// logits.c - pare logits
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *text, *pair, *ids, *decoder_ids, *input, *text_column;
  size_t max_tokens;
};

// One row for a classifier, one per token for a language model or an encoder, one per decoder id for an
// encoder-decoder.
struct shape {
  size_t rows, columns;
};

static struct shape shape_of(const pare_model *model, const struct pare_sequence *s) {
  size_t rows = s->len;
  if (pare_model_task(model) == PARE_TASK_CLASSIFY) rows = 1;
  if (pare_model_task(model) == PARE_TASK_SEQ2SEQ) rows = s->decoder_ids ? s->decoder_len : 1;
  return (struct shape){rows, pare_model_output_width(model)};
}

static void print_json(const pare_model *model, const struct pare_sequence *s, struct shape shape,
                       const float *logits) {
  printf("{\"ids\":[");
  for (size_t i = 0; i < s->len; i++) printf("%s%u", i ? "," : "", s->ids[i]);
  printf("],");
  for (size_t i = 0; i < s->decoder_len; i++) printf("%s%u", i ? "," : "\"decoder_ids\":[", s->decoder_ids[i]);
  if (s->decoder_len) printf("],");
  printf("\"logits\":[");
  for (size_t r = 0; r < shape.rows && !output_failed(); r++) {
    if (r) putchar(',');
    output_json_floats(logits + r * shape.columns, shape.columns);
  }
  printf("],\"labels\":");
  size_t labels = pare_model_label_count(model);
  for (size_t i = 0; i < labels; i++) {
    const char *label = pare_model_label(model, i);
    putchar(i ? ',' : '[');
    output_json_string(label, strlen(label));
  }
  puts(labels ? "]}" : "null}");
}

static void print_text(const pare_model *model, const struct pare_sequence *s, struct shape shape,
                       const float *logits) {
  size_t labels = pare_model_label_count(model);
  for (size_t i = 0; i < labels; i++) {
    const char *label = pare_model_label(model, i);
    output_cell(label, strlen(label), 24);
    printf("%12.6f\n", (double)logits[i]);
  }
  for (size_t r = 0; r < shape.rows && !labels; r++) {
    const float *row = logits + r * shape.columns;
    size_t best = 0;
    for (size_t i = 1; i < shape.columns; i++) best = row[i] > row[best] ? i : best;
    bool decoder = pare_model_task(model) == PARE_TASK_SEQ2SEQ;
    const char *piece = !decoder         ? pare_token_piece(model, s->ids[r])
                        : s->decoder_ids ? pare_token_piece(model, s->decoder_ids[r])
                                         : "(start)";
    output_cell(piece ? piece : "", piece ? strlen(piece) : 0, 24);
    if (decoder || pare_model_task(model) == PARE_TASK_LANGUAGE_MODEL) {
      const char *next = pare_token_piece(model, (uint32_t)best);
      printf("-> ");
      output_cell(next ? next : "", next ? strlen(next) : 0, 24);
      printf("%12.6f\n", (double)row[best]);
    } else { // hidden states: too wide for a terminal, --json has them all
      for (size_t i = 0; i < shape.columns && i < 4; i++) printf("%12.6f", (double)row[i]);
      puts(shape.columns > 4 ? " ..." : "");
    }
  }
}

static enum pare_status compute(const struct options *o, const struct opened *opened, const struct pare_sequence *s,
                                struct pare_error *err) {
  struct shape shape = shape_of(opened->model, s);
  size_t n;
  // --ids come from outside: their number is checked by the session, which knows the limit, but only after this
  // product.
  if (!size_mul(shape.rows, shape.columns, &n)) return error_no_memory(err);
  float *logits = calloc(n ? n : 1, sizeof *logits);
  if (!logits) return error_no_memory(err);
  enum pare_status status = pare_session_logits(opened->session, s, 1, logits, err);
  if (status == PARE_OK) (o->common.json ? print_json : print_text)(opened->model, s, shape, logits);
  free(logits);
  return status;
}

// With the decoder's ids, if any were given.
static enum pare_status answer(const struct options *o, const struct opened *opened, struct pare_sequence s,
                               struct pare_error *err) {
  uint32_t *decoder = NULL;
  enum pare_status status = PARE_OK;
  if (o->decoder_ids) status = args_split_ids(o->decoder_ids, "decoder-ids", &decoder, &s.decoder_len, err);
  s.decoder_ids = decoder;
  if (status == PARE_OK) status = compute(o, opened, &s, err);
  free(decoder);
  return status;
}

static enum pare_status from_ids(const struct options *o, const struct opened *opened, struct pare_error *err) {
  uint32_t *ids;
  size_t count;
  enum pare_status status = args_split_ids(o->ids, "ids", &ids, &count, err);
  if (status != PARE_OK) return status;
  status = answer(o, opened, (struct pare_sequence){.ids = ids, .len = count}, err);
  free(ids);
  return status;
}

static enum pare_status from_texts(const struct options *o, const struct opened *opened, struct pare_error *err) {
  struct inputs in;
  struct pare_tokens tokens = {0};
  struct input_source source = {
      .words = &o->text, .count = o->text ? 1 : 0, .file = o->input, .text_column = o->text_column, .pair = o->pair};
  enum pare_status status = inputs_read(&source, &in, err);
  for (size_t i = 0; status == PARE_OK && i < in.count && !output_failed(); i++) {
    status = pare_tokenize(opened->model, &in.texts[i], o->max_tokens, &tokens, err);
    struct pare_sequence s = {.ids = tokens.ids, .types = tokens.types, .len = tokens.len};
    if (status == PARE_OK) status = answer(o, opened, s, err);
  }
  pare_tokens_free(&tokens);
  inputs_free(&in);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count != 1) {
    return error_set(err, PARE_USAGE, "logits: expected one MODEL, found %zu arguments; a text goes after --text",
                     args->count);
  }
  if ((o->text != NULL) + (o->ids != NULL) + (o->input != NULL) != 1) {
    return error_set(err, PARE_USAGE, "logits: expected one of --text, --ids and --input");
  }
  if (o->ids && o->pair) return error_set(err, PARE_USAGE, "logits: --pair goes with --text");
  struct opened opened = {0};
  enum pare_status status = open_session(&o->common, args->words[0], &opened, err);
  if (status == PARE_OK) status = (o->ids ? from_ids : from_texts)(o, &opened, err);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"text", 0, ARG_STRING, offsetof(struct options, text), "TEXT", "the text; - is the lines of standard input"},
    {"pair", 0, ARG_STRING, offsetof(struct options, pair), "TEXT", "second text, for models that take two"},
    {"ids", 0, ARG_STRING, offsetof(struct options, ids), "IDS", "token ids separated by commas, used as given"},
    {"decoder-ids", 0, ARG_STRING, offsetof(struct options, decoder_ids), "IDS",
     "encoder-decoders: what the decoder is given, its start id first (the start id alone)"},
    {"input", 0, ARG_STRING, offsetof(struct options, input), "FILE",
     "texts from .txt, .csv, .tsv or .jsonl; - is standard input"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME",
     "column of FILE with the text (text)"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N", "cut texts to N ids (the model's longest)"},
};
static const struct arg_spec spec = {
    .name = "logits",
    .usage = "MODEL (--text TEXT [--pair TEXT] | --ids IDS | --input FILE) [options]",
    .about =
        "Prints a model's raw outputs: one row of logits for a classifier, one row per token for a language model, "
        "one\n"
        "per decoder id for an encoder-decoder (on a terminal: each token and the most likely next one). --json: ids,\n"
        "decoder_ids, logits (rows), labels; numbers have nine digits, which give the same 32-bit float back.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example = "  pare logits nli-minilm --text \"A man is eating.\" --pair \"Someone eats.\" --json\n",
    .run = run,
};

enum pare_status cmd_logits(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
