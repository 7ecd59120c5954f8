// session.c - see session.h. Sequences are packed into ragged batches, in order, of at most pass_rows rows.
#include "model/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "text/ngram.h"

// Scratch of one forward pass plus the batch's own arrays: ids, positions, types, offsets, twice for an
// encoder-decoder. B <= R, which run sees to where a sequence may be empty. No overflow: R <= 2^24 rows of less than
// 2^20 values each (3 C, F <= 2^16, and a few of C), and attention's D * P per thread.
static size_t arena_size(const pare_model *m, size_t R) {
  size_t lists = 2 * arena_need(R * sizeof(uint32_t)) + arena_need(R) + arena_need((R + 1) * sizeof(size_t));
  if (m->arch->bag) lists += arena_need(ngrams_seen_bytes(m->config.V)) + arena_need(m->config.P * sizeof(uint32_t));
  return 2 * lists +
         m->arch->scratch_bytes(m->kernels, &m->config, R, R, size_min(R, m->config.P), pool_threads(m->pool));
}

enum pare_status session_open(pare_model *model, size_t batch_tokens, pare_session **out, struct pare_error *err) {
  *out = NULL;
  if (batch_tokens > SESSION_MAX_TOKENS)
    return error_set(err, PARE_USAGE, "%s: a batch of %zu tokens: at most %d expected", model->path, batch_tokens,
                     SESSION_MAX_TOKENS);
  pare_session *s = calloc(1, sizeof *s);
  if (!s) return error_no_memory(err);
  s->model = model;
  s->batch_tokens = batch_tokens ? batch_tokens : model->config.P;
  s->pass_rows = model->arch->pass_rows ? size_min(s->batch_tokens, model->arch->pass_rows) : s->batch_tokens;
  size_t rows = size_max(s->pass_rows, size_min(s->batch_tokens, model->config.P));
  enum pare_status status = arena_init(&s->arena, arena_size(model, rows), err);
  if (status) {
    free(s);
    return status;
  }
  if (model->arch->bag) { // fresh pages are zero
    s->seen = arena_take(&s->arena, ngrams_seen_bytes(model->config.V));
    s->ids = arena_take(&s->arena, model->config.P * sizeof(uint32_t));
  }
  s->ctx = (struct nn_ctx){.kernels = model->kernels, .pool = model->pool, .arena = &s->arena};
  *out = s;
  return PARE_OK;
}

void session_leave_pool(pare_session *s) {
  s->ctx.pool = NULL;
}

void session_close(pare_session *s) {
  if (!s) return;
  arena_free(&s->arena);
  free(s);
}

size_t session_rows(const pare_model *m, size_t len) {
  return m->config.task == ARCH_CLASSIFY || m->config.task == ARCH_SEQ2SEQ ? 1 : len;
}

size_t session_sequence_rows(const pare_model *m, const struct pare_sequence *q) {
  return m->config.task == ARCH_SEQ2SEQ && q->decoder_ids ? q->decoder_len : session_rows(m, q->len);
}

size_t session_columns(const pare_model *m) {
  switch (m->config.task) {
    case ARCH_CLASSIFY: return m->config.N;
    case ARCH_SEQ2SEQ:
    case ARCH_LANGUAGE_MODEL: return m->config.V;
    case ARCH_ENCODE: break;
  }
  return m->config.C;
}

static enum pare_status check_decoder(const pare_session *s, const struct pare_sequence *q, size_t index,
                                      struct pare_error *err) {
  const struct config *c = &s->model->config;
  size_t limit = size_min(c->P, s->batch_tokens);
  if (!q->decoder_ids) return PARE_OK;
  if (c->task != ARCH_SEQ2SEQ)
    return error_set(err, PARE_USAGE, "%s: sequence %zu: decoder ids are for encoder-decoders", s->model->path, index);
  if (q->decoder_len < 1 || q->decoder_len > limit)
    return error_set(err, PARE_DATA, "%s: sequence %zu: expected 1 to %zu decoder ids, found %zu", s->model->path,
                     index, limit, q->decoder_len);
  for (size_t i = 0; i < q->decoder_len; i++)
    if (q->decoder_ids[i] >= c->V)
      return error_set(err, PARE_DATA, "%s: sequence %zu, decoder id %zu: id %u is not below the vocabulary's %zu",
                       s->model->path, index, i, q->decoder_ids[i], c->V);
  return PARE_OK;
}

