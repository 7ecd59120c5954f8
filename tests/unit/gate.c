// gate.c - gate files: what is refused and how it is said, and every limit passing, failing and undecided.
#include "report/gate.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "report/gate_keys.h"
#include "report/record.h"
#include "report/report.h"

static char path[256];

static void write_file(const char *text) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static int group_setup(void **state) {
  (void)state;
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/pare-gate-XXXXXX", folder ? folder : "/tmp");
  int fd = mkstemp(path);
  if (fd >= 0) close(fd);
  return fd < 0;
}

static int group_teardown(void **state) {
  (void)state;
  return unlink(path);
}

// ---- the file
// ----------------------------------------------------------------------------------------------------------------

static const char yaml[] =
    "# a gate\n"
    "max_accuracy_drop_pp: 1.0\naccuracy_kind: absolute\nmin_relative_accuracy: 0.99\nmax_class_f1_drop_pp: 2\n"
    "min_mean_confidence: 0.85\nmax_mean_conf_delta: 0.01\nmax_flip_rate: 0.05\nmax_ppl_increase: 3e-2\nmax_mean_kl: "
    "0.1\n"
    "min_same_top: .9\nmin_rougeL_rel: 0.99\nmin_len_ratio: 0.9\nmin_speedup: 1.0\np95_ms: 250\np99_ms: 300\n"
    "max_error_rate: 0.01\nmin_size_reduction: 0.1\nci: 0.95\nmin_samples: 100\nmodel: int8\n";
static const char json[] =
    "{\"max_accuracy_drop_pp\":1.0, \"accuracy_kind\":\"absolute\",\n\t\"min_relative_accuracy\":0.99, "
    "\"max_class_f1_drop_pp\":2,"
    "\"min_mean_confidence\":0.85, \"max_mean_conf_delta\":0.01, \"max_flip_rate\":0.05, \"max_ppl_increase\":3e-2, "
    "\"max_mean_kl\":0.1, \"min_same_top\":0.9, \"min_rougeL_rel\":0.99, \"min_len_ratio\":0.9, \"min_speedup\":1.0, "
    "\"p95_ms\":250, \"p99_ms\":300, \"max_error_rate\":0.01, \"min_size_reduction\":0.1, \"ci\":0.95, "
    "\"min_samples\":100, "
    "\"model\":\"int8\"}\n";

static void yaml_and_json_are_one(void **state) {
  (void)state;
  json_t *a, *b;
  struct pare_error err = {0};
  write_file(yaml);
  if (gate_load(path, &a, &err) != PARE_OK) fail_msg("%s", err.text);
  write_file(json);
  if (gate_load(path, &b, &err) != PARE_OK) fail_msg("%s", err.text);
  assert_true(json_equal(a, b));
  assert_int_equal(json_object_size(a), gate_key_count); // every key there is
  json_decref(a);
  json_decref(b);
}

static void refused(const char *text, const char *expected) {
  json_t *out = NULL;
  struct pare_error err = {0};
  write_file(text);
  assert_int_equal(gate_load(path, &out, &err), PARE_DATA);
  assert_null(out);
  if (!strstr(err.text, expected) || !strstr(err.text, path)) fail_msg("said: %s; expected: %s", err.text, expected);
}

static void bad_files(void **state) {
  (void)state;
  struct pare_error err = {0};
  json_t *out;
  assert_int_equal(gate_load("/no/such/gate.yaml", &out, &err), PARE_NOFILE);
  refused("", ":1: expected gate keys, found an empty file");
  refused("ci: 0.95\n", "expected at least one limit");
  refused("max_flip_rate: 0.05\nmax_flip_rat: 0.1\n", ":2: unknown key");
  refused("max_flip_rate: 0.05\nmax_flip_rat: 0.1\n", "found max_flip_rat");
  refused("max_flip_rate: 0.05\nmax_flip_rate: 0.1\n", ":2: max_flip_rate: expected once");
  refused("\n\nmax_flip_rate: lots\n", ":3: max_flip_rate: expected a number from 0 to 1, found lots");
  refused("max_flip_rate: 5\n", "expected a number from 0 to 1, found 5");
  refused("max_flip_rate: -0.1\n", "found -0.1");
  refused("max_flip_rate: \"0.1\"\n", "found \"0.1\"");
  refused("max_flip_rate: [0.1]\n", "found a list");
  refused("max_flip_rate: {a: 1}\n", "found a mapping");
  refused("max_flip_rate:\n", "expected a number");
  refused("max_flip_rate: .nan\n", "expected a number");
  refused("max_flip_rate: 0x1\n", "expected a number");
  refused("p95_ms: 1e999\n", "milliseconds");
  refused("min_samples: 1.5\n", "expected a whole number of at least 1, found 1.5");
  refused("min_samples: 0\n", "found 0");
  refused("max_flip_rate: 0.1\nci: 1.5\n", ":2: ci: expected a confidence level");
  refused("max_flip_rate: 0.1\naccuracy_kind: total\n", "expected absolute or relative, found total");
  refused("max_flip_rate: 0.1\nmodel: [a]\n", "expected the name of a candidate");
  refused("max_flip_rate: 0.1\n...\n]\n", "expected YAML or JSON"); // after the document
  refused("- max_flip_rate\n", "expected a mapping of gate keys, found a list");
  refused("just text\n", "found just text");
  refused("? [a]\n: 1\n", "unknown key");
  refused("max_flip_rate: 0.1\n---\nmax_flip_rate: 0.2\n", "found a second");
  refused("max_flip_rate: [0.1\n", "expected YAML or JSON");
  refused("{\"max_flip_rate\": 0.1,\n \"ci\": }\n", "ci");
}

