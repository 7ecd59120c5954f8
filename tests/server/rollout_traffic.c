// rollout_traffic.c - server/rollout.h under traffic: false alarms, a fault after a good past, shares, bounds, threads.
#include "server/rollout_world.h"

#include "base/rng.h"

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

static double speedup(struct world *w) {
  json_t *s = rollout_state(w->r), *value = json_object_get(s, "speedup");
  assert_true(json_is_null(value) || json_is_real(value));
  double x = json_is_null(value) ? -1 : json_real_value(value);
  json_decref(s);
  return x;
}

// Of the two forms' own requests, enough of them, while both answer; of pairs never.
static void speedup_of_own_requests(void **state) {
  (void)state;
  struct rollout_config c = usual(ROLLOUT_AB);
  struct world *w = open_world(&c);
  pairs(w, 200, true, 0);
  answers(w, VARIANT_ORIGINAL, 100, 0.03, false);
  answers(w, VARIANT_QUANTIZED, 99, 0.01, false);
  answers(w, VARIANT_QUANTIZED, 1, 0, true); // a failure takes no time
  assert_true(speedup(w) == -1);
  answers(w, VARIANT_QUANTIZED, 1, 0.01, false);
  if (!(fabs(speedup(w) - 3) < 0.3)) fail_msg("speedup %g", speedup(w));
  rollout_set(w->r, VARIANT_ORIGINAL);
  assert_true(speedup(w) == -1);
  close_world(w);
  c = usual(ROLLOUT_QUANTIZED);
  w = open_world(&c);
  answers(w, VARIANT_ORIGINAL, 200, 0.03, false);
  answers(w, VARIANT_QUANTIZED, 200, 0.01, false);
  assert_true(speedup(w) == -1);
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
  rollout_observe_pair(w->r, &(struct rollout_pair){true, NAN, 0.1}); // a place comes back
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
        rollout_observe_pair(w->r, &(struct rollout_pair){i % 2, 0.1, 0.01});
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
      cmocka_unit_test(false_alarms_are_rare),   cmocka_unit_test(good_past_hides_nothing), cmocka_unit_test(ab_shares),
      cmocka_unit_test(speedup_of_own_requests), cmocka_unit_test(pending_is_bounded),      cmocka_unit_test(threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
