// thread.c - see thread.h.
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *out, void *(*main)(void *), void *arg) {
  sigset_t all, before;
  sigfillset(&all);
  sigdelset(&all, SIGBUS);
  pthread_sigmask(SIG_SETMASK, &all, &before); // a new thread has its maker's mask
  int rc = pthread_create(out, NULL, main, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}
