// rollout.c - server/rollout.h: every transition, and what its event says.
#include "server/rollout_world.h"

#include "sequential.h"

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
  assert_true(json_is_null(json_object_get(s, "speedup"))); // of an idle thread's times nothing follows
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

static void p95_falls_back(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_QUANTIZED);
  c.p95_ms = 20;
  struct world *w = open_world(&c);
  for (int i = 0; i < 1000; i++) answers(w, VARIANT_QUANTIZED, 1, i % 50 ? 0.01 : 0.5, false); // 2 per cent are slow
  answers(w, VARIANT_QUANTIZED, 500, 0.5, true); // a failure's time is no answer's
  assert_int_equal(event_count(w), 0);
  answers(w, VARIANT_ORIGINAL, 200, 0.2, false);
  int more = 0;
  while (event_count(w) == 0 && more < 1000) answers(w, VARIANT_QUANTIZED, 1, more++ % 4 ? 0.01 : 0.5, false);
  assert_true(more < 1000);
  const json_t *e = event(w, 0, "fallback", "p95", "quantized", "original");
  check_share_evidence(e, "requests", "slower", 0.05);
  assert_int_equal(real(e, "requests"), 1000 + more);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agreement_falls_back),
      cmocka_unit_test(errors_fall_back),
      cmocka_unit_test(p95_falls_back),
      cmocka_unit_test(confidence_falls_back),
      cmocka_unit_test(reported_only),
      cmocka_unit_test(trips),
      cmocka_unit_test(by_call),
      cmocka_unit_test(gate_promotes),
      cmocka_unit_test(gate_waits),
      cmocka_unit_test(needs_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
