// watch.c - see watch.h. One thread sleeps in epoll until a client leaves or the nearest deadline comes. All
// connections of a phase have the same time, so each phase is a list in the order of its deadlines. Sockets are found
// by their number and a generation, since one may be closed and opened anew between an event and its handling.
#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

struct watched {
  int fd;
  uint32_t generation;
  enum watch_phase phase;
  uint64_t deadline_ns;
  struct watched *before, *after; // in the phase's list
  bool half_closed, gone, told;
  void (*left)(void *context, bool gone);
  void *context;
};

struct list {
  struct watched *first, *last;
};

struct watch {
  struct watch_limits limits;
  int epoll, wake;
  pthread_t thread;
  pthread_mutex_t lock;
  struct list lists[WATCH_PHASES];
  struct watched **by_fd; // (fds)
  size_t fds, connections;
  uint32_t generations;
  uint64_t awake_ns; // when the thread looks again by itself
  bool stop;
};

static const uint64_t WAKE = UINT64_MAX;

static void unlink_from(struct watch *w, struct watched *c) {
  struct list *l = &w->lists[c->phase];
  *(c->before ? &c->before->after : &l->first) = c->after;
  *(c->after ? &c->after->before : &l->last) = c->before;
  c->before = c->after = NULL;
}

static void link_to(struct watch *w, struct watched *c, enum watch_phase phase) {
  struct list *l = &w->lists[phase];
  c->phase = phase;
  c->deadline_ns = w->limits.ms[phase] ? clock_ns() + (uint64_t)w->limits.ms[phase] * 1000000 : UINT64_MAX;
  c->before = l->last;
  *(l->last ? &l->last->after : &l->first) = c;
  l->last = c;
}

// Milliseconds until the nearest deadline, rounded up; -1: none.
static int time_left(struct watch *w) {
  uint64_t nearest = UINT64_MAX, now = clock_ns();
  for (size_t p = 0; p < WATCH_WORK; p++)
    if (w->lists[p].first && w->lists[p].first->deadline_ns < nearest) nearest = w->lists[p].first->deadline_ns;
  w->awake_ns = nearest;
  if (nearest == UINT64_MAX) return -1;
  uint64_t ms = nearest > now ? (nearest - now) / 1000000 + 1 : 0;
  return ms > 1000000 ? 1000000 : (int)ms;
}

static void expire(struct watch *w) {
  uint64_t now = clock_ns();
  for (size_t p = 0; p < WATCH_WORK; p++) {
    for (struct watched *c = w->lists[p].first; c && c->deadline_ns <= now; c = w->lists[p].first) {
      shutdown(c->fd, SHUT_RDWR);
      unlink_from(w, c);
      link_to(w, c, WATCH_WORK); // nothing more to do but be removed
    }
  }
}

static void tell(struct watched *c) {
  if (c->phase != WATCH_WORK || !c->left || !(c->gone || c->half_closed)) return;
  if (c->told && !c->gone) return;
  c->told = true;
  c->left(c->context, c->gone);
}

static void handle(struct watch *w, const struct epoll_event *e) {
  size_t fd = (size_t)(e->data.u64 & UINT32_MAX);
  struct watched *c = fd < w->fds ? w->by_fd[fd] : NULL;
  if (!c || c->generation != e->data.u64 >> 32) return;
  if (e->events & (EPOLLHUP | EPOLLERR)) c->gone = true;
  if (e->events & EPOLLRDHUP) c->half_closed = true;
  tell(c);
}

