// derive.h - the pieces of study_derive: each is computed from a study's config and records alone.
#ifndef PARE_STUDY_DERIVE_H
#define PARE_STUDY_DERIVE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "report/stats.h"
#include "study/metric.h"

// FAIL beats INCONCLUSIVE beats PASS.
extern const char *const derive_status_names[]; // by enum stats_decision
enum stats_decision derive_worse(enum stats_decision a, enum stats_decision b);

// A limit decided: {name, metric, part, model, value, interval, text, limit, status, reason}. PARE_DATA when the study
// has no such part or model.
enum pare_status derive_check(const json_t *study, const json_t *limit, json_t **out, enum stats_decision *decision,
                              struct pare_error *err);

// derive_limits.c
enum pare_status derive_acceptance(const json_t *study, json_t *derived, enum stats_decision *worst,
                                   struct pare_error *err);
enum pare_status derive_targets(const json_t *study, json_t *derived, struct pare_error *err);
enum pare_status derive_plan(const json_t *study, json_t *derived, struct pare_error *err);
enum pare_status derive_tasks(const json_t *study, json_t *derived, struct pare_error *err);
enum pare_status derive_claims(const json_t *study, json_t *derived, struct pare_error *err);
// derive_costs.c
enum pare_status derive_costs(const json_t *study, json_t *derived, struct pare_error *err);
enum pare_status derive_composite(const json_t *study, json_t *derived, struct pare_error *err);
// derive_sentences.c: summary, insights, verdicts, findings, advice, strengths, limitations, conclusion
void derive_sentences(const json_t *study, json_t *derived);
// The author's sentences with their figures.
void derive_author(const json_t *study, json_t *derived);

// Appends what b holds as text and empties it.
void derive_add_text(json_t *list, struct buf *b);

#endif
