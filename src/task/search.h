// search.h - answers chosen by rule: greedy or drawn with lengths, forced ids and n-grams watched over (process.h), or
// by beam search (beam.h); for language models and encoder-decoders. All beams of several texts step together, one row
// each; an answer does not depend on the others.
#ifndef PARE_TASK_SEARCH_H
#define PARE_TASK_SEARCH_H

#include "model/decoder.h"
#include "task/generation_config.h"

// Fills out (n; zeroed before) as pare_generate does. config is what the model's files say; options win over it.
// PARE_USAGE for options that contradict each other. Takes config's numbers as its own: they are changed here.
enum pare_status search_run(pare_model *m, const struct pare_text *texts, size_t n,
                            const struct pare_generate_options *options, struct generation_config *config,
                            struct pare_generation *out, struct pare_error *err);

#endif
