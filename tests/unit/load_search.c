// load_search.c - cmd/load_search.c against a server made of arithmetic: the search's steps and its answer are then the
// same on every machine, however busy.
#include "cmd/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

// One request after the other, service_ms each. What else may be wrong with it is set below.
struct load_engine {
  double service_ms;
  size_t refuse; // of every rate's windows, the first so many
  double seen_rate;
  size_t seen;                // windows of seen_rate
  size_t runs, interrupt_at;  // 0: never
  size_t alone, rests;        // single requests, pauses
  double timeouts_above;      // rate; 0: none
  double long_window_fails_s; // 0: none; a window that is longer has every answer late
  bool interrupted;
};

bool load_engine_interrupted(const struct load_engine *e) {
  return e->interrupted;
}

void load_engine_rest(struct load_engine *e, double seconds) {
  assert_true(seconds > 0 && seconds < 1);
  e->rests++;
}

static void add(struct load_result *r, double ms) {
  r->requests++;
  r->good++;
  latency_add(&r->latency, (uint64_t)(ms * 1e6));
  latency_add(&r->service, (uint64_t)(ms * 1e6));
  if (r->plan.cut_most && ms > r->plan.cut_ms && ++r->late > r->plan.cut_most) r->cut = true;
}

static void lose(struct load_result *r, enum load_error error, const char *reason) {
  r->requests++;
  r->errors[error]++;
  latency_add_lost(&r->latency);
  if (!r->first_error[0]) strcpy(r->first_error, reason);
  if (r->plan.cut_most && ++r->late > r->plan.cut_most) r->cut = true;
}

void load_engine_run(struct load_engine *e, const struct load_plan *plan, struct load_result *result) {
  memset(result, 0, sizeof *result);
  result->plan = *plan;
  e->interrupted = e->interrupted || ++e->runs == e->interrupt_at;
  result->interrupted = e->interrupted;
  if (e->interrupted) return;
  result->window_s = plan->duration_s;
  if (plan->rate == 0) {
    assert_int_equal(plan->connections, 1);
    e->alone += plan->requests == 1;
    for (size_t i = 0; i < plan->requests; i++) add(result, e->service_ms);
    return;
  }
  bool same = plan->rate == e->seen_rate;
  e->seen = same ? e->seen + 1 : 1;
  e->seen_rate = plan->rate;
  double free_ms = 0, step_ms = 1e3 / plan->rate;
  size_t count = (size_t)(plan->rate * plan->duration_s);
  for (size_t i = 0; i < count && !result->cut; i++) {
    double due_ms = (double)i * step_ms, begin_ms = free_ms > due_ms ? free_ms : due_ms;
    if (e->seen <= e->refuse) {
      lose(result, LOAD_HTTP_5XX, "status 503");
    } else if (e->timeouts_above > 0 && plan->rate > e->timeouts_above) {
      lose(result, LOAD_TIMEOUT, "Timeout was reached");
    } else {
      free_ms = begin_ms + e->service_ms;
      bool slow = e->long_window_fails_s > 0 && plan->duration_s > e->long_window_fails_s;
      add(result, slow ? 1e6 : free_ms - due_ms);
    }
  }
}

static struct load_search search_with(struct load_engine *e, double rate, double p99_ms, double max_rate) {
  struct load_search search = {.limits = {.p99_ms = p99_ms, .max_error_rate = 0.001, .max_rate = max_rate}};
  struct load_plan plan = {.rate = rate, .connections = 256, .duration_s = 1, .timeout_ms = 10000};
  struct load_result *result = load_result_new(NULL);
  assert_non_null(result);
  load_find_rate(e, &plan, &search, result, NULL);
  free(result);
  return search;
}

struct load_result *load_result_new(struct pare_error *err) {
  (void)err;
  return calloc(1, sizeof(struct load_result));
}

// 2 ms each: the rate is 500, and what a queue of 100 ms lets through above it in a window of three seconds.
static void finds_the_capacity(void **state) {
  (void)state;
  static const double starts[] = {10, 300, 500, 4000, 100000};
  for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
    struct load_engine e = {.service_ms = 2};
    struct load_search s = search_with(&e, starts[i], 100, 1e6);
    assert_true(s.rate >= 500 / 1.06 && s.rate <= 500 * 1.035);
    assert_null(s.reason);
    const struct load_trial *last = &s.trials[s.count - 1];
    assert_true(last->check && last->meets && last->rate == s.rate && last->requests >= 299);
    for (size_t k = 0; k < s.count; k++) {
      const struct load_trial *t = &s.trials[k];
      assert_true(!t->meets || (t->p99_ms <= 100 && t->error_rate <= 0.001 && t->rate <= 560));
      assert_true(t->meets || t->rate > 500);
    }
    assert_int_equal(e.rests, s.count - 1); // between two trials
    assert_int_equal(e.alone, 0);
  }
}

