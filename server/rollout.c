// rollout.c - see rollout.h: the decisions. Four limits are watched over sequences that begin anew (limit.h); the first
// interval of the quantized form's own that lies beyond its limit takes the answers from it, and nothing but a call
// gives them back.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rollout_parts.h"

static const double delta_bounds[] = {1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5};
static const struct metric_family
    family_fallback = {"pare_fallback_total", "Times the quantized model was taken out of service, by reason.",
                       METRIC_COUNTER, NULL, 0},
    family_promotion = {"pare_promotion_total", "Times the quantized model was put into service, by reason.",
                        METRIC_COUNTER, NULL, 0},
    family_shadow = {"pare_shadow_requests_total", "Answers that the other form was asked to compute too.",
                     METRIC_COUNTER, NULL, 0},
    family_disagreements = {"pare_shadow_disagreements_total", "Answers that the two forms gave differently.",
                            METRIC_COUNTER, NULL, 0},
    family_dropped = {"pare_shadow_dropped_total", "Answers that the other form had no time to compute too.",
                      METRIC_COUNTER, NULL, 0},
    family_delta = {"pare_shadow_abs_confidence_delta",
                    "Size of the difference between the two forms' scores of the original's label.", METRIC_HISTOGRAM,
                    delta_bounds, sizeof delta_bounds / sizeof *delta_bounds},
    family_agreement = {"pare_agreement",
                        "Share of shadowed answers that were the same, and the bounds of its interval.", METRIC_GAUGE,
                        NULL, 0},
    family_active = {"pare_active_variant", "Whether this form answers requests.", METRIC_GAUGE, NULL, 0},
    family_gate = {"pare_gate_status", "Of a limit: 1 met for sure, 0 violated for sure, -1 undecided.", METRIC_GAUGE,
                   NULL, 0};

const char *variant_name(enum variant v) {
  return v == VARIANT_ORIGINAL ? "original" : "quantized";
}

const char *rollout_reason_name(enum rollout_reason r) {
  static const char *const names[REASON_COUNT] = {[REASON_LOAD] = "load",
                                                  [REASON_SELF_TEST] = "self_test",
                                                  [REASON_NAN] = "nan",
                                                  [REASON_ERRORS] = "errors",
                                                  [REASON_P95] = "p95",
                                                  [REASON_AGREEMENT] = "agreement",
                                                  [REASON_CONFIDENCE] = "confidence",
                                                  [REASON_CALL] = "call",
                                                  [REASON_GATE] = "gate"};
  return r < REASON_COUNT ? names[r] : "none";
}

static const enum rollout_reason limit_reasons[LIMIT_COUNT] = {[LIMIT_AGREEMENT] = REASON_AGREEMENT,
                                                               [LIMIT_CONFIDENCE] = REASON_CONFIDENCE,
                                                               [LIMIT_ERRORS] = REASON_ERRORS,
                                                               [LIMIT_P95] = REASON_P95};

bool rollout_quantized_serves(const struct rollout *r) {
  return !r->fallen_back && (r->config.mode != ROLLOUT_ORIGINAL || r->promoted);
}

const char *rollout_active(const struct rollout *r) {
  if (!rollout_quantized_serves(r)) return "original";
  return r->config.mode == ROLLOUT_AB ? "both" : "quantized";
}

// A horizon of at least four times min_samples: the older of two sequences has at least twice as many.
static uint64_t horizon_of(const struct rollout_config *c) {
  enum { LEAST = 4096 };
  return c->min_samples > UINT64_MAX / 4 ? UINT64_MAX : c->min_samples * 4 > LEAST ? c->min_samples * 4 : LEAST;
}

static void set_limits(struct rollout *r) {
  const struct rollout_config *c = &r->config;
  const double bounds[LIMIT_COUNT] = {[LIMIT_AGREEMENT] = c->min_agreement,
                                      [LIMIT_CONFIDENCE] = c->max_confidence_shift,
                                      [LIMIT_ERRORS] = c->max_error_rate,
                                      [LIMIT_P95] = c->p95_ms > 0 ? 0.05 : 0}; // of requests slower than that
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    r->watched[i].limit = (struct limit){.bound = bounds[i],
                                         .alpha = 1 - c->confidence,
                                         .of_mean = i == LIMIT_CONFIDENCE,
                                         .at_least = i == LIMIT_AGREEMENT,
                                         .horizon = horizon_of(c)};
    limit_clear(&r->watched[i].limit);
  }
}

