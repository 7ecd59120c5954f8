// tokenize.c - pare tokenize
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *pair, *input, *text_column, *decode;
  size_t max_tokens;
  bool skip_special;
};

static const char *piece_of(const pare_model *model, uint32_t id) {
  const char *piece = pare_token_piece(model, id);
  return piece ? piece : "";
}

static void print_ids(const uint32_t *ids, size_t n) {
  printf("{\"ids\":[");
  for (size_t i = 0; i < n; i++) printf("%s%u", i ? "," : "", ids[i]);
  putchar(']');
}

static void print_tokens(const pare_model *model, const struct pare_tokens *tokens, bool json) {
  if (json) {
    print_ids(tokens->ids, tokens->len);
    printf(",\"tokens\":[");
  }
  for (size_t i = 0; i < tokens->len; i++) {
    const char *piece = piece_of(model, tokens->ids[i]);
    if (json) {
      if (i) putchar(',');
      output_json_string(piece, strlen(piece));
    } else {
      printf("%8u  %s\n", tokens->ids[i], piece);
    }
  }
  puts(json ? "]}" : "");
}

static enum pare_status encode(const struct options *o, const struct args *args, const pare_model *model,
                               struct pare_error *err) {
  struct inputs in;
  struct pare_tokens tokens = {0};
  struct input_source source = {.words = args->words + 1,
                                .count = args->count - 1,
                                .file = o->input,
                                .text_column = o->text_column,
                                .pair = o->pair};
  enum pare_status status = inputs_read(&source, &in, err);
  for (size_t i = 0; status == PARE_OK && i < in.count && !output_failed(); i++) {
    status = pare_tokenize(model, &in.texts[i], o->max_tokens, &tokens, err);
    if (status == PARE_OK) print_tokens(model, &tokens, o->common.json);
  }
  pare_tokens_free(&tokens);
  inputs_free(&in);
  return status;
}

static enum pare_status decode(const struct options *o, const struct args *args, const pare_model *model,
                               struct pare_error *err) {
  if (args->count > 1 || o->input || o->pair) {
    return error_set(err, PARE_USAGE, "tokenize: --decode stands alone, without TEXT, --pair or --input");
  }
  uint32_t *ids;
  size_t count;
  enum pare_status status = args_split_ids(o->decode, "decode", &ids, &count, err);
  if (status != PARE_OK) return status;
  char *text = NULL;
  status = pare_detokenize(model, ids, count, o->skip_special, &text, err);
  if (status == PARE_OK && o->common.json) {
    print_ids(ids, count);
    printf(",\"text\":");
    output_json_string(text, strlen(text));
    puts("}");
  } else if (status == PARE_OK) {
    puts(text);
  }
  free(text);
  free(ids);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count < 1) return error_set(err, PARE_USAGE, "tokenize: expected MODEL and TEXT, found nothing");
  struct opened opened = {0};
  enum pare_status status = open_model(&o->common, args->words[0], &opened, err);
  if (status == PARE_OK) status = (o->decode ? decode : encode)(o, args, opened.model, err);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"pair", 0, ARG_STRING, offsetof(struct options, pair), "TEXT", "second text, for models that take two"},
    {"input", 0, ARG_STRING, offsetof(struct options, input), "FILE",
     "texts from .txt, .csv, .tsv or .jsonl; - is standard input"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME",
     "column of FILE with the text (text)"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N",
     "cut to N ids, special ones included (the model's longest)"},
    {"decode", 0, ARG_STRING, offsetof(struct options, decode), "IDS",
     "the other way: ids separated by commas to text"},
    {"skip-special", 0, ARG_FLAG, offsetof(struct options, skip_special), NULL,
     "with --decode: leave special tokens out"},
};
static const struct arg_spec spec = {
    .name = "tokenize",
    .usage = "MODEL TEXT... [options]\n       pare tokenize MODEL --decode IDS [options]",
    .about =
        "Prints the token ids a model sees for a text, special tokens included, and the piece of vocabulary each "
        "stands for.\n"
        "--json: ids, tokens (with --decode: ids, text).",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare tokenize nli-minilm \"A man is eating.\" --pair \"Someone eats.\"\n  pare tokenize agnews-gpt2 "
        "--decode 15496,995\n",
    .run = run,
};

enum pare_status cmd_tokenize(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
