// derive_limits.c - limits, plans, checklists and claims, decided on the records. A limit on a value with an interval
// passes only when the whole interval is within it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/record.h"
#include "study/derive.h"
#include "study/sentence.h"

const char *const derive_status_names[] = {"PASS", "FAIL", "INCONCLUSIVE"};

enum stats_decision derive_worse(enum stats_decision a, enum stats_decision b) {
  if (a == STATS_FAIL || b == STATS_FAIL) return STATS_FAIL;
  return a == STATS_INCONCLUSIVE || b == STATS_INCONCLUSIVE ? STATS_INCONCLUSIVE : STATS_PASS;
}

void derive_add_text(json_t *list, struct buf *b) {
  char *text = buf_take(b);
  if (text && *text) json_array_append_new(list, json_string(text));
  free(text);
}

static void say_limit(const struct study_metric *m, const json_t *limit, char *out, size_t size) {
  char low[48] = "", high[48] = "";
  const json_t *min = json_object_get(limit, "min"), *max = json_object_get(limit, "max");
  if (min) study_metric_print(m, json_number_value(min), low, sizeof low);
  if (max) study_metric_print(m, json_number_value(max), high, sizeof high);
  if (min && max) {
    snprintf(out, size, "%s to %s", low, high);
  } else {
    snprintf(out, size, "%s %s", min ? "at least" : "at most", min ? low : high);
  }
}

static enum stats_decision decide(const struct study_value *v, const json_t *limit) {
  struct stats_interval i =
      v->has_interval ? (struct stats_interval){v->low, v->high} : (struct stats_interval){v->value, v->value};
  enum stats_decision d = STATS_PASS;
  const json_t *min = json_object_get(limit, "min"), *max = json_object_get(limit, "max");
  if (min) d = derive_worse(d, stats_decide(i, json_number_value(min), STATS_AT_LEAST));
  if (max) d = derive_worse(d, stats_decide(i, json_number_value(max), STATS_AT_MOST));
  return d;
}

static void say_value(const struct study_metric *m, const struct study_value *v, char *out, size_t size) {
  char low[48], high[48];
  study_metric_print(m, v->value, out, size);
  if (!v->has_interval) return;
  snprintf(low, sizeof low, "%.*f", m->digits, v->low);
  snprintf(high, sizeof high, "%.*f", m->digits, v->high);
  size_t len = strlen(out);
  snprintf(out + len, size - len, " (95 %% interval %s to %s)", low, high);
}

static enum pare_status find_view(const json_t *study, const json_t *node, struct study_view *view,
                                  struct pare_error *err) {
  const char *part = record_string(node, "part"), *model = record_string(node, "model");
  if (study_view_find(study, part, model, view)) return PARE_OK;
  const char *file = record_string(study, "file");
  return error_set(err, PARE_DATA, "%s: no model %.60s in part %.60s of the study", file ? file : "study",
                   model ? model : "ship", part ? part : "(the first)");
}

enum pare_status derive_check(const json_t *study, const json_t *limit, json_t **out, enum stats_decision *decision,
                              struct pare_error *err) {
  struct study_view view;
  struct study_value v;
  const struct study_metric *m = study_metric_find(record_string(limit, "metric"));
  const char *name = record_string(limit, "name"), *part = record_string(limit, "part"), *reason = NULL;
  char text[128], wanted[128];
  *out = NULL;
  enum pare_status status = find_view(study, limit, &view, err);
  if (status) return status;
  bool known = study_metric_get(m, &view, &v, &reason);
  // Where there should be an interval, the value alone decides nothing.
  bool decided = known && (v.has_interval || !m->ci);
  *decision = decided ? decide(&v, limit) : STATS_INCONCLUSIVE;
  if (known) say_value(m, &v, text, sizeof text);
  if (decided) {
    reason = *decision == STATS_PASS   ? "within the limit"
             : *decision == STATS_FAIL ? "beyond the limit"
                                       : "the interval contains the limit";
  } else if (known) {
    reason = record_reason(view.model, m->ci);
  } else {
    snprintf(text, sizeof text, "n/a");
  }
  say_limit(m, limit, wanted, sizeof wanted);
  *out =
      json_pack("{s:s, s:s, s:s?, s:s, s:o, s:s, s:s, s:s, s:s}", "name", name ? name : m->title, "metric", m->name,
                "part", part, "model", record_model_name(view.model), "value", known ? json_real(v.value) : json_null(),
                "text", text, "limit", wanted, "status", derive_status_names[*decision], "reason", reason);
  return *out ? PARE_OK : error_no_memory(err);
}

