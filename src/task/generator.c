// generator.c - see generator.h. A place is a stream of the decoder: its ids and its keys and values stay there when
// its answer has ended, for a later prompt that begins alike.
//
// llm-int8's logits depend on where its steps begin and end. There a prompt is read in pieces that no other stream has
// a say in (whole, or, to be scored, SCORE_BYTES of logits at once), and nothing is taken over.
#include "task/generator.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/decoder.h"
#include "task/stream.h"

enum { DEFAULT_STREAMS = 8, DEFAULT_STEP_TOKENS = 256 };
enum { WORTH_A_STEP = 16 }; // tokens: a prompt waits for an older one to read them instead of reading them beside it
static const size_t SCORE_BYTES = (size_t)1 << 24; // logits of the piece of a prompt that is scored at once

struct place {
  struct stream stream;
  uint32_t *ids; // (positions) of the stream; the first decoder_length of them are cached
  bool taken;
  uint64_t used; // when it was last of use
};

struct pare_generator {
  pare_model *m;
  struct decoder *decoder;
  struct generation_config config; // of which a language model uses the end-of-text ids
  struct stream_tools tools;
  size_t count, positions, step_tokens, score_rows;
  bool reuse, freely; // freely: decoder_cuts_freely
  uint64_t clock;
  struct place *places; // (count)
  uint32_t *ids;        // (count, positions)
  size_t *order;        // (count) places taken, oldest first
  size_t taken;
  struct decoder_step *steps, *scored; // (count) of one step
  float *logits, *rows;                // (count, V); (score_rows, V), once a prompt is to be scored
};

// ---- open and close -----------------------------------------------------------------------------------------------

static enum pare_status take_memory(pare_generator *g, struct pare_error *err) {
  size_t V = g->m->config.V, n = g->count; // the decoder is open, so count * positions is small
  g->places = calloc(n, sizeof *g->places);
  g->ids = calloc(n * g->positions, sizeof *g->ids);
  g->order = calloc(n, sizeof *g->order);
  g->steps = calloc(n, sizeof *g->steps);
  g->scored = calloc(n, sizeof *g->scored);
  g->logits = calloc(n, V * sizeof *g->logits);
  g->tools.row = calloc(V, sizeof *g->tools.row);
  if (!g->places || !g->ids || !g->order || !g->steps || !g->scored || !g->logits || !g->tools.row)
    return error_no_memory(err);
  for (size_t i = 0; i < n; i++) g->places[i].ids = g->ids + i * g->positions;
  return sampler_scratch_new(V, &g->tools.scratch, err);
}

enum pare_status generator_open(pare_model *m, const struct pare_generator_options *options, pare_generator **out,
                                struct pare_error *err) {
  *out = NULL;
  if (m->config.task != ARCH_LANGUAGE_MODEL || !m->arch->decoder)
    return error_set(err, PARE_USAGE, "%s: not a language model", m->path);
  if (!m->tokenizer) return error_set(err, PARE_NOFILE, "%s: no tokenizer", m->path);
  pare_generator *g = calloc(1, sizeof *g);
  if (!g) return error_no_memory(err);
  g->m = m;
  g->count = options && options->streams ? options->streams : DEFAULT_STREAMS;
  g->step_tokens = size_max(g->count, options && options->step_tokens ? options->step_tokens : DEFAULT_STEP_TOKENS);
  g->freely = decoder_cuts_freely(m);
  g->reuse = options && options->reuse && g->freely;
  g->positions = model_max_tokens(m);
  size_t step_tokens = g->step_tokens;
  if (!g->freely && !size_add(step_tokens, g->positions, &step_tokens)) step_tokens = SIZE_MAX;
  g->score_rows = size_min(g->freely ? g->step_tokens : g->positions, SCORE_BYTES / (m->config.V * sizeof(float)));
  g->score_rows = size_max(1, g->score_rows);
  enum pare_status s = decoder_open(m, g->count, g->positions, step_tokens, &g->decoder, err);
  if (!s && options && options->alone) decoder_leave_pool(g->decoder);
  if (!s) s = generation_config_load(m, &g->config, err);
  if (!s) s = take_memory(g, err);
  if (s) {
    generator_close(g);
    return s;
  }
  g->tools.m = m;
  g->tools.pool = options && options->alone ? NULL : m->pool;
  g->tools.eos = &g->config.eos;
  *out = g;
  return PARE_OK;
}

