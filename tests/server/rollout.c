// rollout.c - server/rollout.h: every transition, what its event says, shares, bounds, and threads.
#include "rollout.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/rng.h"
#include "sequential.h"

// A rollout whose events are kept, and whose state is asked for inside the sink.
struct world {
  struct rollout *r;
  struct metrics *metrics;
  json_t *events;
  pthread_mutex_t lock;
};

static void keep(void *context, json_t *event) {
  struct world *w = context;
  if (w->r) { // would wait for ever if the lock was held
    json_t *state = rollout_state(w->r);
    assert_non_null(state);
    json_decref(state);
  }
  pthread_mutex_lock(&w->lock);
  json_array_append_new(w->events, event);
  pthread_mutex_unlock(&w->lock);
}

static struct rollout_config usual(enum rollout_mode mode) {
  return (struct rollout_config){.mode = mode,
                                 .quantized_share = 0.3,
                                 .shadow_share = 1,
                                 .shadow_pending = 4,
                                 .min_samples = 100,
                                 .confidence = 0.95,
                                 .automatic = true};
}

static struct world *open_world(const struct rollout_config *config) {
  struct world *w = calloc(1, sizeof *w);
  pthread_mutex_init(&w->lock, NULL);
  w->events = json_array();
  w->metrics = metrics_new();
  w->r = rollout_new(config, "m", "int8", w->metrics, &(struct rollout_sink){keep, w});
  assert_non_null(w->r);
  return w;
}

