// study.c - a study's report over made-up records: three forms, hostile text, and a linter that misses nothing.
#include "study/study.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "report/record.h"
#include "unit/page.h"

// A study with one part over a record; its verdict is derived.
static json_t *study_of(const char *record_file, const char *title) {
  json_t *config = json_pack("{s:s, s:[{s:s, s:s, s:s, s:[s]}], s:[s], s:[{s:s, s:s, s:f}], s:[{s:s, s:s}]}", "title",
                             title, "parts", "name", "a", "model", "m<b>", "data", "d&c", "schemes", "int8", "notes",
                             "<script>alert(1)</script> {size_mb}", "claims", "text", "<i>small</i>", "metric",
                             "compression", "min", 1.0, "checklist", "text", "]]> & done", "state", "done");
  assert_non_null(config);
  json_t *study =
      json_pack("{s:s, s:s, s:s, s:o, s:[{s:s, s:o, s:[]}]}", "kind", "study", "created", "2026-01-31T10:00:00Z",
                "file", "s.yaml", "config", config, "parts", "name", "a", "record", load(record_file), "samples");
  assert_non_null(study);
  struct pare_error err = {0};
  enum pare_status status = study_derive(study, &err);
  if (status != PARE_OK && status != PARE_REFUSED && status != PARE_INCONCLUSIVE) fail_msg("%s", err.text);
  return study;
}

static char *report(const json_t *study, enum study_form form) {
  struct buf out = {0};
  struct pare_error err = {0};
  if (study_report(study, form, 0, &out, &err) != PARE_OK) fail_msg("%s", err.text);
  return buf_take(&out);
}

static void every_form_holds_the_same_sentences(void **state) {
  (void)state;
  json_t *study = study_of("record_compare.json", "A study");
  char *text = report(study, STUDY_PLAIN), *markdown = report(study, STUDY_MARKDOWN), *page = report(study, STUDY_HTML);
  well_formed(page);
  has(text, "REPORT END");
  has(markdown, "# A study\n");
  has(page, "<h1>");
  static const char *const headings[] = {"Executive summary", "Validation", "Key findings",
                                         "Recommendations",   "Readiness",  "Conclusion"};
  for (size_t i = 0; i < sizeof headings / sizeof *headings; i++) {
    has(text, headings[i]);
    has(markdown, headings[i]);
    has(page, headings[i]);
  }
  free(text);
  free(markdown);
  free(page);
  json_decref(study);
}

static void hostile_text_stays_text(void **state) {
  (void)state;
  json_t *study = study_of("record_hostile.json", "<script>alert(1)</script>\033[2J");
  char *page = report(study, STUDY_HTML), *markdown = report(study, STUDY_MARKDOWN), *text = report(study, STUDY_PLAIN);
  well_formed(page);
  has_not(page, "<script");
  has_not(markdown, "<script");
  has_not(markdown, "<i>");
  has_not(page, "\033");
  has_not(text, "\033");
  free(page);
  free(markdown);
  free(text);
  json_decref(study);
}

// Each text and number that was derived, changed alone, is missed by nobody.
static void change_each(json_t *study, json_t *node, size_t *changed) {
  struct pare_error err;
  const char *key;
  json_t *child;
  size_t i;
  json_object_foreach(node, key, child) {
    if (json_is_object(child) || json_is_array(child)) {
      change_each(study, child, changed);
      continue;
    }
    json_t *kept = json_incref(child);
    json_object_set_new(node, key, json_is_string(child) ? json_string("otherwise") : json_real(12345.5));
    err = (struct pare_error){0};
    if (study_lint(study, &err) != PARE_BUG) fail_msg("a changed %s went unseen", key);
    json_object_set_new(node, key, kept);
    (*changed)++;
  }
  json_array_foreach(node, i, child) {
    if (json_is_object(child)) change_each(study, child, changed);
    if (!json_is_string(child)) continue;
    json_t *kept = json_incref(child);
    json_array_set_new(node, i, json_string("otherwise"));
    err = (struct pare_error){0};
    if (study_lint(study, &err) != PARE_BUG) fail_msg("changed text %zu went unseen", i);
    json_array_set_new(node, i, kept);
    (*changed)++;
  }
}

static void a_changed_derivation_is_seen(void **state) {
  (void)state;
  json_t *study = study_of("record_compare.json", "A study");
  struct pare_error err = {0};
  assert_int_equal(study_lint(study, &err), PARE_OK);
  size_t changed = 0;
  change_each(study, json_object_get(study, "derived"), &changed);
  assert_true(changed >= 30);
  assert_int_equal(study_lint(study, &err), PARE_OK);
  json_decref(study);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_form_holds_the_same_sentences),
      cmocka_unit_test(hostile_text_stays_text),
      cmocka_unit_test(a_changed_derivation_is_seen),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
