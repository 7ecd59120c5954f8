// stream.c - see stream.h. What could still change of a text (the bytes of an unfinished character, the beginning of a
// stop string) is held back until it is settled.
#include "task/stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "base/utf8.h"
#include "task/logprobs.h"

enum { DEFAULT_TOKENS = 128 };

enum pare_status stream_check(const pare_model *m, const struct pare_generate_options *o, struct pare_error *err) {
  if (!m->tokenizer) return error_set(err, PARE_NOFILE, "%s: no tokenizer", m->path);
  for (size_t i = 0; i < o->stop_count; i++) {
    if (!*o->stop[i]) return error_set(err, PARE_USAGE, "stop: expected a string, found an empty one");
    size_t len = strlen(o->stop[i]);
    if (utf8_first_bad(o->stop[i], len) < len) return error_set(err, PARE_USAGE, "stop: expected UTF-8");
  }
  return sample_check(o, m->config.V, err);
}

static enum pare_status check_prompt(const pare_model *m, const struct pare_prompt *p, size_t positions,
                                     struct pare_error *err) {
  size_t most = positions - (p->options.max_tokens != PARE_OFF), V = m->config.V;
  if (p->len < 1 || p->len > most)
    return error_set(err, PARE_DATA, "%s: expected a prompt of 1 to %zu tokens, found %zu", m->path, most, p->len);
  for (size_t i = 0; i < p->len; i++)
    if (p->ids[i] >= V)
      return error_set(err, PARE_DATA, "%s: prompt, token %zu: id %u is not below the vocabulary's %zu", m->path, i,
                       p->ids[i], V);
  if (p->top_count > LOGPROBS_MAX_TOP)
    return error_set(err, PARE_USAGE, "top-count: expected at most %d, found %zu", LOGPROBS_MAX_TOP, p->top_count);
  return stream_check(m, &p->options, err);
}

// Copies of what the caller's options point to.
static bool own_options(struct stream *s, const struct pare_generate_options *o) {
  s->options = *o;
  s->options.stop = NULL;
  s->options.bias = NULL;
  s->options.stop_count = s->options.bias_count = 0;
  if (o->stop_count) {
    char **stop = calloc(o->stop_count, sizeof *stop);
    s->options.stop = (const char *const *)stop;
    for (size_t i = 0; stop && i < o->stop_count; i++) {
      if (!(stop[i] = strdup(o->stop[i]))) return false;
      s->options.stop_count++;
      s->longest_stop = size_max(s->longest_stop, strlen(stop[i]));
    }
    if (!stop) return false;
  }
  if (o->bias_count) {
    struct pare_logit_bias *bias = malloc(o->bias_count * sizeof *bias);
    if (!bias) return false;
    memcpy(bias, o->bias, o->bias_count * sizeof *bias);
    s->options.bias = bias;
    s->options.bias_count = o->bias_count;
  }
  return true;
}

// No overflow: limit is at most a decoder's positions.
static bool take_memory(struct stream *s, const struct pare_prompt *p) {
  s->ends = malloc((s->limit - s->prompt_len + 1) * sizeof *s->ends);
  if (!s->ends) return false;
  if (!p->logprobs && !p->score) return true;
  s->logprobs = malloc(s->limit * sizeof *s->logprobs);
  if (!s->logprobs) return false;
  for (size_t i = 0; i < s->limit; i++) s->logprobs[i] = NAN;
  if (!p->top_count) return true;
  s->top_count = p->top_count;
  s->tops = malloc(s->limit * s->top_count * sizeof *s->tops);
  if (!s->tops) return false;
  for (size_t i = 0; i < s->limit * s->top_count; i++) s->tops[i] = (struct pare_logprob){0, NAN};
  return true;
}

enum pare_status stream_init(struct stream *s, const pare_model *m, const struct pare_prompt *prompt, size_t positions,
                             struct pare_error *err) {
  *s = (struct stream){.finish = PARE_FINISH_LENGTH, .score = prompt->score};
  enum pare_status status = check_prompt(m, prompt, positions, err);
  if (status) return status;
  size_t wanted = prompt->options.max_tokens;
  wanted = wanted == PARE_OFF ? 0 : wanted ? wanted : DEFAULT_TOKENS;
  s->prompt_len = s->len = prompt->len;
  s->limit = s->len + size_min(wanted, positions - s->len);
  rng_seed(&s->rng, prompt->options.seed);
  return own_options(s, &prompt->options) && take_memory(s, prompt) ? PARE_OK : error_no_memory(err);
}

void stream_free(struct stream *s) {
  for (size_t i = 0; i < s->options.stop_count; i++) free((char *)s->options.stop[i]);
  free((void *)s->options.stop);
  free((void *)s->options.bias);
  free(s->logprobs);
  free(s->tops);
  free(s->ends);
  buf_free(&s->text.text);
  *s = (struct stream){0};
}

// ---- text ---------------------------------------------------------------------------------------------------------

