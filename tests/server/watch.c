// watch.c - server/watch.h: a connection that outlasts its phase is shut down, one that is worked on is told about when
// its client leaves, at most once and never after it went on.
#include "watch.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

static struct watch *open_watch(uint32_t header_ms, uint32_t idle_ms) {
  struct watch *w;
  const struct watch_limits limits = {.ms = {[WATCH_HEADER] = header_ms, [WATCH_IDLE] = idle_ms}};
  assert_int_equal(watch_open(&limits, &w, NULL), PARE_OK);
  return w;
}

// Waits, bounded, until the other side sees the end.
static bool sees_end(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  char c;
  return poll(&p, 1, 10000) == 1 && read(fd, &c, 1) == 0;
}

static void late_ones_are_shut_down(void **state) {
  (void)state;
  struct watch *w = open_watch(30, 60);
  int a[2], b[2], c[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, c), 0);
  struct watched *header = watch_add(w, a[0]), *idle = watch_add(w, b[0]), *work = watch_add(w, c[0]);
  watch_enter(w, idle, WATCH_IDLE, NULL, NULL);
  watch_enter(w, work, WATCH_WORK, NULL, NULL);
  assert_int_equal(watch_connections(w), 3);
  assert_true(sees_end(a[1]));
  assert_true(sees_end(b[1]));
  struct pollfd p = {.fd = c[1], .events = POLLIN};
  assert_int_equal(poll(&p, 1, 0), 0); // work has no deadline here, and the others' passed
  watch_remove(w, header);
  watch_remove(w, idle);
  watch_remove(w, work);
  assert_int_equal(watch_connections(w), 0);
  watch_close(w);
  for (int i = 0; i < 2; i++) {
    close(a[i]);
    close(b[i]);
    close(c[i]);
  }
}

struct told {
  atomic_int times, gone;
};

static void left(void *context, bool gone) {
  struct told *t = context;
  atomic_fetch_add(&t->times, 1);
  if (gone) atomic_fetch_add(&t->gone, 1);
}

static void wait_for(atomic_int *value, int expected) {
  for (int i = 0; i < 10000 && atomic_load(value) != expected; i++) usleep(1000);
  assert_int_equal(atomic_load(value), expected);
}

static void who_leaves_is_noticed(void **state) {
  (void)state;
  struct watch *w = open_watch(0, 0);
  struct told half = {0}, full = {0}, early = {0}, late = {0};
  int s[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
  struct watched *c = watch_add(w, s[0]);
  watch_enter(w, c, WATCH_WORK, left, &half);
  shutdown(s[1], SHUT_WR);
  wait_for(&half.times, 1);
  assert_int_equal(atomic_load(&half.gone), 0);
  watch_enter(w, c, WATCH_WORK, left, &early); // what was seen before is told at once
  assert_int_equal(atomic_load(&early.times), 1);
  close(s[1]);
  wait_for(&early.gone, 1);
  watch_enter(w, c, WATCH_IDLE, left, &late); // nobody works on it
  assert_int_equal(atomic_load(&late.times), 0);
  watch_remove(w, c);
  close(s[0]);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0); // most likely the same numbers again
  c = watch_add(w, s[0]);
  watch_enter(w, c, WATCH_WORK, left, &full);
  close(s[1]);
  wait_for(&full.gone, 1);
  watch_remove(w, c);
  close(s[0]);
  watch_close(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(late_ones_are_shut_down),
                                     cmocka_unit_test(who_leaves_is_noticed)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
