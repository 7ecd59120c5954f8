// lbfgs.h - minimises a smooth function by limited-memory BFGS (Nocedal 1980; Liu and Nocedal 1989), with steps halved
// until they decrease the function enough (Armijo). Sums run over blocks of a fixed size: threads change no bit.
#ifndef PARE_TRAIN_LBFGS_H
#define PARE_TRAIN_LBFGS_H

#include "base/error.h"
#include "base/pool.h"

struct lbfgs {
  double (*eval)(void *context, const float *x, float *gradient); // f(x)
  void *context;
  struct pool *pool;
  size_t n;              // length of x
  size_t max_iterations; // each may evaluate f a few times
  double tolerance;      // done when an iteration gains less than this share of f
};
// x (n): the start, then the minimum. *iterations (may be NULL): how many there were. Fails only without memory.
enum pare_status lbfgs_minimise(const struct lbfgs *l, float *x, size_t *iterations, struct pare_error *err);

#endif
