// generate.c - see generate.h: a language model going on from its prompts, each a stream of a generator, which takes in
// the next as soon as one has ended.
#include "task/generate.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "model/decoder.h"
#include "task/generation_config.h"
#include "task/generator.h"
#include "task/search.h"
#include "task/stream.h"

enum { GROUP = 16 };

struct run {
  pare_model *m;
  const struct pare_generate_options *o;
  const struct pare_text *prompts;
  size_t n, begun, ended;
  struct pare_generation *out;
  pare_generator *generator;
  struct encoded encoded;
  struct {
    size_t stream, index; // of the prompt
    size_t sent;          // bytes handed to on_text
  } live[GROUP];
  size_t live_count;
};

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

static enum pare_status begin_next(struct run *r, struct pare_error *err) {
  size_t index = r->begun, longest = model_max_tokens(r->m);
  struct pare_text text = {.text = r->prompts[index].text, .len = r->prompts[index].len};
  enum pare_status s = model_tokenize(r->m, &text, 0, false, &r->encoded, err);
  if (s) return s;
  if (r->encoded.truncated || r->encoded.len >= longest)
    return error_set(err, PARE_DATA, "%s: prompt %zu: expected fewer than %zu tokens, so that one can follow",
                     r->m->path, index, longest);
  struct pare_prompt p = {.ids = r->encoded.ids, .len = r->encoded.len, .options = *r->o};
  if (p.options.max_tokens == PARE_OFF) p.options.max_tokens = longest; // there is no number to switch off
  p.options.seed += index;
  r->live[r->live_count].index = index;
  r->live[r->live_count].sent = 0;
  s = generator_start(r->generator, &p, &r->live[r->live_count].stream, err);
  if (s) return s;
  r->begun++;
  r->live_count++;
  return PARE_OK;
}

static enum pare_status keep(struct pare_generation *out, const struct pare_stream *s, struct pare_error *err) {
  *out = (struct pare_generation){.text = malloc(s->text_len + 1),
                                  .text_len = s->text_len,
                                  .ids = malloc((s->count + 1) * sizeof *s->ids),
                                  .count = s->count,
                                  .finish = s->finish};
  if (!out->text || !out->ids) return error_no_memory(err);
  memcpy(out->text, s->text, s->text_len + 1);
  memcpy(out->ids, s->ids, s->count * sizeof *s->ids);
  return PARE_OK;
}

// Hands on what is settled of every stream, and keeps and ends those that are done.
static enum pare_status collect(struct run *r, struct pare_error *err) {
  size_t going = 0;
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < r->live_count; i++) {
    size_t index = r->live[i].index;
    struct pare_stream s = generator_state(r->generator, r->live[i].stream);
    if (s.status)
      return error_set(err, s.status, "%s: prompt %zu, token %zu: the logits are not numbers", r->m->path, index,
                       s.prompt_len + s.count);
    if (r->o->on_text && s.settled > r->live[i].sent)
      r->o->on_text(r->o->context, index, s.text + r->live[i].sent, s.settled - r->live[i].sent);
    r->live[i].sent = s.settled;
    if (s.done) {
      status = keep(&r->out[index], &s, err);
      generator_end(r->generator, r->live[i].stream);
    } else {
      r->live[going++] = r->live[i];
    }
  }
  r->live_count = going;
  return status;
}

static enum pare_status run_streams(pare_model *m, const struct pare_text *prompts, size_t n,
                                    const struct pare_generate_options *o, struct pare_generation *out,
                                    struct pare_error *err) {
  struct run r = {.m = m, .o = o, .prompts = prompts, .n = n, .out = out};
  struct pare_generator_options options = {
      .streams = size_max(1, size_min(size_min(n, GROUP), DECODER_MAX_TOKENS / m->config.P)),
      .alone = o->alone,
      .reuse = true};
  size_t live;
  enum pare_status s = generator_open(m, &options, &r.generator, err);
  while (!s && (r.begun < n || r.live_count)) {
    while (!s && r.begun < n && r.live_count < options.streams) s = begin_next(&r, err);
    if (!s) s = sample_go_on(o, err);
    if (!s) s = generator_step(r.generator, &live, err);
    if (!s) s = collect(&r, err);
  }
  encoded_free(&r.encoded);
  generator_close(r.generator);
  return s;
}

static enum pare_status run_search(pare_model *m, const struct pare_text *prompts, size_t n,
                                   const struct pare_generate_options *o, struct pare_generation *out,
                                   struct pare_error *err) {
  struct generation_config config = {0};
  enum pare_status s = generation_config_load(m, &config, err);
  if (!s) s = search_run(m, prompts, n, o, &config, out, err);
  generation_config_free(&config);
  return s;
}

enum pare_status generate_run(pare_model *m, const struct pare_text *prompts, size_t n,
                              const struct pare_generate_options *o, struct pare_generation *out,
                              struct pare_error *err) {
  if (n) memset(out, 0, n * sizeof *out); // n = 0 may come with no array at all
  enum pare_status s = stream_check(m, o, err);
  if (!s) s = (by_search(m, o) ? run_search : run_streams)(m, prompts, n, o, out, err);
  for (size_t i = 0; s && i < n; i++) generation_free(&out[i]);
  return s;
}
