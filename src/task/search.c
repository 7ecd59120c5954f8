// search.c - see search.h. Texts go through in groups: their beams are streams of one decoder, and an encoder-decoder's
// text is encoded once for all of its beams.
#include "task/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "task/beam.h"
#include "task/process.h"

enum { GROUP = 16, ENCODE_TOKENS = 512, DEFAULT_TOKENS = 128, DEFAULT_ANSWER = 20 };
// Caches of one group. A group has one text at least, however much that takes.
static const size_t GROUP_BYTES = (size_t)1 << 30;

struct text {
  size_t index; // of the prompt
  struct encoded encoded;
  const uint32_t *prompt; // what the decoder begins with: the text itself, or an encoder-decoder's start id
  struct process process;
  struct beam *beam; // with beams
  uint32_t *ids;     // without: prompt, then new ones
  size_t len;
  size_t slots[GENERATION_MAX_BEAMS]; // stream of each open sequence
  size_t row;                         // its first row of logits in this step
  struct rng rng;
  bool begun, done;
};

struct search {
  pare_model *m;
  const struct pare_generate_options *o;
  const struct generation_config *c;
  struct decoder *decoder;
  struct sampler_scratch *scratch;
  struct text *texts;  // (n) of the call; a group is a run of them
  float *logits, *row; // (group * beams, V); (V) of each thread
  bool *numbers;       // (group * beams) of a row, with beams: neither a NaN nor an infinity is in it
  struct decoder_step *steps;
  bool seq2seq;
};

// ---- options over the model's own configuration -------------------------------------------------------------------

static size_t chosen(size_t option, size_t own) {
  return option == PARE_OFF ? 0 : option ? option : own;
}

static enum pare_status settle(const pare_model *m, const struct pare_generate_options *o, struct generation_config *c,
                               struct pare_error *err) {
  if (o->presence_penalty != 0 || o->frequency_penalty != 0 || o->bias_count)
    return error_set(err, PARE_USAGE,
                     "%s: a presence penalty, a frequency penalty and a bias are for language models without beams, "
                     "min-tokens and no-repeat-ngram",
                     m->path);
  if (o->beams > GENERATION_MAX_BEAMS)
    return error_set(err, PARE_USAGE, "beams: expected 1 to %d, found %zu", GENERATION_MAX_BEAMS, o->beams);
  if (o->has_length_penalty && !(fabs(o->length_penalty) <= 1000))
    return error_set(err, PARE_USAGE, "length-penalty: expected -1000 to 1000, found %g", o->length_penalty);
  if (o->beams) c->beams = o->beams;
  if (o->temperature > 0 && o->beams > 1)
    return error_set(err, PARE_USAGE, "beams: %zu beams and a temperature exclude each other", o->beams);
  if (o->temperature > 0) c->beams = 1;
  if (o->has_length_penalty) c->length_penalty = o->length_penalty;
  if (o->repetition_penalty > 0) c->repetition_penalty = o->repetition_penalty;
  if (o->early_stopping != PARE_EARLY_DEFAULT) c->early_stopping = o->early_stopping;
  c->no_repeat_ngram = chosen(o->no_repeat_ngram, c->no_repeat_ngram);
  if (o->max_tokens) c->max_new_tokens = o->max_tokens;
  if (o->max_tokens && o->min_tokens != PARE_OFF && o->min_tokens > o->max_tokens)
    return error_set(err, PARE_USAGE, "min-tokens: %zu is above max-tokens, %zu", o->min_tokens, o->max_tokens);
  if (o->min_tokens) {
    c->min_length = 0;
    c->min_new_tokens = chosen(o->min_tokens, 0);
  }
  if (!c->max_new_tokens && !c->max_length)
    c->max_new_tokens = m->config.task == ARCH_SEQ2SEQ ? DEFAULT_ANSWER : DEFAULT_TOKENS;
  return PARE_OK;
}

// ---- texts --------------------------------------------------------------------------------------------------------

