// generation.c - see generation.h.
#include "generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sampling.h"

const struct arg_option generation_table[GENERATION_OPTIONS] = {
    {"input", 0, ARG_STRING, offsetof(struct generation, input), "FILE",
     "texts from .txt, .csv, .tsv or .jsonl; - is standard input"},
    {"text-column", 0, ARG_STRING, offsetof(struct generation, text_column), "NAME",
     "column of FILE with the text (text)"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct generation, max_tokens), "N",
     "most new tokens (128; an encoder-decoder's own)"},
    {"beams", 0, ARG_SIZE, offsetof(struct generation, beams), "N",
     "beam search with N beams, 64 at most (1; an encoder-decoder's own)"},
    {"min-tokens", 0, ARG_SIZE, offsetof(struct generation, min_tokens), "N",
     "no end before N new tokens (0; an encoder-decoder's own)"},
    {"length-penalty", 0, ARG_STRING, offsetof(struct generation, length_penalty), "P",
     "beams: score = sum of log p / length^P; above 0 favours long answers (1)"},
    {"no-repeat-ngram", 0, ARG_SIZE, offsetof(struct generation, no_repeat_ngram), "N",
     "no run of N tokens comes twice; 0: off (an encoder-decoder's own)"},
    {"early-stopping", 0, ARG_STRING, offsetof(struct generation, early_stopping), "HOW",
     "beams: true (as many finished as beams), false or never (false)"},
    {"repetition-penalty", 0, ARG_STRING, offsetof(struct generation, repetition_penalty), "R",
     "above 1: make tokens seen before less likely"},
};

static enum pare_status early_stopping(const char *text, enum pare_early_stopping *out, struct pare_error *err) {
  static const char *const names[] = {
      [PARE_EARLY_FALSE] = "false", [PARE_EARLY_TRUE] = "true", [PARE_EARLY_NEVER] = "never"};
  for (size_t i = PARE_EARLY_FALSE; text && i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(text, names[i]) != 0) continue;
    *out = (enum pare_early_stopping)i;
    return PARE_OK;
  }
  if (!text) return PARE_OK;
  return error_set(err, PARE_USAGE, "--early-stopping: expected true, false or never, found '%s'", text);
}

// 0 on the command line switches off; in the library it leaves the model's own.
static size_t own_or_off(size_t given) {
  return given == GENERATION_UNSET ? 0 : given ? given : PARE_OFF;
}

// 0 in the library is the model's own; on the command line it is a mistake.
static enum pare_status from_one(size_t given, const char *option, size_t *out, struct pare_error *err) {
  *out = given == GENERATION_UNSET ? 0 : given;
  return given ? PARE_OK : error_set(err, PARE_USAGE, "--%s: expected 1 or more, found 0", option);
}

enum pare_status generation_options(const struct generation *g, struct pare_generate_options *out,
                                    struct pare_error *err) {
  *out = (struct pare_generate_options){.min_tokens = own_or_off(g->min_tokens),
                                        .no_repeat_ngram = own_or_off(g->no_repeat_ngram),
                                        .has_length_penalty = g->length_penalty != NULL};
  enum pare_status s = from_one(g->max_tokens, "max-tokens", &out->max_tokens, err);
  if (s == PARE_OK) s = from_one(g->beams, "beams", &out->beams, err);
  if (s == PARE_OK) s = args_real(g->length_penalty, "length-penalty", &out->length_penalty, err);
  if (s == PARE_OK) s = sampling_repetition(g->repetition_penalty, out, err);
  return s == PARE_OK ? early_stopping(g->early_stopping, &out->early_stopping, err) : s;
}

// The library numbers the prompts of one call; `first` were answered before it.
static enum pare_status counted_from(size_t first, enum pare_status status, struct pare_error *err) {
  struct pare_error inner = *err;
  return error_set(err, status, "counting from prompt %zu: %.400s", first, inner.text);
}

enum pare_status generation_run(pare_model *model, const struct inputs *in, struct pare_generate_options *how,
                                void (*show)(const void *context, size_t index, const struct pare_generation *g),
                                const void *context, struct pare_error *err) {
  struct pare_generation out[GENERATION_CHUNK];
  uint64_t seed = how->seed;
  for (size_t i = 0; i < in->count && !output_failed(); i += GENERATION_CHUNK) {
    size_t n = in->count - i < GENERATION_CHUNK ? in->count - i : GENERATION_CHUNK;
    how->seed = seed + i; // prompt k draws from seed + k, whatever the chunk
    enum pare_status status = pare_generate(model, in->texts + i, n, how, out, err);
    if (status != PARE_OK) return i ? counted_from(i, status, err) : status;
    for (size_t k = 0; k < n; k++) {
      show(context, i + k, &out[k]);
      pare_generation_free(&out[k]);
    }
    fflush(stdout);
  }
  return PARE_OK;
}

void generation_note(const struct args_common *common, const pare_model *model, size_t index,
                     const struct pare_generation *g) {
  if (!g->truncated || common->quiet) return;
  fprintf(stderr, "pare: text %zu: only its first %zu tokens were read, the model's longest\n", index,
          pare_model_max_tokens(model));
}

const char *generation_finish(enum pare_finish f) {
  return f == PARE_FINISH_EOS ? "eos" : f == PARE_FINISH_STOP ? "stop" : "length";
}

void generation_print_ids(const struct pare_generation *g) {
  printf("\"ids\":[");
  for (size_t i = 0; i < g->count; i++) printf("%s%u", i ? "," : "", g->ids[i]);
  putchar(']');
}
