// rollout_world.h - a rollout whose events are kept, for the tests of it.
#ifndef PARE_TESTS_ROLLOUT_WORLD_H
#define PARE_TESTS_ROLLOUT_WORLD_H

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

#include "rollout.h"

// A rollout whose events are kept, and whose state is asked for inside the sink.
struct world {
  struct rollout *r;
  struct metrics *metrics;
  json_t *events;
  pthread_mutex_t lock;
};

static inline void keep(void *context, json_t *event) {
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

static inline struct rollout_config usual(enum rollout_mode mode) {
  return (struct rollout_config){.mode = mode,
                                 .quantized_share = 0.3,
                                 .shadow_share = 1,
                                 .shadow_pending = 4,
                                 .min_samples = 100,
                                 .confidence = 0.95,
                                 .automatic = true};
}

static inline struct world *open_world(const struct rollout_config *config) {
  struct world *w = calloc(1, sizeof *w);
  pthread_mutex_init(&w->lock, NULL);
  w->events = json_array();
  w->metrics = metrics_new();
  w->r = rollout_new(config, "m", "int8", w->metrics, &(struct rollout_sink){keep, w});
  assert_non_null(w->r);
  return w;
}

static inline void close_world(struct world *w) {
  rollout_free(w->r);
  metrics_free(w->metrics);
  json_decref(w->events);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

static inline void pairs(struct world *w, size_t n, bool agree, double shift) {
  for (size_t i = 0; i < n; i++) {
    assert_true(rollout_shadow(w->r, 0.5));
    rollout_observe_pair(w->r, &(struct rollout_pair){agree, shift, 0.01});
  }
}

static inline void answers(struct world *w, enum variant v, size_t n, double seconds, bool failed) {
  for (size_t i = 0; i < n; i++) rollout_observe(w->r, v, seconds, failed);
}

static inline const char *text(const json_t *object, const char *key) {
  const char *s = json_string_value(json_object_get(object, key));
  return s ? s : "(no text)";
}

static inline double real(const json_t *object, const char *key) {
  const json_t *x = json_object_get(object, key);
  if (!json_is_number(x)) fail_msg("no number %s", key);
  return json_number_value(x);
}

static inline const json_t *event(const struct world *w, size_t i, const char *name, const char *reason,
                                  const char *from, const char *to) {
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

static inline void state_is(struct world *w, const char *active, bool fallen_back) {
  json_t *s = rollout_state(w->r);
  assert_string_equal(text(s, "active"), active);
  assert_int_equal(json_is_true(json_object_get(s, "fallen_back")), fallen_back);
  json_decref(s);
}

static inline size_t event_count(const struct world *w) {
  return json_array_size(w->events);
}

// The value of a line of the page, by its beginning.
static inline double page_value(struct world *w, const char *name) {
  struct buf b = {0};
  metrics_write(w->metrics, &b);
  const char *line = strstr(b.data, name);
  if (!line) fail_msg("no %s in the page:\n%s", name, b.data);
  double value = strtod(line + strlen(name), NULL);
  buf_free(&b);
  return value;
}

#endif