static enum pare_status begin_text(const struct search *s, struct text *t, const struct pare_text *from,
                                   struct pare_error *err) {
  struct pare_text text = {.text = from->text, .len = from->len};
  const struct generation_config *c = s->c;
  size_t longest = s->seq2seq ? s->m->config.P : model_max_tokens(s->m);
  enum pare_status status = model_tokenize(s->m, &text, 0, false, &t->encoded, err);
  if (status) return status;
  if (!s->seq2seq && (t->encoded.truncated || t->encoded.len >= longest))
    return error_set(err, PARE_DATA, "%s: prompt %zu: expected fewer than %zu tokens, so that one can follow",
                     s->m->path, t->index, longest);
  if (s->seq2seq && longest < 2)
    return error_set(err, PARE_DATA, "%s: max_position_embeddings: no room for an answer after the start", s->m->path);
  t->prompt = s->seq2seq ? &c->start_id : t->encoded.ids;
  t->process = (struct process){.config = c, .prompt_len = s->seq2seq ? 1 : t->encoded.len};
  struct process *p = &t->process;
  size_t most = c->max_new_tokens ? p->prompt_len + size_min(c->max_new_tokens, longest) : c->max_length;
  p->max_len = size_max(p->prompt_len + 1, size_min(most, longest));
  p->min_len = c->min_new_tokens ? p->prompt_len + size_min(c->min_new_tokens, longest) : c->min_length;
  if (s->seq2seq) {
    p->source = t->encoded.ids;
    p->source_len = t->encoded.len;
  }
  rng_seed(&t->rng, s->o->seed + t->index);
  return PARE_OK;
}

// What a text needs only while its group is at work.
static enum pare_status start_text(const struct search *s, struct text *t, size_t place, struct pare_error *err) {
  size_t N = s->c->beams;
  for (size_t i = 0; i < N; i++) {
    t->slots[i] = place * N + i;
    decoder_reset(s->decoder, t->slots[i]);
  }
  if (N > 1) return beam_open(s->c, t->prompt, t->process.prompt_len, t->process.max_len, &t->beam, err);
  t->ids = malloc(t->process.max_len * sizeof *t->ids);
  if (!t->ids) return error_no_memory(err);
  t->len = t->process.prompt_len;
  memcpy(t->ids, t->prompt, t->len * sizeof *t->ids);
  return PARE_OK;
}

static void end_text(struct text *t) {
  beam_close(t->beam);
  t->beam = NULL;
  free(t->ids);
  t->ids = NULL;
  encoded_free(&t->encoded);
}

// ---- a step -------------------------------------------------------------------------------------------------------

static size_t text_length(const struct text *t) {
  return t->beam ? beam_length(t->beam) : t->len;
}

static const uint32_t *text_ids(const struct text *t, size_t beam) {
  return t->beam ? beam_ids(t->beam, beam) : t->ids;
}

// A row of logits becomes log-probabilities.
static void log_softmax_row(void *context, size_t job, size_t thread) {
  const struct search *s = context;
  size_t V = s->m->config.V;
  float *logits = s->logits + job * V, *row = s->row + thread * V, max = logits[0];
  for (size_t i = 1; i < V; i++) max = logits[i] > max ? logits[i] : max;
  memcpy(row, logits, V * sizeof *row);
  s->numbers[job] = sample_are_numbers(logits, V);
  float log_sum = logf(s->m->kernels->softmax_exp(row, V, 1));
  for (size_t i = 0; i < V; i++) logits[i] = logits[i] - max - log_sum;
}

static enum pare_status no_numbers(const struct search *s, const struct text *t, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s: prompt %zu, token %zu: the logits are not numbers", s->m->path, t->index,
                   text_length(t));
}

// The stream of a sequence that one other continues goes on as it is; the second one to continue it takes the stream of
// a sequence that nothing continues.
static void move_streams(const struct search *s, struct text *t, const size_t *parents) {
  size_t N = s->c->beams, next[GENERATION_MAX_BEAMS], heirs[GENERATION_MAX_BEAMS] = {0}, unused = 0;
  for (size_t i = 0; i < N; i++) heirs[parents[i]]++;
  bool taken[GENERATION_MAX_BEAMS] = {false};
  for (size_t i = 0; i < N; i++) {
    size_t parent = parents[i];
    if (!taken[parent]) {
      taken[parent] = true;
      next[i] = t->slots[parent];
      continue;
    }
    while (heirs[unused]) unused++;
    next[i] = t->slots[unused++];
    decoder_copy(s->decoder, t->slots[parent], next[i], decoder_length(s->decoder, t->slots[parent]));
  }
  memcpy(t->slots, next, N * sizeof *next);
}