static void close_world(struct world *w) {
  rollout_free(w->r);
  metrics_free(w->metrics);
  json_decref(w->events);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

static void pairs(struct world *w, size_t n, bool agree, double shift) {
  for (size_t i = 0; i < n; i++) {
    assert_true(rollout_shadow(w->r, 0.5));
    rollout_observe_pair(w->r, &(struct rollout_pair){agree, shift, 0.02, 0.01});
  }
}

static void answers(struct world *w, enum variant v, size_t n, double seconds, bool failed) {
  for (size_t i = 0; i < n; i++) rollout_observe(w->r, v, seconds, failed);
}

static const char *text(const json_t *object, const char *key) {
  const char *s = json_string_value(json_object_get(object, key));
  return s ? s : "(no text)";
}

static double real(const json_t *object, const char *key) {
  const json_t *x = json_object_get(object, key);
  if (!json_is_number(x)) fail_msg("no number %s", key);
  return json_number_value(x);
}

static const json_t *event(const struct world *w, size_t i, const char *name, const char *reason, const char *from,
                           const char *to) {
  const json_t *e = json_array_get(w->events, i);
  if (!e) fail_msg("no event %zu", i);
  assert_string_equal(text(e, "event"), name);
  assert_string_equal(text(e, "reason"), reason);
  assert_string_equal(text(e, "from"), from);
  assert_string_equal(text(e, "to"), to);
  assert_string_equal(text(e, "model"), "m");
  assert_string_equal(text(e, "scheme"), "int8");
  assert_int_equal(real(e, "number"), i + 1);
  assert_true(real(e, "time") > 1e9);
  return json_object_get(e, "evidence");
}

static void state_is(struct world *w, const char *active, bool fallen_back) {
  json_t *s = rollout_state(w->r);
  assert_string_equal(text(s, "active"), active);
  assert_int_equal(json_is_true(json_object_get(s, "fallen_back")), fallen_back);
  json_decref(s);
}

static size_t event_count(const struct world *w) {
  return json_array_size(w->events);
}

// The value of a line of the page, by its beginning.
static double page_value(struct world *w, const char *name) {
  struct buf b = {0};
  metrics_write(w->metrics, &b);
  const char *line = strstr(b.data, name);
  if (!line) fail_msg("no %s in the page:\n%s", name, b.data);
  double value = strtod(line + strlen(name), NULL);
  buf_free(&b);
  return value;
}

// The interval says what it was computed from: evidence can be checked by anybody who has the formula.
static void check_share_evidence(const json_t *e, const char *trials, const char *hits, double limit) {
  assert_true(real(e, "limit") == limit && real(e, "confidence") == 0.95);
  uint64_t n = (uint64_t)real(e, trials), h = (uint64_t)real(e, hits);
  double k = real(e, "sequence");
  struct interval x = sequential_share(h, n, (1 - 0.95) / (k * (k + 1)));
  assert_true(real(e, "low") == x.low && real(e, "high") == x.high);
  assert_true(fabs(real(e, "value") - (double)h / (double)n) < 1e-15);
}

static void agreement_falls_back(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.min_agreement = 0.98;
  struct world *w = open_world(&c);
  assert_int_equal(rollout_choose(w->r, 0.99), VARIANT_QUANTIZED);
  for (int i = 0; i < 99; i++) pairs(w, 1, i % 2, 0);
  assert_int_equal(event_count(w), 0); // far below, but fewer than min_samples
  state_is(w, "quantized", false);
  pairs(w, 1, true, 0);
  assert_int_equal(event_count(w), 1);
  const json_t *e = event(w, 0, "fallback", "agreement", "quantized", "original");
  check_share_evidence(e, "pairs", "agreed", 0.98);
  assert_int_equal(real(e, "pairs"), 100);
  assert_int_equal(real(e, "agreed"), 50);
  assert_true(real(e, "high") < 0.98);
  assert_int_equal(rollout_choose(w->r, 0), VARIANT_ORIGINAL);
  state_is(w, "original", true);
  // The shadow keeps running, nothing more is decided.
  pairs(w, 200, false, 0);
  assert_int_equal(event_count(w), 1);
  assert_int_equal(page_value(w, "pare_fallback_total{model=\"m\",reason=\"agreement\"} "), 1);
  assert_int_equal(page_value(w, "pare_fallback_total{model=\"m\",reason=\"p95\"} "), 0);
  assert_int_equal(page_value(w, "pare_active_variant{model=\"m\",scheme=\"int8\",variant=\"original\"} "), 1);
  assert_int_equal(page_value(w, "pare_active_variant{model=\"m\",scheme=\"int8\",variant=\"quantized\"} "), 0);
  assert_int_equal(page_value(w, "pare_gate_status{model=\"m\",scheme=\"int8\",limit=\"agreement\"} "), 0);
  assert_int_equal(page_value(w, "pare_shadow_requests_total{model=\"m\",scheme=\"int8\"} "), 300);
  assert_int_equal(page_value(w, "pare_shadow_disagreements_total{model=\"m\",scheme=\"int8\"} "), 250);
  json_t *s = rollout_state(w->r);
  assert_string_equal(text(s, "reason"), "agreement");
  const json_t *shadow = json_object_get(s, "shadow");
  assert_int_equal(real(shadow, "pairs"), 300);
  assert_true(json_is_false(json_object_get(json_object_get(shadow, "agreement"), "met")));
  assert_true(fabs(real(json_object_get(shadow, "speedup"), "value") - 2) < 1e-9);
  assert_int_equal(json_array_size(json_object_get(s, "events")), 1);
  json_decref(s);
  // A call puts it back, with a clean sheet.
  rollout_set(w->r, VARIANT_QUANTIZED);
  event(w, 1, "promotion", "call", "original", "quantized");
  assert_int_equal(rollout_choose(w->r, 0), VARIANT_QUANTIZED);
  s = rollout_state(w->r);
  assert_int_equal(real(json_object_get(s, "shadow"), "pairs"), 0);
  assert_true(json_is_null(json_object_get(json_object_get(json_object_get(s, "shadow"), "agreement"), "met")));
  json_decref(s);
  pairs(w, 99, false, 0);
  assert_int_equal(event_count(w), 2);
  pairs(w, 1, false, 0);
  event(w, 2, "fallback", "agreement", "quantized", "original");
  close_world(w);
}

// Exactly at every one of four limits, through several sequences: each may be called violated in 5 of 100 runs.
static void false_alarms_are_rare(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.min_agreement = 0.95;
  c.max_error_rate = 0.05;
  c.p95_ms = 20;
  c.max_confidence_shift = 0.05;
  enum { RUNS = 40, STEPS = 7000 };
  size_t alarms = 0;
  for (uint64_t seed = 0; seed < RUNS; seed++) {
    struct rng rng;
    rng_seed(&rng, seed);
    struct world *w = open_world(&c);
    for (int i = 0; i < STEPS && event_count(w) == 0; i++) {
      pairs(w, 1, rng_unit(&rng) < 0.95, 0.1 * rng_unit(&rng));
      rollout_observe(w->r, VARIANT_QUANTIZED, rng_unit(&rng) < 0.05 ? 0.03 : 0.01, rng_unit(&rng) < 0.05);
    }
    alarms += event_count(w) > 0;
    close_world(w);
  }
  if (alarms > RUNS / 5) fail_msg("%zu of %d", alarms, RUNS);
}

static void errors_fall_back(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.max_error_rate = 0.02;
  struct world *w = open_world(&c);
  answers(w, VARIANT_ORIGINAL, 500, 0.01, true); // not the quantized model's
  answers(w, VARIANT_QUANTIZED, 50, 0.01, true);
  answers(w, VARIANT_QUANTIZED, 49, 0.01, false);
  assert_int_equal(event_count(w), 0);
  answers(w, VARIANT_QUANTIZED, 1, 0.01, false); // the hundredth
  const json_t *e = event(w, 0, "fallback", "errors", "quantized", "original");
  check_share_evidence(e, "requests", "failed", 0.02);
  assert_int_equal(real(e, "failed"), 50);
  assert_true(real(e, "low") > 0.02);
  assert_int_equal(real(json_object_get(e, "original"), "failed"), 500);
  assert_int_equal(real(json_object_get(e, "original"), "requests"), 500);
  answers(w, VARIANT_QUANTIZED, 500, 0.01, true); // those still on their way
  assert_int_equal(event_count(w), 1);
  close_world(w);
}

// A million good requests do not hide a fault that begins today.
static void good_past_hides_nothing(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.max_error_rate = 0.02;
  c.p95_ms = 20;
  struct world *w = open_world(&c);
  answers(w, VARIANT_QUANTIZED, 1000000, 0.01, false);
  size_t wrong = 0;
  while (event_count(w) == 0 && wrong < 4096) answers(w, VARIANT_QUANTIZED, 1, 0.01, ++wrong % 2);
  if (wrong >= 300) fail_msg("only after %zu", wrong); // half of them fail: some 5 per cent of half a horizon
  event(w, 0, "fallback", "errors", "quantized", "original");
  close_world(w);
}

static void p95_falls_back(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.p95_ms = 20;
  struct world *w = open_world(&c);
  for (int i = 0; i < 1000; i++) answers(w, VARIANT_QUANTIZED, 1, i % 50 ? 0.01 : 0.5, false); // 2 per cent are slow
  assert_int_equal(event_count(w), 0);
  answers(w, VARIANT_ORIGINAL, 200, 0.2, false);
  int more = 0;
  while (event_count(w) == 0 && more < 1000) answers(w, VARIANT_QUANTIZED, 1, more++ % 4 ? 0.01 : 0.5, false);
  assert_true(more < 1000);
  const json_t *e = event(w, 0, "fallback", "p95", "quantized", "original");
  check_share_evidence(e, "requests", "slower", 0.05);
  assert_true(real(e, "low") > 0.05 && real(e, "limit_ms") == 20);
  assert_true(real(e, "p95_ms") > 450 && real(e, "p95_ms") < 550); // 0.5 s within a bucket's width
  assert_int_equal(real(json_object_get(e, "original"), "slower"), 200);
  close_world(w);
}

static void confidence_falls_back(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.max_confidence_shift = 0.02;
  struct world *w = open_world(&c);
  pairs(w, 99, true, 0.2);
  assert_int_equal(event_count(w), 0);
  pairs(w, 1, true, 0.2);
  const json_t *e = event(w, 0, "fallback", "confidence", "quantized", "original");
  assert_true(fabs(real(e, "value") - 0.2) < 1e-12 && real(e, "low") > 0.02 && real(e, "limit") == 0.02);
  assert_int_equal(real(e, "pairs"), 100);
  assert_null(json_object_get(e, "agreed"));
  close_world(w);
}

static void reported_only(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.automatic = false;
  c.min_agreement = 0.9;
  struct world *w = open_world(&c);
  pairs(w, 400, false, 0);
  assert_int_equal(event_count(w), 1); // once, not three hundred times
  event(w, 0, "limit", "agreement", "quantized", "quantized");
  state_is(w, "quantized", false);
  pairs(w, 9000, true, 0); // met again, through new sequences
  assert_int_equal(page_value(w, "pare_gate_status{model=\"m\",scheme=\"int8\",limit=\"agreement\"} "), 1);
  pairs(w, 4000, false, 0);
  assert_int_equal(event_count(w), 2); // and crossed again
  event(w, 1, "limit", "agreement", "quantized", "quantized");
  rollout_trip(w->r, REASON_P95, json_pack("{s:i}", "seen", 1));
  assert_int_equal(real(event(w, 2, "limit", "p95", "quantized", "quantized"), "seen"), 1);
  rollout_trip(w->r, REASON_NAN, json_pack("{s:s}", "text", "x")); // leaves no choice
  assert_string_equal(text(event(w, 3, "fallback", "nan", "quantized", "original"), "text"), "x");
  rollout_trip(w->r, REASON_NAN, json_object()); // told once
  assert_int_equal(event_count(w), 4);
  assert_int_equal(page_value(w, "pare_fallback_total{model=\"m\",reason=\"nan\"} "), 1);
  close_world(w);
}

static void trips(void **state) {
  (void)state;
  static const enum rollout_reason reasons[] = {REASON_LOAD, REASON_SELF_TEST, REASON_NAN};
  for (size_t i = 0; i < 3; i++) {
    struct rollout_config c = usual(ROLLOUT_AB);
    struct world *w = open_world(&c);
    rollout_trip(w->r, reasons[i], NULL);
    event(w, 0, "fallback", rollout_reason_name(reasons[i]), "both", "original");
    assert_int_equal(rollout_choose(w->r, 0), VARIANT_ORIGINAL);
    assert_int_equal(rollout_shadow(w->r, 0), reasons[i] == REASON_NAN); // the others are not there to compute
    close_world(w);
  }
}

static void by_call(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  struct world *w = open_world(&c);
  rollout_set(w->r, VARIANT_QUANTIZED); // is so already
  assert_int_equal(event_count(w), 0);
  rollout_set(w->r, VARIANT_ORIGINAL);
  event(w, 0, "rollback", "call", "quantized", "original");
  rollout_set(w->r, VARIANT_ORIGINAL);
  assert_int_equal(event_count(w), 1);
  state_is(w, "original", true);
  assert_int_equal(page_value(w, "pare_fallback_total{model=\"m\",reason=\"call\"} "), 1);
  rollout_set(w->r, VARIANT_QUANTIZED);
  event(w, 1, "promotion", "call", "original", "quantized");
  assert_int_equal(page_value(w, "pare_promotion_total{model=\"m\",reason=\"call\"} "), 1);
  for (int i = 0; i < 20; i++) {
    rollout_set(w->r, VARIANT_ORIGINAL);
    rollout_set(w->r, VARIANT_QUANTIZED);
  }
  json_t *s = rollout_state(w->r);
  const json_t *events = json_object_get(s, "events");
  assert_int_equal(json_array_size(events), 32); // the last
  assert_int_equal(real(json_array_get(events, 31), "number"), 42);
  assert_int_equal(real(json_array_get(events, 0), "number"), 11);
  json_decref(s);
  close_world(w);
}

static struct rollout_config promoting(void) {
  struct rollout_config c = usual(ROLLOUT_ORIGINAL);
  c.promote = true;
  c.min_agreement = 0.98;
  c.max_confidence_shift = 0.05;
  c.max_error_rate = 0.02;
  c.p95_ms = 50;
  return c;
}

static void gate_promotes(void **state) {
  (void)state;
  struct rollout_config c = promoting();
  struct world *w = open_world(&c);
  assert_int_equal(rollout_choose(w->r, 0), VARIANT_ORIGINAL);
  pairs(w, 100, true, 0.001);
  assert_int_equal(event_count(w), 0); // enough samples, not yet sure
  pairs(w, 2000, true, 0.001);
  assert_int_equal(event_count(w), 1);
  const json_t *e = event(w, 0, "promotion", "gate", "original", "quantized");
  check_share_evidence(json_object_get(e, "agreement"), "pairs", "agreed", 0.98);
  assert_true(real(json_object_get(e, "agreement"), "low") >= 0.98);
  assert_true(real(json_object_get(e, "confidence_shift"), "high") <= 0.05);
  assert_true(real(json_object_get(e, "error_rate"), "high") <= 0.02);
  assert_true(real(json_object_get(e, "p95_ms"), "high") <= 0.05);
  assert_int_equal(rollout_choose(w->r, 0.9), VARIANT_QUANTIZED);
  assert_int_equal(page_value(w, "pare_promotion_total{model=\"m\",reason=\"gate\"} "), 1);
  // What it does as the one that answers is judged by its own requests.
  answers(w, VARIANT_QUANTIZED, 99, 1, false);
  assert_int_equal(event_count(w), 1);
  answers(w, VARIANT_QUANTIZED, 1, 1, false);
  e = event(w, 1, "fallback", "p95", "quantized", "original");
  assert_int_equal(real(e, "requests"), 100);
  // Not promoted again, however well the shadow does.
  pairs(w, 5000, true, 0);
  assert_int_equal(event_count(w), 2);
  close_world(w);
}

static void gate_waits(void **state) {
  (void)state;
  struct rollout_config c = promoting();
  struct world *w = open_world(&c);
  for (int i = 0; i < 10000; i++) pairs(w, 1, i % 100 != 0, 0.001); // 0.99: met in time; but slow:
  assert_true(event_count(w) == 1);
  event(w, 0, "promotion", "gate", "original", "quantized");
  close_world(w);

  c.p95_ms = 5; // a pair's 10 ms is over it
  w = open_world(&c);
  pairs(w, 10000, true, 0);
  assert_int_equal(event_count(w), 1);
  event(w, 0, "limit", "p95", "original", "original"); // why no promotion comes
  close_world(w);

  c = promoting();
  w = open_world(&c); // a shadow that fails
  for (int i = 0; i < 5000; i++) {
    pairs(w, 1, true, 0);
    if (i % 10) continue;
    assert_true(rollout_shadow(w->r, 0));
    rollout_shadow_failed(w->r, VARIANT_QUANTIZED);
  }
  assert_int_equal(event_count(w), 1);
  event(w, 0, "limit", "errors", "original", "original");
  close_world(w);

  c = promoting();
  w = open_world(&c); // a number that is none
  rollout_trip(w->r, REASON_NAN, NULL);
  event(w, 0, "limit", "nan", "original", "original");
  pairs(w, 10000, true, 0);
  assert_int_equal(event_count(w), 1);
  state_is(w, "original", true);
  close_world(w);

  c = usual(ROLLOUT_ORIGINAL); // no limit at all: nothing to be met
  c.promote = true;
  w = open_world(&c);
  pairs(w, 10000, true, 0);
  assert_int_equal(event_count(w), 0);
  close_world(w);

  c = promoting();
  c.promote = false;
  w = open_world(&c);
  pairs(w, 10000, true, 0);
  assert_int_equal(event_count(w), 0);
  rollout_set(w->r, VARIANT_QUANTIZED);
  event(w, 0, "promotion", "call", "original", "quantized");
  state_is(w, "quantized", false);
  close_world(w);
}

static void ab_shares(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_AB);
  c.max_error_rate = 0.1;
  struct world *w = open_world(&c);
  assert_int_equal(rollout_choose(w->r, 0), VARIANT_QUANTIZED);
  assert_int_equal(rollout_choose(w->r, 0.2999), VARIANT_QUANTIZED);
  assert_int_equal(rollout_choose(w->r, 0.3), VARIANT_ORIGINAL);
  state_is(w, "both", false);
  assert_int_equal(page_value(w, "pare_active_variant{model=\"m\",scheme=\"int8\",variant=\"original\"} "), 1);
  assert_int_equal(page_value(w, "pare_active_variant{model=\"m\",scheme=\"int8\",variant=\"quantized\"} "), 1);
  struct rng rng;
  rng_seed(&rng, 5);
  size_t quantized = 0;
  enum { N = 100000 };
  for (int i = 0; i < N; i++) {
    enum variant v = rollout_choose(w->r, rng_unit(&rng));
    quantized += v == VARIANT_QUANTIZED;
    rollout_observe(w->r, v, v == VARIANT_QUANTIZED ? 0.004 : 0.008, false);
  }
  assert_true(fabs((double)quantized / N - 0.3) < 0.006); // four standard errors
  json_t *s = rollout_state(w->r);
  const json_t *own = json_object_get(json_object_get(s, "requests"), "quantized");
  assert_int_equal(real(own, "count"), quantized);
  assert_true(fabs(real(own, "p50_ms") - 4) < 0.4);
  const json_t *other = json_object_get(json_object_get(s, "requests"), "original");
  assert_int_equal(real(other, "count"), N - quantized);
  assert_true(fabs(real(other, "p95_ms") - 8) < 0.8);
  json_decref(s);
  answers(w, VARIANT_QUANTIZED, 1000, 0.01, true);
  event(w, 0, "fallback", "errors", "both", "original");
  for (int i = 0; i < 100; i++) assert_int_equal(rollout_choose(w->r, i / 100.0), VARIANT_ORIGINAL);
  rollout_set(w->r, VARIANT_QUANTIZED);
  event(w, 1, "promotion", "call", "original", "both");
  assert_int_equal(rollout_choose(w->r, 0.5), VARIANT_ORIGINAL);
  close_world(w);
}

