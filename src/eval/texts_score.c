// texts_score.c - see texts.h. One row after another: its ids and those of the original's answer go through every
// model, and the rows of logits are compared. One early flip makes all that follows in a free answer look bad; on the
// same ids every position counts once. A language model reads text and answer in one pass; an encoder-decoder's decoder
// is given the answer, and, where the data has one, the reference.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"
#include "eval/accuracy.h"
#include "eval/texts.h"
#include "report/stats.h"

// What is fed for one row, to every model alike.
struct scoring {
  struct comparison *c;
  bool seq2seq;
  struct encoded text, reference;
  uint32_t *ids; // (cap) a language model's text and answer; an encoder-decoder's start id and answer
  size_t len, read, cap;
  uint32_t *told;   // (cap) encoder-decoders: the start id and the reference, but for its last
  float *logits[2]; // (cap, V): the original's, a candidate's
};

static void add_ids(struct scoring *g, const uint32_t *ids, size_t n) {
  size_t room = size_min(n, g->cap - g->len);
  if (room) memcpy(g->ids + g->len, ids, room * sizeof *ids);
  g->len += room;
}

static enum pare_status take_reference(struct scoring *g, size_t row, struct pare_error *err) {
  const struct dataset_row *r = &g->c->data->rows[row];
  const pare_model *m = g->c->subjects[0].model;
  struct pare_text text = {.text = r->reference, .len = r->reference_len};
  size_t *scored = &g->c->texts.scored[row];
  *scored = 0;
  if (!r->reference) return PARE_OK;
  enum pare_status status = model_tokenize(m, &text, 0, false, &g->reference, err);
  if (status != PARE_OK) return status;
  *scored = size_min(g->reference.len, g->cap);
  if (!*scored) return PARE_OK;
  g->told[0] = m->config.start_id;
  memcpy(g->told + 1, g->reference.ids, (*scored - 1) * sizeof *g->told);
  return PARE_OK;
}

static enum pare_status take_row(struct scoring *g, size_t row, struct pare_error *err) {
  struct comparison *c = g->c;
  const pare_model *m = c->subjects[0].model;
  const struct pare_generation *a = &c->subjects[0].texts.answer[row];
  struct pare_text text = {.text = c->data->rows[row].text, .len = c->data->rows[row].len};
  enum pare_status status = model_tokenize(m, &text, 0, false, &g->text, err);
  if (status != PARE_OK) return status;
  g->len = 0;
  if (g->seq2seq) {
    add_ids(g, &m->config.start_id, 1);
  } else {
    add_ids(g, g->text.ids, g->text.len);
    c->texts.scored[row] = g->len ? g->len - 1 : 0; // nothing precedes the first
  }
  g->read = g->len;
  add_ids(g, a->ids, a->count);
  // Where the original ended of itself, ending is one more thing it predicted.
  bool ended = a->finish == PARE_FINISH_EOS && g->len == g->read + a->count;
  c->texts.forced[row] = g->read ? g->len - g->read + ended : 0;
  return g->seq2seq ? take_reference(g, row, err) : PARE_OK;
}

static double nll_of(const float *logits, size_t V, uint32_t id) {
  double max = logits[0], sum = 0;
  for (size_t i = 1; i < V; i++) max = fmax(max, logits[i]);
  for (size_t i = 0; i < V; i++) sum += exp(logits[i] - max);
  return max + log(sum) - logits[id];
}

static double nll_sum(const float *logits, size_t V, const uint32_t *ids, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += nll_of(logits + i * V, V, ids[i]);
  return sum;
}

// The rows of logits that ids (len) get from a model; for an encoder-decoder these are the decoder's.
static enum pare_status read_ids(struct scoring *g, size_t row, struct eval_subject *s, const uint32_t *ids, size_t len,
                                 float *logits, struct pare_error *err) {
  struct pare_sequence sequence = {.ids = ids, .len = len};
  if (g->seq2seq) {
    sequence = (struct pare_sequence){.ids = g->text.ids, .len = g->text.len, .decoder_ids = ids, .decoder_len = len};
  }
  size_t V = s->model->config.V;
  enum pare_status status = session_logits(s->session, &sequence, 1, logits, err);
  for (size_t i = 0; status == PARE_OK && i < len * V; i++) {
    if (isfinite(logits[i])) continue;
    return error_set(err, PARE_DATA, "%s: %s line %zu: expected finite logits, found another value at token %zu",
                     s->name, g->c->data->path, g->c->data->rows[row].line, i / V);
  }
  return status;
}

static enum pare_status score_subject(struct scoring *g, size_t row, struct eval_subject *s, float *logits,
                                      struct pare_error *err) {
  size_t V = s->model->config.V, scored = g->c->texts.scored[row], forced = g->c->texts.forced[row];
  struct text_answers *a = &s->texts;
  enum pare_status status = PARE_OK;
  if (g->seq2seq && scored) {
    status = read_ids(g, row, s, g->told, scored, logits, err);
    if (status == PARE_OK) a->nll[row] = nll_sum(logits, V, g->reference.ids, scored);
  }
  if (status == PARE_OK) status = read_ids(g, row, s, g->ids, g->len, logits, err);
  if (status != PARE_OK) return status;
  if (!g->seq2seq) a->nll[row] = nll_sum(logits, V, g->ids + 1, scored);
  for (size_t i = 0; i < forced; i++) {
    const float *own = logits + (g->read - 1 + i) * V, *base = g->logits[0] + (g->read - 1 + i) * V;
    a->same_top[row] += accuracy_argmax(own, V) == accuracy_argmax(base, V);
    a->kl[row] += own == base ? 0 : stats_kl(base, own, V);
  }
  return PARE_OK;
}

enum pare_status texts_score(struct comparison *c, struct pare_error *err) {
  const pare_model *m = c->subjects[0].model;
  struct scoring g = {.c = c, .cap = model_max_tokens(m), .seq2seq = m->config.task == ARCH_SEQ2SEQ};
  const struct pare_progress *p = &c->options->progress;
  size_t values;
  if (!size_mul(g.cap, m->config.V, &values) || !size_mul(values, sizeof(float), &values)) return error_no_memory(err);
  g.ids = calloc(g.cap, sizeof *g.ids);
  g.told = calloc(g.cap, sizeof *g.told);
  g.logits[0] = malloc(values);
  g.logits[1] = malloc(values);
  enum pare_status status = g.ids && g.told && g.logits[0] && g.logits[1] ? PARE_OK : error_no_memory(err);
  for (size_t row = 0; status == PARE_OK && row < c->data->count; row++) {
    status = take_row(&g, row, err);
    for (size_t i = 0; status == PARE_OK && g.len && i < c->count; i++)
      status = score_subject(&g, row, &c->subjects[i], g.logits[i > 0], err);
    if (p->report) p->report(p->context, "scoring", row + 1, c->data->count);
  }
  free(g.ids);
  free(g.told);
  encoded_free(&g.text);
  encoded_free(&g.reference);
  free(g.logits[0]);
  free(g.logits[1]);
  return status;
}
