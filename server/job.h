// job.h - what one request asks of a model and what came of it, whatever protocol it came by. A protocol fills the
// asked part and reads the answered part; the scheduler does the reverse.
#ifndef PARE_SERVER_JOB_H
#define PARE_SERVER_JOB_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "pare_serving.h"
#include "rollout.h"

struct served;
struct form;
struct unit;

enum job_op { JOB_CLASSIFY, JOB_EMBED, JOB_GENERATE };

// One text, and its answer.
struct job_item {
  // Asked: a text, or ids that are used as given; both from job_alloc.
  struct pare_text text;
  const uint32_t *ids;
  const uint8_t *types; // NULL: all 0
  size_t id_count;
  uint64_t seed; // GENERATE

  // Answered.
  size_t tokens;          // of the prompt: all sequences of a classification
  bool cached;            // the answer was at hand
  float *scores, *logits; // CLASSIFY: (label count), in label order
  float *vector;          // EMBED: (output width)
  // GENERATE. While it is being streamed only what no later token can change is here; lock the job to look.
  const uint32_t *prompt_ids; // (tokens)
  char *output;               // output_len bytes and a NUL
  size_t output_len;
  uint32_t *output_ids; // (output_count)
  size_t *ends;         // (output_count) length of the output up to and with each
  size_t output_count;
  size_t reused; // tokens of the prompt that were at hand
  bool done;
  enum pare_finish finish;
  float *logprobs;           // (tokens + output_count) as struct pare_stream has them; NULL without
  struct pare_logprob *tops; // (tokens + output_count, top_count); NULL without
};

enum job_failure {
  JOB_FINE,
  JOB_BAD,       // the model cannot take this: what error says is the client's to mend
  JOB_DEADLINE,  // not answered in time
  JOB_CANCELLED, // the client left
  JOB_SHUT_DOWN, // the server is ending
  JOB_BROKEN,    // our fault
};

struct job {
  // Asked.
  struct served *served; // a reference of its own
  enum job_op op;
  struct pare_classify_options classify; // strings and arrays: from job_alloc
  bool raw;                              // EMBED: not scaled to length 1
  struct pare_generate_options generate; // on_text and context are the scheduler's
  bool logprobs, score;
  size_t top_count;
  bool stream; // the answer is sent while it grows
  size_t count;
  struct job_item *items;
  uint64_t deadline_ns; // on clock_ns; 0: the configuration's

  // Answered.
  enum job_failure failure;
  struct pare_error error;
  enum variant variant; // who answered
  uint64_t arrived_ns, first_ns, done_ns;

  // The scheduler's.
  _Atomic bool cancelled; // nobody wants the answer any more
  pthread_mutex_t lock;   // over the items while they are worked on, and the two below
  void *owner;            // who waits; NULL: nobody, and the scheduler frees the job when it is done with it
  bool finished;
  atomic_size_t open_items;
  struct form *form; // whose model answers
  atomic_size_t holds;
  struct unit *plan; // the scheduler's: what has to be computed
  struct job_block *blocks;
};

// A job of `count` items for a model that the job now holds a reference to. NULL: no memory.
struct job *job_new(struct served *served, enum job_op op, size_t count);
struct job *job_hold(struct job *job);
void job_free(struct job *job); // gives up one hold; accepts NULL
// The form that answers, "original" or "quantized", as far as it is known: another may take over in the middle. NULL:
// none was asked. Not with the job locked.
const char *job_variant(struct job *job);
// Memory that lives as long as the job, zeroed; NULL: none left.
void *job_alloc(struct job *job, size_t bytes);
char *job_strdup(struct job *job, const char *text, size_t len);
// As a list; NULL: no memory.
json_t *job_floats(const float *values, size_t n);
// Labels an answer to this job has.
size_t job_labels(const struct job *job);
const char *job_label(const struct job *job, size_t i);
// Indices of the labels, the highest score first, ties in label order; of the `most` highest at least, what comes
// after them is not said. order: (job_labels).
void job_order(const struct job *job, const struct job_item *item, size_t most, size_t *order);

#endif
