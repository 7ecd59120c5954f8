// generator.h - continuous batching (Yu et al. 2022, "Orca"): prompts come and go between steps, and a step reads one
// token of every stream that is answering and, within its budget, pieces of the prompts that are still being read,
// oldest first. See pare_serving.h for what each function promises.
#ifndef PARE_TASK_GENERATOR_H
#define PARE_TASK_GENERATOR_H

#include "pare_serving.h"

enum pare_status generator_open(pare_model *m, const struct pare_generator_options *options, pare_generator **out,
                                struct pare_error *err);
void generator_close(pare_generator *g);
size_t generator_free_streams(const pare_generator *g);
enum pare_status generator_start(pare_generator *g, const struct pare_prompt *prompt, size_t *stream,
                                 struct pare_error *err);
enum pare_status generator_step(pare_generator *g, size_t *live, struct pare_error *err);
struct pare_stream generator_state(const pare_generator *g, size_t stream);
void generator_end(pare_generator *g, size_t stream);

#endif