void generator_close(pare_generator *g) {
  if (!g) return;
  for (size_t i = 0; g->places && i < g->count; i++) stream_free(&g->places[i].stream);
  generation_config_free(&g->config);
  sampler_scratch_free(g->tools.scratch);
  decoder_close(g->decoder);
  free(g->places);
  free(g->ids);
  free(g->order);
  free(g->steps);
  free(g->scored);
  free(g->logits);
  free(g->rows);
  free(g->tools.row);
  free(g);
}

size_t generator_free_streams(const pare_generator *g) {
  return g->count - g->taken;
}

// ---- keys and values taken over -----------------------------------------------------------------------------------

static size_t common(const uint32_t *a, const uint32_t *b, size_t most) {
  size_t n = 0;
  while (n < most && a[n] == b[n]) n++;
  return n;
}

struct beginning {
  size_t place, len;
};

// Where the longest beginning of the prompt (but its last id, whose logits are needed) is cached; a place that is free
// comes before one that is not.
static struct beginning longest_cached(const pare_generator *g, const uint32_t *ids, size_t len) {
  struct beginning best = {0, 0};
  for (size_t i = 0; i < g->count; i++) {
    const struct place *p = &g->places[i];
    size_t n = common(ids, p->ids, size_min(len - 1, decoder_length(g->decoder, i)));
    if (n > best.len || (n && n == best.len && g->places[best.place].taken && !p->taken))
      best = (struct beginning){i, n};
  }
  return best;
}

static size_t longest_unused(const pare_generator *g) {
  size_t best = SIZE_MAX;
  for (size_t i = 0; i < g->count; i++)
    if (!g->places[i].taken && (best == SIZE_MAX || g->places[i].used < g->places[best].used)) best = i;
  return best;
}

// Puts the beginning into the place's own cache.
static void take_over(pare_generator *g, size_t place, struct beginning b) {
  if (b.len && b.place != place) {
    decoder_copy(g->decoder, b.place, place, b.len);
  } else {
    decoder_truncate(g->decoder, place, b.len);
  }
  g->places[b.place].used = ++g->clock;
}

// A free place for the prompt, its beginning in the cache if that is anywhere. A place gives up what it holds for a
// prompt that shares half of it or more; else the beginning is copied to the one that was longest of no use.
static size_t choose_place(pare_generator *g, const struct pare_prompt *p, size_t *reused) {
  struct beginning b = {0, 0};
  if (g->reuse && !p->score) b = longest_cached(g, p->ids, p->len);
  bool here = b.len && !g->places[b.place].taken && 2 * b.len >= decoder_length(g->decoder, b.place);
  size_t place = here ? b.place : longest_unused(g);
  if (!b.len) b.place = place;
  take_over(g, place, b);
  *reused = b.len;
  return place;
}

// Since it was started another stream may have read more of the same beginning.
static void catch_up(pare_generator *g, size_t place) {
  struct stream *s = &g->places[place].stream;
  struct beginning b = longest_cached(g, s->ids, s->prompt_len);
  if (b.len <= s->read) return;
  take_over(g, place, b);
  s->read = s->reused = b.len;
}

// An older prompt is about to read what this one could then take over.
static bool waits(const pare_generator *g, size_t nth) {
  const struct stream *s = &g->places[g->order[nth]].stream;
  for (size_t i = 0; i < nth; i++) {
    const struct stream *older = &g->places[g->order[i]].stream;
    if (older->done || older->read == older->prompt_len) continue;
    size_t shared = common(s->ids, older->ids, size_min(s->prompt_len - 1, older->prompt_len));
    if (shared >= size_max(s->read, older->read) + WORTH_A_STEP) return true;
  }
  return false;
}

// ---- streams ------------------------------------------------------------------------------------------------------

enum pare_status generator_start(pare_generator *g, const struct pare_prompt *prompt, size_t *stream,
                                 struct pare_error *err) {
  struct stream s;
  if (g->taken == g->count) return error_set(err, PARE_UNAVAILABLE, "all %zu streams are taken", g->count);
  enum pare_status status = stream_init(&s, g->m, prompt, g->positions, err);
  // No overflow: score_rows is 1, or the product is below SCORE_BYTES.
  if (!status && prompt->score && !g->rows && !(g->rows = malloc(g->score_rows * g->m->config.V * sizeof *g->rows)))
    status = error_no_memory(err);
  if (status) {
    stream_free(&s);
    return status;
  }
  size_t i = choose_place(g, prompt, &s.reused);
  struct place *p = &g->places[i];
  s.read = s.reused;
  s.ids = p->ids;
  memcpy(s.ids, prompt->ids, prompt->len * sizeof *s.ids);
  p->stream = s;
  p->taken = true;
  g->order[g->taken++] = i;
  *stream = i;
  return PARE_OK;
}