static enum pare_status advance_beams(const struct search *s, struct text *t, struct pare_error *err) {
  size_t N = s->c->beams, V = s->m->config.V, parents[GENERATION_MAX_BEAMS];
  const float *rows[GENERATION_MAX_BEAMS] = {NULL};
  // All beams begin with the same ids, read once: one row stands for all.
  size_t n = t->begun ? N : 1;
  for (size_t i = 0; i < n; i++)
    if (!s->numbers[t->row + i]) return no_numbers(s, t, err);
  for (size_t i = 0; i < N; i++) {
    float *row = s->logits + (t->row + (i < n ? i : 0)) * V;
    if (i < n) process_row(&t->process, beam_ids(t->beam, i), beam_length(t->beam), row, V, s->scratch);
    rows[i] = row;
  }
  t->done = !beam_step(t->beam, rows, V, parents);
  if (t->done) return PARE_OK;
  for (size_t i = 0; !t->begun && i < N; i++) parents[i] = 0;
  move_streams(s, t, parents);
  return PARE_OK;
}

static enum pare_status advance_single(const struct search *s, struct text *t, struct pare_error *err) {
  size_t V = s->m->config.V;
  float *row = s->logits + t->row * V;
  if (!sample_are_numbers(row, V)) return no_numbers(s, t, err);
  process_row(&t->process, t->ids, t->len, row, V, s->scratch);
  uint32_t id = sample_token(row, V, s->o, &t->rng, s->scratch);
  t->ids[t->len++] = id;
  t->done = t->len == t->process.max_len || id_list_has(&s->c->eos, id);
  return PARE_OK;
}

static enum pare_status run_steps(const struct search *s, struct text *texts, size_t n, size_t steps,
                                  struct pare_error *err) {
  enum pare_status status = sample_go_on(s->o, err);
  if (!status) status = decoder_run(s->decoder, s->steps, steps, s->logits, err);
  if (status) return status;
  if (s->c->beams > 1) pool_run(s->o->alone ? NULL : s->m->pool, log_softmax_row, (void *)s, steps);
  for (size_t i = 0; !status && i < n; i++) {
    struct text *t = &texts[i];
    if (t->done) continue;
    status = (t->beam ? advance_beams : advance_single)(s, t, err);
    t->begun = true;
  }
  return status;
}

// Reads every prompt, language models' one after another since they may be long, and takes the first token.
static enum pare_status prefill(const struct search *s, struct text *texts, size_t n, struct pare_error *err) {
  enum pare_status status = PARE_OK;
  size_t at_once = s->seq2seq ? n : 1;
  for (size_t first = 0; !status && first < n; first += at_once) {
    for (size_t i = 0; i < at_once; i++) {
      struct text *t = &texts[first + i];
      t->row = i;
      s->steps[i] =
          (struct decoder_step){.slot = t->slots[0], .ids = t->prompt, .len = t->process.prompt_len, .text = first + i};
    }
    status = run_steps(s, texts + first, at_once, at_once, err);
  }
  return status;
}

static enum pare_status step_all(const struct search *s, struct text *texts, size_t n, bool *any,
                                 struct pare_error *err) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    struct text *t = &texts[i];
    if (t->done) continue;
    t->row = count;
    for (size_t k = 0; k < s->c->beams; k++)
      s->steps[count++] =
          (struct decoder_step){.slot = t->slots[k], .ids = text_ids(t, k) + text_length(t) - 1, .len = 1, .text = i};
  }
  *any = count > 0;
  return *any ? run_steps(s, texts, n, count, err) : PARE_OK;
}

// Texts of a group, as many at once as fit ENCODE_TOKENS.
static enum pare_status encode(const struct search *s, const struct text *texts, size_t n, struct pare_error *err) {
  enum pare_status status = PARE_OK;
  for (size_t first = 0; !status && first < n;) {
    size_t count = 0, tokens = 0;
    while (first + count < n && (!count || tokens + texts[first + count].encoded.len <= ENCODE_TOKENS)) {
      const struct encoded *e = &texts[first + count].encoded;
      s->steps[count] = (struct decoder_step){.ids = e->ids, .len = e->len, .text = first + count};
      tokens += e->len;
      count++;
    }
    status = decoder_encode(s->decoder, s->steps, count, err);
    first += count;
  }
  return status;
}

// ---- answers ------------------------------------------------------------------------------------------------------

static void cut_at_stop(const struct pare_generate_options *o, struct pare_generation *g) {
  for (size_t i = 0; i < o->stop_count; i++) {
    const char *at = memmem(g->text, g->text_len, o->stop[i], strlen(o->stop[i]));
    if (!at) continue;
    g->text_len = (size_t)(at - g->text);
    g->text[g->text_len] = 0;
    g->finish = PARE_FINISH_STOP;
  }
}