static enum pare_status check_all(const json_t *study, const char *key, json_t *list, enum stats_decision *worst,
                                  struct pare_error *err) {
  const json_t *limits = record_get(study, "config");
  limits = json_object_get(limits, key);
  for (size_t i = 0; i < json_array_size(limits); i++) {
    json_t *row;
    enum stats_decision d;
    enum pare_status status = derive_check(study, json_array_get(limits, i), &row, &d, err);
    if (status) return status;
    json_array_append_new(list, row);
    *worst = derive_worse(*worst, d);
  }
  return PARE_OK;
}

static void add_row(json_t *list, const char *name, enum stats_decision d, struct buf *reason) {
  char *text = buf_take(reason);
  json_array_append_new(
      list, json_pack("{s:s, s:s, s:s}", "name", name, "status", derive_status_names[d], "reason", text ? text : ""));
  free(text);
}

// What every study asks of every part: is it faster, is it smaller, did the gate let it through, would we take it?
static void validate_part(const json_t *part, json_t *list, enum stats_decision *worst) {
  const json_t *record = json_object_get(part, "record");
  const char *ship = record_string(part, "ship"), *name = record_string(part, "name");
  struct study_view view = study_view_at(record, record_find_model(record, ship));
  struct study_value v;
  const char *reason;
  char text[128], row[160];
  struct buf b = {0};

  enum stats_decision speed = STATS_INCONCLUSIVE;
  if (study_metric_get(study_metric_find("speedup"), &view, &v, &reason)) {
    if (v.has_interval) speed = v.low > 1 ? STATS_PASS : v.high < 1 ? STATS_FAIL : STATS_INCONCLUSIVE;
    say_value(study_metric_find("speedup"), &v, text, sizeof text);
    buf_printf(&b, "speedup %s%s", text, speed == STATS_INCONCLUSIVE ? ": no measurable change" : "");
  } else {
    buf_printf(&b, "unknown: %s", reason);
  }
  snprintf(row, sizeof row, "Speed improved (%.60s)", name);
  add_row(list, row, speed, &b);

  bool sized = study_metric_get(study_metric_find("size_reduction"), &view, &v, &reason);
  enum stats_decision size = sized && v.value > 0 ? STATS_PASS : STATS_FAIL;
  buf_printf(&b, "%.1f %% %s", sized ? fabs(v.value) : 0, size == STATS_PASS ? "smaller" : "larger: not smaller");
  snprintf(row, sizeof row, "Size reduced (%.60s)", name);
  add_row(list, row, size, &b);
  *worst = derive_worse(*worst, size);

  const char *verdict = record_string(record, "gate.verdict");
  if (verdict) {
    enum stats_decision gate = !strcmp(verdict, "PASS") ? STATS_PASS : STATS_INCONCLUSIVE;
    if (!strcmp(verdict, "FAIL")) gate = STATS_FAIL;
    const char *file = record_string(record, "gate.file");
    buf_printf(&b, "gate %s", file ? file : "without a file");
    snprintf(row, sizeof row, "Gate (%.60s)", name);
    add_row(list, row, gate, &b);
    *worst = derive_worse(*worst, gate);
  }

  const json_t *advice = json_object_get(record, "recommendations");
  const char *overall = NULL, *because = NULL;
  for (size_t i = 0; i < json_array_size(advice); i++) {
    const json_t *a = json_array_get(advice, i);
    const char *priority = record_string(a, "priority");
    if (!priority || strcmp(priority, json_array_size(advice) > 1 ? "overall" : "size") != 0) continue;
    overall = record_string(a, "model");
    because = record_string(a, "because");
  }
  enum stats_decision take = overall && !strcmp(overall, ship) ? STATS_PASS : STATS_FAIL;
  if (!overall || !because) {
    buf_puts(&b, "the record recommends nothing");
  } else if (take == STATS_PASS) {
    buf_printf(&b, "%s: %s", overall, because);
  } else {
    buf_printf(&b, "not %s but %s: %s", ship, overall, because);
  }
  snprintf(row, sizeof row, "Recommended (%.60s)", name);
  add_row(list, row, take, &b);
}

enum pare_status derive_acceptance(const json_t *study, json_t *derived, enum stats_decision *worst,
                                   struct pare_error *err) {
  json_t *rows = json_array(), *validation = json_array();
  json_object_set_new(derived, "acceptance", rows);
  json_object_set_new(derived, "validation", validation);
  enum pare_status status = check_all(study, "acceptance", rows, worst, err);
  const json_t *parts = json_object_get(study, "parts");
  for (size_t i = 0; !status && i < json_array_size(parts); i++)
    validate_part(json_array_get(parts, i), validation, worst);
  if (status) return status;
  struct buf b = {0};
  buf_puts(&b, "acceptance limits, gates and sizes together");
  add_row(validation, "Overall", *worst, &b);
  return PARE_OK;
}

