// streams.c - a turn of a language model that generates: new prompts take the free streams, all streams go one step,
// and what can no longer change is handed to whoever waits for it.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "runner.h"

void streams_close(struct runner *r) {
  pare_generator_close(r->generator);
  free(r->active);
  r->generator = NULL;
  r->active = NULL;
}

static enum pare_status generator_ready(struct runner *r, struct pare_error *err) {
  const struct serve_config *c = r->s->server->config;
  if (r->generator) return PARE_OK;
  const struct pare_generator_options options = {
      .streams = c->streams, .step_tokens = c->step_tokens, .reuse = c->prefix_reuse};
  enum pare_status status = pare_generator_open(r->form->model, &options, &r->generator, err);
  if (status) return status;
  r->active = calloc(pare_generator_free_streams(r->generator), sizeof(struct unit *));
  if (r->active) return PARE_OK;
  streams_close(r);
  return error_no_memory(err);
}

// ---- a prompt begins ----------------------------------------------------------------------------------------------

static void start(struct runner *r, struct unit *u) {
  enum { DEFAULT_TOKENS = 128 };
  struct job *job = u->job;
  struct pare_error err = {0};
  struct pare_prompt prompt = {.ids = u->ids,
                               .len = u->id_count,
                               .options = job->generate,
                               .logprobs = job->logprobs,
                               .score = job->score && !u->said_ids,
                               .top_count = job->logprobs || job->score ? job->top_count : 0};
  prompt.options.seed = job->items[u->index].seed;
  if (u->said_ids) // the answer goes on where another form had to stop
    prompt.options.max_tokens = (prompt.options.max_tokens ? prompt.options.max_tokens : DEFAULT_TOKENS) - u->said_ids;
  enum pare_status status = pare_generator_start(r->generator, &prompt, &u->stream, &err);
  if (status) {
    unit_finish(r, u, status == PARE_BUG ? JOB_BROKEN : JOB_BAD, err.text);
    return;
  }
  r->active[r->active_count++] = u;
}

static void start_waiting(struct runner *r) {
  size_t count, room = pare_generator_free_streams(r->generator);
  struct unit *u = room ? runner_take(r, SIZE_MAX, room, &count) : NULL;
  for (struct unit *next; u; u = next) {
    next = u->next;
    start(r, u);
  }
}

// ---- what it said -------------------------------------------------------------------------------------------------

static bool grow(void **array, size_t count, size_t size) {
  void *more = realloc(*array, (count ? count : 1) * size);
  if (more) *array = more;
  return more != NULL;
}

// Log-probabilities of the prompt and of the ids so far.
static bool copy_logprobs(struct job *job, const struct unit *u, struct job_item *item, const struct pare_stream *st,
                          size_t ids) {
  size_t have = item->logprobs ? item->tokens + item->output_count : 0, want = item->tokens + u->said_ids + ids;
  size_t T = job->top_count;
  if (!st->logprobs) return true;
  if (!grow((void **)&item->logprobs, want, sizeof *item->logprobs)) return false;
  if (T && st->tops && !grow((void **)&item->tops, want * T, sizeof *item->tops)) return false;
  if (want <= have) return true;
  memcpy(item->logprobs + have, st->logprobs + have, (want - have) * sizeof *item->logprobs);
  if (T && st->tops) memcpy(item->tops + have * T, st->tops + have * T, (want - have) * T * sizeof *item->tops);
  return true;
}

// Appends to the item what of the stream is new and final. The job is locked.
static bool copy_answer(struct job *job, const struct unit *u, struct job_item *item, const struct pare_stream *st) {
  size_t text = st->done ? st->text_len : st->settled, ids = st->count;
  while (!st->done && ids && st->ends[ids - 1] > text) ids--;
  if (!st->done) text = ids ? st->ends[ids - 1] : 0; // whole ids, behind which another form could go on
  if (!copy_logprobs(job, u, item, st, ids)) return false;
  size_t new_text = u->said_text + text, new_ids = u->said_ids + ids;
  if (!grow((void **)&item->output, new_text + 1, 1) ||
      !grow((void **)&item->output_ids, new_ids, sizeof *item->output_ids) ||
      !grow((void **)&item->ends, new_ids, sizeof *item->ends))
    return false;
  for (size_t i = item->output_count - u->said_ids; i < ids; i++) {
    item->output_ids[u->said_ids + i] = st->ids[i];
    item->ends[u->said_ids + i] = u->said_text + st->ends[i];
  }
  memcpy(item->output + item->output_len, st->text + (item->output_len - u->said_text), new_text - item->output_len);
  item->output[new_text] = 0;
  item->output_len = new_text;
  item->output_count = new_ids;
  item->reused = st->reused;
  item->finish = st->finish;
  return true;
}

