// runner.h - inside the scheduler: one form of a model with what waits for it, and the parts that work on it.
#ifndef PARE_SERVER_RUNNER_H
#define PARE_SERVER_RUNNER_H

#include "scheduler.h"
#include "server_metrics.h"
#include "state.h"

// One item of a job on its way.
struct unit {
  struct unit *next;
  struct job *job; // held
  size_t index;
  uint64_t queued_ns, begun_ns;
  // Classification and embedding: sequences of ids.
  struct pare_tokens *sequences;
  size_t sequence_count;
  size_t tokens; // all together
  // Generation: the prompt, and after a change of form what the first one had said.
  uint32_t *ids;
  size_t id_count, said_ids, said_text;
  size_t stream;
  uint64_t token_ns; // when the last new token came
  size_t told;       // new tokens counted
};

struct unit_queue {
  struct unit *first, **last;
};

struct runner {
  struct scheduler *s;
  struct served *served;
  struct form *form;
  enum variant variant;
  struct form_metrics metrics;
  enum pare_pooling pooling;

  // Under the scheduler's lock.
  struct unit_queue waiting;
  size_t jobs;           // that are not finished
  size_t waiting_tokens; // of units that wait
  bool listed, opening;  // among those with work; on its way to be opened
  struct runner *next;

  // The computing thread's.
  pare_session *session;
  pare_generator *generator;
  struct unit **active; // streams under way
  size_t active_count;
  float *rows; // room for a batch's answers
  size_t rows_cap;
  _Atomic double tokens_per_second, answer_seconds; // lately; read by those who refuse

  pare_session *shadow_session; // the shadow thread's

  pthread_mutex_t idle_lock; // of linear models: sessions nobody uses
  pare_session **idle;
  size_t idle_count, idle_cap;
};

struct shadow;

struct scheduler {
  struct server *server;
  struct scheduler_hooks hooks;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t work;
  struct runner *listed; // who took a turn goes to the end
  size_t jobs;
  bool busy; // somebody computes
  bool stop;
  struct shadow *shadow;
};

// ---- texts.c: numbers -----------------------------------------------------------------------------------------------
bool are_numbers(const float *x, size_t n);    // neither NaN nor infinite
double highest(const float *scores, size_t n); // of n >= 1 that are numbers

bool scheduler_is_stopped(struct scheduler *s);

// ---- queue.c ------------------------------------------------------------------------------------------------------
struct runner *runner_of(struct scheduler *s, struct served *served, enum variant v); // NULL: no memory
struct unit *unit_new(struct job *job, size_t index);                                 // NULL: no memory
void unit_free(struct unit *u);
// Puts a list of units at the end of what waits for r and wakes the computing thread; finishes them when that one has
// stopped.
void runner_push(struct runner *r, struct unit *list);
void runner_push_front(struct runner *r, struct unit *u); // one that was taken and not begun
// Takes units from the front, the first in any case, then while `tokens` are not passed and there are less than `most`.
// The list ends in NULL.
struct unit *runner_take(struct runner *r, size_t tokens, size_t most, size_t *count);
// Finishes everything that waits without an answer.
void runner_fail(struct runner *r, enum job_failure failure, const char *why);
// Its job was cancelled or is late.
bool unit_is_unwanted(const struct unit *u, uint64_t now);
void unit_abandon(struct runner *r, struct unit *u); // one that is
// Gives up the unit if it is unwanted; true if so.
bool unit_give_up(struct runner *r, struct unit *u);
// Gives up what waits and is unwanted. Returns the nearest deadline of the rest, UINT64_MAX without one.
uint64_t runner_sweep(struct runner *r);
// The unit's answer is in its item (JOB_FINE), or there is none. Ends the job when it is the last one.
void unit_finish(struct runner *r, struct unit *u, enum job_failure failure, const char *why);
// The form's answers are no numbers. True: the unit goes to the original, which answers from now on.
bool unit_rescue(struct runner *r, struct unit *u, const char *what);

// ---- one turn of a form, by its kind ------------------------------------------------------------------------------
void run_texts(struct runner *r);
void run_streams(struct runner *r);
void run_search(struct runner *r);
// Ends the streams that are under way without an answer; closes the generator.
void streams_fail(struct runner *r, enum job_failure failure, const char *why);
void streams_close(struct runner *r);
// One turn of some other form that has work; false: there is none. For long work of one form, between its steps.
bool run_another(struct runner *than);

// ---- prepare.c ----------------------------------------------------------------------------------------------------
// Keeps the item's answer for the next who asks the same, if that is wanted.
void answer_keep(struct runner *r, const struct job *job, const struct job_item *item);

// ---- shadow.c -----------------------------------------------------------------------------------------------------
enum pare_status shadow_open(struct scheduler *s, struct shadow **out, struct pare_error *err);
void shadow_close(struct shadow *w); // what waits is dropped, and so is what is still offered
void shadow_free(struct shadow *w);  // closed, and nobody offers any more; accepts NULL
// The item was answered by r's form; if it is its turn, the other form is asked too. seconds: what computing it took.
void shadow_offer(struct runner *r, struct job *job, size_t index, double seconds);

#endif
