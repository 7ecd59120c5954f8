// generation.h - options that generate and summarize share: where the texts come from, and how the answer is searched.
#ifndef PARE_CMD_GENERATION_H
#define PARE_CMD_GENERATION_H

#include "command.h"

// The first member of both commands' option values.
struct generation {
  struct preference use;
  const char *input, *text_column, *repetition_penalty, *length_penalty, *early_stopping;
  size_t max_tokens, beams, min_tokens, no_repeat_ngram; // GENERATION_UNSET: the model's own
};
#define GENERATION_UNSET SIZE_MAX
#define GENERATION_DEFAULTS                                                                    \
  (struct generation) {                                                                        \
    .max_tokens = GENERATION_UNSET, .beams = GENERATION_UNSET, .min_tokens = GENERATION_UNSET, \
    .no_repeat_ngram = GENERATION_UNSET                                                        \
  }
enum { GENERATION_OPTIONS = 9 };
extern const struct arg_option generation_table[GENERATION_OPTIONS];

// The part of pare_generate's options that follows from these. PARE_USAGE for what is no number.
enum pare_status generation_options(const struct generation *g, struct pare_generate_options *out,
                                    struct pare_error *err);

// Answers in.texts in chunks, in order, each with prompt k drawing from seed + k; show prints one answer.
enum { GENERATION_CHUNK = 16 };
enum pare_status generation_run(pare_model *model, const struct inputs *in, struct pare_generate_options *how,
                                void (*show)(const void *context, size_t index, const struct pare_generation *g),
                                const void *context, struct pare_error *err);
// A note on standard error, once for each text that was cut, unless --quiet.
void generation_note(const struct args_common *common, const pare_model *model, size_t index,
                     const struct pare_generation *g);
const char *generation_finish(enum pare_finish f);
void generation_print_ids(const struct pare_generation *g); // "ids":[..]

#endif
