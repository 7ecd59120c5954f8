// greedy.c - see greedy.h.
#include "eval/greedy.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "task/sample.h"

struct greedy {
  pare_model *model;
  struct greedy_size size;
  struct decoder *decoder;
  uint32_t *prompts, *ids;    // (streams, prompt), (streams, generate)
  struct decoder_step *steps; // (streams)
  float *logits;              // (streams, V)
};

static bool reads_texts(const pare_model *m) {
  return m->config.task == ARCH_SEQ2SEQ;
}

enum pare_status greedy_check(const pare_model *m, const struct greedy_size *size, struct pare_error *err) {
  size_t longest = m->config.P;
  bool reads = reads_texts(m) && m->arch->encode, continues = m->config.task == ARCH_LANGUAGE_MODEL && m->arch->decoder;
  if (!reads && !continues) return error_set(err, PARE_USAGE, "%s: expected a model that generates text", m->path);
  if (reads && (size->prompt > longest || size->generate > longest))
    return error_set(err, PARE_USAGE, "%s: expected up to %zu tokens to read and to write, found %zu and %zu", m->path,
                     longest, size->prompt, size->generate);
  // The last new id is not read.
  if (continues && (size->prompt > longest || size->generate - 1 > longest - size->prompt))
    return error_set(err, PARE_USAGE, "%s: expected a prompt and new tokens of up to %zu together, found %zu and %zu",
                     m->path, longest, size->prompt, size->generate);
  return PARE_OK;
}

static enum pare_status open_decoder(struct greedy *g, size_t tokens, struct pare_error *err) {
  const struct greedy_size *s = &g->size;
  bool texts = reads_texts(g->model);
  struct decoder_size size = {.slots = s->streams,
                              .positions = texts ? s->generate : s->prompt + s->generate,
                              .step_tokens = tokens,
                              .texts = texts ? s->streams : 0,
                              .source_tokens = texts ? s->prompt : 0};
  return decoder_open_sized(g->model, &size, &g->decoder, err);
}

enum pare_status greedy_open(pare_model *m, const struct greedy_size *size, size_t V, struct rng *rng,
                             struct greedy **out, struct pare_error *err) {
  *out = NULL;
  size_t tokens, made, values;
  enum pare_status status = greedy_check(m, size, err);
  if (status != PARE_OK) return status;
  if (!size_mul(size->streams, size->prompt, &tokens) || !size_mul(size->streams, size->generate, &made) ||
      !size_mul(size->streams, m->config.V, &values) || tokens > DECODER_MAX_TOKENS)
    return error_set(err, PARE_USAGE, "%s: %zu streams of %zu tokens are too many", m->path, size->streams,
                     size->prompt);
  struct greedy *g = calloc(1, sizeof *g);
  if (!g) return error_no_memory(err);
  *g = (struct greedy){.model = m,
                       .size = *size,
                       .prompts = calloc(tokens, sizeof *g->prompts),
                       .ids = calloc(made, sizeof *g->ids),
                       .steps = calloc(size->streams, sizeof *g->steps),
                       .logits = calloc(values, sizeof *g->logits)};
  status = g->prompts && g->ids && g->steps && g->logits ? open_decoder(g, tokens, err) : error_no_memory(err);
  if (status != PARE_OK) {
    greedy_close(g);
    return status;
  }
  for (size_t i = 0; i < tokens; i++) g->prompts[i] = (uint32_t)rng_below(rng, V);
  *out = g;
  return PARE_OK;
}

void greedy_close(struct greedy *g) {
  if (!g) return;
  decoder_close(g->decoder);
  free(g->prompts);
  free(g->ids);
  free(g->steps);
  free(g->logits);
  free(g);
}

// One step of every stream; the id that follows becomes the i-th of each.
static enum pare_status advance(struct greedy *g, size_t i, struct pare_error *err) {
  enum pare_status status = decoder_run(g->decoder, g->steps, g->size.streams, g->logits, err);
  if (status != PARE_OK) return status;
  for (size_t b = 0; b < g->size.streams; b++) {
    uint32_t *id = &g->ids[b * g->size.generate + i];
    *id = sample_highest(g->logits + b * g->model->config.V, g->model->config.V);
    g->steps[b].ids = id;
    g->steps[b].len = 1;
  }
  return PARE_OK;
}

static enum pare_status begin(struct greedy *g, struct pare_error *err) {
  for (size_t b = 0; b < g->size.streams; b++) {
    decoder_reset(g->decoder, b);
    g->steps[b] =
        (struct decoder_step){.slot = b, .text = b, .ids = g->prompts + b * g->size.prompt, .len = g->size.prompt};
  }
  if (!reads_texts(g->model)) return advance(g, 0, err);
  enum pare_status status = decoder_encode(g->decoder, g->steps, g->size.streams, err);
  for (size_t b = 0; b < g->size.streams; b++) {
    g->steps[b].ids = &g->model->config.start_id;
    g->steps[b].len = 1;
  }
  return status == PARE_OK ? advance(g, 0, err) : status;
}

static struct nn_counters counted(struct nn_counters before, struct nn_counters after) {
  return (struct nn_counters){.operations = after.operations - before.operations,
                              .weight_bytes = after.weight_bytes - before.weight_bytes};
}

enum pare_status greedy_run(struct greedy *g, struct greedy_cost *out, struct pare_error *err) {
  struct nn_counters before = decoder_counters(g->decoder);
  uint64_t start = clock_ns();
  enum pare_status status = begin(g, err);
  uint64_t first = clock_ns();
  struct nn_counters between = decoder_counters(g->decoder);
  for (size_t i = 1; status == PARE_OK && i < g->size.generate; i++) status = advance(g, i, err);
  *out = (struct greedy_cost){.first_ms = (double)(first - start) * 1e-6,
                              .rest_ms = (double)(clock_ns() - first) * 1e-6,
                              .first = counted(before, between),
                              .rest = counted(between, decoder_counters(g->decoder))};
  return status;
}

const uint32_t *greedy_ids(const struct greedy *g) {
  return g->ids;
}

const uint32_t *greedy_prompts(const struct greedy *g) {
  return g->prompts;
}
