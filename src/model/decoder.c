// decoder.c - see decoder.h.
#include "model/decoder.h"

#include <stdlib.h>

#include "base/size.h"

struct decoder {
  pare_model *model;
  struct arena arena;
  struct nn_ctx ctx;
  struct kvcache cache;
  size_t positions, step_tokens;
};

static size_t lists_bytes(size_t R, size_t B) {
  return 2 * arena_need(R * sizeof(uint32_t)) + arena_need((B + 1) * sizeof(size_t)) + arena_need(B * sizeof(size_t));
}

enum pare_status decoder_open(pare_model *m, size_t slots, size_t positions, size_t step_tokens, struct decoder **out,
                              struct pare_error *err) {
  *out = NULL;
  const struct config *c = &m->config;
  if (c->task != ARCH_LANGUAGE_MODEL || !m->arch->decoder)
    return error_set(err, PARE_USAGE, "%s: not a language model", m->path);
  positions = positions ? size_min(positions, c->P) : c->P;
  if (slots < 1 || slots > DECODER_MAX_TOKENS / positions || step_tokens < slots || step_tokens > DECODER_MAX_TOKENS)
    return error_set(err, PARE_USAGE, "%s: %zu streams of %zu tokens are too many", m->path, slots, positions);
  struct decoder *d = calloc(1, sizeof *d);
  if (!d) return error_no_memory(err);
  d->model = m;
  d->positions = positions;
  d->step_tokens = step_tokens;
  size_t bytes =
      kvcache_bytes(c->L, c->C, slots, positions) + lists_bytes(step_tokens, slots) +
      m->arch->scratch_bytes(m->kernels, c, step_tokens, slots, size_min(step_tokens, c->P), pool_threads(m->pool));
  enum pare_status s = arena_init(&d->arena, bytes, err);
  if (s) {
    free(d);
    return s;
  }
  kvcache_init(&d->cache, &d->arena, c->L, c->H, c->C / c->H, slots, positions);
  d->ctx = (struct nn_ctx){.kernels = m->kernels, .pool = m->pool, .arena = &d->arena};
  *out = d;
  return PARE_OK;
}

void decoder_close(struct decoder *d) {
  if (!d) return;
  arena_free(&d->arena);
  free(d);
}

size_t decoder_positions(const struct decoder *d) {
  return d->positions;
}

size_t decoder_length(const struct decoder *d, size_t slot) {
  return d->cache.len[slot];
}

void decoder_reset(struct decoder *d, size_t slot) {
  d->cache.len[slot] = 0;
}

void decoder_copy(struct decoder *d, size_t from, size_t to) {
  kvcache_copy(&d->cache, from, to);
}

static enum pare_status check(const struct decoder *d, const struct decoder_step *steps, size_t n, size_t *rows,
                              struct pare_error *err) {
  const char *path = d->model->path;
  *rows = 0;
  for (size_t b = 0; b < n; b++) {
    const struct decoder_step *q = &steps[b];
    size_t room = d->positions - d->cache.len[q->slot];
    if (q->len < 1 || q->len > room)
      return error_set(err, PARE_USAGE, "%s: stream %zu: expected 1 to %zu more tokens, found %zu", path, q->slot, room,
                       q->len);
    for (size_t i = 0; i < q->len; i++)
      if (q->ids[i] >= d->model->config.V)
        return error_set(err, PARE_DATA, "%s: stream %zu, token %zu: id %u is not below the vocabulary's %zu", path,
                         q->slot, i, q->ids[i], d->model->config.V);
    *rows += q->len;
  }
  if (*rows <= d->step_tokens) return PARE_OK;
  return error_set(err, PARE_USAGE, "%s: a step of %zu tokens: at most %zu expected", path, *rows, d->step_tokens);
}

enum pare_status decoder_run(struct decoder *d, const struct decoder_step *steps, size_t n, float *logits,
                             struct pare_error *err) {
  size_t rows, at = 0;
  enum pare_status s = check(d, steps, n, &rows, err);
  if (s || !n) return s;
  size_t mark = arena_mark(&d->arena);
  uint32_t *ids = arena_take(&d->arena, rows * sizeof *ids),
           *positions = arena_take(&d->arena, rows * sizeof *positions);
  size_t *offsets = arena_take(&d->arena, (n + 1) * sizeof *offsets), *slots = arena_take(&d->arena, n * sizeof *slots);
  for (size_t b = 0; b < n; b++) {
    const struct decoder_step *q = &steps[b];
    offsets[b] = at;
    slots[b] = q->slot;
    for (size_t i = 0; i < q->len; i++, at++) {
      ids[at] = q->ids[i];
      positions[at] = (uint32_t)(d->cache.len[q->slot] + i);
    }
  }
  offsets[n] = at;
  struct sequences batch = {.ids = ids,
                            .positions = positions,
                            .offsets = offsets,
                            .B = n,
                            .rows = rows,
                            .cache = &d->cache,
                            .slots = slots,
                            .last_only = true};
  d->ctx.offsets = offsets;
  d->ctx.B = n;
  d->model->arch->forward(&d->ctx, &d->model->config, &d->model->weights, &batch, logits);
  kvcache_advance(&d->cache, slots, offsets, n);
  arena_reset(&d->arena, mark);
  return PARE_OK;
}
