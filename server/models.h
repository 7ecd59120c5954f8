// models.h - the models that are served, by name. A name stands for up to two forms of one model, the original and the
// quantized one; each form is opened when it is first needed. Loading again swaps the whole entry: who holds a
// reference to the old one finishes on it.
#ifndef PARE_SERVER_MODELS_H
#define PARE_SERVER_MODELS_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "config.h"
#include "pare_serving.h"
#include "rollout.h"

// One form of a model. What is open stays open until the entry goes.
struct form {
  _Atomic(pare_model *) model; // NULL: not open; set last
  char scheme[64];
  double load_ms;
  bool failed; // did not open; error says why
  struct pare_error error;
  void *runner; // the scheduler's: sessions and a generator over it
};

struct served {
  char *name;
  const struct serve_model_config *config; // it was opened under; a reference
  atomic_size_t references;
  struct form forms[VARIANT_COUNT];
  struct rollout *rollout;
  const pare_model *first; // the form that was opened first; it stays
  bool has_quantized;
  enum pare_task task;
  bool linear; // answers in microseconds, on the thread that read the request
  bool nli;    // takes candidate labels
  time_t created;
  unsigned version;       // counts the loads of this name, from 1
  char state_reason[512]; // why the quantized form is not used; "" when it is
  pthread_mutex_t opening;
  struct models *models;
};

// Any open form: labels, vocabulary and token pieces are the same in both.
const pare_model *served_model(const struct served *s);
void served_hold(struct served *s);
void served_release(struct served *s); // the last one closes it; accepts NULL

struct models;
// What models need from their surroundings; everything outlives them.
struct models_hooks {
  pare_engine *engine;
  struct metrics *metrics;
  struct rollout_sink sink;
  // Frees form->runner, once nobody can use it; NULL: there are none.
  void (*runner_free)(void *runner);
  // May be NULL. A model was opened, or could not be: for the log.
  void (*opened)(void *context, const struct served *s);
  // May be NULL. A name is served from here on, or no more. Called with the list locked, so that the last call of a
  // name is how things are: asks nothing of models.
  void (*ready)(void *context, const char *name, bool ready);
  void *context;
};
struct models *models_new(const struct models_hooks *hooks); // NULL: no memory
void models_free(struct models *m);                          // releases every entry; accepts NULL

// Opens the model and puts it at its name, in place of an earlier one, which those who hold it finish with.
// The quantized form that cannot be used costs only a fallback, said in state_reason. config is copied,
// unless it is what models_config returned.
enum pare_status models_load(struct models *m, const struct serve_model_config *config, struct pare_error *err);
// The same where the name is served under config, which models_config returned, from the beginning to the end; else
// leaves things as they are, which is no error.
enum pare_status models_renew(struct models *m, const struct serve_model_config *config, struct pare_error *err);
// Takes the entry of that name away. PARE_NOFILE: there is none.
enum pare_status models_unload(struct models *m, const char *name, struct pare_error *err);
// Whether a name is or was here.
bool models_knows(struct models *m, const char *name);
// The configuration of a name that is or was here, as of its last load; to be given back. NULL: never heard of.
const struct serve_model_config *models_config(struct models *m, const char *name);
void models_config_release(const struct serve_model_config *config); // accepts NULL
// Every name that is or was here, the oldest first; *out to be freed with free(). 0 and NULL: none.
struct known_model {
  char name[SERVE_NAME_CAP];
  char error[512]; // of its last load; "" when that went well
};
size_t models_known(struct models *m, struct known_model **out);
// Opens the form unless it is open. One caller at a time does the work, others wait for it.
enum pare_status served_open_form(struct served *s, enum variant v, struct pare_error *err);

// The entry of that name, held for the caller; NULL: none. name NULL or "": the only one, NULL when there are several.
struct served *models_find(struct models *m, const char *name);
// Every entry, held, in the order they came; *out to be freed with free() after releasing them. 0 and NULL: none.
size_t models_all(struct models *m, struct served ***out);

#endif