static void pending_is_bounded(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.shadow_share = 0.5;
  struct world *w = open_world(&c);
  assert_false(rollout_shadow(w->r, 0.5));
  for (int i = 0; i < 4; i++) assert_true(rollout_shadow(w->r, 0.4));
  assert_false(rollout_shadow(w->r, 0.4)); // full: counted
  assert_false(rollout_shadow(w->r, 0.9)); // was not wanted: not counted
  const char *dropped = "pare_shadow_dropped_total{model=\"m\",scheme=\"int8\"} ";
  assert_int_equal(page_value(w, dropped), 1);
  rollout_observe_pair(w->r, &(struct rollout_pair){true, NAN, 0.1, 0.1}); // a place comes back
  assert_true(rollout_shadow(w->r, 0));
  assert_false(rollout_shadow(w->r, 0));
  rollout_shadow_dropped(w->r);
  assert_int_equal(page_value(w, dropped), 3);
  assert_true(rollout_shadow(w->r, 0));
  json_t *s = rollout_state(w->r);
  assert_int_equal(real(json_object_get(s, "shadow"), "pending"), 4);
  assert_int_equal(real(json_object_get(s, "shadow"), "dropped"), 3);
  assert_int_equal(real(json_object_get(json_object_get(s, "shadow"), "confidence_shift"), "value"), 1); // NaN
  json_decref(s);
  close_world(w);
}

