// queue.c - units from their arrival to their end: what waits, what is given up, what is finished.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "runner.h"

static struct runner *runner_new(struct scheduler *s, struct served *served, enum variant v) {
  struct runner *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->s = s;
  r->served = served;
  r->form = &served->forms[v];
  r->variant = v;
  r->waiting.last = &r->waiting.first;
  r->pooling = served->task == PARE_TASK_ENCODE ? pare_pooling_of(served->config->path) : PARE_POOLING_MEAN;
  pthread_mutex_init(&r->idle_lock, NULL);
  form_metrics_find(s->server->metrics, served->name, variant_name(v), &r->metrics);
  return r;
}

struct runner *runner_of(struct scheduler *s, struct served *served, enum variant v) {
  struct form *f = &served->forms[v];
  pthread_mutex_lock(&s->lock);
  if (!f->runner) f->runner = runner_new(s, served, v);
  struct runner *r = f->runner;
  pthread_mutex_unlock(&s->lock);
  return r;
}

void scheduler_runner_free(void *runner) {
  struct runner *r = runner;
  streams_close(r);
  pare_session_close(r->session);
  pare_session_close(r->shadow_session);
  for (size_t i = 0; i < r->idle_count; i++) pare_session_close(r->idle[i]);
  pthread_mutex_destroy(&r->idle_lock);
  free(r->idle);
  free(r->rows);
  free(r);
}

struct unit *unit_new(struct job *job, size_t index) {
  struct unit *u = calloc(1, sizeof *u);
  if (!u) return NULL;
  u->job = job_hold(job);
  u->index = index;
  return u;
}

void unit_free(struct unit *u) {
  if (!u) return;
  for (size_t i = 0; i < u->sequence_count; i++) pare_tokens_free(&u->sequences[i]);
  free(u->sequences);
  free(u->ids);
  job_free(u->job);
  free(u);
}

// ---- waiting ------------------------------------------------------------------------------------------------------

// Everything that waits, as a list that is no longer r's. With the lock held.
static struct unit *take_all(struct runner *r) {
  struct unit *list = r->waiting.first;
  r->waiting = (struct unit_queue){.first = NULL};
  r->waiting.last = &r->waiting.first;
  r->waiting_tokens = 0;
  return list;
}

static void finish_list(struct runner *r, struct unit *list, enum job_failure failure, const char *why) {
  for (struct unit *u = list, *next; u; u = next) {
    next = u->next;
    unit_finish(r, u, failure, why);
  }
}

void runner_fail(struct runner *r, enum job_failure failure, const char *why) {
  pthread_mutex_lock(&r->s->lock);
  struct unit *list = take_all(r);
  pthread_mutex_unlock(&r->s->lock);
  finish_list(r, list, failure, why);
}

static void open_form(void *context) {
  struct runner *r = context;
  struct scheduler *s = r->s;
  struct pare_error err = {0};
  bool failed = served_open_form(r->served, r->variant, &err) != PARE_OK;
  pthread_mutex_lock(&s->lock);
  r->opening = false;
  struct unit *list = failed ? take_all(r) : NULL; // nobody else can answer these
  pthread_cond_broadcast(&s->work);
  pthread_mutex_unlock(&s->lock);
  if (!failed) server_metrics_model(s->server, r->served);
  finish_list(r, list, JOB_BROKEN, err.text);
  served_release(r->served);
}

// With the lock held. False: the form is not open, and nobody can be told to open it.
static bool list_runner(struct runner *r) {
  struct scheduler *s = r->s;
  if (!r->listed) {
    struct runner **at = &s->listed;
    while (*at) at = &(*at)->next;
    *at = r;
    r->next = NULL;
    r->listed = true;
    served_hold(r->served);
  }
  if (r->form->model || r->opening) return true;
  served_hold(r->served);
  r->opening = !background_run(s->server->background, open_form, r);
  if (!r->opening) served_release(r->served); // r is listed, so this was not the last
  return r->opening;
}

void runner_push(struct runner *r, struct unit *list) {
  struct scheduler *s = r->s;
  struct unit *refused = NULL;
  pthread_mutex_lock(&s->lock);
  bool stop = s->stop; // nobody looks at the queue any more
  if (stop) {
    refused = list;
  } else {
    *r->waiting.last = list;
    for (struct unit *u = list; u; u = u->next) {
      r->waiting.last = &u->next;
      r->waiting_tokens += u->tokens;
    }
    if (!list_runner(r)) refused = take_all(r);
    if (!s->busy) pthread_cond_signal(&s->work); // who computes looks again by itself
  }
  pthread_mutex_unlock(&s->lock);
  finish_list(r, refused, stop ? JOB_SHUT_DOWN : JOB_BROKEN, stop ? "the server is shutting down" : "out of memory");
}

void runner_push_front(struct runner *r, struct unit *u) {
  struct scheduler *s = r->s;
  pthread_mutex_lock(&s->lock);
  u->next = r->waiting.first;
  if (!u->next) r->waiting.last = &u->next;
  r->waiting.first = u;
  r->waiting_tokens += u->tokens;
  list_runner(r); // its form is open: the unit was just taken
  pthread_mutex_unlock(&s->lock);
}

// Once a streamed answer has begun, it may take its time.
static bool has_deadline(const struct job *job) {
  return job->deadline_ns && !(job->stream && job->first_ns);
}

bool unit_is_unwanted(const struct unit *u, uint64_t now) {
  return atomic_load(&u->job->cancelled) || (has_deadline(u->job) && now >= u->job->deadline_ns);
}

