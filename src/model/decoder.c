// decoder.c - see decoder.h.
#include "model/decoder.h"

#include <assert.h>
#include <stdlib.h>

#include "base/size.h"

struct decoder {
  pare_model *model;
  struct arena arena, store; // of a pass; of the caches, which have room for all positions, of which few may be used
  struct nn_ctx ctx;
  struct kvcache cache, memory; // memory: of encoded texts
  size_t positions, step_tokens, source_tokens;
};

// Ids, positions, offsets, slots and texts of one step.
static size_t lists_bytes(size_t R, size_t B) {
  return 2 * arena_need(R * sizeof(uint32_t)) + arena_need((B + 1) * sizeof(size_t)) +
         2 * arena_need(B * sizeof(size_t));
}

size_t decoder_stream_bytes(const pare_model *m, size_t positions) {
  return kvcache_bytes(m->config.L, m->config.C, 1, positions);
}

static bool is_encoder_decoder(const pare_model *m) {
  return m->config.task == ARCH_SEQ2SEQ && m->arch->encode;
}

enum pare_status decoder_open(pare_model *m, size_t slots, size_t positions, size_t step_tokens, struct decoder **out,
                              struct pare_error *err) {
  return decoder_open_sized(
      m, &(struct decoder_size){.slots = slots, .positions = positions, .step_tokens = step_tokens}, out, err);
}

enum pare_status decoder_open_sized(pare_model *m, const struct decoder_size *size, struct decoder **out,
                                    struct pare_error *err) {
  *out = NULL;
  const struct config *c = &m->config;
  bool texts = is_encoder_decoder(m);
  if (!texts && (c->task != ARCH_LANGUAGE_MODEL || !m->arch->decoder))
    return error_set(err, PARE_USAGE, "%s: not a language model", m->path);
  size_t positions = size->positions ? size_min(size->positions, c->P) : c->P, slots = size->slots;
  size_t source = size->source_tokens ? size_min(size->source_tokens, c->P) : c->P;
  if (slots < 1 || slots > DECODER_MAX_TOKENS / positions || size->step_tokens < slots ||
      size->step_tokens > DECODER_MAX_TOKENS || (texts && size->texts < 1) || size->texts > DECODER_MAX_TOKENS / source)
    return error_set(err, PARE_USAGE, "%s: %zu streams of %zu tokens are too many", m->path, slots, positions);
  struct decoder *d = calloc(1, sizeof *d);
  if (!d) return error_no_memory(err);
  d->model = m;
  d->positions = positions;
  d->step_tokens = size->step_tokens;
  d->source_tokens = source;
  // A pass is a step, or the texts of one decoder_encode.
  size_t rows = texts ? size_max(size->step_tokens, source) : size->step_tokens, most = size_max(slots, size->texts);
  size_t scratch = lists_bytes(rows, most) +
                   m->arch->scratch_bytes(m->kernels, c, rows, most, size_min(rows, c->P), pool_threads(m->pool));
  size_t store = kvcache_bytes(c->L, c->C, slots, positions);
  if (texts) store += kvcache_bytes(c->L, c->C, size->texts, source);
  enum pare_status s = arena_init(&d->arena, scratch, err);
  if (!s) s = arena_init_sparse(&d->store, store, err);
  if (s) {
    decoder_close(d);
    return s;
  }
  kvcache_init(&d->cache, &d->store, c->L, c->H, c->C / c->H, slots, positions);
  if (texts) kvcache_init(&d->memory, &d->store, c->L, c->H, c->C / c->H, size->texts, source);
  d->ctx = (struct nn_ctx){.kernels = m->kernels, .pool = m->pool, .arena = &d->arena};
  *out = d;
  return PARE_OK;
}

void decoder_leave_pool(struct decoder *d) {
  d->ctx.pool = NULL;
}

void decoder_close(struct decoder *d) {
  if (!d) return;
  arena_free(&d->arena);
  arena_free(&d->store);
  free(d);
}

size_t decoder_positions(const struct decoder *d) {
  return d->positions;
}

size_t decoder_length(const struct decoder *d, size_t slot) {
  return d->cache.len[slot];
}

struct nn_counters decoder_counters(const struct decoder *d) {
  return d->ctx.counters;
}

void decoder_reset(struct decoder *d, size_t slot) {
  d->cache.len[slot] = 0;
}

void decoder_truncate(struct decoder *d, size_t slot, size_t len) {
  assert(len <= d->cache.len[slot]);
  d->cache.len[slot] = len;
}

void decoder_copy(struct decoder *d, size_t from, size_t to, size_t len) {
  kvcache_copy(&d->cache, from, to, len);
}

static void find_outliers(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  if (w->packed.input.kind == ACTIVATION_OUTLIER) *(bool *)context = false;
}

bool decoder_cuts_freely(const pare_model *m) {
  bool freely = true;
  model_each_weight(m, find_outliers, &freely);
  return freely;
}