static void needs_nothing(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  struct rollout *r = rollout_new(&c, "m", NULL, NULL, NULL);
  assert_non_null(r);
  rollout_set(r, VARIANT_ORIGINAL); // an event for nobody
  rollout_observe(r, VARIANT_ORIGINAL, 0.1, false);
  for (int i = 0; i < 200; i++) rollout_observe_pair(r, &(struct rollout_pair){.agree = true});
  json_t *s = rollout_state(r);
  const json_t *agreement = json_object_get(json_object_get(s, "shadow"), "agreement");
  assert_int_equal(real(agreement, "value"), 1); // seen, and held against nothing
  assert_true(json_is_null(json_object_get(agreement, "limit")) && json_is_null(json_object_get(agreement, "met")));
  char *all = json_dumps(s, 0);
  assert_non_null(all); // no NaN anywhere, which JSON could not say
  free(all);
  json_decref(s);
  rollout_free(r);
  rollout_free(NULL);
}

enum { THREADS = 4, ROUNDS = 3000 };

static void *traffic(void *context) {
  struct world *w = context;
  struct rng rng;
  rng_seed(&rng, (uint64_t)(uintptr_t)&rng);
  for (int i = 0; i < ROUNDS; i++) {
    enum variant v = rollout_choose(w->r, rng_unit(&rng));
    rollout_observe(w->r, v, 0.01, i % 3 == 0);
    if (rollout_shadow(w->r, rng_unit(&rng))) {
      if (i % 5)
        rollout_observe_pair(w->r, &(struct rollout_pair){i % 2, 0.1, 0.01, 0.01});
      else
        rollout_shadow_dropped(w->r);
    }
    if (i % 500 == 0) rollout_set(w->r, VARIANT_QUANTIZED);
    if (i % 700 == 0) rollout_trip(w->r, REASON_NAN, json_object());
    if (i % 100 == 0) json_decref(rollout_state(w->r));
  }
  return NULL;
}

