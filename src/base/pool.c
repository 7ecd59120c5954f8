// pool.c - see pool.h. One 64-bit gate says which run is open and how many workers are inside it:
//   run number << 32 | open << 31 | workers inside
// A worker enters an open run it has not yet seen, claims jobs until none are left, and leaves. Each thread has a share
// of neighbouring jobs and takes it from the front; one that is done takes others' from the end. So a thread meets the
// same jobs in every run of a like list, and what its cache holds of them is used; and data that lies in the order of
// the jobs is read in that order. The caller works too, then closes the gate and waits only for workers that are
// inside, so one that overslept delays nobody. The run's description changes only while the gate is closed and empty.
// Sleeping and waking pair a sequentially consistent store with a load of the other side's word, then decide under the
// lock: one of the two always sees the other.
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

enum { CACHE_LINE = 64 };
// How long to spin before sleeping: longer than the gap between two products of one token, short enough that an idle
// pool is soon silent.
static const uint64_t spin_ns = 50000;

#define GATE_OPEN ((uint64_t)1 << 31)
#define GATE_RUN ((uint64_t)1 << 32)

struct worker {
  struct pool *pool;
  size_t index; // 1 .. threads - 1; 0 is the caller
  pthread_t thread;
};

// The jobs of one thread that are still to do: low half the first, high half one past the last.
struct share {
  _Alignas(CACHE_LINE) _Atomic uint64_t left;
};

struct pool {
  size_t threads;
  struct worker *workers; // (threads), the first unused

  _Alignas(CACHE_LINE) _Atomic uint64_t gate;
  void (*fn)(void *ctx, size_t job, size_t thread);
  void *ctx;

  struct share *shares; // (threads)
  atomic_flag taken;    // a caller's run is under way

  _Alignas(CACHE_LINE) pthread_mutex_t lock;
  pthread_cond_t work, done;
  atomic_size_t sleeping;      // workers in work
  atomic_bool caller_sleeping; // in done
  atomic_bool stop;
};