static void make_series(struct rollout *r, struct metrics *m) {
  static const char *const bound_names[] = {"value", "low", "high"};
  const struct metric_label model = {"model", r->model}, scheme = {"scheme", r->scheme};
  for (enum rollout_reason i = 0; i < REASON_COUNT; i++) {
    const struct metric_label labels[] = {model, {"reason", rollout_reason_name(i)}};
    if (i != REASON_GATE) r->fallback[i] = metrics_series(m, &family_fallback, labels, 2);
    if (i == REASON_GATE || i == REASON_CALL) r->promotion[i] = metrics_series(m, &family_promotion, labels, 2);
  }
  const struct metric_label both[] = {model, scheme};
  r->shadow_requests = metrics_series(m, &family_shadow, both, 2);
  r->shadow_disagreements = metrics_series(m, &family_disagreements, both, 2);
  r->shadow_dropped = metrics_series(m, &family_dropped, both, 2);
  r->shadow_delta = metrics_series(m, &family_delta, both, 2);
  for (size_t i = 0; i < 3; i++) {
    const struct metric_label labels[] = {model, scheme, {"bound", bound_names[i]}};
    r->agreement[i] = metrics_series(m, &family_agreement, labels, 3);
  }
  for (enum variant v = 0; v < VARIANT_COUNT; v++) {
    const struct metric_label labels[] = {model, scheme, {"variant", variant_name(v)}};
    r->active[v] = metrics_series(m, &family_active, labels, 3);
  }
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    const struct metric_label labels[] = {model, scheme, {"limit", rollout_reason_name(limit_reasons[i])}};
    if (r->watched[i].limit.bound > 0) r->watched[i].gauge = metrics_series(m, &family_gate, labels, 3);
  }
}

static void show_agreement(struct rollout *r) {
  struct limit_reading a = limit_read(&r->watched[LIMIT_AGREEMENT].limit);
  metric_set(r->agreement[0], a.value);
  metric_set(r->agreement[1], a.interval.low);
  metric_set(r->agreement[2], a.interval.high);
}

static void show_active(struct rollout *r) {
  bool quantized = rollout_quantized_serves(r);
  metric_set(r->active[VARIANT_ORIGINAL], !quantized || r->config.mode == ROLLOUT_AB);
  metric_set(r->active[VARIANT_QUANTIZED], quantized);
}

static void forget_observations(struct rollout *r) {
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    limit_clear(&r->watched[i].limit);
    r->watched[i].crossed = false;
    metric_set(r->watched[i].gauge, LIMIT_UNDECIDED);
  }
  memset(r->forms, 0, sizeof r->forms);
  memset(&r->pair_seconds, 0, sizeof r->pair_seconds);
  r->pairs = r->agreed = r->dropped = r->taken = 0;
  show_agreement(r);
}

struct rollout *rollout_new(const struct rollout_config *config, const char *model, const char *scheme,
                            struct metrics *metrics, const struct rollout_sink *sink) {
  struct rollout *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  pthread_mutex_init(&r->lock, NULL);
  r->config = *config;
  r->model = strdup(model);
  r->scheme = strdup(scheme ? scheme : "");
  r->events = json_array();
  if (sink) r->sink = *sink;
  r->reason = REASON_COUNT;
  if (!r->model || !r->scheme || !r->events) {
    rollout_free(r);
    return NULL;
  }
  set_limits(r);
  make_series(r, metrics);
  forget_observations(r);
  show_active(r);
  return r;
}

void rollout_free(struct rollout *r) {
  if (!r) return;
  pthread_mutex_destroy(&r->lock);
  json_decref(r->events);
  free(r->model);
  free(r->scheme);
  free(r);
}

static void unlock_and_tell(struct rollout *r, struct outbox *out) {
  pthread_mutex_unlock(&r->lock);
  for (size_t i = 0; i < out->count; i++) {
    if (r->sink.event)
      r->sink.event(r->sink.context, out->events[i]);
    else
      json_decref(out->events[i]);
  }
}