static enum pare_status check_ids(const struct decoder *d, const struct decoder_step *q, const char *what, size_t which,
                                  size_t room, struct pare_error *err) {
  const char *path = d->model->path;
  if (q->len < 1 || q->len > room)
    return error_set(err, PARE_USAGE, "%s: %s %zu: expected 1 to %zu more tokens, found %zu", path, what, which, room,
                     q->len);
  for (size_t i = 0; i < q->len; i++)
    if (q->ids[i] >= d->model->config.V)
      return error_set(err, PARE_DATA, "%s: %s %zu, token %zu: id %u is not below the vocabulary's %zu", path, what,
                       which, i, q->ids[i], d->model->config.V);
  return PARE_OK;
}

static enum pare_status check(const struct decoder *d, const struct decoder_step *steps, size_t n, bool texts,
                              size_t *rows, struct pare_error *err) {
  size_t most = texts ? size_max(d->step_tokens, d->source_tokens) : d->step_tokens;
  *rows = 0;
  for (size_t b = 0; b < n; b++) {
    const struct decoder_step *q = &steps[b];
    size_t room = texts ? d->source_tokens : d->positions - d->cache.len[q->slot];
    enum pare_status s = check_ids(d, q, texts ? "text" : "stream", texts ? q->text : q->slot, room, err);
    if (s) return s;
    *rows += q->len;
  }
  if (*rows <= most) return PARE_OK;
  return error_set(err, PARE_USAGE, "%s: a step of %zu tokens: at most %zu expected", d->model->path, *rows, most);
}

// The steps as one ragged batch; slots are the streams', or the texts' when these are texts.
static struct sequences pack(struct decoder *d, const struct decoder_step *steps, size_t n, size_t rows, bool texts) {
  struct arena *a = &d->arena;
  size_t at = 0, *offsets = arena_take(a, (n + 1) * sizeof *offsets), *slots = arena_take(a, n * sizeof *slots);
  uint32_t *ids = arena_take(a, rows * sizeof *ids), *positions = arena_take(a, rows * sizeof *positions);
  for (size_t b = 0; b < n; b++) {
    const struct decoder_step *q = &steps[b];
    size_t past = texts ? 0 : d->cache.len[q->slot];
    offsets[b] = at;
    slots[b] = texts ? q->text : q->slot;
    for (size_t i = 0; i < q->len; i++, at++) {
      ids[at] = q->ids[i];
      positions[at] = (uint32_t)(past + i);
    }
  }
  offsets[n] = at;
  return (struct sequences){
      .ids = ids, .positions = positions, .offsets = offsets, .B = n, .rows = rows, .slots = slots};
}

enum pare_status decoder_encode(struct decoder *d, const struct decoder_step *texts, size_t n, struct pare_error *err) {
  size_t rows;
  enum pare_status s = check(d, texts, n, true, &rows, err);
  if (s || !n) return s;
  size_t mark = arena_mark(&d->arena);
  struct sequences batch = pack(d, texts, n, rows, true);
  for (size_t b = 0; b < n; b++) d->memory.len[texts[b].text] = 0;
  nn_ctx_texts(&d->ctx, batch.offsets, n);
  d->model->arch->encode(&d->ctx, &d->model->config, &d->model->weights, &batch, &d->memory);
  arena_reset(&d->arena, mark);
  return PARE_OK;
}

static enum pare_status run(struct decoder *d, const struct decoder_step *steps, size_t n, bool last_only,
                            float *logits, struct pare_error *err) {
  size_t rows;
  enum pare_status s = check(d, steps, n, false, &rows, err);
  if (s || !n) return s;
  size_t mark = arena_mark(&d->arena);
  struct sequences batch = pack(d, steps, n, rows, false);
  batch.cache = &d->cache;
  batch.last_only = last_only;
  if (is_encoder_decoder(d->model)) {
    size_t *texts = arena_take(&d->arena, n * sizeof *texts);
    for (size_t b = 0; b < n; b++) texts[b] = steps[b].text;
    batch.memory = &d->memory;
    batch.memory_slots = texts;
  }
  nn_ctx_texts(&d->ctx, batch.offsets, n);
  d->model->arch->forward(&d->ctx, &d->model->config, &d->model->weights, &batch, logits);
  kvcache_advance(&d->cache, batch.slots, batch.offsets, n);
  arena_reset(&d->arena, mark);
  return PARE_OK;
}

enum pare_status decoder_run(struct decoder *d, const struct decoder_step *steps, size_t n, float *logits,
                             struct pare_error *err) {
  return run(d, steps, n, true, logits, err);
}

enum pare_status decoder_run_rows(struct decoder *d, const struct decoder_step *step, float *logits,
                                  struct pare_error *err) {
  return run(d, step, 1, false, logits, err);
}
