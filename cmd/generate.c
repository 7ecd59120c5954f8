// generate.c - pare generate
#include <stdlib.h>

#include "base/error.h"
#include "command.h"

struct options {
  struct preference use;
  const char *input, *text_column, *temperature, *top_p, *min_p, *repetition_penalty;
  size_t max_tokens, top_k, beams;
  uint64_t seed;
  struct args_list stop;
  bool stream;
};

static enum pare_status sampling(const struct options *o, struct pare_generate_options *out, struct pare_error *err) {
  *out = (struct pare_generate_options){.max_tokens = o->max_tokens,
                                        .top_k = o->top_k,
                                        .seed = o->seed,
                                        .stop = o->stop.items,
                                        .stop_count = o->stop.count};
  enum pare_status status = args_real(o->temperature, "temperature", &out->temperature, err);
  if (status == PARE_OK) status = args_real(o->top_p, "top-p", &out->top_p, err);
  if (status == PARE_OK) status = args_real(o->min_p, "min-p", &out->min_p, err);
  if (status == PARE_OK) status = args_real(o->repetition_penalty, "repetition-penalty", &out->repetition_penalty, err);
  if (status != PARE_OK) return status;
  // Choosing how to draw is asking to draw.
  bool draws = out->top_k || out->top_p > 0 || out->min_p > 0;
  if (draws && !o->temperature) out->temperature = 1;
  if (draws && out->temperature == 0)
    return error_set(err, PARE_USAGE, "generate: --top-k, --top-p and --min-p need a temperature above 0");
  return PARE_OK;
}

static const char *finish_name(enum pare_finish f) {
  return f == PARE_FINISH_EOS ? "eos" : f == PARE_FINISH_STOP ? "stop" : "length";
}

static void print_json(const struct opened *opened, const struct pare_text *prompt, const struct pare_generation *g) {
  printf("{\"prompt\":");
  output_json_string(prompt->text, prompt->len);
  printf(",\"text\":");
  output_json_string(g->text, g->text_len);
  printf(",\"ids\":[");
  for (size_t i = 0; i < g->count; i++) printf("%s%u", i ? "," : "", g->ids[i]);
  printf("],\"finish_reason\":\"%s\"", finish_name(g->finish));
  output_json_used(opened);
  puts("}");
}

static void print_text(const struct pare_text *prompt, const struct pare_generation *g, bool separate) {
  if (separate) puts("----");
  fwrite(prompt->text, 1, prompt->len, stdout);
  fwrite(g->text, 1, g->text_len, stdout);
  putchar('\n');
}

static void stream_piece(void *context, size_t index, const char *text, size_t len) {
  (void)context;
  (void)index;
  fwrite(text, 1, len, stdout);
  fflush(stdout);
}

// The library numbers the prompts of one call; `first` were continued before it.
static enum pare_status counted_from(size_t first, enum pare_status status, struct pare_error *err) {
  struct pare_error inner = *err;
  return error_set(err, status, "counting from prompt %zu: %.400s", first, inner.text);
}

static enum pare_status answer(const struct options *o, const struct opened *opened, const struct inputs *in,
                               struct pare_generate_options *how, struct pare_error *err) {
  enum { CHUNK = 16 }; // prompts continued together
  struct pare_generation out[CHUNK];
  uint64_t seed = how->seed;
  if (o->stream) {
    how->on_text = stream_piece;
    fwrite(in->texts[0].text, 1, in->texts[0].len, stdout);
    fflush(stdout);
  }
  for (size_t i = 0; i < in->count && !output_failed(); i += CHUNK) {
    size_t n = in->count - i < CHUNK ? in->count - i : CHUNK;
    how->seed = seed + i; // prompt k draws from seed + k, whatever the chunk
    enum pare_status status = pare_generate(opened->model, in->texts + i, n, how, out, err);
    if (status != PARE_OK) return i ? counted_from(i, status, err) : status;
    for (size_t k = 0; k < n; k++) {
      if (o->use.common.json) {
        print_json(opened, &in->texts[i + k], &out[k]);
      } else if (o->stream) {
        putchar('\n');
      } else {
        print_text(&in->texts[i + k], &out[k], i + k > 0);
      }
      pare_generation_free(&out[k]);
    }
    fflush(stdout);
  }
  return PARE_OK;
}