enum variant rollout_choose(struct rollout *r, double u) {
  pthread_mutex_lock(&r->lock);
  bool quantized = rollout_quantized_serves(r) && (r->config.mode != ROLLOUT_AB || u < r->config.quantized_share);
  pthread_mutex_unlock(&r->lock);
  return quantized ? VARIANT_QUANTIZED : VARIANT_ORIGINAL;
}

bool rollout_shadow(struct rollout *r, double u) {
  pthread_mutex_lock(&r->lock);
  bool absent = r->fallen_back && (r->reason == REASON_LOAD || r->reason == REASON_SELF_TEST);
  bool wanted = u < r->config.shadow_share && !absent, taken = wanted && r->pending < r->config.shadow_pending;
  if (taken) {
    r->pending++;
    r->taken++;
    metric_add(r->shadow_requests, 1);
  } else if (wanted) {
    r->dropped++;
    metric_add(r->shadow_dropped, 1);
  }
  pthread_mutex_unlock(&r->lock);
  return taken;
}

static void give_place_back(struct rollout *r) {
  if (r->pending) r->pending--;
}

static void drop_shadow(struct rollout *r) {
  give_place_back(r);
  r->dropped++;
  metric_add(r->shadow_dropped, 1);
}

void rollout_shadow_dropped(struct rollout *r) {
  pthread_mutex_lock(&r->lock);
  drop_shadow(r);
  pthread_mutex_unlock(&r->lock);
}

static void changed(struct rollout *r, enum rollout_reason reason) {
  r->reason = reason;
  r->since = time(NULL);
  show_active(r);
}

// Takes the answers from the quantized form, if it has them, and bars it from promotion.
static void fall_back(struct rollout *r, struct outbox *out, enum rollout_reason reason, json_t *evidence) {
  bool served = rollout_quantized_serves(r);
  const char *from = rollout_active(r);
  r->fallen_back = true;
  changed(r, reason);
  if (served) metric_add(r->fallback[reason], 1);
  rollout_emit(r, out, reason == REASON_CALL ? "rollback" : served ? "fallback" : "limit", reason, from, evidence);
}

// What the interval says, once there are enough observations.
static enum limit_status status_of(const struct rollout *r, const struct limit *l,
                                   const struct limit_reading *reading) {
  return l->total < r->config.min_samples ? LIMIT_UNDECIDED : reading->status;
}

static void judge(struct rollout *r, size_t which, struct outbox *out) {
  struct watched *w = &r->watched[which];
  if (w->limit.bound <= 0) return;
  struct limit_reading reading = limit_read(&w->limit);
  enum limit_status status = status_of(r, &w->limit, &reading);
  metric_set(w->gauge, status);
  if (status == LIMIT_MET) w->crossed = false;
  if (status != LIMIT_VIOLATED || r->fallen_back) return;
  if (r->config.automatic && rollout_quantized_serves(r))
    fall_back(r, out, limit_reasons[which], rollout_evidence(r, which, &reading));
  else if (!w->crossed)
    rollout_emit(r, out, "limit", limit_reasons[which], rollout_active(r), rollout_evidence(r, which, &reading));
  w->crossed = true;
}

// A request of the quantized form's own, or, before a promotion, of its shadow's. An interval moves towards violation
// only with a request that is bad, and need not be computed for each that is good.
static void observe_limits(struct rollout *r, double seconds, bool failed, struct outbox *out) {
  const bool bad[LIMIT_COUNT] = {
      [LIMIT_ERRORS] = failed, [LIMIT_P95] = !failed && !(seconds * 1e3 <= r->config.p95_ms)};
  for (size_t i = LIMIT_ERRORS; i <= LIMIT_P95; i++) {
    struct limit *l = &r->watched[i].limit;
    if (i == LIMIT_P95 && failed) continue; // how long a failure took says nothing of how long an answer takes
    limit_add(l, bad[i]);
    if (bad[i] || l->total % 64 == 0 || l->total == r->config.min_samples) judge(r, i, out);
  }
}

