// rollout.h - which of a model's two forms answers a request, decided from what was observed. No threads and no model
// in here, and no clock but for the stamp of an event: observations come in, decisions and events come out. Calls are
// safe from any thread (one lock).
#ifndef PARE_SERVER_ROLLOUT_H
#define PARE_SERVER_ROLLOUT_H

#include <jansson.h>
#include <stdbool.h>

#include "config.h"
#include "metrics.h"

enum variant { VARIANT_ORIGINAL, VARIANT_QUANTIZED, VARIANT_COUNT };
const char *variant_name(enum variant v); // "original", "quantized"

enum rollout_reason {
  REASON_LOAD,       // the quantized model did not open
  REASON_SELF_TEST,  // it opened and its stored answer was another
  REASON_NAN,        // an answer that is no number
  REASON_ERRORS,     // error rate over its limit
  REASON_P95,        // latency over its limit
  REASON_AGREEMENT,  // agreement with the original under its limit
  REASON_CONFIDENCE, // scores shifted by more than the limit
  REASON_CALL,       // somebody asked for it
  REASON_GATE,       // every limit is met for sure: promotion
  REASON_COUNT
};
const char *rollout_reason_name(enum rollout_reason r);

struct rollout;
// event: called, outside the lock, with {event: "fallback"|"promotion"|"rollback"|"limit", number, time, model, scheme,
// reason, from, to, evidence{...}}, a copy of its own to be decref'd by the callee. number: 1, 2, ...; two threads may
// deliver theirs in any order. from, to: "original", "quantized" or, in mode AB, "both". docs/rollout.md has the
// fields.
struct rollout_sink {
  void (*event)(void *context, json_t *event);
  void *context;
};
// model, scheme: labels of its metrics; scheme may be NULL. metrics and sink may be NULL. NULL: no memory.
struct rollout *rollout_new(const struct rollout_config *config, const char *model, const char *scheme,
                            struct metrics *metrics, const struct rollout_sink *sink);
void rollout_free(struct rollout *r);

// Of a request: u is uniform in [0, 1) (of a key that should stay with one form, or random; not the u of
// rollout_shadow).
enum variant rollout_choose(struct rollout *r, double u);
// Whether this one is also given to the other form; takes a place among shadow_pending, which rollout_observe_pair or
// rollout_shadow_dropped gives back. A full queue is counted and answered false.
bool rollout_shadow(struct rollout *r, double u);
void rollout_shadow_dropped(struct rollout *r);
// The form that was to compute it too, `v`, failed. Before a promotion that is all that is known of the quantized
// form's errors: there a pair counts as a request that did not fail, this as one that did.
void rollout_shadow_failed(struct rollout *r, enum variant v);

// A request that `v` answered.
void rollout_observe(struct rollout *r, enum variant v, double seconds, bool failed);
// One answer by both. confidence_shift: |score of the original's label - the quantized model's score of it|; NaN: 1.
struct rollout_pair {
  bool agree;
  double confidence_shift, quantized_seconds;
};
void rollout_observe_pair(struct rollout *r, const struct rollout_pair *pair);
// Something that leaves no choice (REASON_LOAD, REASON_SELF_TEST, REASON_NAN): from now on the original answers. Where
// it does already the event is "limit" and nothing promotes the quantized form any more. Told once.
// evidence: taken over (decref'd); may be NULL. With `automatic` false only NAN, LOAD and SELF_TEST act.
void rollout_trip(struct rollout *r, enum rollout_reason reason, json_t *evidence);
// By call: VARIANT_ORIGINAL is a rollback, VARIANT_QUANTIZED a promotion, which clears what was observed before.
void rollout_set(struct rollout *r, enum variant v);
// {model, scheme, active, mode, fallen_back, reason, since, requests{...}, speedup, shadow{pairs, agreement{value, low,
// high, limit, met}, confidence_shift{...}, dropped}, error_rate{...}, p95_ms{...}, events:[last 32]}: for people and
// the page; docs/rollout.md has the fields. NULL: no memory.
json_t *rollout_state(struct rollout *r);

#endif
