// generate.c - see generate.h: a language model going on from its prompts. Prompts go through in groups; a group's
// streams step together, one row each, until all have ended.
//
// Text is made from all new ids at each step, since a character may span tokens; what could still change (the bytes of
// an unfinished character, or the beginning of a stop string) is held back until it is settled.
#include "task/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"
#include "task/generation_config.h"
#include "task/sample.h"
#include "task/search.h"

enum { GROUP = 16, DEFAULT_TOKENS = 128 };

struct stream {
  size_t index; // of the prompt
  struct encoded prompt;
  uint32_t *ids; // prompt, then new ones
  size_t prompt_len, len, limit;
  struct rng rng;
  char *text; // of the new ids, settled or not
  size_t text_len;
  size_t sent;    // bytes handed to on_text
  size_t stop_at; // where a stop string begins; SIZE_MAX: none
  enum pare_finish finish;
  bool done;
};

struct generator {
  pare_model *m;
  const struct pare_generate_options *o;
  struct decoder *decoder;
  struct sampler_scratch *scratch;
  float *logits;                   // (GROUP, V)
  struct generation_config config; // of which a language model uses the end-of-text ids
  size_t longest_stop;
  struct stream streams[GROUP];
  size_t count;
};

static enum pare_status stream_begin(struct generator *g, struct stream *s, size_t index,
                                     const struct pare_text *prompt, struct pare_error *err) {
  struct pare_text text = {.text = prompt->text, .len = prompt->len};
  size_t positions = decoder_positions(g->decoder), wanted = g->o->max_tokens ? g->o->max_tokens : DEFAULT_TOKENS;
  *s = (struct stream){.index = index, .stop_at = SIZE_MAX, .finish = PARE_FINISH_LENGTH};
  enum pare_status status = model_tokenize(g->m, &text, 0, false, &s->prompt, err);
  if (status) return status;
  if (s->prompt.truncated || s->prompt.len >= positions)
    return error_set(err, PARE_DATA, "%s: prompt %zu: expected fewer than %zu tokens, so that one can follow",
                     g->m->path, index, positions);
  s->prompt_len = s->len = s->prompt.len;
  s->limit = s->len + size_min(wanted, positions - s->len);
  s->ids = malloc(s->limit * sizeof *s->ids);
  if (!s->ids) return error_no_memory(err);
  memcpy(s->ids, s->prompt.ids, s->len * sizeof *s->ids);
  rng_seed(&s->rng, g->o->seed + index);
  return PARE_OK;
}

static void stream_free(struct stream *s) {
  encoded_free(&s->prompt);
  free(s->ids);
  free(s->text);
}

// Bytes at the end of text that later tokens may still change: U+FFFD stands for a character not complete yet. Before
// them may stand the beginning of a stop string which that character goes on with.
static size_t unsettled(const struct generator *g, const struct stream *s, size_t len) {
  size_t held = 0;
  while (len >= held + 3 && !memcmp(s->text + len - held - 3, "\xEF\xBF\xBD", 3)) held += 3;
  return held + (g->longest_stop ? g->longest_stop - 1 : 0);
}

static void send(const struct generator *g, struct stream *s, size_t upto) {
  if (!g->o->on_text || upto <= s->sent) return;
  g->o->on_text(g->o->context, s->index, s->text + s->sent, upto - s->sent);
  s->sent = upto;
}

static enum pare_status refresh_text(struct generator *g, struct stream *s, struct pare_error *err) {
  size_t len;
  free(s->text);
  s->text = NULL;
  enum pare_status status =
      tokenizer_decode(g->m->tokenizer, s->ids + s->prompt_len, s->len - s->prompt_len, true, &s->text, &len, err);
  if (status) return status;
  for (size_t i = 0; i < g->o->stop_count; i++) {
    const char *at = memmem(s->text, len, g->o->stop[i], strlen(g->o->stop[i]));
    if (at && (size_t)(at - s->text) < s->stop_at) s->stop_at = (size_t)(at - s->text);
  }
  if (s->stop_at != SIZE_MAX) {
    s->text[s->stop_at] = 0;
    s->finish = PARE_FINISH_STOP;
    s->done = true;
    len = s->stop_at;
  }
  s->text_len = len;
  size_t held = s->done ? 0 : size_min(len, unsettled(g, s, len));
  while (held < len && held && ((unsigned char)s->text[len - held] & 0xC0) == 0x80) held++; // never half a character
  send(g, s, len - held);
  return PARE_OK;
}

// Takes the next token from the stream's row of logits.
static enum pare_status advance(struct generator *g, struct stream *s, float *logits, struct pare_error *err) {
  size_t V = g->m->config.V;
  sample_penalize(logits, V, s->ids, s->len, g->o->repetition_penalty, g->scratch);
  uint32_t id = sample_token(logits, V, g->o, &s->rng, g->scratch);
  if (isnan(logits[id]))
    return error_set(err, PARE_DATA, "%s: prompt %zu, token %zu: the logits are not numbers", g->m->path, s->index,
                     s->len);
  if (id_list_has(&g->config.eos, id)) {
    s->finish = PARE_FINISH_EOS;
    s->done = true;
  } else {
    s->ids[s->len++] = id;
    s->done = s->len == s->limit;
  }
  if (!g->o->on_text && !g->o->stop_count && !s->done) return PARE_OK; // nobody looks at the text before the end
  return refresh_text(g, s, err);
}