static void observe_tokens(struct runner *r, struct unit *u, const struct pare_stream *st) {
  struct job *job = u->job;
  uint64_t now = clock_ns();
  if (st->count == u->told) return;
  metric_add(r->metrics.generated_tokens, (double)(st->count - u->told));
  if (u->token_ns) {
    metric_observe(r->metrics.inter_token_seconds, (double)(now - u->token_ns) * 1e-9 / (double)(st->count - u->told));
  } else {
    metric_observe(r->metrics.first_token_seconds, (double)(now - job->arrived_ns) * 1e-9);
  }
  if (!job->first_ns) job->first_ns = now;
  u->token_ns = now;
  u->told = st->count;
}

// The form's logits are not numbers. The original goes on from what the client has.
static void rescue(struct runner *r, struct unit *u) {
  struct job_item *item = &u->job->items[u->index];
  size_t n = item->tokens + item->output_count;
  uint32_t *ids = malloc((n ? n : 1) * sizeof *ids);
  if (ids) {
    memcpy(ids, item->prompt_ids, item->tokens * sizeof *ids);
    if (item->output_count) memcpy(ids + item->tokens, item->output_ids, item->output_count * sizeof *ids);
    free(u->ids);
    u->ids = ids;
    u->id_count = n;
    u->said_ids = item->output_count;
    u->said_text = item->output_count ? item->ends[item->output_count - 1] : 0;
    u->told = 0;
  }
  if (!ids || !unit_rescue(r, u, "the logits are not numbers"))
    unit_finish(r, u, JOB_BROKEN, "the model's answer is not numbers");
}

// True: the stream is over and its unit gone.
static bool look(struct runner *r, struct unit *u) {
  struct job *job = u->job;
  struct job_item *item = &job->items[u->index];
  struct pare_stream st = pare_generator_state(r->generator, u->stream);
  if (unit_is_unwanted(u, clock_ns())) {
    pare_generator_end(r->generator, u->stream);
    unit_abandon(r, u);
    return true;
  }
  if (st.status) {
    pare_generator_end(r->generator, u->stream);
    rescue(r, u);
    return true;
  }
  observe_tokens(r, u, &st);
  bool ok = true;
  if (job->stream || st.done) {
    pthread_mutex_lock(&job->lock);
    size_t before = item->output_len;
    ok = copy_answer(job, u, item, &st);
    if (job->stream && job->owner && !st.done && item->output_len > before) r->s->hooks.more(job->owner);
    pthread_mutex_unlock(&job->lock);
  }
  if (ok && !st.done) return false;
  pare_generator_end(r->generator, u->stream);
  if (ok) {
    metric_add(r->metrics.prompt_tokens, (double)item->tokens);
    metric_add(r->metrics.reused_tokens, (double)item->reused);
    count_finish(r->s->server->metrics, r->served->name, item->finish);
    answer_keep(r, job, item);
    shadow_offer(r, job, u->index, (double)(clock_ns() - u->begun_ns) * 1e-9);
  }
  unit_finish(r, u, ok ? JOB_FINE : JOB_BROKEN, "out of memory");
  return true;
}

void streams_fail(struct runner *r, enum job_failure failure, const char *why) {
  for (size_t i = 0; i < r->active_count; i++) {
    pare_generator_end(r->generator, r->active[i]->stream);
    unit_finish(r, r->active[i], failure, why);
  }
  r->active_count = 0;
}

void run_streams(struct runner *r) {
  struct pare_error err = {0};
  size_t live, kept = 0;
  if (generator_ready(r, &err)) {
    runner_fail(r, JOB_BROKEN, err.text);
    return;
  }
  start_waiting(r);
  if (!r->active_count) return;
  uint64_t begin = clock_ns();
  if (pare_generator_step(r->generator, &live, &err)) {
    streams_fail(r, JOB_BROKEN, err.text);
    return;
  }
  metric_observe(r->metrics.inference_seconds, (double)(clock_ns() - begin) * 1e-9);
  metric_observe(r->metrics.batch_texts, (double)r->active_count);
  for (size_t i = 0; i < r->active_count; i++)
    if (!look(r, r->active[i])) r->active[kept++] = r->active[i];
  r->active_count = kept;
}