// ---- deciding
// ----------------------------------------------------------------------------------------------------------------

static json_t *record_of(const char *extra) {
  json_t *record = json_load_file(TEST_DIR "/unit/data/record_compare.json", 0, NULL);
  assert_non_null(record);
  if (extra) { // merged into the second model
    json_t *more = json_loads(extra, 0, NULL), *model = (json_t *)record_model(record, 1);
    assert_non_null(more);
    json_object_update_recursive(model, more);
    json_decref(more);
  }
  return record;
}

// The status of `key: limit` for one model; ci 0: the default.
static const char *status_of(json_t *record, const char *key, double limit, double ci, const char *model) {
  static char status[32];
  json_t *gate = json_pack("{s:f, s:s}", key, limit, "model", model);
  if (ci > 0) json_object_set_new(gate, "ci", json_real(ci));
  struct pare_error err = {0};
  enum pare_status result = gate_decide(record, gate, "gate.yaml", &err);
  json_decref(gate);
  const char *found = record_string(record, "gate.checks.0.status"),
             *reason = record_string(record, "gate.checks.0.reason");
  if (!found) fail_msg("%s", err.text);
  assert_true(reason && *reason);
  assert_string_equal(found, record_string(record, "gate.verdict"));
  assert_int_equal(result, strcmp(found, "PASS") == 0   ? PARE_OK
                           : strcmp(found, "FAIL") == 0 ? PARE_REFUSED
                                                        : PARE_INCONCLUSIVE);
  snprintf(status, sizeof status, "%s", found);
  return status;
}

// Limits at which int8 (the second model, extended by extra) passes, fails and cannot be decided.
static void limits(const char *extra, const char *key, double pass, double fail, double open) {
  json_t *record = record_of(extra);
  const char *name = record_model_name(record_model(record, 1)), *found;
  if (strcmp(found = status_of(record, key, pass, 0, name), "PASS") != 0) fail_msg("%s %g: %s", key, pass, found);
  if (strcmp(found = status_of(record, key, fail, 0, name), "FAIL") != 0) fail_msg("%s %g: %s", key, fail, found);
  if (open >= 0 && strcmp(found = status_of(record, key, open, 0, name), "INCONCLUSIVE") != 0)
    fail_msg("%s %g: %s", key, open, found);
  json_decref(record);
}

static void every_limit(void **state) {
  (void)state;
  // A lossy made-up int8: 40 right answers lost, 10 won, of 590 right of 600.
  const char *lossy =
      "{\"accuracy\": {\"correct\": 560}, \"against_base\": {\"flips\": {\"right_to_wrong\": 40, \"wrong_to_right\": "
      "10}}}";
  limits(lossy, "max_accuracy_drop_pp", 8, 1, 5);
  limits(lossy, "min_relative_accuracy", 0.9, 0.99, 0.95);
  limits(
      "{\"against_base\": {\"per_class_f1_delta\": [{\"label\": \"a\", \"value\": -0.05, \"ci95\": [-0.08, -0.02]},"
      "{\"label\": \"b\", \"value\": 0.01, \"ci95\": [-0.01, 0.03]}]}}",
      "max_class_f1_drop_pp", 8, 1.9, 5);
  limits(NULL, "min_mean_confidence", 0.7, 0.9, 0.8145);
  limits("{\"against_base\": {\"confidence_delta_mean\": -0.02, \"confidence_delta_mean_ci95\": [-0.03, -0.01]}}",
         "max_mean_conf_delta", 0.03, 0.009, 0.02);
  limits(NULL, "max_flip_rate", 0.03, 0.001, 0.01);
  limits("{\"against_base\": {\"perplexity_ratio\": {\"value\": 1.02, \"ci95\": [1.01, 1.03]}}}", "max_ppl_increase",
         0.031, 0.005, 0.02);
  limits(NULL, "max_mean_kl", 0.01, 0.001, 0.0025);
  limits("{\"against_base\": {\"same_top\": {\"value\": 0.95, \"ci95\": [0.94, 0.96]}}}", "min_same_top", 0.94, 0.97,
         0.95);
  limits("{\"against_base\": {\"rougeL_rel\": {\"value\": 0.99, \"ci95\": [0.97, 1.01]}}}", "min_rougeL_rel", 0.95,
         1.02, 0.99);
  limits("{\"against_base\": {\"len_ratio\": {\"value\": 0.93, \"ci95\": [0.9, 0.96]}}}", "min_len_ratio", 0.9, 0.97,
         0.93);
  limits(NULL, "min_speedup", 1, 2, 1.36);
  limits(NULL, "p95_ms", 19, 15, 17.7);
  limits(NULL, "p99_ms", 20, 15, 18.5);
  limits("{\"errors\": {\"count\": 5, \"n\": 1000}}", "max_error_rate", 0.02, 0.001, 0.005);
  limits(NULL, "min_size_reduction", 0.5, 0.9, -1); // exact: never undecided
  json_t *record = record_of(NULL);
  assert_string_equal(status_of(record, "min_samples", 600, 0, "int8"), "PASS");
  assert_string_equal(status_of(record, "min_samples", 601, 0, "int8"),
                      "INCONCLUSIVE"); // too few is no failure of the model
  json_decref(record);
}