static void *watch_main(void *arg) {
  struct watch *w = arg;
  enum { EVENTS = 64 };
  struct epoll_event events[EVENTS];
  pthread_mutex_lock(&w->lock);
  while (!w->stop) {
    int wait = time_left(w);
    pthread_mutex_unlock(&w->lock);
    int n = epoll_wait(w->epoll, events, EVENTS, wait);
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < n; i++) {
      uint64_t count;
      if (events[i].data.u64 == WAKE) {
        if (read(w->wake, &count, sizeof count) < 0) continue;
      } else {
        handle(w, &events[i]);
      }
    }
    expire(w);
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

static void wake(struct watch *w) {
  const uint64_t one = 1;
  ssize_t written = write(w->wake, &one, sizeof one);
  (void)written; // it can only fail when the counter is full, and then the thread wakes anyway
}

// Deadlines mostly come later than the one the thread waits for, so this is rare.
static void wake_before(struct watch *w, uint64_t deadline_ns) {
  if (deadline_ns >= w->awake_ns) return;
  w->awake_ns = deadline_ns;
  wake(w);
}

static void free_all(struct watch *w) {
  if (w->epoll >= 0) close(w->epoll);
  if (w->wake >= 0) close(w->wake);
  pthread_mutex_destroy(&w->lock);
  free(w->by_fd);
  free(w);
}

enum pare_status watch_open(const struct watch_limits *limits, struct watch **out, struct pare_error *err) {
  *out = NULL;
  struct watch *w = calloc(1, sizeof *w);
  if (!w) return error_no_memory(err);
  w->limits = *limits;
  pthread_mutex_init(&w->lock, NULL);
  w->epoll = epoll_create1(EPOLL_CLOEXEC);
  w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = WAKE};
  int rc = w->epoll < 0 || w->wake < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &e)
               ? errno
               : thread_start(&w->thread, watch_main, w);
  if (rc) {
    free_all(w);
    return error_set(err, PARE_BUG, "cannot watch connections: %s", strerror(rc));
  }
  *out = w;
  return PARE_OK;
}

void watch_close(struct watch *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->stop = true;
  pthread_mutex_unlock(&w->lock);
  wake(w);
  pthread_join(w->thread, NULL);
  free_all(w);
}

size_t watch_connections(const struct watch *w) {
  pthread_mutex_lock((pthread_mutex_t *)&w->lock);
  size_t n = w->connections;
  pthread_mutex_unlock((pthread_mutex_t *)&w->lock);
  return n;
}

static bool make_room(struct watch *w, size_t fd) {
  if (fd < w->fds) return true;
  size_t fds = w->fds ? w->fds : 256;
  while (fds <= fd) fds *= 2;
  struct watched **by_fd = realloc(w->by_fd, fds * sizeof(struct watched *));
  if (!by_fd) return false;
  memset(by_fd + w->fds, 0, (fds - w->fds) * sizeof(struct watched *));
  w->by_fd = by_fd;
  w->fds = fds;
  return true;
}

struct watched *watch_add(struct watch *w, int fd) {
  struct watched *c = calloc(1, sizeof *c);
  if (!c || fd < 0) {
    free(c);
    return NULL;
  }
  c->fd = fd;
  pthread_mutex_lock(&w->lock);
  bool ok = make_room(w, (size_t)fd);
  if (ok) {
    c->generation = ++w->generations & INT32_MAX;
    w->by_fd[fd] = c;
    w->connections++;
    link_to(w, c, WATCH_HEADER);
    // Edge-triggered, and once for the connection's whole life: a client leaves but once.
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLET, .data.u64 = (uint64_t)c->generation << 32 | (uint32_t)fd};
    epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e);
    wake_before(w, c->deadline_ns);
  }
  pthread_mutex_unlock(&w->lock);
  if (ok) return c;
  free(c);
  return NULL;
}

void watch_remove(struct watch *w, struct watched *c) {
  if (!c) return;
  pthread_mutex_lock(&w->lock);
  epoll_ctl(w->epoll, EPOLL_CTL_DEL, c->fd, NULL);
  w->by_fd[c->fd] = NULL;
  w->connections--;
  unlink_from(w, c);
  pthread_mutex_unlock(&w->lock);
  free(c);
}

void watch_enter(struct watch *w, struct watched *c, enum watch_phase phase, void (*left)(void *context, bool gone),
                 void *context) {
  if (!c) return;
  pthread_mutex_lock(&w->lock);
  unlink_from(w, c);
  link_to(w, c, phase);
  c->left = left;
  c->context = context;
  c->told = false;
  tell(c); // it may have left before
  if (phase != WATCH_WORK) wake_before(w, c->deadline_ns);
  pthread_mutex_unlock(&w->lock);
}
