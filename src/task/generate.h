// generate.h - continues prompts with a decoder language model: several at once, each by its own rng and its own cache.
#ifndef PARE_TASK_GENERATE_H
#define PARE_TASK_GENERATE_H

#include "model/decoder.h"

// See pare_generate.
enum pare_status generate_run(pare_model *m, const struct pare_text *prompts, size_t n,
                              const struct pare_generate_options *options, struct pare_generation *out,
                              struct pare_error *err);
void generation_free(struct pare_generation *g);

#endif
