// rollout_doubles.h - weak doubles of rollout.h, which give way where the real ones are linked.
#ifndef PARE_TESTS_ROLLOUT_DOUBLES_H
#define PARE_TESTS_ROLLOUT_DOUBLES_H

#include <stdlib.h>

#include "rollout.h"

#pragma weak variant_name
#pragma weak rollout_new
#pragma weak rollout_free
#pragma weak rollout_set
#pragma weak rollout_trip
#pragma weak rollout_state
struct rollout {
  enum variant active;
};
const char *variant_name(enum variant v) {
  return v == VARIANT_ORIGINAL ? "original" : "quantized";
}
struct rollout *rollout_new(const struct rollout_config *c, const char *model, const char *scheme,
                            struct metrics *metrics, const struct rollout_sink *sink) {
  (void)c, (void)model, (void)scheme, (void)metrics, (void)sink;
  return calloc(1, sizeof(struct rollout));
}
void rollout_free(struct rollout *r) {
  free(r);
}
void rollout_set(struct rollout *r, enum variant v) {
  r->active = v;
}
void rollout_trip(struct rollout *r, enum rollout_reason reason, json_t *evidence) {
  (void)r, (void)reason;
  json_decref(evidence);
}
json_t *rollout_state(struct rollout *r) {
  return json_pack("{s:s}", "active", variant_name(r->active));
}

#endif