static void unknown(const char *key, const char *extra, const char *expected) {
  json_t *record = record_of(extra);
  assert_string_equal(status_of(record, key, 0.5, 0, "int8"), "INCONCLUSIVE");
  const char *reason = record_string(record, "gate.checks.0.reason");
  if (!strstr(reason, expected)) fail_msg("%s: said %s, expected %s", key, reason, expected);
  assert_null(record_get(record, "gate.checks.0.value"));
  json_decref(record);
}

static void absent_data_never_passes(void **state) {
  (void)state;
  unknown("max_error_rate", NULL, "not in the record");
  unknown("max_ppl_increase", NULL, "not in the record");
  unknown("min_same_top", NULL, "not in the record");
  unknown("min_rougeL_rel", NULL, "not in the record");
  unknown("min_len_ratio", NULL, "not in the record");
  unknown("max_mean_kl", "{\"against_base\": {\"kl_mean\": null, \"kl_mean_reason\": \"several labels\"}}",
          "several labels");
  unknown("max_mean_kl", "{\"against_base\": {\"kl_mean_ci95\": null}}", "no interval");
  unknown("max_accuracy_drop_pp", "{\"accuracy\": null, \"accuracy_reason\": \"no labels\"}", "no labels");
  unknown("min_relative_accuracy", "{\"accuracy\": null, \"accuracy_reason\": \"no labels\"}", "no labels");
  unknown("max_class_f1_drop_pp", "{\"against_base\": {\"per_class_f1_delta\": null}}", "not in the record");
  unknown("max_flip_rate", "{\"against_base\": {\"identical_rate\": null}}", "not in the record");
  unknown("min_mean_confidence", "{\"confidence\": null}", "not in the record");
  unknown("max_mean_conf_delta", "{\"against_base\": {\"confidence_delta_mean\": null}}", "not in the record");
  unknown("min_speedup", "{\"against_base\": {\"speedup\": null, \"speedup_reason\": \"no latency runs\"}}",
          "no latency runs");
  unknown("p99_ms", "{\"latency_ms\": {\"p99\": null, \"p99_reason\": \"n too small: 100 runs, 299 needed\"}}",
          "299 needed");
  unknown("p95_ms", "{\"latency_samples_ms\": null, \"latency_ms\": {\"p95_ci95\": null}}", "no raw timings");
  unknown("min_size_reduction", "{\"size_bytes\": null}", "not in the record");
}

static void levels(void **state) {
  (void)state;
  json_t *record = record_of(NULL);
  double ends95[2], ends80[2];
  static const char *const keys[] = {"max_accuracy_drop_pp", "max_flip_rate", "max_mean_kl",
                                     "min_speedup",          "p95_ms",        "min_mean_confidence"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    status_of(record, keys[i], 1, 0, "int8");
    assert_true(record_interval(record, "gate.checks.0.interval", ends95));
    status_of(record, keys[i], 1, 0.8, "int8");
    assert_true(record_interval(record, "gate.checks.0.interval", ends80));
    if (!(ends95[0] < ends80[0] && ends80[1] < ends95[1])) fail_msg("%s: 80 %% is not inside 95 %%", keys[i]);
  }
  // A bootstrap interval of another level is not in the record.
  assert_string_equal(status_of(record, "max_class_f1_drop_pp", 50, 0.8, "int8"), "INCONCLUSIVE");
  json_decref(record);
}

