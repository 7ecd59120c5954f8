// pool.h - a fixed set of threads that run one job list at a time, whoever comes first. The caller creates it and
// passes it in.
#ifndef PARE_BASE_POOL_H
#define PARE_BASE_POOL_H

#include <stddef.h>

#include "base/error.h"

struct pool; // opaque

// threads >= 1 counts the calling thread: pool_open(1) starts none. Workers spin for a bounded time after a job list,
// then sleep; an idle pool costs no CPU.
enum pare_status pool_open(size_t threads, struct pool **out, struct pare_error *err);
void pool_close(struct pool *p);           // accepts NULL
size_t pool_threads(const struct pool *p); // 1 for NULL

// Calls fn(ctx, job, thread) once for each job in [0, jobs), 0 <= thread < pool_threads, and returns when all are done.
// The calling thread takes part as thread 0. p may be NULL: all jobs run here. One caller at a time has the threads;
// the jobs of another who comes meanwhile (or of a job that calls this) run on his own thread, as thread 0. Which
// thread runs which job is not fixed, so a job writes only its own outputs and thread-indexed scratch.
void pool_run(struct pool *p, void (*fn)(void *ctx, size_t job, size_t thread), void *ctx, size_t jobs);

#endif
