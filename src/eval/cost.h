// cost.h - what it takes to run a model: load time and memory, each measured in a process of its own; and the machine
// it ran on.
#ifndef PARE_EVAL_COST_H
#define PARE_EVAL_COST_H

#include "eval/greedy.h"
#include "model/model.h"

struct json_t;

struct cost {
  double load_ms;      // weights ready, median of COST_OPENS opens; the file is in the page cache
  double tokenizer_ms; // what else an open does: the tokenizer read, 0 where there is none,
  double self_test_ms; // and the stored answer checked, 0 where there is none; medians likewise
  double open_ms;      // all of it
  size_t rss_bytes;    // peak resident memory of a process that opens the model and does the work once
  size_t tokens;       // of the sequence it ran
};
// What is run once, so that its memory counts.
struct cost_work {
  size_t tokens;             // one sequence of so many random ids; 0: the longest
  struct greedy_size greedy; // or, with streams above 0, this generation
};
enum { COST_OPENS = 3 };

// Resident bytes of this process now; 0 when the system does not say. Taken once, before anything big is in memory.
size_t cost_resident_bytes(void);

// Forks a child that opens its own engine (same ISA and thread count), the model and what the work needs, and
// does it. baseline: cost_resident_bytes at the start; what the child inherits beyond it is not counted
// as the model's. The child's error is returned as it is; PARE_BUG when it died.
enum pare_status cost_measure(const pare_engine *engine, const char *path, const struct cost_work *work,
                              size_t baseline, struct cost *out, struct pare_error *err);

// {cpu, isa, threads, cores, memory_bytes, compiler}; NULL when out of memory.
struct json_t *cost_machine(const pare_engine *engine);

#endif