static void accuracy_kinds(void **state) {
  (void)state;
  json_t *record = record_of(
      "{\"accuracy\": {\"correct\": 560}, \"against_base\": {\"flips\": {\"right_to_wrong\": 40, \"wrong_to_right\": "
      "10}}}");
  json_t *gate =
      json_pack("{s:f, s:s, s:s}", "max_accuracy_drop_pp", 5.0, "accuracy_kind", "relative", "model", "int8");
  double value;
  gate_decide(record, gate, "g", NULL);
  assert_true(record_number(record, "gate.checks.0.value", &value) && fabs(value - 100.0 * 30 / 590) < 1e-9);
  assert_non_null(strstr(record_string(record, "gate.checks.0.reason"), "per cent of the original"));
  json_object_set_new(gate, "accuracy_kind", json_string("absolute"));
  gate_decide(record, gate, "g", NULL);
  assert_true(record_number(record, "gate.checks.0.value", &value) && fabs(value - 5) < 1e-9);
  assert_non_null(strstr(record_string(record, "gate.checks.0.reason"), "absolute points"));
  json_decref(gate);
  json_decref(record);
}

static void verdicts(void **state) {
  (void)state;
  json_t *record = record_of(NULL);
  struct pare_error err = {0};
  // Every candidate: int8 passes, nf4 fails.
  write_file("max_flip_rate: 0.05\n");
  assert_int_equal(gate_apply(record, path, &err), PARE_REFUSED);
  assert_string_equal(record_string(record, "gate.verdict"), "FAIL");
  assert_string_equal(record_string(record, "gate.models.0.verdict"), "PASS");
  assert_string_equal(record_string(record, "gate.models.2.verdict"), "FAIL");
  assert_int_equal(json_array_size(record_get(record, "gate.checks")), 3);
  assert_int_equal(report_lint(record, NULL), PARE_OK);
  // The named one alone.
  write_file("max_flip_rate: 0.05\nmodel: int8\n");
  assert_int_equal(gate_apply(record, path, &err), PARE_OK);
  assert_int_equal(json_array_size(record_get(record, "gate.models")), 1);
  assert_int_equal(report_lint(record, NULL), PARE_OK);
  // One limit passes, one cannot be decided; then one fails too.
  write_file("max_flip_rate: 0.05\nmax_error_rate: 0.1\nmodel: int8\n");
  assert_int_equal(gate_apply(record, path, &err), PARE_INCONCLUSIVE);
  write_file("max_flip_rate: 0.05\nmax_error_rate: 0.1\nmin_speedup: 3\nmodel: int8\n");
  assert_int_equal(gate_apply(record, path, &err), PARE_REFUSED);
  write_file("max_flip_rate: 0.05\nmodel: int9\n");
  json_t *before = json_deep_copy(json_object_get(record, "gate"));
  assert_int_equal(gate_apply(record, path, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "int9"));
  assert_true(json_equal(before, json_object_get(record, "gate"))); // untouched
  json_decref(before);
  json_decref(record);
  // Nothing to compare is not a pass.
  record = json_load_file(TEST_DIR "/unit/data/record_eval.json", 0, NULL);
  write_file("max_flip_rate: 0.05\n");
  assert_int_equal(gate_apply(record, path, &err), PARE_INCONCLUSIVE);
  json_decref(record);
}

static void says_how_many_more(void **state) {
  (void)state;
  json_t *record = record_of(NULL);
  status_of(record, "max_flip_rate", 0.02, 0, "int8");
  const char *reason = record_string(record, "gate.checks.0.reason");
  size_t n = 0;
  const char *about = strstr(reason, "about ");
  assert_non_null(about);
  assert_int_equal(sscanf(about, "about %zu items would decide", &n), 1);
  assert_in_range(n, 601, 2000);
  json_decref(record);
}

// A class label that is cut in the reason must not be cut within a character.
static void long_labels(void **state) {
  (void)state;
  json_t *record = record_of(
      "{\"against_base\": {\"per_class_f1_delta\": [{\"label\": "
      "\"xááááááááááááááááááááááááááááááááááááááááááááááááááááá\", \"value\": -0.05, \"ci95\": [-0.08, -0.02]}]}}");
  assert_string_equal(status_of(record, "max_class_f1_drop_pp", 1, 0, "int8"), "FAIL");
  json_decref(record);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(yaml_and_json_are_one),
      cmocka_unit_test(bad_files),
      cmocka_unit_test(every_limit),
      cmocka_unit_test(absent_data_never_passes),
      cmocka_unit_test(levels),
      cmocka_unit_test(accuracy_kinds),
      cmocka_unit_test(verdicts),
      cmocka_unit_test(says_how_many_more),
      cmocka_unit_test(long_labels),
  };
  return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