static enum pare_status answer(const struct search *s, const struct text *t, struct pare_generation *out,
                               struct pare_error *err) {
  size_t n;
  const uint32_t *ids = t->beam ? beam_best(t->beam, &n) : t->ids + t->process.prompt_len;
  if (!t->beam) n = t->len - t->process.prompt_len;
  out->finish = PARE_FINISH_LENGTH;
  out->truncated = t->encoded.truncated;
  if (n && id_list_has(&s->c->eos, ids[n - 1])) {
    out->finish = PARE_FINISH_EOS;
    n--;
  }
  out->ids = malloc((n ? n : 1) * sizeof *ids);
  if (!out->ids) return error_no_memory(err);
  memcpy(out->ids, ids, n * sizeof *ids);
  out->count = n;
  enum pare_status status = tokenizer_decode(s->m->tokenizer, ids, n, true, &out->text, &out->text_len, err);
  if (status) return status;
  cut_at_stop(s->o, out);
  if (s->o->on_text && out->text_len) s->o->on_text(s->o->context, t->index, out->text, out->text_len);
  return PARE_OK;
}

static enum pare_status run_group(const struct search *s, struct text *texts, size_t n, struct pare_generation *out,
                                  struct pare_error *err) {
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < n; i++) status = start_text(s, &texts[i], i, err);
  if (!status && s->seq2seq) status = encode(s, texts, n, err);
  if (!status) status = prefill(s, texts, n, err);
  for (bool any = true; !status && any;) status = step_all(s, texts, n, &any, err);
  for (size_t i = 0; !status && i < n; i++) status = answer(s, &texts[i], &out[texts[i].index], err);
  for (size_t i = 0; i < n; i++) end_text(&texts[i]);
  return status;
}

// Sizes of the whole call: the decoder and its rows serve every group.
static enum pare_status open_decoder(struct search *s, size_t n, size_t *group, struct pare_error *err) {
  size_t N = s->c->beams, V = s->m->config.V, positions = 1, source = 1, prompt = 1;
  for (size_t i = 0; i < n; i++) {
    const struct text *t = &s->texts[i];
    positions = size_max(positions, t->process.max_len);
    source = size_max(source, t->encoded.len);
    prompt = size_max(prompt, t->process.prompt_len);
  }
  size_t each = N * (decoder_stream_bytes(s->m, positions) + V * sizeof(float));
  if (s->seq2seq) each += decoder_stream_bytes(s->m, source);
  *group = size_max(1, size_min(size_min(n, GROUP), GROUP_BYTES / each));
  struct decoder_size size = {.slots = *group * N, .positions = positions};
  size.step_tokens = size_max(size.slots, prompt);
  if (s->seq2seq) {
    size.texts = *group;
    size.source_tokens = source;
    size.step_tokens = size_max(size.step_tokens, size_min(ENCODE_TOKENS, *group * source));
  }
  size_t rows = size.slots, values;
  s->steps = calloc(rows, sizeof *s->steps);
  s->numbers = calloc(rows, sizeof *s->numbers);
  s->row = calloc(pool_threads(s->m->pool) * V, sizeof *s->row);
  if (size_mul(rows, V, &values)) s->logits = calloc(values, sizeof *s->logits);
  if (!s->steps || !s->numbers || !s->row || !s->logits) return error_no_memory(err);
  enum pare_status status = sampler_scratch_new(V, &s->scratch, err);
  if (!status) status = decoder_open_sized(s->m, &size, &s->decoder, err);
  if (!status && s->o->alone) decoder_leave_pool(s->decoder);
  return status;
}

enum pare_status search_run(pare_model *m, const struct pare_text *texts, size_t n,
                            const struct pare_generate_options *options, struct generation_config *config,
                            struct pare_generation *out, struct pare_error *err) {
  struct search s = {.m = m, .o = options, .c = config, .seq2seq = m->config.task == ARCH_SEQ2SEQ};
  size_t group = 1;
  enum pare_status status = settle(m, options, config, err);
  if (status || !n) return status;
  s.texts = calloc(n, sizeof *s.texts);
  if (!s.texts) return error_no_memory(err);
  for (size_t i = 0; !status && i < n; i++) {
    s.texts[i].index = i;
    status = begin_text(&s, &s.texts[i], &texts[i], err);
  }
  if (!status) status = open_decoder(&s, n, &group, err);
  for (size_t first = 0; !status && first < n; first += group)
    status = run_group(&s, s.texts + first, size_min(group, n - first), out, err);
  for (size_t i = 0; i < n; i++) end_text(&s.texts[i]);
  decoder_close(s.decoder);
  sampler_scratch_free(s.scratch);
  free(s.texts);
  free(s.logits);
  free(s.row);
  free(s.numbers);
  free(s.steps);
  return status;
}
