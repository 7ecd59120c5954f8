// generate.h - continues prompts with a decoder language model, or answers texts with an encoder-decoder: several at
// once, each by its own rng and its own cache.
#ifndef PARE_TASK_GENERATE_H
#define PARE_TASK_GENERATE_H

#include "model/decoder.h"

// See pare_generate. Beams, least lengths and n-grams are search.h's; a plain language model's streams are here.
enum pare_status generate_run(pare_model *m, const struct pare_text *prompts, size_t n,
                              const struct pare_generate_options *options, struct pare_generation *out,
                              struct pare_error *err);
void generation_free(struct pare_generation *g);

#endif
