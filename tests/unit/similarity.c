// similarity.c - report/similarity.h and report/rouge.h against tests/golden/text.json (rouge_score, and edit distances
// by the textbook), and what they promise beyond it.
#include "report/similarity.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "report/rouge.h"

static struct similarity_text text(const char *s) {
  return (struct similarity_text){s, strlen(s)};
}

static double alike(struct similarity_text a, struct similarity_text b) {
  double x = -1;
  assert_int_equal(similarity_char(a, b, &x, NULL), PARE_OK);
  return x;
}

static double jaccard(const uint32_t *a, size_t m, const uint32_t *b, size_t n) {
  double x = -1;
  assert_int_equal(similarity_jaccard(a, m, b, n, &x, NULL), PARE_OK);
  return x;
}

static void expect(const json_t *row, const char *key, size_t i, double found) {
  double expected = json_number_value(json_array_get(json_object_get(row, key), i));
  if (fabs(found - expected) > 1e-12) {
    fail_msg("%s.%zu of '%.60s': found %.17g, expected %.17g", key, i,
             json_string_value(json_object_get(row, "answer")), found, expected);
  }
}

static void scores_equal_the_goldens(void **state) {
  (void)state;
  json_t *rows = json_load_file(TEST_DIR "/golden/text.json", 0, NULL);
  assert_true(json_array_size(rows) > 40);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i), *a = json_object_get(row, "reference"),
                 *b = json_object_get(row, "answer");
    struct similarity_text x = {json_string_value(a), json_string_length(a)},
                           y = {json_string_value(b), json_string_length(b)};
    struct rouge_score s[ROUGE_KINDS];
    assert_int_equal(rouge_compute(x.bytes, x.len, y.bytes, y.len, s, NULL), PARE_OK);
    for (size_t k = 0; k < ROUGE_KINDS; k++) {
      expect(row, rouge_names[k], 0, s[k].precision);
      expect(row, rouge_names[k], 1, s[k].recall);
      expect(row, rouge_names[k], 2, s[k].f1);
    }
    double expected = json_number_value(json_object_get(row, "char"));
    assert_true(fabs(alike(x, y) - expected) < 1e-12);
    assert_true(fabs(alike(y, x) - expected) < 1e-12);
  }
  json_decref(rows);
}

static void bytes_that_are_no_text(void **state) {
  (void)state;
  struct similarity_text a = {"a\0b", 3}, b = {"a\0c", 3}, bad = {"\xff\xfe", 2}, cut = {"\xe6\x97", 2};
  assert_true(fabs(alike(a, b) - (1 - 1 / 3.0)) < 1e-12);
  assert_true(alike(bad, cut) == 0);
  assert_true(alike(bad, bad) == 1);
  assert_int_equal(similarity_length(cut), 2);
  assert_int_equal(similarity_length(text("日本")), 2);
  struct rouge_score s[ROUGE_KINDS];
  assert_int_equal(rouge_compute(a.bytes, a.len, "b a", 3, s, NULL), PARE_OK);
  assert_true(s[ROUGE_1].f1 == 1 && s[ROUGE_2].f1 == 0 && s[ROUGE_L].f1 == 0.5); // NUL parts words
  assert_int_equal(rouge_compute(bad.bytes, bad.len, cut.bytes, cut.len, s, NULL), PARE_OK);
  assert_true(s[ROUGE_L].f1 == 0);
}

static void ids_are_sets_to_jaccard(void **state) {
  (void)state;
  const uint32_t a[] = {5, 3, 3, 9}, b[] = {9, 9, 3}, c[] = {1};
  assert_true(fabs(jaccard(a, 4, b, 3) - 2 / 3.0) < 1e-15);
  assert_true(fabs(jaccard(b, 3, a, 4) - 2 / 3.0) < 1e-15);
  assert_true(jaccard(a, 4, a, 4) == 1);
  assert_true(jaccard(a, 4, c, 1) == 0);
  assert_true(jaccard(NULL, 0, NULL, 0) == 1);
  assert_true(jaccard(a, 4, NULL, 0) == 0);
}

static void divergence_is_the_first_other_id(void **state) {
  (void)state;
  const uint32_t a[] = {5, 3, 4}, b[] = {5, 3, 9};
  assert_int_equal(similarity_divergence(a, 3, b, 3), 2);
  assert_int_equal(similarity_divergence(a, 2, b, 3), 2); // one ends
  assert_int_equal(similarity_divergence(a, 2, b, 2), SIZE_MAX);
  assert_int_equal(similarity_divergence(NULL, 0, b, 3), 0);
  assert_int_equal(similarity_divergence(NULL, 0, NULL, 0), SIZE_MAX);
}

static void differences_have_kinds(void **state) {
  (void)state;
  static const struct {
    const char *a, *b, *kind;
  } cases[] = {
      {"", "", "identical"},
      {"a b", "a b", "identical"},
      {"a b", "a  b", "spacing"},
      {"a b", "ab\n", "spacing"},
      {"A b", "a b", "case"},
      {"A b", "a  B", "case"},
      {"a, b.", "a b", "punctuation"},
      {"A, b.", "a  b", "punctuation"},
      {"a b", "a c", "words"},
      {"", "a", "words"},
      {"", "!", "punctuation"},
      {"Ärger", "ärger", "case"},
      {"１", "1", "words"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *kind = similarity_difference_name(similarity_difference(text(cases[i].a), text(cases[i].b)));
    if (strcmp(kind, cases[i].kind) != 0)
      fail_msg("'%s' and '%s': %s, expected %s", cases[i].a, cases[i].b, kind, cases[i].kind);
    assert_string_equal(similarity_difference_name(similarity_difference(text(cases[i].b), text(cases[i].a))), kind);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scores_equal_the_goldens), cmocka_unit_test(bytes_that_are_no_text),
      cmocka_unit_test(ids_are_sets_to_jaccard),  cmocka_unit_test(divergence_is_the_first_other_id),
      cmocka_unit_test(differences_have_kinds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
