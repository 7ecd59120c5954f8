// limit.h - one limit on a share or a mean, watched over what was observed lately.
//
// A sequence that ran for ever would let a good past hide a new fault, so sequences are begun anew: two run at a time,
// half a horizon apart, and the older ends when it is a horizon long. The k-th has alpha / (k (k + 1)) to spend; as
// that adds up to alpha over all k, no interval of any of them ever leaves out the truth but with probability alpha.
#ifndef PARE_SERVER_LIMIT_H
#define PARE_SERVER_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

#include "sequential.h"

enum limit_status { LIMIT_VIOLATED = 0, LIMIT_MET = 1, LIMIT_UNDECIDED = -1 };

struct limit_run {
  uint64_t number, n, hits; // number: k, from 1
  struct sequential_mean mean;
};
// Zero-initialise, then set the first group; limit_clear starts it.
struct limit {
  double bound, alpha;  // bound 0: nothing is decided
  bool of_mean;         // of values in [0, 1]; otherwise the share of hits
  bool at_least;        // the value has to be at least `bound`; otherwise at most
  uint64_t horizon;     // observations, 2 or more
  uint64_t total, runs; // observations since limit_clear; sequences begun
  struct limit_run old, young;
};
struct limit_reading {
  enum limit_status status;
  uint64_t number, n, hits; // of the sequence that decided, or the older one
  double value;             // NaN without observations
  struct interval interval;
};

// Forgets everything; from now on all of alpha is to spend again. A decision by somebody outside asks for that.
void limit_clear(struct limit *l);
// Forgets the observations and goes on with the next sequence: when what is observed has become another thing.
void limit_restart(struct limit *l);
void limit_add(struct limit *l, double x); // a share's x: 1 is a hit, 0 is none
// VIOLATED: the interval of one of the two lies beyond the bound. MET: the older one's lies within. May be asked at any
// time, and as seldom as is convenient.
struct limit_reading limit_read(const struct limit *l);

#endif