static void pause_cpu(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

static bool run_is_new(uint64_t gate, uint64_t seen) {
  return gate & GATE_OPEN && gate / GATE_RUN != seen;
}

static bool gate_is_empty(uint64_t gate) {
  return (gate & (GATE_OPEN - 1)) == 0;
}

// One end of a share; false when it is empty. Which jobs there are was published by the gate, so relaxed is enough.
static bool claim(struct share *s, bool front, size_t *job) {
  uint64_t left = atomic_load_explicit(&s->left, memory_order_relaxed), after;
  do {
    uint64_t first = left & UINT32_MAX, end = left >> 32;
    if (first == end) return false;
    *job = (size_t)(front ? first : end - 1);
    after = front ? end << 32 | (first + 1) : (end - 1) << 32 | first;
  } while (!atomic_compare_exchange_weak_explicit(&s->left, &left, after, memory_order_relaxed, memory_order_relaxed));
  return true;
}

static void work_on(struct pool *p, size_t thread) {
  size_t job;
  for (size_t i = 0; i < p->threads; i++) {
    while (claim(&p->shares[(thread + i) % p->threads], i == 0, &job)) p->fn(p->ctx, job, thread);
  }
}

static void sleep_until_work(struct pool *p, uint64_t seen) {
  pthread_mutex_lock(&p->lock);
  atomic_fetch_add(&p->sleeping, 1);
  while (!atomic_load(&p->stop) && !run_is_new(atomic_load(&p->gate), seen)) pthread_cond_wait(&p->work, &p->lock);
  atomic_fetch_sub(&p->sleeping, 1);
  pthread_mutex_unlock(&p->lock);
}

// Returns true when a run that was not seen before is open, or false to stop. Neither holds a claim: the run may be
// over.
static bool wait_for_work(struct pool *p, uint64_t seen) {
  uint64_t start = clock_ns();
  for (unsigned i = 1;; i++) {
    if (atomic_load_explicit(&p->stop, memory_order_relaxed)) return false;
    if (run_is_new(atomic_load_explicit(&p->gate, memory_order_relaxed), seen)) return true;
    pause_cpu();
    if (i % 32 == 0 && clock_ns() - start > spin_ns) break;
  }
  sleep_until_work(p, seen);
  return !atomic_load(&p->stop);
}

static void *worker_main(void *arg) {
  struct worker *w = arg;
  struct pool *p = w->pool;
  uint64_t seen = 0;
  while (wait_for_work(p, seen)) {
    uint64_t gate = atomic_load(&p->gate);
    // Enter: only while this very run is open. A failed exchange reloads gate.
    while (run_is_new(gate, seen) && !atomic_compare_exchange_weak(&p->gate, &gate, gate + 1)) {
    }
    if (!run_is_new(gate, seen)) continue;
    seen = gate / GATE_RUN;
    work_on(p, w->index);
    gate = atomic_fetch_sub(&p->gate, 1) - 1;
    if (gate & GATE_OPEN || !gate_is_empty(gate) || !atomic_load(&p->caller_sleeping)) continue;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
  }
  return NULL;
}

static void wait_until_empty(struct pool *p) {
  uint64_t start = clock_ns();
  for (unsigned i = 1;; i++) {
    if (gate_is_empty(atomic_load(&p->gate))) return;
    pause_cpu();
    if (i % 32 == 0 && clock_ns() - start > spin_ns) break;
  }
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->caller_sleeping, true);
  while (!gate_is_empty(atomic_load(&p->gate))) pthread_cond_wait(&p->done, &p->lock);
  atomic_store(&p->caller_sleeping, false);
  pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, void (*fn)(void *ctx, size_t job, size_t thread), void *ctx, size_t jobs) {
  assert(jobs <= UINT32_MAX);
  bool alone = !p || p->threads == 1 || jobs <= 1;
  if (alone || atomic_flag_test_and_set_explicit(&p->taken, memory_order_acquire)) {
    for (size_t job = 0; job < jobs; job++) fn(ctx, job, 0);
    return;
  }
  p->fn = fn;
  p->ctx = ctx;
  for (size_t t = 0; t < p->threads; t++) {
    uint64_t first = jobs * t / p->threads, end = jobs * (t + 1) / p->threads;
    atomic_store_explicit(&p->shares[t].left, end << 32 | first, memory_order_relaxed);
  }
  uint64_t run = atomic_load_explicit(&p->gate, memory_order_relaxed) / GATE_RUN + 1;
  atomic_store(&p->gate, run * GATE_RUN | GATE_OPEN); // publishes the fields above

  size_t wake = atomic_load(&p->sleeping);
  if (wake > 0) {
    if (wake > jobs - 1) wake = jobs - 1;
    pthread_mutex_lock(&p->lock);
    while (wake-- > 0) pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
  }
  work_on(p, 0);
  atomic_fetch_and(&p->gate, ~GATE_OPEN);
  wait_until_empty(p);
  atomic_flag_clear_explicit(&p->taken, memory_order_release);
}

size_t pool_threads(const struct pool *p) {
  return p ? p->threads : 1;
}

enum pare_status pool_open(size_t threads, struct pool **out, struct pare_error *err) {
  assert(threads >= 1);
  *out = NULL;
  struct pool *p = aligned_alloc(CACHE_LINE, sizeof *p); // sizeof is a multiple of its alignment
  struct worker *workers = calloc(threads, sizeof *workers);
  struct share *shares = aligned_alloc(CACHE_LINE, threads * sizeof *shares);
  if (!p || !workers || !shares) {
    free(p);
    free(workers);
    free(shares);
    return error_no_memory(err);
  }
  memset(p, 0, sizeof *p);
  p->workers = workers;
  p->shares = shares;
  atomic_flag_clear(&p->taken);
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->done, NULL);
  for (p->threads = 1; p->threads < threads; p->threads++) {
    struct worker *w = &workers[p->threads];
    *w = (struct worker){.pool = p, .index = p->threads};
    int rc = thread_start(&w->thread, worker_main, w);
    if (rc == 0) continue;
    enum pare_status status =
        error_set(err, PARE_BUG, "cannot start thread %zu of %zu: %s", p->threads + 1, threads, strerror(rc));
    pool_close(p);
    return status;
  }
  *out = p;
  return PARE_OK;
}

void pool_close(struct pool *p) {
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  atomic_store(&p->stop, true);
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  for (size_t i = 1; i < p->threads; i++) pthread_join(p->workers[i].thread, NULL);
  pthread_cond_destroy(&p->done);
  pthread_cond_destroy(&p->work);
  pthread_mutex_destroy(&p->lock);
  free(p->workers);
  free(p->shares);
  free(p);
}
