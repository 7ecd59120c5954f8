// background.c - see background.h.
#include "background.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/thread.h"

struct task {
  void (*work)(void *context);
  void *context;
  struct task *next;
};

struct background {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more;
  struct task *first, **last;
  bool stop, working;
};

static void *background_main(void *arg) {
  struct background *b = arg;
  pthread_mutex_lock(&b->lock);
  for (;;) {
    while (!b->first && !b->stop) pthread_cond_wait(&b->more, &b->lock);
    struct task *t = b->first;
    if (!t) break;
    b->first = t->next;
    if (!b->first) b->last = &b->first;
    b->working = true;
    pthread_mutex_unlock(&b->lock);
    t->work(t->context);
    free(t);
    pthread_mutex_lock(&b->lock);
    b->working = false;
  }
  pthread_mutex_unlock(&b->lock);
  return NULL;
}

enum pare_status background_open(struct background **out, struct pare_error *err) {
  *out = NULL;
  struct background *b = calloc(1, sizeof *b);
  if (!b) return error_no_memory(err);
  b->last = &b->first;
  pthread_mutex_init(&b->lock, NULL);
  pthread_cond_init(&b->more, NULL);
  if (thread_start(&b->thread, background_main, b)) {
    free(b);
    return error_set(err, PARE_BUG, "cannot start a thread");
  }
  *out = b;
  return PARE_OK;
}

bool background_is_idle(struct background *b) {
  if (!b) return true;
  pthread_mutex_lock(&b->lock);
  bool idle = !b->working && !b->first;
  pthread_mutex_unlock(&b->lock);
  return idle;
}

void background_close(struct background *b) {
  if (!b) return;
  pthread_mutex_lock(&b->lock);
  b->stop = true;
  pthread_cond_signal(&b->more);
  pthread_mutex_unlock(&b->lock);
  pthread_join(b->thread, NULL);
}

void background_free(struct background *b) {
  if (!b) return;
  pthread_cond_destroy(&b->more);
  pthread_mutex_destroy(&b->lock);
  free(b);
}

enum pare_status background_run(struct background *b, void (*work)(void *context), void *context) {
  struct task *t = malloc(sizeof *t);
  if (!t) return error_no_memory(NULL);
  *t = (struct task){.work = work, .context = context};
  pthread_mutex_lock(&b->lock);
  bool closed = b->stop;
  if (!closed) {
    *b->last = t;
    b->last = &t->next;
    pthread_cond_signal(&b->more);
  }
  pthread_mutex_unlock(&b->lock);
  if (!closed) return PARE_OK;
  free(t);
  return error_set(NULL, PARE_BUG, "the server is shutting down");
}