enum pare_status derive_targets(const json_t *study, json_t *derived, struct pare_error *err) {
  json_t *rows = json_array();
  enum stats_decision ignored = STATS_PASS;
  json_object_set_new(derived, "targets", rows);
  return check_all(study, "targets", rows, &ignored, err);
}

// Exceeded: better than the planned range; Met: within it; Acceptable: beyond it by at most `tolerance` of the limit;
// Missed: worse.
static const char *plan_state(const struct study_metric *m, double value, const json_t *row) {
  const json_t *min = json_object_get(row, "min"), *max = json_object_get(row, "max");
  double slack = json_number_value(json_object_get(row, "tolerance"));
  const json_t *worse = m->lower_is_better ? max : min, *better = m->lower_is_better ? min : max;
  double sign = m->lower_is_better ? 1 : -1;
  double bad = json_number_value(worse ? worse : better), good = json_number_value(better ? better : worse);
  if (better && worse && sign * value < sign * good) return "Exceeded";
  if (sign * value <= sign * bad) return "Met";
  return sign * value <= sign * bad + slack * fabs(bad) ? "Acceptable" : "Missed";
}

enum pare_status derive_plan(const json_t *study, json_t *derived, struct pare_error *err) {
  const json_t *plan = record_get(study, "config.plan");
  json_t *rows = json_array();
  json_object_set_new(derived, "plan", rows);
  for (size_t i = 0; i < json_array_size(plan); i++) {
    const json_t *row = json_array_get(plan, i);
    const struct study_metric *m = study_metric_find(record_string(row, "metric"));
    json_t *out;
    enum stats_decision ignored;
    enum pare_status status = derive_check(study, row, &out, &ignored, err);
    if (status) return status;
    double value;
    bool known = record_number(out, "value", &value);
    json_object_set_new(out, "status", json_string(known ? plan_state(m, value, row) : "Unknown"));
    json_object_del(out, "reason");
    json_array_append_new(rows, out);
  }
  return PARE_OK;
}

// A task with a metric is done when its limit is met, whatever its author says; the others are as the author says.
static enum pare_status derive_task(const json_t *study, const json_t *task, json_t **out, struct pare_error *err) {
  struct buf text = {0}, note = {0};
  const char *state = record_string(task, "state"), *said = record_string(task, "note");
  json_t *check = NULL;
  if (json_object_get(task, "metric")) {
    enum stats_decision d;
    enum pare_status status = derive_check(study, task, &check, &d, err);
    if (status) return status;
    state = d == STATS_PASS ? "done" : "open";
    buf_printf(&note, "%s: %s, %s: %s", record_string(check, "name"), record_string(check, "text"),
               record_string(check, "limit"), derive_status_names[d]);
  }
  if (said) {
    if (note.len) buf_puts(&note, "; ");
    sentence_fill(study, said, &note);
  }
  sentence_fill(study, record_string(task, "text"), &text);
  *out = json_pack("{s:s, s:s, s:b, s:s}", "text", text.data ? text.data : "", "state", state ? state : "open",
                   "measured", check != NULL, "note", note.data ? note.data : "");
  json_decref(check);
  buf_free(&text);
  buf_free(&note);
  return *out ? PARE_OK : error_no_memory(err);
}

enum pare_status derive_tasks(const json_t *study, json_t *derived, struct pare_error *err) {
  static const char *const keys[] = {"requirements", "checklist", "next_steps", "roadmap"};
  for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
    const json_t *tasks = json_object_get(json_object_get(study, "config"), keys[k]);
    json_t *rows = json_array();
    json_object_set_new(derived, keys[k], rows);
    for (size_t i = 0; i < json_array_size(tasks); i++) {
      json_t *row;
      enum pare_status status = derive_task(study, json_array_get(tasks, i), &row, err);
      if (status) return status;
      json_array_append_new(rows, row);
    }
  }
  return PARE_OK;
}

// A claim stands when its limit is met, falls when it is not, and is open when the interval cannot say.
enum pare_status derive_claims(const json_t *study, json_t *derived, struct pare_error *err) {
  static const char *const states[] = {"supported", "rejected", "not decided"};
  const json_t *claims = record_get(study, "config.claims");
  json_t *rows = json_array();
  json_object_set_new(derived, "claims", rows);
  for (size_t i = 0; i < json_array_size(claims); i++) {
    const json_t *claim = json_array_get(claims, i);
    json_t *row;
    enum stats_decision d;
    enum pare_status status = derive_check(study, claim, &row, &d, err);
    if (status) return status;
    json_object_set(row, "claim", json_object_get(claim, "text"));
    json_object_set_new(row, "status", json_string(states[d]));
    json_array_append_new(rows, row);
  }
  return PARE_OK;
}
