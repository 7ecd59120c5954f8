// api_serving.c - pare_serving.h's generators in terms of task/. Thin on purpose.
#include "task/generator.h"

enum pare_status pare_generator_open(pare_model *model, const struct pare_generator_options *options,
                                     pare_generator **out, struct pare_error *err) {
  return generator_open(model, options, out, err);
}

void pare_generator_close(pare_generator *g) {
  generator_close(g);
}

size_t pare_generator_free_streams(const pare_generator *g) {
  return generator_free_streams(g);
}

enum pare_status pare_generator_start(pare_generator *g, const struct pare_prompt *prompt, size_t *stream,
                                      struct pare_error *err) {
  return generator_start(g, prompt, stream, err);
}

enum pare_status pare_generator_step(pare_generator *g, size_t *live, struct pare_error *err) {
  return generator_step(g, live, err);
}

struct pare_stream pare_generator_state(const pare_generator *g, size_t stream) {
  return generator_state(g, stream);
}

void pare_generator_end(pare_generator *g, size_t stream) {
  generator_end(g, stream);
}
