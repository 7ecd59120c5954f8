// scheduler.c - see scheduler.h: the computing thread. Forms that have work stand in a list; the first takes one turn
// and goes to the end.
#include "scheduler.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "runner.h"

enum { AT_ONCE = 64 }; // runners looked at together

static void take_turn(struct runner *r) {
  runner_sweep(r);
  switch (r->served->task) {
    case PARE_TASK_CLASSIFY:
    case PARE_TASK_ENCODE: run_texts(r); break;
    case PARE_TASK_LANGUAGE_MODEL: run_streams(r); break;
    case PARE_TASK_SEQ2SEQ: run_search(r); break;
  }
}

static bool has_work(const struct runner *r) {
  return r->waiting.first || r->active_count;
}

static bool may_run(const struct runner *r, const struct runner *than) {
  if (!r->form->model || !has_work(r)) return false;
  return !than || (r != than && r->served->task != PARE_TASK_SEQ2SEQ);
}

// The first in the list that can work, which goes to its end. With the lock held.
static struct runner *next_runner(struct scheduler *s, const struct runner *than) {
  struct runner **at = &s->listed;
  while (*at && !may_run(*at, than)) at = &(*at)->next;
  struct runner *r = *at;
  if (!r) return NULL;
  *at = r->next;
  while (*at) at = &(*at)->next;
  *at = r;
  r->next = NULL;
  return r;
}

static bool another_may_run(const struct scheduler *s, const struct runner *than) {
  for (const struct runner *r = s->listed; r; r = r->next)
    if (r != than && may_run(r, NULL)) return true;
  return false;
}

// A batch that is not full waits for others, unless there is other work. With the lock held.
static void let_gather(struct scheduler *s, const struct runner *r) {
  const struct serve_config *c = s->server->config;
  if (!c->batch_wait_us || r->served->task == PARE_TASK_LANGUAGE_MODEL || !r->waiting.first) return;
  uint64_t until = r->waiting.first->queued_ns + (uint64_t)c->batch_wait_us * 1000;
  struct timespec at = {.tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000)};
  while (!s->stop && r->waiting.first && r->waiting_tokens < c->batch_tokens && clock_ns() < until &&
         !another_may_run(s, r))
    if (pthread_cond_timedwait(&s->work, &s->lock, &at) == ETIMEDOUT) break;
}

bool run_another(struct runner *than) {
  struct scheduler *s = than->s;
  runner_sweep(than);
  pthread_mutex_lock(&s->lock);
  struct runner *r = s->stop ? NULL : next_runner(s, than);
  pthread_mutex_unlock(&s->lock);
  if (r) take_turn(r);
  return r != NULL;
}

// Takes those without work out of the list and lets go of them, which may close them.
static void unlist(struct scheduler *s) {
  struct served *released[AT_ONCE];
  size_t n = 0;
  pthread_mutex_lock(&s->lock);
  for (struct runner **at = &s->listed; *at && n < AT_ONCE;) {
    struct runner *r = *at;
    if (has_work(r)) {
      at = &r->next;
      continue;
    }
    *at = r->next;
    r->listed = false;
    released[n++] = r->served;
  }
  pthread_mutex_unlock(&s->lock);
  while (n) served_release(released[--n]);
}

// Whoever computed lets the next one.
static void end_turn(struct scheduler *s) {
  unlist(s);
  pthread_mutex_lock(&s->lock);
  s->busy = false;
  if (s->listed || s->stop) pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
}

// With the lock held, which is given up in between. Returns the nearest deadline.
static uint64_t sweep_listed(struct scheduler *s) {
  struct runner *all[AT_ONCE];
  uint64_t nearest = UINT64_MAX;
  size_t n = 0;
  for (struct runner *r = s->listed; r && n < AT_ONCE; r = r->next) {
    served_hold(r->served);
    all[n++] = r;
  }
  pthread_mutex_unlock(&s->lock);
  while (n--) {
    uint64_t deadline = runner_sweep(all[n]);
    if (deadline < nearest) nearest = deadline;
    served_release(all[n]->served);
  }
  unlist(s);
  pthread_mutex_lock(&s->lock);
  return nearest;
}

