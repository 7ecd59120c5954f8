// models.h - the models that are served, by name. A name stands for up to two forms of one model, the original and the
// quantized one; each form is opened when it is first needed. Loading again swaps the whole entry: who holds a
// reference to the old one finishes on it.
#ifndef PARE_SERVER_MODELS_H
#define PARE_SERVER_MODELS_H

#include <stdatomic.h>
#include <time.h>

#include "config.h"
#include "pare_serving.h"
#include "rollout.h"

// One form of a model. What is open stays open until the entry goes.
struct form {
  pare_model *model; // NULL: not open
  char scheme[64];
  double load_ms;
  bool failed; // did not open; error says why
  struct pare_error error;
  void *runner; // the scheduler's: sessions and generator over it
};

struct served {
  char *name;
  const struct serve_model_config *config; // of the configuration it was opened under, a copy of its own
  atomic_size_t references;
  struct form forms[VARIANT_COUNT];
  struct rollout *rollout;
  enum pare_task task;
  bool linear; // answers in microseconds, on the thread that read the request
  bool nli;    // takes candidate labels
  time_t created;
  unsigned version;       // counts the loads of this name, from 1
  char state_reason[512]; // why the quantized form is not used; "" when it is
  void *series;           // the scheduler's metrics of it
  struct models *models;
};

// Any open form: labels, vocabulary and token pieces are the same in both.
const pare_model *served_model(const struct served *s);
void served_hold(struct served *s);
void served_release(struct served *s); // the last one closes it; accepts NULL

struct models;
// The entry of that name, held for the caller; NULL: none. name NULL or "": the only one, NULL when there are several.
struct served *models_find(struct models *m, const char *name);
// Every entry, held, in the order of the configuration; *out to be freed with free() after releasing them.
size_t models_all(struct models *m, struct served ***out);

#endif
