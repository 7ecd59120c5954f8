// cost.h - what it takes to run a model: load time and memory, each measured in a process of its own; and the machine
// it ran on.
#ifndef PARE_EVAL_COST_H
#define PARE_EVAL_COST_H

#include "model/model.h"

struct json_t;

struct cost {
  double load_ms;   // weights ready, median of COST_OPENS opens; the file is in the page cache
  double open_ms;   // the same with tokenizer and self-test
  size_t rss_bytes; // peak resident memory of a process that opens the model and runs one sequence
  size_t tokens;    // of that sequence
};
enum { COST_OPENS = 3 };

// Resident bytes of this process now; 0 when the system does not say. Taken once, before anything big is in memory.
size_t cost_resident_bytes(void);

// Forks a child that opens its own engine (same ISA and thread count), the model and a session, and runs `tokens` (0:
// the longest) random ids. baseline: cost_resident_bytes at the start; what the child inherits beyond it is not counted
// as the model's. The child's error is returned as it is; PARE_BUG when it died.
enum pare_status cost_measure(const pare_engine *engine, const char *path, size_t tokens, size_t baseline,
                              struct cost *out, struct pare_error *err);

// {cpu, isa, threads, cores, memory_bytes, compiler}; NULL when out of memory.
struct json_t *cost_machine(const pare_engine *engine);

#endif