void generator_end(pare_generator *g, size_t stream) {
  struct place *p = &g->places[stream];
  assert(p->taken);
  stream_free(&p->stream);
  p->taken = false;
  p->used = ++g->clock;
  size_t at = 0;
  while (g->order[at] != stream) at++;
  memmove(g->order + at, g->order + at + 1, (g->taken - at - 1) * sizeof *g->order);
  g->taken--;
}

struct pare_stream generator_state(const pare_generator *g, size_t stream) {
  const struct stream *s = &g->places[stream].stream;
  return (struct pare_stream){.text = s->text.text.data ? s->text.text.data : "",
                              .text_len = s->text_len,
                              .settled = s->settled,
                              .ids = s->ids + s->prompt_len,
                              .ends = s->ends,
                              .count = s->len - s->prompt_len,
                              .logprobs = s->logprobs,
                              .tops = s->tops,
                              .prompt_len = s->prompt_len,
                              .prompt_read = s->read,
                              .reused = s->reused,
                              .done = s->done,
                              .finish = s->finish,
                              .status = s->status};
}

// ---- a step -------------------------------------------------------------------------------------------------------

// Ids of the prompt to read in a step that has room for `left` more; first: no other prompt is read in it. 0: none.
static size_t piece(const pare_generator *g, const struct stream *s, size_t left, bool first) {
  size_t most = s->prompt_len - s->read;
  if (s->score) most = size_min(most, g->score_rows);
  if (g->freely) return size_min(most, left);
  return most <= left || first ? most : 0;
}

// Which streams read what: steps (n), one row of logits each, and scored (n_scored), a row for each id.
static void plan(pare_generator *g, size_t *n, size_t *n_scored) {
  *n = *n_scored = 0;
  for (size_t i = 0; i < g->taken; i++) {
    const struct stream *s = &g->places[g->order[i]].stream;
    if (s->done || s->read < s->prompt_len) continue;
    g->steps[(*n)++] = (struct decoder_step){.slot = g->order[i], .ids = &s->ids[s->len - 1], .len = 1};
  }
  size_t left = g->step_tokens - *n;
  bool first = true;
  for (size_t i = 0; i < g->taken && left; i++) {
    const struct stream *s = &g->places[g->order[i]].stream;
    if (s->done || s->read == s->prompt_len) continue;
    if (g->reuse && !s->score && s->read == s->reused) {
      if (waits(g, i)) continue;
      catch_up(g, g->order[i]);
    }
    size_t len = piece(g, s, left, first);
    if (!len) break; // a later prompt does not overtake
    struct decoder_step step = {.slot = g->order[i], .ids = s->ids + s->read, .len = len};
    *(s->score ? &g->scored[(*n_scored)++] : &g->steps[(*n)++]) = step;
    left -= size_min(left, len);
    first = false;
  }
}

// The stream has read the ids of the step; row: the logits after the last.
static enum pare_status proceed(pare_generator *g, const struct decoder_step *step, float *row,
                                struct pare_error *err) {
  struct stream *s = &g->places[step->slot].stream;
  if (s->read < s->prompt_len) s->read += step->len;
  return s->read < s->prompt_len || s->done ? PARE_OK : stream_advance(&g->tools, s, row, err);
}

enum pare_status generator_step(pare_generator *g, size_t *live, struct pare_error *err) {
  size_t n, n_scored, V = g->m->config.V;
  *live = 0;
  plan(g, &n, &n_scored);
  enum pare_status status = decoder_run(g->decoder, g->steps, n, g->logits, err);
  for (size_t i = 0; !status && i < n; i++) status = proceed(g, &g->steps[i], g->logits + i * V, err);
  for (size_t i = 0; !status && i < n_scored; i++) {
    const struct decoder_step *step = &g->scored[i];
    struct stream *s = &g->places[step->slot].stream;
    status = decoder_run_rows(g->decoder, step, g->rows, err);
    if (status) break;
    stream_score(&g->tools, s, g->rows, s->read, step->len);
    status = proceed(g, step, g->rows + (step->len - 1) * V, err);
  }
  for (size_t i = 0; i < g->taken; i++) *live += !g->places[g->order[i]].stream.done;
  return status;
}