static enum pare_status check(const pare_session *s, const struct pare_sequence *q, size_t index,
                              struct pare_error *err) {
  const struct config *c = &s->model->config;
  size_t limit = size_min(c->P, s->batch_tokens);
  size_t least = s->model->arch->bag ? 0 : 1;
  if (q->len < least || q->len > limit)
    return error_set(err, PARE_DATA, "%s: sequence %zu: expected %zu to %zu tokens, found %zu", s->model->path, index,
                     least, limit, q->len);
  for (size_t i = 0; i < q->len; i++) {
    if (q->ids[i] >= c->V)
      return error_set(err, PARE_DATA, "%s: sequence %zu, token %zu: id %u is not below the vocabulary's %zu",
                       s->model->path, index, i, q->ids[i], c->V);
    if (q->types && c->Y && q->types[i] >= c->Y)
      return error_set(err, PARE_DATA, "%s: sequence %zu, token %zu: token type %u is not below %zu", s->model->path,
                       index, i, q->types[i], c->Y);
  }
  return check_decoder(s, q, index, err);
}

// The texts of the batch, or what the decoder is given beside them.
static struct sequences pack(pare_session *s, const struct pare_sequence *sequences, size_t B, size_t rows,
                             bool decoder) {
  const uint32_t *start = &s->model->config.start_id;
  uint32_t *ids = arena_take(&s->arena, rows * sizeof(uint32_t)),
           *positions = arena_take(&s->arena, rows * sizeof(uint32_t));
  uint8_t *types = arena_take(&s->arena, rows);
  size_t *offsets = arena_take(&s->arena, (B + 1) * sizeof(size_t)), at = 0;
  for (size_t b = 0; b < B; b++) {
    const struct pare_sequence *q = &sequences[b];
    const uint32_t *from = !decoder ? q->ids : q->decoder_ids ? q->decoder_ids : start;
    size_t len = !decoder ? q->len : q->decoder_ids ? q->decoder_len : 1;
    offsets[b] = at;
    for (size_t i = 0; i < len; i++, at++) {
      ids[at] = from[i];
      types[at] = q->types && !decoder ? q->types[i] : 0;
      positions[at] = (uint32_t)i;
    }
  }
  offsets[B] = at;
  return (struct sequences){
      .ids = ids, .types = types, .positions = positions, .offsets = offsets, .B = B, .rows = rows};
}

// One ragged batch of the first B sequences: `rows` tokens of texts, out_rows rows of logits.
static void run_batch(pare_session *s, const struct pare_sequence *sequences, size_t B, size_t rows, size_t out_rows,
                      float *logits) {
  size_t mark = arena_mark(&s->arena);
  struct sequences batch = pack(s, sequences, B, rows, false), texts = batch;
  if (s->model->config.task == ARCH_SEQ2SEQ) {
    batch = pack(s, sequences, B, out_rows, true);
    batch.source = &texts;
  }
  nn_ctx_texts(&s->ctx, batch.offsets, batch.B);
  s->model->arch->forward(&s->ctx, &s->model->config, &s->model->weights, &batch, logits);
  arena_reset(&s->arena, mark);
}

enum pare_status session_text_logits(pare_session *s, const struct pare_text *text, size_t max_tokens, float *logits,
                                     struct pare_error *err) {
  const pare_model *m = s->model;
  size_t cap = max_tokens ? size_min(max_tokens, m->config.P) : m->config.P;
  struct ngram_rows rows = {.ngrams = tokenizer_ngrams(m->tokenizer), .seen = s->seen, .ids = s->ids, .cap = cap};
  enum pare_status status = ngram_rows_add(&rows, (struct text_span){text->text, text->len}, err);
  if (!status && text->pair) status = ngram_rows_add(&rows, (struct text_span){text->pair, text->pair_len}, err);
  ngram_rows_end(&rows);
  if (status) return status;
  const size_t offsets[2] = {0, rows.len};
  const struct sequences one = {.ids = rows.ids, .offsets = offsets, .B = 1, .rows = rows.len};
  m->arch->forward(&s->ctx, &m->config, &m->weights, &one, logits);
  return PARE_OK;
}

enum pare_status session_logits(pare_session *s, const struct pare_sequence *sequences, size_t n, float *logits,
                                struct pare_error *err) {
  for (size_t i = 0; i < n; i++) {
    enum pare_status status = check(s, &sequences[i], i, err);
    if (status) return status;
  }
  size_t columns = session_columns(s->model);
  for (size_t first = 0; first < n;) {
    size_t rows = 0, out_rows = 0, B = 0;
    for (; first + B < n && B < s->pass_rows; B++) {
      const struct pare_sequence *q = &sequences[first + B];
      size_t more = session_sequence_rows(s->model, q);
      if (B && (rows + q->len > s->pass_rows || out_rows + more > s->pass_rows)) break; // the first always fits
      rows += q->len;
      out_rows += more;
    }
    run_batch(s, sequences + first, B, rows, out_rows, logits);
    logits += out_rows * columns;
    first += B;
  }
  return PARE_OK;
}
