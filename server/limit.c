// limit.c - see limit.h.
#include "limit.h"

#include <math.h>

static struct limit_run next_run(struct limit *l) {
  return (struct limit_run){.number = ++l->runs};
}

void limit_restart(struct limit *l) {
  l->total = 0;
  l->old = next_run(l);
  l->young = next_run(l);
}

void limit_clear(struct limit *l) {
  l->runs = 0;
  limit_restart(l);
}

static double run_alpha(const struct limit *l, const struct limit_run *run) {
  double k = (double)run->number;
  return l->alpha / (k * (k + 1));
}

static void run_add(const struct limit *l, struct limit_run *run, double x) {
  run->n++;
  run->hits += !l->of_mean && x != 0;
  if (l->of_mean) sequential_mean_add(&run->mean, x, run_alpha(l, run));
}

void limit_add(struct limit *l, double x) {
  l->total++;
  run_add(l, &l->old, x);
  if (l->old.n > l->horizon / 2) run_add(l, &l->young, x);
  if (l->old.n < l->horizon) return;
  l->old = l->young;
  l->young = next_run(l);
}

static struct limit_reading read_run(const struct limit *l, const struct limit_run *run) {
  struct limit_reading r = {
      .status = LIMIT_UNDECIDED, .number = run->number, .n = run->n, .hits = run->hits, .value = NAN};
  if (l->of_mean) {
    r.interval = sequential_mean_interval(&run->mean);
    if (run->n) r.value = run->mean.sum / (double)run->n;
  } else {
    r.interval = sequential_share(run->hits, run->n, run_alpha(l, run));
    if (run->n) r.value = (double)run->hits / (double)run->n;
  }
  if (l->bound <= 0) return r;
  bool beyond = l->at_least ? r.interval.high < l->bound : r.interval.low > l->bound;
  bool within = l->at_least ? r.interval.low >= l->bound : r.interval.high <= l->bound;
  if (beyond)
    r.status = LIMIT_VIOLATED;
  else if (within)
    r.status = LIMIT_MET;
  return r;
}

struct limit_reading limit_read(const struct limit *l) {
  struct limit_reading old = read_run(l, &l->old);
  if (old.status == LIMIT_VIOLATED || l->young.n == 0) return old;
  struct limit_reading young = read_run(l, &l->young);
  return young.status == LIMIT_VIOLATED ? young : old;
}
