// report.c - reports, recommendations and the linter, on made-up records.
#include "report/report.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "report/text_draw.h"
#include "unit/page.h"
#include "unit/report_synth.h"

static const char *const record_files[] = {"record_compare.json", "record_eval.json", "record_hostile.json",
                                           "record_unlabelled.json"};
enum { RECORD_FILES = sizeof record_files / sizeof *record_files };

typedef enum pare_status (*drawer)(const json_t *record, struct buf *out, struct pare_error *err);

static enum pare_status text_100(const json_t *record, struct buf *out, struct pare_error *err) {
  return report_text(record, (struct report_text_options){0}, out, err);
}

static char *draw(drawer d, const json_t *record) {
  struct buf out = {0};
  struct pare_error err = {0};
  if (d(record, &out, &err) != PARE_OK) fail_msg("%s", err.text);
  char *text = buf_take(&out);
  assert_non_null(text);
  return text;
}

static void text_says_what_matters(void **state) {
  (void)state;
  json_t *record = load("record_compare.json");
  char *text = draw(text_100, record);
  has(text, "original against 3 candidates, 600 items of made-up.csv");
  has(text, "98.33 (96.96–99.09)");
  has(text, "≈ +0.00 (-1.06 to +1.06)");
  has(text, "▼ -3.17 (-5.10 to -1.50)");
  has(text, "23 / 4");
  has(text, "3.70×");
  has(text, "Verdict: FAIL");
  has(text, "checks pass.");
  has_not(text, " nan");
  has_not(text, " inf");
  has_not(text, "\033[");
  free(text);
  json_decref(record);
  record = load("record_hostile.json");
  text = draw(text_100, record);
  has(text, "n/a (n<59)");
  has(text, "n/a (n<299)");
  has_not(text, "\033");
  has_not(text, "\xe2\x80\xae"); // the override that would turn the rest of the line around
  free(text);
  json_decref(record);
  record = load("record_unlabelled.json");
  text = draw(text_100, record);
  has(text, "the data has no labels.");
  has(text, "accuracy unknown");
  free(text);
  json_decref(record);
}

// Models of kilobytes: no table, chart or sentence says 0.00 MB.
static void small_models_are_in_kilobytes(void **state) {
  (void)state;
  json_t *record = load("record_compare.json"), *model;
  size_t i;
  json_object_del(record, "gate");
  json_object_set_new(record, "parameters", json_integer(2000));
  json_object_set_new(record, "f32_bytes", json_integer(8000));
  json_array_foreach(json_object_get(record, "models"), i, model) {
    int size = i ? 1999 : 8010;
    json_object_update_new(
        model, json_pack("{s:i, s:f, s:f, s:[], s:{s:i, s:i, s:i, s:i}}", "size_bytes", size, "size_percent_of_f32",
                         100 * size / 8000.0, "compression", 8010.0 / size, "coverage", "bytes", "embedding", 0,
                         "linear", size - 499, "scale", 4, "other", 495));
  }
  assert_int_equal(report_recommend(record, NULL), PARE_OK);
  char *text = draw(text_100, record), *page = draw(report_html, record);
  has(text, " kB ");
  has(text, " 8.01 ");
  has(text, "2.00 kB, 4.01 times smaller");
  has_not(text, " MB,");
  has(page, "kB = 1,000 bytes of weight files");
  has(page, "Linear: 1.50 kB");
  has(page, "2000 parameters");
  has_not(page, "0.00 MB");
  free(text);
  free(page);
  json_decref(record);
  record = load("record_compare.json");
  text = draw(text_100, record);
  has(text, " MB ");
  has(text, " 17.54 ");
  has_not(text, " kB ");
  free(text);
  json_decref(record);
}

static void text_keeps_to_its_width(void **state) {
  (void)state;
  static const size_t widths[] = {40, 72, 100, 160};
  for (size_t f = 0; f < RECORD_FILES; f++) {
    json_t *record = load(record_files[f]);
    for (size_t w = 0; w < 4; w++) {
      struct buf out = {0};
      assert_int_equal(report_text(record, (struct report_text_options){.width = widths[w]}, &out, NULL), PARE_OK);
      for (const char *line = out.data; *line; line = strchr(line, '\n') + 1) {
        size_t len = strcspn(line, "\n"), columns = text_columns(line, len);
        // The verdict is one line of names; at 40 columns a sentence keeps 24 of its own.
        if (strncmp(line, "Verdict", 7) != 0 && columns > widths[w] + (widths[w] < 72 ? 4 : 0))
          fail_msg("%zu columns of %zu: %.*s", columns, widths[w], (int)len, line);
      }
      buf_free(&out);
    }
    json_decref(record);
  }
}