static enum pare_status check(const struct options *o, const struct args *args, struct pare_error *err) {
  if (args->count < 1) return error_set(err, PARE_USAGE, "generate: expected MODEL and PROMPT, found nothing");
  if (args->count == 1 && !o->input)
    return error_set(err, PARE_USAGE, "generate: expected PROMPT, --input FILE or - after MODEL, found none");
  if (o->beams > 1) return error_set(err, PARE_UNAVAILABLE, "generate: beam search is not built yet");
  if (o->stream && o->use.common.json)
    return error_set(err, PARE_USAGE, "generate: --stream and --json exclude each other");
  return PARE_OK;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct opened opened = {0};
  struct inputs in = {0};
  struct input_source source = {.words = args->words + 1,
                                .count = args->count ? args->count - 1 : 0,
                                .file = o->input,
                                .text_column = o->text_column};
  struct pare_generate_options how;
  enum pare_status status = check(o, args, err);
  if (status == PARE_OK) status = sampling(o, &how, err);
  if (status == PARE_OK) status = open_preferred(&o->use, args->words[0], &opened, err);
  if (status == PARE_OK) status = inputs_read(&source, &in, err);
  if (status == PARE_OK && o->stream && in.count != 1)
    status = error_set(err, PARE_USAGE, "generate: --stream takes one prompt, found %zu", in.count);
  if (status == PARE_OK) status = answer(o, &opened, &in, &how, err);
  inputs_free(&in);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"input", 0, ARG_STRING, offsetof(struct options, input), "FILE",
     "prompts from .txt, .csv, .tsv or .jsonl; - is standard input"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME",
     "column of FILE with the prompt (text)"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N", "most new tokens (128)"},
    {"temperature", 0, ARG_STRING, offsetof(struct options, temperature), "T",
     "0: greedy (the default); higher draws more freely"},
    {"top-k", 0, ARG_SIZE, offsetof(struct options, top_k), "K", "draw among the K likeliest tokens"},
    {"top-p", 0, ARG_STRING, offsetof(struct options, top_p), "P", "draw among the likeliest that together reach P"},
    {"min-p", 0, ARG_STRING, offsetof(struct options, min_p), "P",
     "draw among those at least P times as likely as the likeliest"},
    {"repetition-penalty", 0, ARG_STRING, offsetof(struct options, repetition_penalty), "R",
     "above 1: make tokens seen before less likely"},
    {"beams", 0, ARG_SIZE, offsetof(struct options, beams), "N", "beam search (not built yet: 1)"},
    {"seed", 0, ARG_SEED, offsetof(struct options, seed), "S", "same seed, same draws (0)"},
    {"stop", 0, ARG_LIST, offsetof(struct options, stop), "TEXT", "end before TEXT; may be given several times"},
    {"stream", 0, ARG_FLAG, offsetof(struct options, stream), NULL, "print the text as it comes"},
};
static const struct arg_spec spec = {
    .name = "generate",
    .usage = "MODEL PROMPT... [options]\n       pare generate MODEL --input FILE [options]",
    .about =
        "Continues prompts with a language model. Greedy unless --temperature, --top-k, --top-p or --min-p asks for "
        "draws;\n"
        "the same seed gives the same text, alone or among other prompts. The whole text is printed,\n"
        "prompt first. --json: prompt, text (what was added), ids, finish_reason (length, eos, stop).",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .shared = preference_table,
    .shared_count = PREFERENCE_OPTIONS,
    .example =
        "  pare generate path/to/gpt2 \"The weather today\" --max-tokens 40\n"
        "  pare generate path/to/gpt2 \"Once upon a time\" --temperature 0.8 --top-p 0.95 --seed 7 --stream\n",
    .run = run,
};

enum pare_status cmd_generate(int argc, char **argv, struct pare_error *err) {
  struct options o = {.use = {.common = {0}}};
  return args_run(&spec, argc, argv, &o, err);
}
