// inputs.h - what a request gives a model to read: a text, a list of texts, ids, or a list of lists of ids. And the
// options of sampling that more than one protocol knows by the same names.
#ifndef PARE_SERVER_INPUTS_H
#define PARE_SERVER_INPUTS_H

#include "fields.h"

struct inputs {
  json_t *value; // borrowed from the body
  bool many;     // a list of them; else one
  bool ids;
  size_t count; // 1 ..
};
// At most `limit` of them, ids below the model's vocabulary and at most `longest` in one. false: answered.
bool inputs_of_body(struct fields *f, const char *key, const struct served *s, size_t limit, size_t longest,
                    struct inputs *out);
// The i-th, copied into the job's memory. false: no memory.
bool inputs_put(const struct inputs *in, size_t i, struct job *job, struct job_item *item);
// The same for a text that was read by fields_texts.
bool inputs_put_text(const struct pare_text *text, struct job *job, struct job_item *item);
// A job of the texts at `key`, each answered `times` times. NULL: answered.
struct job *inputs_texts_job(struct fields *f, struct served *s, const char *key, enum job_op op, size_t times);

// temperature, top_p, top_k, min_p, repetition_penalty. A top_p of 0 leaves the likeliest token alone: greedy.
void inputs_sampling(struct fields *f, double temperature, struct pare_generate_options *out);
// Any whole number of 64 bits; absent: by chance.
uint64_t inputs_seed(struct fields *f);
// Strings where an answer ends, copied into the job's memory.
void inputs_stop(struct fields *f, const char *key, struct job *job);
// Copies of short strings, in the job's memory; NULL: absent, answered or no memory, which is answered too.
const char *const *inputs_strings(struct fields *f, const char *key, size_t limit, struct job *job, size_t *count);
// Answers that there is no memory.
void inputs_no_memory(struct fields *f);

#endif
