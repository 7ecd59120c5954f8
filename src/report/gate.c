// gate.c - see gate.h. Every limit is decided by an interval: PASS when all of it is on the good side, FAIL when all of
// it is on the bad side, else INCONCLUSIVE. A gate over several candidates passes only when each does, which needs no
// correction for testing several at once (the error of passing a bad set is at most that of passing its worst member).
#include "report/gate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "report/gate_keys.h"
#include "report/record.h"

static const char *const status_names[] = {"PASS", "FAIL", "INCONCLUSIVE"}; // by enum stats_decision

// FAIL beats INCONCLUSIVE beats PASS.
static enum stats_decision worse(enum stats_decision a, enum stats_decision b) {
  if (a == STATS_FAIL || b == STATS_FAIL) return STATS_FAIL;
  return a == STATS_INCONCLUSIVE || b == STATS_INCONCLUSIVE ? STATS_INCONCLUSIVE : STATS_PASS;
}

static void explain(const struct gate_finding *f, enum stats_decision status, double threshold, double ci, char *out,
                    size_t size) {
  const char *join = f->note[0] ? "; " : "";
  if (f->n == 0) {
    snprintf(out, size, "%s%s%s", status == STATS_PASS ? "within the limit" : "beyond the limit", join, f->note);
  } else if (status != STATS_INCONCLUSIVE) {
    snprintf(out, size, "the whole %g %% interval is %s the limit%s%s", ci * 100,
             status == STATS_PASS ? "within" : "beyond", join, f->note);
  } else {
    double needed = stats_n_needed(f->n, f->value, (struct stats_interval){f->low, f->high}, threshold);
    char more[96];
    if (isfinite(needed) && needed < 1e12) {
      snprintf(more, sizeof more, "about %.0f %s would decide if the value stays", fmax(needed, (double)f->n + 1),
               f->unit);
    } else {
      snprintf(more, sizeof more, "the value is at the limit, more %s may never decide", f->unit);
    }
    snprintf(out, size, "the %g %% interval contains the limit: %s%s%s", ci * 100, more, join, f->note);
  }
}

static json_t *finite_json(double x) {
  return isfinite(x) ? json_real(x) : json_null();
}

static json_t *check_json(const struct gate_key *key, const struct gate_subject *s, double threshold,
                          enum stats_decision *status) {
  struct gate_finding f = {.unit = ""};
  char reason[400];
  bool known = key->measure(s, &f);
  *status = known ? stats_decide((struct stats_interval){f.low, f.high}, threshold, key->side) : STATS_INCONCLUSIVE;
  if (!known) {
    snprintf(reason, sizeof reason, "%s", f.note);
  } else if (strcmp(key->name, "min_samples") == 0) {
    // Too few items say nothing against the model.
    if (*status == STATS_FAIL) *status = STATS_INCONCLUSIVE;
    snprintf(reason, sizeof reason, *status == STATS_PASS ? "enough items" : "too few items: %.0f, %.0f needed",
             f.value, threshold);
  } else {
    explain(&f, *status, threshold, s->ci, reason, sizeof reason);
  }
  reason[utf8_first_bad(reason, strlen(reason))] = 0; // a class label may have been cut within a character
  bool interval = known && f.n > 0;
  return json_pack("{s:s, s:s, s:o, s:o, s:o, s:f, s:s, s:s}", "name", key->name, "model", record_model_name(s->model),
                   "value", known ? json_real(f.value) : json_null(), "interval",
                   interval ? json_pack("[o, o]", finite_json(f.low), finite_json(f.high)) : json_null(), "n",
                   interval ? json_integer((json_int_t)f.n) : json_null(), "threshold", threshold, "status",
                   status_names[*status], "reason", reason);
}

static enum stats_decision decide_model(const json_t *gate, const struct gate_subject *s, json_t *checks,
                                        json_t *models) {
  enum stats_decision verdict = STATS_PASS;
  for (size_t i = 0; i < gate_key_count; i++) {
    const json_t *limit = json_object_get(gate, gate_keys[i].name);
    if (!limit || !gate_keys[i].measure) continue;
    enum stats_decision status;
    json_array_append_new(checks, check_json(&gate_keys[i], s, json_number_value(limit), &status));
    verdict = worse(verdict, status);
  }
  json_array_append_new(models,
                        json_pack("{s:s, s:s}", "name", record_model_name(s->model), "verdict", status_names[verdict]));
  return verdict;
}

enum pare_status gate_decide(json_t *record, const json_t *gate, const char *file, struct pare_error *err) {
  size_t count = record_model_count(record), first = 1, end = count;
  const char *name = record_string(gate, "model"), *kind = record_string(gate, "accuracy_kind");
  struct gate_subject s = {.record = record, .base = record_model(record, 0), .ci = 0.95};
  record_number(gate, "ci", &s.ci);
  s.relative = kind && strcmp(kind, "relative") == 0;
  if (name) {
    first = record_find_model(record, name);
    end = first + 1;
    if (first == count) {
      return error_set(err, PARE_DATA, "%s: model: expected the name of a model in the comparison, found %.80s", file,
                       name);
    }
  }
  json_t *checks = json_array(), *models = json_array();
  // Nothing to decide on is not a pass.
  enum stats_decision verdict = first < end ? STATS_PASS : STATS_INCONCLUSIVE;
  for (size_t i = first; i < end; i++) {
    s.model = record_model(record, i);
    verdict = worse(verdict, decide_model(gate, &s, checks, models));
  }
  json_t *out = json_pack("{s:s, s:s, s:f, s:s?, s:o, s:o}", "verdict", status_names[verdict], "file", file, "ci", s.ci,
                          "model", name, "checks", checks, "models", models);
  if (!out || json_object_set_new(record, "gate", out) != 0) return error_no_memory(err);
  if (first >= end) record_set_null(out, "model", "the comparison has no candidate");
  static const enum pare_status statuses[] = {PARE_OK, PARE_REFUSED, PARE_INCONCLUSIVE};
  return statuses[verdict];
}

enum pare_status gate_apply(json_t *record, const char *path, struct pare_error *err) {
  json_t *gate;
  enum pare_status status = gate_load(path, &gate, err);
  if (status != PARE_OK) return status;
  status = gate_decide(record, gate, path, err);
  json_decref(gate);
  return status;
}
