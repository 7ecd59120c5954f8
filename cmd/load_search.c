// load_search.c - the highest rate whose P99 and error rate keep their limits: doubling until one fails, then bisection
// of the logarithm, then a check by a longer window, because a queue that grows slowly is not seen in a short one.
#include <math.h>
#include <string.h>

#include "load.h"

// A window is prolonged until so many requests are expected that a P99 can be told (299) even when the Poisson count
// comes out four standard deviations low; a rate that would need more than the longest window cannot be judged.
static const double enough_requests = 370, longest_window_s = 120;
static const double near_enough = 1.05; // of two rates: the search ends
static const double check_windows = 3, step_back = 0.93;
enum { CHECKS = 8, TRIES = 2 };

struct search {
  struct load_engine *engine;
  struct load_plan plan;
  struct load_search *out;
  struct load_result *result;
  void (*each)(const struct load_trial *t);
};

static double window_for(double rate, double least_s) {
  return fmax(least_s, enough_requests / rate);
}

static bool over(const struct search *s) {
  return load_engine_interrupted(s->engine) || s->out->count == LOAD_MAX_TRIALS;
}

// A few requests one after the other.
static void one_by_one(struct search *s, size_t requests) {
  struct load_plan plan = s->plan;
  plan.rate = plan.warmup_s = 0;
  plan.connections = 1;
  plan.requests = requests;
  plan.duration_s = (double)plan.timeout_ms * 1e-3; // one of them at least
  load_engine_run(s->engine, &plan, s->result);
}

// Every answer of the last trial has come or run into its timeout. What the server began for a client that gave up may
// still be running: where requests timed out, one more is sent alone, which a server that answers in turn does last.
static void let_drain(struct search *s) {
  const double rest_s = 0.2;
  if (s->result->errors[LOAD_TIMEOUT]) one_by_one(s, 1);
  load_engine_rest(s->engine, rest_s);
}

// One window at a rate; says whether it keeps the limits.
static bool try_once(struct search *s, double rate, double windows) {
  struct load_search *out = s->out;
  if (over(s)) return false;
  if (out->count) let_drain(s);
  struct load_plan plan = s->plan;
  plan.rate = rate;
  plan.duration_s = window_for(rate, s->plan.duration_s * windows);
  plan.cut_ms = out->limits.p99_ms;
  // Twice what a passing window may hold, and some for small ones: nothing that could still pass is given up.
  plan.cut_most = 10 + (size_t)(2 * (0.01 + out->limits.max_error_rate) * plan.rate * plan.duration_s);
  load_engine_run(s->engine, &plan, s->result);
  const struct load_result *r = s->result;
  if (r->interrupted) return false; // neither held nor failed: no trial
  struct load_trial *t = &out->trials[out->count++];
  *t = (struct load_trial){.rate = rate,
                           .requests = r->requests,
                           .window_s = r->window_s,
                           .check = windows > 1,
                           .cut = r->cut,
                           .p99_ms = NAN};
  memcpy(t->errors, r->errors, sizeof t->errors);
  memcpy(t->first_error, r->first_error, sizeof t->first_error);
  uint64_t p99 = 0;
  if (r->window_s > 0) t->answered = (double)r->answered_in_window / r->window_s;
  if (r->requests) t->error_rate = (double)load_error_count(r) / (double)r->requests;
  bool told = r->requests >= latency_percentile_needs(0.99) && latency_quantile(&r->latency, 0.99, &p99);
  if (told) t->p99_ms = (double)p99 * 1e-6;
  t->meets = told && !r->cut && t->p99_ms <= out->limits.p99_ms && t->error_rate <= out->limits.max_error_rate;
  if (s->each) s->each(t);
  return t->meets;
}

// A rate fails when it fails twice: one hiccup of the machine does not halve the answer.
static bool holds(struct search *s, double rate, double windows) {
  for (int i = 0; i < TRIES; i++) {
    if (try_once(s, rate, windows)) return true;
    if (over(s)) return false;
  }
  return false;
}

// *good: a rate that held, 0: none. *bad: one above it that did not, 0: none.
static void bracket(struct search *s, double *good, double *bad) {
  const double lowest = enough_requests / longest_window_s, highest = s->out->limits.max_rate;
  double rate = fmin(fmax(s->plan.rate, lowest), highest);
  *good = *bad = 0;
  if (holds(s, rate, 1)) {
    *good = rate;
    while (*good < highest && !*bad && !over(s)) {
      rate = fmin(*good * 2, highest);
      if (holds(s, rate, 1)) {
        *good = rate;
      } else {
        *bad = rate;
      }
    }
    return;
  }
  *bad = rate;
  while (*bad > lowest && !*good && !over(s)) {
    rate = fmax(*bad / 2, lowest);
    if (holds(s, rate, 1)) {
      *good = rate;
    } else {
      *bad = rate;
    }
  }
}

// What no rate can do better than. A reason not to search at all; NULL: none.
static const char *hopeless(struct search *s) {
  one_by_one(s, 10);
  if (load_engine_interrupted(s->engine)) return "interrupted";
  if (s->result->good == 0) return "not one of the first requests was answered as it should be";
  if ((double)s->result->service.min_ns > s->out->limits.p99_ms * 1e6)
    return "requests one after the other take longer than the limit, even the fastest of them";
  return NULL;
}

void load_find_rate(struct load_engine *e, const struct load_plan *plan, struct load_search *out,
                    struct load_result *result, void (*each)(const struct load_trial *t)) {
  struct search s = {.engine = e, .plan = *plan, .out = out, .result = result, .each = each};
  double good, bad;
  out->reason = hopeless(&s);
  if (out->reason) return;
  bracket(&s, &good, &bad);
  while (good && bad && bad / good > near_enough && !over(&s)) {
    double middle = sqrt(good * bad);
    if (holds(&s, middle, 1)) {
      good = middle;
    } else {
      bad = middle;
    }
  }
  const double lowest = enough_requests / longest_window_s;
  for (int i = 0; good >= lowest && i < CHECKS && !out->rate && !over(&s); i++) {
    if (try_once(&s, good, check_windows)) out->rate = good;
    if (!out->rate) good *= step_back;
  }
  if (load_engine_interrupted(e)) {
    out->reason = "interrupted";
  } else if (out->rate) {
    out->reason = out->rate >= out->limits.max_rate ? "no higher rate was tried: --max-rate" : NULL;
  } else if (!good) {
    out->reason = "no rate kept the limits; below 3.1 requests per second a P99 would take longer than two minutes";
  } else {
    out->reason = "no rate that kept the limits in a short window kept them in a long one";
  }
}