void unit_abandon(struct runner *r, struct unit *u) {
  bool left = atomic_load(&u->job->cancelled);
  unit_finish(r, u, left ? JOB_CANCELLED : JOB_DEADLINE, left ? "the client left" : "not answered in time");
}

bool unit_give_up(struct runner *r, struct unit *u) {
  bool unwanted = unit_is_unwanted(u, clock_ns());
  if (unwanted) unit_abandon(r, u);
  return unwanted;
}

uint64_t runner_sweep(struct runner *r) {
  struct scheduler *s = r->s;
  struct unit *unwanted = NULL, **last = &unwanted;
  uint64_t now = clock_ns(), nearest = UINT64_MAX;
  pthread_mutex_lock(&s->lock);
  for (struct unit **at = &r->waiting.first; *at;) {
    struct unit *u = *at;
    if (!unit_is_unwanted(u, now)) {
      if (has_deadline(u->job) && u->job->deadline_ns < nearest) nearest = u->job->deadline_ns;
      at = &u->next;
      continue;
    }
    *at = u->next;
    if (!u->next) r->waiting.last = at;
    r->waiting_tokens -= u->tokens;
    u->next = NULL;
    *last = u;
    last = &u->next;
  }
  pthread_mutex_unlock(&s->lock);
  for (struct unit *u = unwanted, *next; u; u = next) {
    next = u->next;
    unit_abandon(r, u);
  }
  return nearest;
}

struct unit *runner_take(struct runner *r, size_t tokens, size_t most, size_t *count) {
  struct scheduler *s = r->s;
  struct unit *list = NULL, **last = &list;
  size_t sum = 0;
  uint64_t now = clock_ns();
  *count = 0;
  pthread_mutex_lock(&s->lock);
  for (struct unit *u = r->waiting.first; u && *count < most && (!*count || sum + u->tokens <= tokens);
       u = r->waiting.first) {
    r->waiting.first = u->next;
    if (!u->next) r->waiting.last = &r->waiting.first;
    r->waiting_tokens -= u->tokens;
    u->begun_ns = now;
    u->next = NULL;
    *last = u;
    last = &u->next;
    sum += u->tokens;
    ++*count;
  }
  pthread_mutex_unlock(&s->lock);
  for (const struct unit *u = list; u; u = u->next)
    metric_observe(r->metrics.queue_seconds, (double)(now - u->queued_ns) * 1e-9);
  return list;
}

// ---- the end ------------------------------------------------------------------------------------------------------

static void observe(struct runner *r, enum job_failure failure, double seconds) {
  bool failed = failure == JOB_BROKEN,
       late = failure == JOB_DEADLINE; // a slow form must not look fast by answering none
  if (failure == JOB_FINE || failed || late) rollout_observe(r->served->rollout, r->variant, seconds, failed);
  if (failure == JOB_CANCELLED) metric_add(r->metrics.cancelled, 1);
  if (failure == JOB_DEADLINE) metric_add(r->metrics.late, 1);
}

static void job_finish(struct runner *r, struct job *job) {
  struct scheduler *s = r->s;
  job->done_ns = clock_ns();
  double seconds = (double)(job->done_ns - job->arrived_ns) * 1e-9;
  enum job_failure failure = job->failure;
  pthread_mutex_lock(&s->lock);
  s->jobs--;
  r->jobs--;
  pthread_mutex_unlock(&s->lock);
  pthread_mutex_lock(&job->lock);
  job->finished = true;
  bool owned = job->owner != NULL;
  if (owned) s->hooks.done(job->owner);
  pthread_mutex_unlock(&job->lock);
  if (!owned) job_free(job);    // its owner left it to us
  observe(r, failure, seconds); // who waits need not wait for this
}

void unit_finish(struct runner *r, struct unit *u, enum job_failure failure, const char *why) {
  struct job *job = u->job;
  struct job_item *item = &job->items[u->index];
  pthread_mutex_lock(&job->lock);
  if (failure != JOB_FINE && job->failure == JOB_FINE) {
    job->failure = failure;
    error_set(&job->error, failure == JOB_BAD ? PARE_DATA : PARE_BUG, "%s", why);
  }
  item->done = true;
  if (failure == JOB_FINE && u->begun_ns) {
    double seconds = (double)(clock_ns() - u->begun_ns) * 1e-9, lately = r->answer_seconds;
    r->answer_seconds = lately > 0 ? lately + 0.2 * (seconds - lately) : seconds;
  }
  if (job->stream && job->owner && failure == JOB_FINE) r->s->hooks.more(job->owner);
  pthread_mutex_unlock(&job->lock);
  if (atomic_fetch_sub(&job->open_items, 1) == 1) {
    struct runner *home = job->form->runner; // where its arrival was counted
    if (home != r) {
      pthread_mutex_lock(&r->s->lock);
      home->jobs--;
      r->jobs++;
      pthread_mutex_unlock(&r->s->lock);
    }
    pthread_mutex_lock(&job->lock); // pieces of a stream, which name the form, are being written
    job->form = r->form;
    job->variant = r->variant;
    pthread_mutex_unlock(&job->lock);
    job_finish(r, job);
  }
  unit_free(u);
}

bool unit_rescue(struct runner *r, struct unit *u, const char *what) {
  if (r->variant != VARIANT_QUANTIZED) return false;
  const struct job *job = u->job;
  rollout_trip(r->served->rollout, REASON_NAN,
               json_pack("{s:s, s:s, s:I}", "what", what, "op", job->op == JOB_GENERATE ? "generate" : "classify",
                         "tokens", (json_int_t)u->tokens));
  struct runner *original = runner_of(r->s, r->served, VARIANT_ORIGINAL);
  if (!original) return false;
  u->next = NULL;
  runner_push(original, u);
  return true;
}