static void html_is_one_safe_page(void **state) {
  (void)state;
  for (size_t f = 0; f < RECORD_FILES; f++) {
    json_t *record = load(record_files[f]);
    char *page = draw(report_html, record);
    well_formed(page);
    has_not(page, "<script");
    has_not(page, ">nan");
    has_not(page, "\"nan");
    has_not(page, " nan");
    has_not(page, "src=");
    has_not(page, "@import");
    has_not(page, "url(");
    has(page, "<svg");
    has(page, "width=device-width");
    free(page);
    json_decref(record);
  }
}

static void html_escapes(void **state) {
  (void)state;
  json_t *record = load("record_hostile.json");
  char *page = draw(report_html, record), *markdown = draw(report_markdown, record);
  has(page, "&lt;script&gt;alert(1)&lt;/script&gt;");
  has(page, "a &quot;quoted&quot; &amp; &#39;single&#39; | pipe newline");
  has(page, "<bdi>שלום");
  has_not(page, "</title><script>");
  has_not(page, "\033");
  has_not(markdown, "<script");
  has(markdown, "\\| pipe newline");
  // Every Markdown table row has as many bars as its header.
  size_t expected = 0;
  for (const char *line = markdown; *line; line = strchr(line, '\n') + 1) {
    size_t len = strcspn(line, "\n"), bars = 0;
    for (size_t i = 0; i < len; i++) bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
    if (line[0] != '|')
      expected = 0;
    else if (expected == 0)
      expected = bars;
    else if (bars != expected)
      fail_msg("%zu bars, expected %zu: %.*s", bars, expected, (int)len, line);
  }
  free(page);
  free(markdown);
  json_decref(record);
}

static void many_models_and_classes(void **state) {
  (void)state;
  struct synth s = {.n = 300, .classes = 20, .models = 8, .runs = 30, .seed = 5, .noise = 0.05};
  synth_make(&s);
  json_t *record = synth_record(&s);
  assert_non_null(record);
  char *page = draw(report_html, record), *text = draw(text_100, record), *markdown = draw(report_markdown, record);
  well_formed(page);
  has(text, "c19");
  has(text, "m7");
  has(markdown, "| c19 |");
  free(page), free(text), free(markdown);
  json_decref(record);
  synth_free(&s);
}

static void json_round_trip(void **state) {
  (void)state;
  json_t *record = load("record_compare.json");
  for (int pretty = 0; pretty < 2; pretty++) {
    struct buf out = {0};
    assert_int_equal(report_json(record, pretty, &out, NULL), PARE_OK);
    json_t *again = json_loads(out.data, 0, NULL);
    assert_true(json_equal(record, again));
    assert_int_equal(report_lint(again, NULL), PARE_OK);
    if (!pretty) assert_ptr_equal(strchr(out.data, '\n'), out.data + out.len - 1);
    json_decref(again);
    buf_free(&out);
  }
  json_decref(record);
}

static void accessors(void **state) {
  (void)state;
  json_t *r = json_loads(
      "{\"a\":[{\"b\":1.5,\"p\":null,\"p_reason\":\"too few\"}],\"n\":3,\"m\":-3,\"s\":\"x\",\"i\":[1,2],\"j\":[2,1],"
      "\"o\":null,\"o_reason\":\"whole object\",\"a_reason\":\"unused\"}",
      0, NULL);
  double x, ends[2];
  size_t n;
  assert_true(record_number(r, "a.0.b", &x) && x == 1.5);
  assert_false(record_number(r, "a.1.b", &x) || record_number(r, "a.0.p", &x) || record_number(r, "a.x.b", &x) ||
               record_number(r, "s", &x));
  assert_true(record_count(r, "n", &n) && n == 3);
  assert_false(record_count(r, "m", &n) || record_count(r, "a.0.b", &n));
  assert_true(record_interval(r, "i", ends) && ends[1] == 2);
  assert_false(record_interval(r, "j", ends) || record_interval(r, "a", ends));
  assert_string_equal(record_reason(r, "a.0.p"), "too few");
  assert_string_equal(record_reason(r, "o.value"), "whole object");
  assert_string_equal(record_reason(r, "z"), "not in the record");
  assert_string_equal(record_string(r, "s"), "x");
  assert_null(record_get(r, "o"));
  assert_int_equal(record_set_null(r, "s", "%d of %d", 1, 2), 0);
  assert_string_equal(record_reason(r, "s"), "1 of 2");
  json_decref(r);
}

// ---- recommendations
// ---------------------------------------------------------------------------------------------------------

// One candidate: size, accuracy interval of the difference in points, speedup interval. labels: accuracy known.
struct maker {
  double size, low, high, speed_low, speed_high;
};

