// thread.h - a thread of the program's own, which takes no signals.
#ifndef PARE_BASE_THREAD_H
#define PARE_BASE_THREAD_H

#include <pthread.h>

// As pthread_create. Signals that are sent to the process go to threads that were started otherwise. SIGBUS is not
// blocked: a thread raises it itself, reading a mapped file that was cut, and who blocks it cannot be helped.
int thread_start(pthread_t *out, void *(*main)(void *), void *arg);

#endif