static void threads(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_AB);
  c.min_agreement = 0.9;
  c.max_error_rate = 0.05;
  c.min_samples = 20;
  struct world *w = open_world(&c);
  pthread_t thread[THREADS];
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&thread[i], NULL, traffic, w), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
  // Numbers are 1 .. n, each once, whatever the order they came in; every fallback was counted.
  size_t n = event_count(w), sum = 0, fallbacks = 0;
  assert_true(n > 10);
  for (size_t i = 0; i < n; i++) {
    const json_t *e = json_array_get(w->events, i);
    sum += (size_t)real(e, "number");
    fallbacks += !strcmp(text(e, "event"), "fallback");
  }
  assert_int_equal(sum, n * (n + 1) / 2);
  double counted = 0;
  static const char *const reasons[] = {"nan", "errors", "agreement"};
  for (size_t i = 0; i < 3; i++) {
    char name[80];
    snprintf(name, sizeof name, "pare_fallback_total{model=\"m\",reason=\"%s\"} ", reasons[i]);
    counted += page_value(w, name);
  }
  assert_int_equal(counted, fallbacks);
  json_t *s = rollout_state(w->r);
  assert_int_equal(real(json_object_get(s, "shadow"), "pending"), 0);
  json_decref(s);
  close_world(w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agreement_falls_back),
      cmocka_unit_test(false_alarms_are_rare),
      cmocka_unit_test(errors_fall_back),
      cmocka_unit_test(good_past_hides_nothing),
      cmocka_unit_test(p95_falls_back),
      cmocka_unit_test(confidence_falls_back),
      cmocka_unit_test(reported_only),
      cmocka_unit_test(trips),
      cmocka_unit_test(by_call),
      cmocka_unit_test(gate_promotes),
      cmocka_unit_test(gate_waits),
      cmocka_unit_test(ab_shares),
      cmocka_unit_test(pending_is_bounded),
      cmocka_unit_test(needs_nothing),
      cmocka_unit_test(threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
