// scheduler.h - from jobs to answers. One thread computes: texts in ragged batches, first come first served, streams of
// generated text in continuous batches beside them; forms of models take turns. Another, of the lowest priority,
// computes what shadows ask for. Linear models are answered at once by who asks.
#ifndef PARE_SERVER_SCHEDULER_H
#define PARE_SERVER_SCHEDULER_H

#include "exchange.h"

struct server;
struct scheduler;

struct scheduler_hooks {
  // With the job locked. There is more of a streamed answer to send; the job is finished (once, and from then on it is
  // its owner's again).
  void (*more)(void *owner), (*done)(void *owner);
};
enum pare_status scheduler_open(struct server *server, const struct scheduler_hooks *hooks, struct scheduler **out,
                                struct pare_error *err);
// Every job that is still there fails with JOB_SHUT_DOWN; none is taken any more. Accepts NULL.
void scheduler_close(struct scheduler *s);
void scheduler_free(struct scheduler *s); // once no model is open any more; accepts NULL
// For models_hooks.
void scheduler_runner_free(void *runner);

enum scheduled {
  SCHEDULED_DONE,   // answered, or failed: job->failure
  SCHEDULED_READY,  // to be given to scheduler_push
  SCHEDULED_REFUSED // too much waits already: *retry_seconds
};
// Chooses the form that answers, looks into the cache, reads texts; answers there and then what takes microseconds.
// `key` decides in an A/B test.
enum scheduled scheduler_prepare(struct scheduler *s, struct job *job, const char *key, unsigned *retry_seconds);
// From now on hooks may be called for job->owner, before this returns too.
void scheduler_push(struct job *job);
// Instead of scheduler_push, from a thread that has nothing else to do meanwhile: computes the job here and now, which
// saves waking two threads. It is finished afterwards, unless another form has to answer it: then it waits as after
// scheduler_push. False: something else is being computed or waits, or the job is long; then nothing was done.
bool scheduler_compute(struct scheduler *s, struct job *job);
// A job was cancelled: it is looked at soon.
void scheduler_look(struct scheduler *s);
size_t scheduler_queue(const struct scheduler *s); // requests waiting

#endif