// Looks for stop strings in what later ids cannot change, where no earlier look has been.
static void find_stop(struct stream *s, size_t certain) {
  size_t from = s->searched - size_min(s->searched, s->longest_stop - 1), first = SIZE_MAX;
  char *text = s->text.text.data;
  for (size_t i = 0; i < s->options.stop_count; i++) {
    const char *stop = s->options.stop[i], *at = memmem(text + from, certain - from, stop, strlen(stop));
    if (at) first = size_min(first, (size_t)(at - text));
  }
  s->searched = certain;
  if (first == SIZE_MAX) return;
  text[first] = 0;
  s->text_len = first;
  s->finish = PARE_FINISH_STOP;
  s->done = true;
}

static enum pare_status refresh_text(const struct stream_tools *t, struct stream *s, struct pare_error *err) {
  size_t n = s->len - s->prompt_len;
  enum pare_status status = text_grow(t->m->tokenizer, s->ids + s->prompt_len, n, &s->text, err);
  if (status) return status;
  size_t certain = s->done ? s->text.text.len : s->text.settled;
  s->text_len = s->text.text.len;
  if (s->longest_stop) find_stop(s, certain);
  // Ids of a character that is not complete share its end, wherever that will be.
  for (size_t i = s->certain; i < n; i++) s->ends[i] = s->text_len;
  for (size_t i = n; i-- > 0 && s->ends[i] >= s->text_len;) s->ends[i] = s->text_len;
  if (certain == s->text.text.len) s->certain = n;
  s->settled = s->text_len;
  if (s->done) return PARE_OK;
  s->settled = certain - size_min(certain, s->longest_stop ? s->longest_stop - 1 : 0);
  while (s->settled && ((unsigned char)s->text.text.data[s->settled] & 0xC0) == 0x80) s->settled--;
  return PARE_OK;
}

// ---- logits -------------------------------------------------------------------------------------------------------

static void fail(struct stream *s) {
  s->status = PARE_DATA;
  s->done = true;
  s->settled = s->text_len;
}

// What the row says of place `at`, but for the probability of the id there: that takes this sum off its logit.
static double look_at(const struct stream_tools *t, struct stream *s, const float *row, size_t at) {
  size_t V = t->m->config.V, top;
  double sum = logprobs_sum(row, V, &top);
  if (s->tops) logprobs_best(row, V, sum, s->top_count, s->tops + at * s->top_count);
  return sum;
}

struct score_job {
  const struct stream_tools *t;
  struct stream *s;
  const float *rows;
  size_t first;
};

static void score_row(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct score_job *j = context;
  struct stream *s = j->s;
  const float *row = j->rows + job * j->t->m->config.V;
  size_t at = j->first + job + 1;
  if (!sample_are_numbers(row, j->t->m->config.V)) return; // its logprob stays NaN
  double sum = look_at(j->t, s, row, at);
  s->logprobs[at] = (float)((double)row[s->ids[at]] - sum);
}

void stream_score(const struct stream_tools *t, struct stream *s, const float *rows, size_t first, size_t n) {
  n = size_min(n, s->prompt_len - 1 - first); // the last row is before the first new id
  struct score_job job = {t, s, rows, first};
  pool_run(t->pool, score_row, &job, n);
  for (size_t i = 0; i < n; i++)
    if (isnan(s->logprobs[first + 1 + i])) fail(s);
}

static void weigh(const struct stream_tools *t, struct stream *s, float *row) {
  const struct pare_generate_options *o = &s->options;
  size_t V = t->m->config.V, new_ids = s->len - s->prompt_len;
  sample_penalize(row, V, s->ids, s->len, o->repetition_penalty, t->scratch);
  sample_discourage(row, V, s->ids + s->prompt_len, new_ids, o->presence_penalty, o->frequency_penalty, t->scratch);
  for (size_t i = 0; i < o->bias_count; i++) row[o->bias[i].id] += o->bias[i].bias;
}

enum pare_status stream_advance(const struct stream_tools *t, struct stream *s, float *row, struct pare_error *err) {
  size_t V = t->m->config.V;
  double sum = 0;
  if (s->len == s->limit) {
    s->done = true;
    return refresh_text(t, s, err);
  }
  if (!sample_are_numbers(row, V)) {
    fail(s);
    return PARE_OK;
  }
  if (s->logprobs) {
    sum = look_at(t, s, row, s->len);
    memcpy(t->row, row, V * sizeof *row);
  }
  weigh(t, s, row);
  uint32_t id = sample_token(row, V, &s->options, &s->rng, t->scratch);
  if (id_list_has(t->eos, id)) {
    s->finish = PARE_FINISH_EOS;
    s->done = true;
    return refresh_text(t, s, err);
  }
  if (s->logprobs) s->logprobs[s->len] = (float)((double)t->row[id] - sum);
  s->ids[s->len++] = id;
  s->done = s->len == s->limit;
  return refresh_text(t, s, err);
}