// Nothing can run; but what waits for a form that is being opened may be late or unwanted. With the lock held.
static void wait_for_work(struct scheduler *s) {
  uint64_t nearest = s->busy || !s->listed ? UINT64_MAX : sweep_listed(s);
  const struct timespec at = {.tv_sec = (time_t)(nearest / 1000000000), .tv_nsec = (long)(nearest % 1000000000)};
  if (s->stop || (!s->busy && another_may_run(s, NULL))) return;
  if (nearest == UINT64_MAX) {
    pthread_cond_wait(&s->work, &s->lock);
  } else {
    pthread_cond_timedwait(&s->work, &s->lock, &at);
  }
}

static void *scheduler_main(void *arg) {
  struct scheduler *s = arg;
  pthread_mutex_lock(&s->lock);
  while (!s->stop) {
    struct runner *r = s->busy ? NULL : next_runner(s, NULL);
    if (!r) {
      wait_for_work(s);
      continue;
    }
    let_gather(s, r);
    s->busy = true;
    pthread_mutex_unlock(&s->lock);
    take_turn(r);
    end_turn(s);
    pthread_mutex_lock(&s->lock);
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

bool scheduler_compute(struct scheduler *s, struct job *job) {
  enum { SHORT = 256 }; // tokens; what they take is less than anyone notices
  struct runner *r = job->form->runner;
  size_t tokens = 0;
  if (job->op == JOB_GENERATE || s->server->config->batch_wait_us || !r->form->model) return false;
  for (const struct unit *u = job->plan; u; u = u->next) tokens += u->tokens;
  pthread_mutex_lock(&s->lock);
  bool free = tokens <= SHORT && !s->busy && !s->listed && !s->stop;
  if (free) s->busy = true;
  pthread_mutex_unlock(&s->lock);
  if (!free) return false;
  scheduler_push(job);
  take_turn(r);
  end_turn(s); // whom another form has to help waits in its queue
  return true;
}

enum pare_status scheduler_open(struct server *server, const struct scheduler_hooks *hooks, struct scheduler **out,
                                struct pare_error *err) {
  *out = NULL;
  struct scheduler *s = calloc(1, sizeof *s);
  if (!s) return error_no_memory(err);
  s->server = server;
  s->hooks = *hooks;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&s->work, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_init(&s->lock, NULL);
  enum pare_status status = shadow_open(s, &s->shadow, err);
  if (!status && thread_start(&s->thread, scheduler_main, s))
    status = error_set(err, PARE_BUG, "cannot start the computing thread");
  if (status) {
    shadow_close(s->shadow);
    shadow_free(s->shadow);
    free(s);
    return status;
  }
  *out = s;
  return PARE_OK;
}

// What is under way and what waits gets no answer.
static void give_up_all(struct scheduler *s) {
  static const char why[] = "the server is shutting down";
  while (s->listed) {
    struct runner *r = s->listed;
    s->listed = r->next;
    streams_fail(r, JOB_SHUT_DOWN, why);
    runner_fail(r, JOB_SHUT_DOWN, why);
    served_release(r->served);
  }
}

void scheduler_close(struct scheduler *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->stop = true;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  pthread_mutex_lock(&s->lock);
  while (s->busy) pthread_cond_wait(&s->work, &s->lock);
  pthread_mutex_unlock(&s->lock);
  shadow_close(s->shadow);
  give_up_all(s);
}

void scheduler_free(struct scheduler *s) {
  if (!s) return;
  shadow_free(s->shadow);
  pthread_cond_destroy(&s->work);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

void scheduler_look(struct scheduler *s) {
  pthread_mutex_lock(&s->lock);
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
}

bool scheduler_is_stopped(struct scheduler *s) {
  pthread_mutex_lock(&s->lock);
  bool stop = s->stop;
  pthread_mutex_unlock(&s->lock);
  return stop;
}

size_t scheduler_queue(const struct scheduler *s) {
  pthread_mutex_lock((pthread_mutex_t *)&s->lock);
  size_t n = s->jobs;
  pthread_mutex_unlock((pthread_mutex_t *)&s->lock);
  return n;
}