static json_t *made(const struct maker *candidates, size_t n) {
  json_t *models = json_array();
  json_array_append_new(models, json_pack("{s:s, s:f, s:{s:f, s:i, s:i}, s:n}", "name", "base", "size_bytes", 100.0,
                                          "accuracy", "value", 0.9, "correct", 900, "n", 1000, "against_base"));
  for (size_t i = 0; i < n; i++) {
    const struct maker *c = &candidates[i];
    char name[8];
    double delta = (c->low + c->high) / 200;
    snprintf(name, sizeof name, "m%zu", i);
    json_array_append_new(
        models, json_pack("{s:s, s:f, s:{s:f}, s:{s:{s:f, s:[f, f]}, s:{s:f, s:[f, f]}}}", "name", name, "size_bytes",
                          c->size, "accuracy", "value", 0.9 + delta, "against_base", "accuracy_delta", "value", delta,
                          "ci95", c->low / 100, c->high / 100, "speedup", "value", (c->speed_low + c->speed_high) / 2,
                          "ci95", c->speed_low, c->speed_high));
  }
  json_t *record = json_pack("{s:o}", "models", models);
  assert_int_equal(report_recommend(record, NULL), PARE_OK);
  return record;
}

static const char *recommended(const json_t *record, const char *priority) {
  const json_t *rows = record_get(record, "recommendations");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    if (strcmp(record_string(json_array_get(rows, i), "priority"), priority) == 0)
      return record_string(json_array_get(rows, i), "model");
  }
  return "none";
}

static void recommend(struct maker a, struct maker b, const char *size, const char *accuracy, const char *speed,
                      const char *overall) {
  json_t *record = made((struct maker[]){a, b}, 2);
  assert_string_equal(recommended(record, "size"), size);
  assert_string_equal(recommended(record, "accuracy"), accuracy);
  assert_string_equal(recommended(record, "speed"), speed);
  assert_string_equal(recommended(record, "overall"), overall);
  assert_int_equal(report_lint(record, NULL), PARE_OK);
  json_decref(record);
}

static void recommendations(void **state) {
  (void)state;
  // m1 is smaller and faster but measurably worse: m0 it is; nothing is measurably more accurate.
  recommend((struct maker){40, -1, 1, 1.1, 1.3}, (struct maker){20, -5, -2, 2, 3}, "m0", "base", "m0", "m0");
  // Speed interval that includes 1: the original; and slower ones are never overall.
  recommend((struct maker){40, -1, 1, 0.9, 1.3}, (struct maker){20, -1, 1, 0.3, 0.4}, "m1", "base", "base", "m0");
  // The higher of two that are measurably better, though not smaller.
  recommend((struct maker){140, 1, 3, 1.5, 1.6}, (struct maker){150, 2, 5, 1.1, 1.2}, "base", "m1", "m0", "base");
  // Nothing is any good.
  recommend((struct maker){40, -5, -3, 2, 3}, (struct maker){100, -1, 1, 0.5, 0.6}, "base", "base", "base", "base");
  json_t *record = made(&(struct maker){120, -1, 1, 1.2, 1.3}, 1);
  const char *because = record_string(record, "recommendations.2.because");
  has(because, "it is not smaller than the original");
  has(record_string(record, "recommendations.0.because"), "no candidate is smaller");
  json_decref(record);
  // That every candidate is worse is said only when each was measured.
  record = made((struct maker[]){{40, -5, -3, 1.1, 1.3}, {30, -5, -3, 1.1, 1.3}}, 2);
  has(record_string(record, "recommendations.0.because"), "every smaller candidate is measurably less accurate");
  json_object_del((json_t *)record_get(record, "models.1.against_base.accuracy_delta"), "ci95");
  assert_int_equal(report_recommend(record, NULL), PARE_OK);
  has(record_string(record, "recommendations.0.because"), "of the 2 smaller candidates 1 is measurably less accurate");
  has(record_string(record, "recommendations.3.because"), "the accuracy of the others is unknown");
  json_decref(record);
  record = load("record_eval.json");
  assert_int_equal(json_array_size(record_get(record, "recommendations")), 0);
  json_decref(record);
}

// ---- lint
// --------------------------------------------------------------------------------------------------------------------

// Sets the value at the end of a dotted path.
static void put(json_t *record, const char *path, json_t *value) {
  const char *dot = strrchr(path, '.'), *last = dot ? dot + 1 : path;
  char parent[96];
  snprintf(parent, sizeof parent, "%.*s", dot ? (int)(dot - path) : 0, path);
  json_t *node = (json_t *)record_get(record, parent);
  assert_non_null(node);
  if (json_is_array(node))
    json_array_set_new(node, (size_t)atoi(last), value);
  else
    json_object_set_new(node, last, value);
}

