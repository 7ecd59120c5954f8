// rollout_state.c - see rollout.h: events and the state, as JSON.
#include <math.h>

#include "rollout_parts.h"

// null for what is not known; JSON has no word for NaN.
static json_t *number(double x) {
  return isfinite(x) ? json_real(x) : json_null();
}

static json_t *count(uint64_t n) {
  return json_integer((json_int_t)n);
}

static void put(json_t *object, const char *key, json_t *value) {
  json_object_set_new(object, key, value);
}

static const char *const limit_names[LIMIT_COUNT] = {[LIMIT_AGREEMENT] = "agreement",
                                                     [LIMIT_CONFIDENCE] = "confidence_shift",
                                                     [LIMIT_ERRORS] = "error_rate",
                                                     [LIMIT_P95] = "p95_ms"};

// What the original did with its own requests: a fault that both have is not the quantized form's.
static json_t *original_beside(const struct rollout *r, size_t which) {
  const struct form_stats *f = &r->forms[VARIANT_ORIGINAL];
  json_t *o = json_object();
  put(o, "requests", count(f->requests));
  if (which == LIMIT_ERRORS) {
    put(o, "failed", count(f->failed));
  } else {
    put(o, "slower", count(f->slow));
    put(o, "p95_ms", number(1e3 * recent_quantile(&f->seconds, 0.95)));
  }
  return o;
}

static const struct recent *quantized_seconds(const struct rollout *r) {
  const struct recent *own = &r->forms[VARIANT_QUANTIZED].seconds;
  return recent_count(own) ? own : &r->pair_seconds;
}

json_t *rollout_evidence(const struct rollout *r, size_t which, const struct limit_reading *reading) {
  static const char *const hits[LIMIT_COUNT] = {"agreed", NULL, "failed", "slower"};
  const struct limit *l = &r->watched[which].limit;
  bool requests = which == LIMIT_ERRORS || which == LIMIT_P95;
  json_t *e = json_object();
  put(e, requests ? "requests" : "pairs", count(reading->n));
  if (hits[which]) put(e, hits[which], count(reading->hits));
  put(e, "value", number(reading->value));
  put(e, "low", number(reading->interval.low));
  put(e, "high", number(reading->interval.high));
  put(e, "limit", l->bound > 0 ? json_real(l->bound) : json_null());
  put(e, "confidence", json_real(r->config.confidence));
  put(e, "sequence", count(reading->number));
  if (which == LIMIT_P95) {
    put(e, "p95_ms", number(1e3 * recent_quantile(quantized_seconds(r), 0.95)));
    put(e, "limit_ms", r->config.p95_ms > 0 ? json_real(r->config.p95_ms) : json_null());
  }
  if (requests) put(e, "original", original_beside(r, which));
  return e;
}

json_t *rollout_gate_evidence(const struct rollout *r) {
  json_t *e = json_object();
  put(e, "pairs", count(r->pairs));
  for (size_t i = 0; i < LIMIT_COUNT; i++) {
    struct limit_reading reading = limit_read(&r->watched[i].limit);
    if (r->watched[i].limit.bound > 0) put(e, limit_names[i], rollout_evidence(r, i, &reading));
  }
  return e;
}

void rollout_emit(struct rollout *r, struct outbox *out, const char *event, enum rollout_reason reason,
                  const char *from, json_t *evidence) {
  json_t *e = json_object();
  put(e, "event", json_string(event));
  put(e, "number", count(++r->event_count));
  put(e, "time", json_integer((json_int_t)time(NULL)));
  put(e, "model", json_string(r->model));
  put(e, "scheme", json_string(r->scheme));
  put(e, "reason", json_string(rollout_reason_name(reason)));
  put(e, "from", json_string(from));
  put(e, "to", json_string(rollout_active(r)));
  put(e, "evidence", evidence ? evidence : json_object());
  json_t *copy = json_deep_copy(e); // the reader of one may change it
  if (copy) out->events[out->count++] = copy;
  if (json_array_append_new(r->events, e) == 0 && json_array_size(r->events) > EVENTS_KEPT)
    json_array_remove(r->events, 0);
}

