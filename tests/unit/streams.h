// streams.h - what the tests of generation stream by stream share.
#ifndef PARE_TESTS_STREAMS_H
#define PARE_TESTS_STREAMS_H

#include "model_files.h"

#include "pare_serving.h"

#define TINY TEST_DIR "/golden/data/generate" // 64 positions, 268 ids
static pare_engine engine;

static inline int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) || pool_open(2, &engine.pool, NULL);
}

static inline int teardown(void **state) {
  (void)state;
  pool_close(engine.pool);
  return 0;
}

static inline pare_generator *open_generator(pare_model *m, size_t streams, size_t step_tokens, bool reuse) {
  struct pare_error err = {0};
  struct pare_generator_options o = {.streams = streams, .step_tokens = step_tokens, .reuse = reuse};
  pare_generator *g;
  must(pare_generator_open(m, &o, &g, &err), &err);
  assert_int_equal(pare_generator_free_streams(g), streams);
  return g;
}

static inline size_t start(pare_generator *g, const struct pare_prompt *p) {
  struct pare_error err = {0};
  size_t stream;
  must(pare_generator_start(g, p, &stream, &err), &err);
  return stream;
}

static inline size_t step(pare_generator *g) {
  struct pare_error err = {0};
  size_t live;
  must(pare_generator_step(g, &live, &err), &err);
  return live;
}

#endif