static void lint_finds(const char *path, double wrong, const char *expected) {
  json_t *record = load("record_compare.json");
  struct pare_error err = {0};
  struct buf out = {0};
  double before;
  assert_true(record_number(record, path, &before));
  assert_true(before != wrong);
  put(record, path,
      before == floor(before) && wrong == floor(wrong) ? json_integer((json_int_t)wrong) : json_real(wrong));
  if (report_lint(record, &err) != PARE_BUG) fail_msg("%s = %g was not found", path, wrong);
  has(err.text, expected);
  assert_int_equal(report_html(record, &out, NULL), PARE_BUG);
  assert_int_equal(text_100(record, &out, NULL), PARE_BUG);
  assert_int_equal(report_markdown(record, &out, NULL), PARE_BUG);
  assert_int_equal(out.len, 0);
  json_decref(record);
}

static void lint(void **state) {
  (void)state;
  for (size_t f = 0; f < RECORD_FILES; f++) {
    json_t *record = load(record_files[f]);
    struct pare_error err = {0};
    if (report_lint(record, &err) != PARE_OK) fail_msg("%s: %s", record_files[f], err.text);
    json_decref(record);
  }
  lint_finds("models.1.compression", 4, "int8: compression");
  lint_finds("models.1.size_percent_of_f32", 25, "size_percent_of_f32");
  lint_finds("models.1.bytes.linear", 1e9, "bytes");
  lint_finds("f32_bytes", 1e6, "f32_bytes");
  lint_finds("models.0.accuracy.value", 0.99, "original: accuracy.value");
  lint_finds("models.0.accuracy.correct", 500, "accuracy.value");
  lint_finds("models.2.accuracy.ci95.0", 0.5, "accuracy.ci95");
  lint_finds("models.2.f1_macro", 0.99, "f1_macro");
  lint_finds("models.2.precision_macro", 0.99, "precision_macro");
  lint_finds("models.2.per_class.1.f1", 0.99, "per_class.f1");
  lint_finds("models.2.per_class.1.support", 3, "support");
  lint_finds("models.2.confusion.0.0", 3, "support");
  lint_finds("models.2.against_base.flips.right_to_wrong", 1, "mcnemar_p");
  lint_finds("models.2.against_base.flips.changed", 1, "flips.changed");
  lint_finds("models.2.against_base.identical_rate", 1, "identical_rate");
  lint_finds("models.2.against_base.accuracy_delta.value", 0, "accuracy_delta.value");
  lint_finds("models.2.against_base.accuracy_delta.ci95.1", 0.1, "accuracy_delta.ci95");
  lint_finds("models.2.against_base.relative_accuracy.value", 1, "relative_accuracy");
  lint_finds("models.2.against_base.mcnemar_p", 0.5, "mcnemar_p");
  lint_finds("models.2.against_base.confidence_delta_mean", 0.5, "confidence_delta_mean");
  lint_finds("models.2.against_base.f1_macro_delta.value", 0.5, "f1_macro_delta");
  lint_finds("models.2.against_base.speedup.value", 9, "speedup.value");
  lint_finds("models.2.against_base.kl_mean", -1, "kl_mean");
  lint_finds("models.3.latency_ms.median", 10, "latency_ms.median");
  lint_finds("models.3.latency_ms.p99", 12.2, "latency_ms.p99");
  lint_finds("models.3.latency_ms.n", 100, "latency_ms");
}

// Text that the numbers do not support.
static void lint_words(void **state) {
  (void)state;
  json_t *record = load("record_compare.json");
  struct pare_error err = {0};
  put(record, "recommendations.2.model", json_string("nf4"));
  assert_int_equal(report_lint(record, &err), PARE_BUG);
  has(err.text, "speed: nf4, the numbers support int8");
  put(record, "recommendations.2.model", json_string("int8"));
  assert_int_equal(report_lint(record, NULL), PARE_OK);
  put(record, "recommendations.0.because", json_string("it feels right"));
  assert_int_equal(report_lint(record, NULL), PARE_BUG);
  json_decref(record);
  record = load("record_compare.json");
  put(record, "gate.verdict", json_string("PASS"));
  assert_int_equal(report_lint(record, &err), PARE_BUG);
  has(err.text, "gate.verdict");
  json_decref(record);
  record = json_object();
  assert_int_equal(report_lint(record, NULL), PARE_BUG);
  json_decref(record);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_says_what_matters),
      cmocka_unit_test(small_models_are_in_kilobytes),
      cmocka_unit_test(text_keeps_to_its_width),
      cmocka_unit_test(html_is_one_safe_page),
      cmocka_unit_test(html_escapes),
      cmocka_unit_test(many_models_and_classes),
      cmocka_unit_test(json_round_trip),
      cmocka_unit_test(accessors),
      cmocka_unit_test(recommendations),
      cmocka_unit_test(lint),
      cmocka_unit_test(lint_words),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
