// rollout_parts.h - what rollout.c, which decides, and rollout_state.c, which tells, share.
#ifndef PARE_SERVER_ROLLOUT_PARTS_H
#define PARE_SERVER_ROLLOUT_PARTS_H

#include <pthread.h>
#include <time.h>

#include "limit.h"
#include "recent.h"
#include "rollout.h"

enum { LIMIT_AGREEMENT, LIMIT_CONFIDENCE, LIMIT_ERRORS, LIMIT_P95, LIMIT_COUNT };
enum { EVENTS_KEPT = 32 };

struct watched {
  struct limit limit;
  bool crossed; // told of, and not met since
  struct metric *gauge;
};
struct form_stats {
  uint64_t requests, failed, slow; // answered while this configuration was observed
  struct recent seconds;           // of those that did not fail
};
struct rollout {
  pthread_mutex_t lock; // of all below but config, model, scheme, sink
  struct rollout_config config;
  char *model, *scheme;
  struct rollout_sink sink;
  bool fallen_back, promoted;
  enum rollout_reason reason; // of the last change; REASON_COUNT: none yet
  time_t since;               // the last change; 0: none yet
  struct watched watched[LIMIT_COUNT];
  struct form_stats forms[VARIANT_COUNT];
  uint64_t pairs, agreed, dropped, taken;
  size_t pending;
  struct recent pair_seconds; // the quantized form's
  uint64_t event_count;
  json_t *events; // array of the last EVENTS_KEPT
  struct metric *fallback[REASON_COUNT], *promotion[REASON_COUNT], *active[VARIANT_COUNT], *agreement[3];
  struct metric *shadow_requests, *shadow_disagreements, *shadow_dropped, *shadow_delta;
};

// Events that wait until the lock is released.
struct outbox {
  json_t *events[2 * LIMIT_COUNT];
  size_t count;
};

// All with the lock held.
bool rollout_quantized_serves(const struct rollout *r);
const char *rollout_active(const struct rollout *r); // "original", "quantized", "both"
// Numbers, stamps and keeps the event, and puts a copy into out. evidence: taken over, NULL: none.
void rollout_emit(struct rollout *r, struct outbox *out, const char *event, enum rollout_reason reason,
                  const char *from, json_t *evidence);
json_t *rollout_evidence(const struct rollout *r, size_t which, const struct limit_reading *reading);
json_t *rollout_gate_evidence(const struct rollout *r); // of all limits that are set

#endif