static enum pare_status prefill(struct generator *g, struct pare_error *err) {
  enum pare_status s = PARE_OK;
  for (size_t i = 0; !s && i < g->count; i++) {
    struct stream *q = &g->streams[i];
    decoder_reset(g->decoder, i);
    struct decoder_step step = {.slot = i, .ids = q->ids, .len = q->len};
    s = decoder_run(g->decoder, &step, 1, g->logits, err);
    if (!s) s = advance(g, q, g->logits, err);
  }
  return s;
}

static enum pare_status step_all(struct generator *g, bool *any, struct pare_error *err) {
  struct decoder_step steps[GROUP] = {{0}};
  struct stream *live[GROUP];
  size_t n = 0, V = g->m->config.V;
  for (size_t i = 0; i < g->count; i++) {
    struct stream *q = &g->streams[i];
    if (q->done) continue;
    steps[n] = (struct decoder_step){.slot = i, .ids = &q->ids[q->len - 1], .len = 1};
    live[n++] = q;
  }
  *any = n > 0;
  enum pare_status s = decoder_run(g->decoder, steps, n, g->logits, err);
  for (size_t i = 0; !s && i < n; i++) s = advance(g, live[i], g->logits + i * V, err);
  return s;
}

static enum pare_status finish_group(struct generator *g, struct pare_generation *out, struct pare_error *err) {
  for (size_t i = 0; i < g->count; i++) {
    struct stream *q = &g->streams[i];
    size_t n = q->len - q->prompt_len;
    uint32_t *ids = malloc((n ? n : 1) * sizeof *ids);
    if (!ids) return error_no_memory(err);
    memcpy(ids, q->ids + q->prompt_len, n * sizeof *ids);
    out[q->index] =
        (struct pare_generation){.text = q->text, .text_len = q->text_len, .ids = ids, .count = n, .finish = q->finish};
    q->text = NULL;
  }
  return PARE_OK;
}

static enum pare_status run_group(struct generator *g, const struct pare_text *prompts, size_t first, size_t n,
                                  struct pare_generation *out, struct pare_error *err) {
  enum pare_status s = PARE_OK;
  g->count = 0;
  for (size_t i = 0; !s && i < n; i++) {
    g->count++;
    s = stream_begin(g, &g->streams[i], first + i, &prompts[first + i], err);
  }
  if (!s) s = prefill(g, err);
  for (bool any = true; !s && any;) s = step_all(g, &any, err);
  if (!s) s = finish_group(g, out, err);
  for (size_t i = 0; i < g->count; i++) stream_free(&g->streams[i]);
  return s;
}

static enum pare_status check(const pare_model *m, const struct pare_generate_options *o, struct generator *g,
                              struct pare_error *err) {
  if (!m->tokenizer) return error_set(err, PARE_NOFILE, "%s: no tokenizer", m->path);
  for (size_t i = 0; i < o->stop_count; i++) {
    if (!*o->stop[i]) return error_set(err, PARE_USAGE, "stop: expected a string, found an empty one");
    size_t len = strlen(o->stop[i]);
    if (utf8_first_bad(o->stop[i], len) < len) return error_set(err, PARE_USAGE, "stop: expected UTF-8");
    g->longest_stop = size_max(g->longest_stop, len);
  }
  return sample_check(o, err);
}

void generation_free(struct pare_generation *g) {
  free(g->text);
  free(g->ids);
  *g = (struct pare_generation){0};
}

// A language model that is only asked to go on, greedily or by draws, streams its text; everything else is a search.
static bool by_search(const pare_model *m, const struct pare_generate_options *o) {
  bool lengths = (o->min_tokens && o->min_tokens != PARE_OFF) || (o->no_repeat_ngram && o->no_repeat_ngram != PARE_OFF);
  return m->config.task == ARCH_SEQ2SEQ || o->beams > 1 || lengths;
}

static enum pare_status run_streams(struct generator *g, const struct pare_text *prompts, size_t n,
                                    struct pare_generation *out, struct pare_error *err) {
  pare_model *m = g->m;
  size_t slots = size_max(1, size_min(size_min(n, GROUP), DECODER_MAX_TOKENS / m->config.P));
  enum pare_status s =
      decoder_open(m, slots, model_max_tokens(m), size_max(model_max_tokens(m), slots), &g->decoder, err);
  if (!s) s = sampler_scratch_new(m->config.V, &g->scratch, err);
  if (!s && !(g->logits = malloc(slots * m->config.V * sizeof *g->logits))) s = error_no_memory(err);
  for (size_t first = 0; !s && first < n; first += slots)
    s = run_group(g, prompts, first, size_min(slots, n - first), out, err);
  free(g->logits);
  sampler_scratch_free(g->scratch);
  decoder_close(g->decoder);
  return s;
}

enum pare_status generate_run(pare_model *m, const struct pare_text *prompts, size_t n,
                              const struct pare_generate_options *o, struct pare_generation *out,
                              struct pare_error *err) {
  struct generator *g = calloc(1, sizeof *g);
  if (!g) return error_no_memory(err);
  if (n) memset(out, 0, n * sizeof *out); // n = 0 may come with no array at all
  g->m = m;
  g->o = o;
  enum pare_status s = check(m, o, g, err);
  if (!s) s = generation_config_load(m, &g->config, err);
  if (!s)
    s = by_search(m, o) ? search_run(m, prompts, n, o, &g->config, out, err) : run_streams(g, prompts, n, out, err);
  for (size_t i = 0; s && i < n; i++) generation_free(&out[i]);
  generation_config_free(&g->config);
  free(g);
  return s;
}