void rollout_observe(struct rollout *r, enum variant v, double seconds, bool failed) {
  struct outbox out = {.count = 0};
  pthread_mutex_lock(&r->lock);
  struct form_stats *f = &r->forms[v];
  f->requests++;
  f->failed += failed;
  if (!failed) {
    recent_add(&f->seconds, seconds);
    f->slow += r->config.p95_ms > 0 && !(seconds * 1e3 <= r->config.p95_ms);
  }
  // What comes in after a fallback was decided before it.
  if (v == VARIANT_QUANTIZED && !r->fallen_back) observe_limits(r, seconds, failed, &out);
  unlock_and_tell(r, &out);
}

// The quantized form answers nothing yet, and may: what its shadow does is all there is to judge it by.
static bool on_trial(const struct rollout *r) {
  return r->config.mode == ROLLOUT_ORIGINAL && !r->promoted && !r->fallen_back;
}

void rollout_shadow_failed(struct rollout *r, enum variant v) {
  struct outbox out = {.count = 0};
  pthread_mutex_lock(&r->lock);
  drop_shadow(r);
  if (v == VARIANT_QUANTIZED && on_trial(r)) observe_limits(r, NAN, true, &out);
  unlock_and_tell(r, &out);
}

// Every limit that is set, and at least one, met for sure by enough observations.
static bool gate_met(const struct rollout *r) {
  size_t set = 0;
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    const struct limit *l = &r->watched[i].limit;
    if (l->bound <= 0) continue;
    struct limit_reading reading = limit_read(l);
    if (status_of(r, l, &reading) != LIMIT_MET) return false;
    set++;
  }
  return set > 0 && r->pairs >= r->config.min_samples;
}

static void promote(struct rollout *r, struct outbox *out, enum rollout_reason reason, json_t *evidence) {
  const char *from = rollout_active(r);
  bool served = rollout_quantized_serves(r);
  r->fallen_back = false;
  r->promoted = true;
  if (!served) {
    changed(r, reason);
    metric_add(r->promotion[reason], 1);
    rollout_emit(r, out, "promotion", reason, from, evidence);
  }
}

void rollout_observe_pair(struct rollout *r, const struct rollout_pair *pair) {
  struct outbox out = {.count = 0};
  double shift = pair->confidence_shift >= 0 ? fmin(pair->confidence_shift, 1) : 1;
  pthread_mutex_lock(&r->lock);
  give_place_back(r);
  r->pairs++;
  r->agreed += pair->agree;
  if (!pair->agree) metric_add(r->shadow_disagreements, 1);
  metric_observe(r->shadow_delta, shift);
  recent_add(&r->pair_seconds, pair->quantized_seconds);
  limit_add(&r->watched[LIMIT_AGREEMENT].limit, pair->agree);
  limit_add(&r->watched[LIMIT_CONFIDENCE].limit, shift);
  show_agreement(r);
  judge(r, LIMIT_AGREEMENT, &out);
  judge(r, LIMIT_CONFIDENCE, &out);
  if (on_trial(r)) observe_limits(r, pair->quantized_seconds, false, &out);
  if (on_trial(r) && r->config.promote && gate_met(r)) {
    promote(r, &out, REASON_GATE, rollout_gate_evidence(r));
    // A shadow's times and failures are not those of a request that somebody waits for: from here on those count.
    limit_restart(&r->watched[LIMIT_ERRORS].limit);
    limit_restart(&r->watched[LIMIT_P95].limit);
  }
  unlock_and_tell(r, &out);
}

void rollout_trip(struct rollout *r, enum rollout_reason reason, json_t *evidence) {
  struct outbox out = {.count = 0};
  bool no_choice = reason == REASON_LOAD || reason == REASON_SELF_TEST || reason == REASON_NAN;
  pthread_mutex_lock(&r->lock);
  if (r->fallen_back)
    json_decref(evidence);
  else if (r->config.automatic || no_choice)
    fall_back(r, &out, reason, evidence);
  else
    rollout_emit(r, &out, "limit", reason, rollout_active(r), evidence);
  unlock_and_tell(r, &out);
}

void rollout_set(struct rollout *r, enum variant v) {
  struct outbox out = {.count = 0};
  pthread_mutex_lock(&r->lock);
  if (v == VARIANT_QUANTIZED) {
    promote(r, &out, REASON_CALL, NULL);
    forget_observations(r);
  } else if (!r->fallen_back) {
    fall_back(r, &out, REASON_CALL, NULL);
  }
  unlock_and_tell(r, &out);
}
