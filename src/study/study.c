// study.c - see study.h: what follows from a study's config and records, computed and re-computed.
#include "study/study.h"

#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "report/report.h"
#include "study/derive.h"

// The candidate that a part would ship: the author's choice, else what the numbers recommend, else the first.
static enum pare_status choose_ship(const json_t *study, json_t *part, const json_t *config, struct pare_error *err) {
  const json_t *record = json_object_get(part, "record");
  const char *file = record_string(study, "file"), *name = record_string(part, "name");
  const char *ship = record_string(config, "ship");
  size_t count = record_model_count(record);
  if (count < 2) return error_set(err, PARE_DATA, "%s: part %s has no candidate", file ? file : "study", name);
  if (ship && (record_find_model(record, ship) == count || record_find_model(record, ship) == 0))
    return error_set(err, PARE_DATA, "%s: part %s: ship: no candidate named %.60s", file ? file : "study", name, ship);
  const json_t *advice = json_object_get(record, "recommendations");
  for (size_t i = 0; !ship && i < json_array_size(advice); i++) {
    const json_t *a = json_array_get(advice, i);
    const char *priority = record_string(a, "priority"), *model = record_string(a, "model");
    bool asked = priority && !strcmp(priority, json_array_size(advice) > 1 ? "overall" : "size");
    if (asked && model && record_find_model(record, model)) ship = model;
  }
  if (!ship) ship = record_model_name(record_model(record, 1));
  return json_object_set_new(part, "ship", json_string(ship)) ? error_no_memory(err) : PARE_OK;
}

enum pare_status study_derive(json_t *study, struct pare_error *err) {
  static const enum pare_status statuses[] = {PARE_OK, PARE_REFUSED, PARE_INCONCLUSIVE};
  json_t *derived = json_object(), *parts = json_object_get(study, "parts");
  enum stats_decision worst = STATS_PASS;
  enum pare_status status = derived ? PARE_OK : error_no_memory(err);
  for (size_t i = 0; !status && i < json_array_size(parts); i++)
    status = choose_ship(study, json_array_get(parts, i), json_array_get(record_get(study, "config.parts"), i), err);
  if (!status) status = derive_acceptance(study, derived, &worst, err);
  if (!status) status = derive_targets(study, derived, err);
  if (!status) status = derive_plan(study, derived, err);
  if (!status) status = derive_tasks(study, derived, err);
  if (!status) status = derive_claims(study, derived, err);
  if (!status) status = derive_costs(study, derived, err);
  if (!status) status = derive_composite(study, derived, err);
  if (status) {
    json_decref(derived);
    return status;
  }
  derive_sentences(study, derived);
  derive_author(study, derived);
  if (json_object_set_new(study, "verdict", json_string(derive_status_names[worst])) ||
      json_object_set_new(study, "derived", derived))
    return error_no_memory(err);
  return statuses[worst];
}

static bool same(const json_t *a, const json_t *b, char *path, size_t size);

static bool same_below(const json_t *a, const json_t *b, const char *step, char *path, size_t size) {
  size_t len = strlen(path);
  snprintf(path + len, size - len, "%s%.60s", len ? "." : "", step);
  if (!same(a, b, path, size)) return false;
  path[len] = 0;
  return true;
}

// Whether two trees are equal, numbers by value (other tools write 100.0 as 100); path becomes where they first differ.
static bool same(const json_t *a, const json_t *b, char *path, size_t size) {
  if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
  if (!a || !b || json_typeof(a) != json_typeof(b)) return false;
  if (json_is_object(a)) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)b, key, value) {
      if (!same_below(json_object_get(a, key), value, key, path, size)) return false;
    }
    return json_object_size(a) == json_object_size(b);
  }
  if (json_is_array(a)) {
    char step[24];
    for (size_t i = 0; i < json_array_size(b); i++) {
      snprintf(step, sizeof step, "%zu", i);
      if (!same_below(json_array_get(a, i), json_array_get(b, i), step, path, size)) return false;
    }
    return json_array_size(a) == json_array_size(b);
  }
  return json_equal(a, b);
}

// Everything the computations count on, in a record that anybody may have written.
static enum pare_status check_part(const json_t *part, const json_t *config, struct pare_error *err) {
  const char *name = record_string(part, "name"), *wanted = record_string(config, "name");
  const json_t *record = json_object_get(part, "record");
  if (!name || !wanted || strcmp(name, wanted))
    return error_set(err, PARE_BUG, "the study's parts are not those of its config: expected %.60s",
                     wanted ? wanted : "no more");
  if (!json_is_object(record) || record_model_count(record) < 2)
    return error_set(err, PARE_BUG, "part %.60s: expected a comparison with a candidate", name);
  for (size_t i = 0; i < record_model_count(record); i++)
    if (!record_string(record_model(record, i), "name"))
      return error_set(err, PARE_BUG, "part %.60s: model %zu has no name", name, i);
  return report_lint(record, err);
}

enum pare_status study_lint(const json_t *study, struct pare_error *err) {
  const json_t *parts = json_object_get(study, "parts"), *config = json_object_get(study, "config");
  if (!json_is_object(study) || json_array_size(parts) == 0 || !json_is_object(config))
    return error_set(err, PARE_BUG, "the record is no study: expected config and parts");
  enum pare_status status = study_check(config, "config", err);
  const json_t *list = json_object_get(config, "parts");
  if (!status && json_array_size(list) != json_array_size(parts))
    status = error_set(err, PARE_BUG, "the study has %zu parts, its config %zu", json_array_size(parts),
                       json_array_size(list));
  for (size_t i = 0; !status && i < json_array_size(parts); i++)
    status = check_part(json_array_get(parts, i), json_array_get(list, i), err);
  if (status) return status;
  json_t *again = json_deep_copy(study);
  if (!again) return error_no_memory(err);
  status = study_derive(again, err);
  if (status == PARE_REFUSED || status == PARE_INCONCLUSIVE) status = PARE_OK;
  char path[256] = "";
  if (!status && !same(study, again, path, sizeof path)) {
    status = error_set(err, PARE_BUG, "the study disagrees with its records: %s", path);
  }
  json_decref(again);
  return status;
}