// Evidence of a limit as it stands, and `met`: true, false, or null for undecided.
static json_t *limit_state(const struct rollout *r, size_t which) {
  const struct limit *l = &r->watched[which].limit;
  struct limit_reading reading = limit_read(l);
  json_t *o = rollout_evidence(r, which, &reading);
  bool decided = reading.status != LIMIT_UNDECIDED && l->total >= r->config.min_samples;
  put(o, "met", decided ? json_boolean(reading.status == LIMIT_MET) : json_null());
  return o;
}

static json_t *form_state(const struct form_stats *f) {
  json_t *o = json_object();
  put(o, "count", count(f->requests));
  put(o, "failed", count(f->failed));
  put(o, "p50_ms", number(1e3 * recent_quantile(&f->seconds, 0.5)));
  put(o, "p95_ms", number(1e3 * recent_quantile(&f->seconds, 0.95)));
  put(o, "p99_ms", number(1e3 * recent_quantile(&f->seconds, 0.99)));
  return o;
}

// Median over median of requests that somebody waited for, while both forms answer: those are computed alike, and which
// form one meets has nothing to do with its text. A pair's two times are not: the shadow's are an idle thread's.
static json_t *speedup_state(const struct rollout *r) {
  bool enough = r->config.mode == ROLLOUT_AB && rollout_quantized_serves(r);
  double p50[VARIANT_COUNT];
  for (enum variant v = 0; v < VARIANT_COUNT; v++) {
    const struct form_stats *f = &r->forms[v];
    enough = enough && f->requests - f->failed >= r->config.min_samples;
    p50[v] = recent_quantile(&f->seconds, 0.5);
  }
  return enough && p50[VARIANT_QUANTIZED] > 0 ? number(p50[VARIANT_ORIGINAL] / p50[VARIANT_QUANTIZED]) : json_null();
}

static json_t *shadow_state(const struct rollout *r) {
  json_t *o = json_object();
  put(o, "requests", count(r->taken));
  put(o, "pairs", count(r->pairs));
  put(o, "disagreements", count(r->pairs - r->agreed));
  put(o, "pending", count(r->pending));
  put(o, "dropped", count(r->dropped));
  put(o, "agreement", limit_state(r, LIMIT_AGREEMENT));
  put(o, "confidence_shift", limit_state(r, LIMIT_CONFIDENCE));
  return o;
}

json_t *rollout_state(struct rollout *r) {
  static const char *const modes[] = {
      [ROLLOUT_QUANTIZED] = "quantized", [ROLLOUT_ORIGINAL] = "original", [ROLLOUT_AB] = "ab"};
  pthread_mutex_lock(&r->lock);
  json_t *o = json_object(), *requests = json_object();
  put(o, "model", json_string(r->model));
  put(o, "scheme", json_string(r->scheme));
  put(o, "active", json_string(rollout_active(r)));
  put(o, "mode", json_string(modes[r->config.mode]));
  put(o, "fallen_back", json_boolean(r->fallen_back));
  put(o, "reason", r->reason < REASON_COUNT ? json_string(rollout_reason_name(r->reason)) : json_null());
  put(o, "since", r->since ? json_integer((json_int_t)r->since) : json_null());
  for (enum variant v = 0; v < VARIANT_COUNT; v++) put(requests, variant_name(v), form_state(&r->forms[v]));
  put(o, "requests", requests);
  put(o, "speedup", speedup_state(r));
  put(o, "shadow", shadow_state(r));
  put(o, "error_rate", limit_state(r, LIMIT_ERRORS));
  put(o, "p95_ms", limit_state(r, LIMIT_P95));
  put(o, "events", json_deep_copy(r->events));
  pthread_mutex_unlock(&r->lock);
  return o;
}
