// The thread pool: every job runs exactly once, on a valid thread, before pool_run returns; many runs in a row, with
// and without time to fall asleep between them; opening and closing at any moment. Meant to be run under
// ThreadSanitizer too.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/pool.h"

enum { MAX_JOBS = 1000, MAX_THREADS = 9 };

// Plain memory on purpose: a job's result must be visible to the caller without further care.
struct counts {
  unsigned ran[MAX_JOBS];
  size_t last_thread[MAX_JOBS];
  size_t scratch[MAX_THREADS]; // thread-indexed
};

static void count_job(void *ctx, size_t job, size_t thread) {
  struct counts *c = ctx;
  c->ran[job]++;
  c->last_thread[job] = thread;
  c->scratch[thread]++;
}

static struct pool *open_pool(size_t threads) {
  struct pool *p;
  struct pare_error err = {0};
  assert_int_equal(pool_open(threads, &p, &err), PARE_OK);
  assert_int_equal(pool_threads(p), threads);
  return p;
}

static void run_and_check(struct pool *p, size_t jobs) {
  static struct counts c;
  memset(&c, 0, sizeof c);
  pool_run(p, count_job, &c, jobs);
  size_t total = 0;
  for (size_t i = 0; i < MAX_JOBS; i++) {
    assert_int_equal(c.ran[i], i < jobs);
    if (i < jobs) assert_true(c.last_thread[i] < pool_threads(p));
  }
  for (size_t i = 0; i < MAX_THREADS; i++) total += c.scratch[i];
  assert_int_equal(total, jobs);
}

static void test_each_job_once(void **state) {
  (void)state;
  static const size_t jobs[] = {0, 1, 2, 3, 5, 64, 999, 1000};
  for (size_t threads = 1; threads <= MAX_THREADS; threads += threads < 4 ? 1 : 5) {
    struct pool *p = open_pool(threads);
    for (size_t i = 0; i < sizeof jobs / sizeof *jobs; i++) run_and_check(p, jobs[i]);
    pool_close(p);
  }
}

static void test_no_pool(void **state) {
  (void)state;
  assert_int_equal(pool_threads(NULL), 1);
  run_and_check(NULL, 100);
  pool_close(NULL);
}

// Runs follow each other so closely that workers meet the next one while leaving the last.
static void test_many_small_runs(void **state) {
  (void)state;
  for (size_t threads = 2; threads <= 4; threads++) {
    struct pool *p = open_pool(threads);
    static struct counts c;
    memset(&c, 0, sizeof c);
    for (unsigned run = 1; run <= 20000; run++) {
      pool_run(p, count_job, &c, 3);
      assert_true(c.ran[0] == run && c.ran[1] == run && c.ran[2] == run);
    }
    pool_close(p);
  }
}

static void sleep_ns(long ns) {
  nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

// Pauses around the time after which a worker falls asleep: the place where a wake-up could be lost.
static void test_runs_after_sleep(void **state) {
  (void)state;
  struct pool *p = open_pool(3);
  for (long i = 0; i < 300; i++) {
    sleep_ns(i * 1000);
    run_and_check(p, 4);
  }
  sleep_ns(20000000);
  run_and_check(p, 100);
  pool_close(p);
}

// Two jobs that wait for each other finish only if two threads run them at the same time.
struct meeting {
  _Atomic int here;
};

static void meet(void *ctx, size_t job, size_t thread) {
  (void)job;
  (void)thread;
  struct meeting *m = ctx;
  m->here++;
  while (m->here < 2) sleep_ns(10000);
}

static void test_jobs_run_side_by_side(void **state) {
  (void)state;
  struct pool *p = open_pool(2);
  for (long i = 0; i < 50; i++) {
    struct meeting m = {0};
    pool_run(p, meet, &m, 2);
    sleep_ns(i % 5 * 100000); // some meetings need a sleeper woken
  }
  pool_close(p);
}

// A worker is in its job long after the caller ran out of jobs: the caller must wait, also past the time it spins.
struct uneven {
  _Atomic int workers; // that have begun a job
  unsigned ran[20];
};

static void slow_elsewhere(void *ctx, size_t job, size_t thread) {
  struct uneven *u = ctx;
  if (thread == 0) {
    while (u->workers == 0) sleep_ns(10000); // keep jobs for them
  } else {
    u->workers++;
    sleep_ns(2000000);
  }
  u->ran[job]++;
}

static void test_waits_for_slow_workers(void **state) {
  (void)state;
  struct pool *p = open_pool(3);
  for (int i = 0; i < 20; i++) {
    struct uneven u = {0};
    pool_run(p, slow_elsewhere, &u, 20);
    for (size_t j = 0; j < 20; j++) assert_int_equal(u.ran[j], 1);
  }
  pool_close(p);
}

// Callers at once: one has the threads, the others do their own jobs as thread 0.
struct caller {
  struct pool *pool;
  struct counts counts;
  pthread_t thread;
};

static void *call_often(void *arg) {
  struct caller *c = arg;
  for (int i = 0; i < 300; i++) pool_run(c->pool, count_job, &c->counts, 40);
  return NULL;
}

static void run_inside(void *ctx, size_t job, size_t thread) {
  struct caller *c = ctx;
  (void)thread;
  if (job == 0) pool_run(c->pool, count_job, &c->counts, 10);
}

static void test_callers_at_once(void **state) {
  (void)state;
  enum { CALLERS = 3 };
  struct pool *p = open_pool(3);
  static struct caller callers[CALLERS];
  for (size_t i = 0; i < CALLERS; i++) callers[i] = (struct caller){.pool = p};
  for (size_t i = 0; i < CALLERS; i++)
    assert_int_equal(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]), 0);
  for (size_t i = 0; i < CALLERS; i++) {
    pthread_join(callers[i].thread, NULL);
    for (size_t j = 0; j < 40; j++) assert_int_equal(callers[i].counts.ran[j], 300);
  }
  static struct caller nested; // a job that runs jobs does them itself
  nested = (struct caller){.pool = p};
  pool_run(p, run_inside, &nested, 2);
  for (size_t j = 0; j < 10; j++) {
    assert_int_equal(nested.counts.ran[j], 1);
    assert_int_equal(nested.counts.last_thread[j], 0);
  }
  pool_close(p);
}

static void test_open_and_close(void **state) {
  (void)state;
  for (long i = 0; i < 200; i++) {
    struct pool *p = open_pool(1 + (size_t)i % 4);
    if (i % 3 == 0) run_and_check(p, 10);
    if (i % 5 == 0) sleep_ns(i * 1000);
    pool_close(p);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_job_once),         cmocka_unit_test(test_no_pool),
      cmocka_unit_test(test_many_small_runs),       cmocka_unit_test(test_runs_after_sleep),
      cmocka_unit_test(test_jobs_run_side_by_side), cmocka_unit_test(test_waits_for_slow_workers),
      cmocka_unit_test(test_open_and_close),        cmocka_unit_test(test_callers_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