static void a_slow_server_is_found_too(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 200};
  struct load_search s = search_with(&e, 100, 1000, 1e6);
  assert_true(s.rate >= 5 / 1.06 && s.rate <= 5 * 1.035);
}

static void none_above_max_rate_is_tried(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 0.1};
  struct load_search s = search_with(&e, 10, 100, 700);
  assert_true(s.rate == 700);
  assert_non_null(strstr(s.reason, "--max-rate"));
  for (size_t k = 0; k < s.count; k++) assert_true(s.trials[k].rate <= 700);
  s = search_with(&e, 5000, 100, 700);
  assert_true(s.rate == 700 && s.count == 2);
}

static void a_rate_fails_when_it_fails_twice(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 2, .refuse = 1};
  struct load_search s = search_with(&e, 100, 100, 200);
  // 100 fails and holds, 200 fails and holds, its check holds.
  assert_int_equal(s.count, 5);
  assert_true(!s.trials[0].meets && s.trials[1].meets && !s.trials[2].meets && s.trials[3].meets && s.trials[4].check);
  assert_true(s.rate == 200);
}

static void errors_are_told_by_kind(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 2, .refuse = 2};
  struct load_search s = search_with(&e, 100, 100, 200);
  assert_true(s.rate == 0);
  assert_non_null(strstr(s.reason, "no rate kept the limits"));
  assert_true(s.count > 2 && s.count < 30); // down to the lowest, twice each
  for (size_t k = 0; k < s.count; k++) {
    const struct load_trial *t = &s.trials[k];
    assert_true(t->cut && !t->meets && t->error_rate == 1 && t->rate > 3);
    assert_int_equal(t->errors[LOAD_HTTP_5XX], t->requests);
    assert_string_equal(t->first_error, "status 503");
  }
}

// The next trial waits for what the server still does for those who gave up.
static void after_timeouts_one_request_goes_alone(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 0.1, .timeouts_above = 100};
  struct load_search s = search_with(&e, 90, 100, 200);
  size_t timed_out = 0;
  for (size_t k = 0; k < s.count; k++) timed_out += s.trials[k].errors[LOAD_TIMEOUT] > 0;
  assert_true(timed_out >= 2);
  assert_int_equal(e.alone, timed_out);
  assert_true(s.rate >= 90 && s.rate <= 100);
}

static void a_longer_window_has_the_last_word(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 0.1, .long_window_fails_s = 2};
  struct load_search s = search_with(&e, 1000, 100, 1000);
  assert_true(s.rate == 0 && s.trials[0].meets);
  assert_non_null(strstr(s.reason, "in a long one"));
  assert_int_equal(s.count, 9);
  for (size_t k = 2; k < s.count; k++) {
    assert_true(s.trials[k].check && s.trials[k].rate < s.trials[k - 1].rate && !s.trials[k].meets);
  }
}

static void what_cannot_hold_is_not_searched(void **state) {
  (void)state;
  struct load_engine e = {.service_ms = 200};
  struct load_search s = search_with(&e, 10, 100, 1e6);
  assert_true(s.rate == 0 && s.count == 0 && e.runs == 1);
  assert_non_null(strstr(s.reason, "longer than the limit"));
}

static void an_interrupt_ends_it_wherever_it_comes(void **state) {
  (void)state;
  for (size_t at = 1; at <= 12; at++) {
    struct load_engine e = {.service_ms = 2, .interrupt_at = at};
    struct load_search s = search_with(&e, 10, 100, 1e6);
    assert_true(s.rate == 0 && e.runs == at && s.count == (at > 1 ? at - 2 : 0));
    assert_string_equal(s.reason, "interrupted");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_the_capacity),
      cmocka_unit_test(a_slow_server_is_found_too),
      cmocka_unit_test(none_above_max_rate_is_tried),
      cmocka_unit_test(a_rate_fails_when_it_fails_twice),
      cmocka_unit_test(errors_are_told_by_kind),
      cmocka_unit_test(after_timeouts_one_request_goes_alone),
      cmocka_unit_test(a_longer_window_has_the_last_word),
      cmocka_unit_test(what_cannot_hold_is_not_searched),
      cmocka_unit_test(an_interrupt_ends_it_wherever_it_comes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
