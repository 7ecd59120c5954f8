// compare_texts.c - pare_compare and pare_eval on a language model: the record computed again from the raw samples, and
// those held against pare_generate and pare_perplexity, which take other ways.
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/file.h"
#include "pare.h"
#include "report/record.h"
#include "report/report.h"
#include "report/rouge.h"
#include "report/similarity.h"
#include "report/stats.h"

enum { ROWS = 24, RUNS = 20, MODELS = 3, TOKENS = 12 };

static const char model[] = PROJECT_DIR "/models/news-gpt2";
static const char *const names[MODELS] = {"news-gpt2", "int8", "nf4"};
static const char *const prompts[ROWS] = {"The company is based in New York",
                                          "Oil prices fell on Monday as",
                                          "The peak, elevation, is located within the",
                                          "The match ended in",
                                          "In 2001, she began her career on",
                                          "Shares of the",
                                          "The film was directed by",
                                          "Scientists said on Thursday that a new",
                                          "He",
                                          "The band released its first album in",
                                          "Police in the city of",
                                          "The river flows through",
                                          "A spokesman for the company said",
                                          "The village has a population of",
                                          "On Friday the central bank",
                                          "She was born in",
                                          "The bridge was built",
                                          "Stocks rose after",
                                          "The species is found in",
                                          "Researchers at the university",
                                          "The team finished the season",
                                          "In the north of the country",
                                          "The government of",
                                          "After the war he"};

struct state {
  pare_engine *engine;
  struct outdir dir;
  char *data;
  json_t *record, *samples[MODELS][ROWS];
  size_t runs;
};

static void take_line(struct state *s, const json_t *line) {
  const char *name = record_string(line, "model");
  size_t m = 0, row;
  while (m < MODELS && strcmp(names[m], name) != 0) m++;
  assert_true(m < MODELS);
  if (json_object_get(line, "latency_ms")) {
    s->runs++;
    return;
  }
  assert_true(record_count(line, "row", &row) && row < ROWS);
  assert_null(s->samples[m][row]);
  s->samples[m][row] = json_deep_copy(line);
}

// Every second row has a reference: the next prompt, so that some words are shared.
static char *write_data(struct state *s) {
  struct pare_error err = {0};
  char *path = path_join(s->dir.temp, "prompts.jsonl");
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  for (size_t i = 0; i < ROWS; i++) {
    fprintf(f, "{\"text\": \"%s\"", prompts[i]);
    if (i % 2 == 0) fprintf(f, ", \"summary\": \"the first time, %s\"", prompts[(i + 1) % ROWS]);
    fprintf(f, "}\n");
  }
  fclose(f);
  (void)err;
  return path;
}

static json_t *rendered(const pare_record *record) {
  char *text;
  struct pare_error err = {0};
  if (pare_record_render(record, PARE_JSON, NULL, &text, &err) != PARE_OK) fail_msg("%s", err.text);
  json_t *tree = json_loads(text, 0, NULL);
  assert_non_null(tree);
  free(text);
  return tree;
}

static int run_once(void **state) {
  static const char *const schemes[] = {"int8", "nf4"};
  struct state *s = calloc(1, sizeof *s);
  struct pare_error err = {0};
  pare_record *record;
  if (!s || dir_create_temp(&s->dir, &err) != PARE_OK) return -1;
  if (pare_engine_open(&(struct pare_engine_options){.threads = 2}, &s->engine, &err) != PARE_OK)
    fail_msg("%s", err.text);
  s->data = write_data(s);
  char *samples = path_join(s->dir.temp, "samples.jsonl");
  struct pare_compare_options options = {.schemes = schemes,
                                         .scheme_count = 2,
                                         .generate = {.max_tokens = TOKENS},
                                         .iterations = RUNS,
                                         .samples = samples};
  if (pare_compare(s->engine, model, s->data, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
  s->record = rendered(record);
  static const enum pare_format formats[] = {PARE_TEXT, PARE_MARKDOWN, PARE_HTML};
  for (size_t i = 0; i < 3; i++) { // each checks the record against itself first
    char *page;
    if (pare_record_render(record, formats[i], NULL, &page, &err) != PARE_OK) fail_msg("%s", err.text);
    if (!strstr(page, "Likeness") || (i && !strstr(page, "side by side"))) fail_msg("page %zu says too little", i);
    free(page);
  }
  pare_record_close(record);
  FILE *file = fopen(samples, "r");
  assert_non_null(file);
  for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)); json_decref(line)) take_line(s, line);
  fclose(file);
  free(samples);
  *state = s;
  return 0;
}

static int forget(void **state) {
  struct state *s = *state;
  for (size_t m = 0; m < MODELS; m++)
    for (size_t i = 0; i < ROWS; i++) json_decref(s->samples[m][i]);
  json_decref(s->record);
  pare_engine_close(s->engine);
  dir_discard(&s->dir);
  free(s->data);
  free(s);
  return 0;
}

static double of(const struct state *s, size_t m, size_t row, const char *key) {
  double x;
  if (!record_number(s->samples[m][row], key, &x)) fail_msg("no %s", key);
  return x;
}

static struct similarity_text answer(const struct state *s, size_t m, size_t row) {
  const json_t *text = json_object_get(s->samples[m][row], "answer");
  return (struct similarity_text){json_string_value(text), json_string_length(text)};
}

static void expect(const struct state *s, size_t m, const char *path, double expected) {
  double found;
  if (!record_number(record_model(s->record, m), path, &found)) fail_msg("%s: no number %s", names[m], path);
  if (!(fabs(found - expected) <= 1e-9 * fmax(fabs(expected), 1)))
    fail_msg("%s: %s is %.17g, computed %.17g", names[m], path, found, expected);
}

static void expect_within(const struct state *s, size_t m, const char *path) {
  double ends[2], value;
  char full[96];
  snprintf(full, sizeof full, "%s.value", path);
  if (!record_number(record_model(s->record, m), full, &value)) fail_msg("%s: no %s", names[m], full);
  snprintf(full, sizeof full, "%s.ci95", path);
  if (!record_interval(record_model(s->record, m), full, ends)) fail_msg("%s: no %s", names[m], full);
  assert_true(ends[0] <= value && value <= ends[1]);
}

// ---- the tests ----

static void every_row_is_answered(void **state) {
  const struct state *s = *state;
  for (size_t m = 0; m < MODELS; m++)
    for (size_t i = 0; i < ROWS; i++) assert_non_null(s->samples[m][i]);
  assert_int_equal(s->runs, MODELS * RUNS);
  assert_string_equal(record_string(s->record, "outcome"), "text");
  assert_string_equal(record_string(s->record, "task"), "text-generation");
  size_t references;
  assert_true(record_count(s->record, "dataset.references", &references));
  assert_int_equal(references, (ROWS + 1) / 2);
}

static void answers_are_those_of_generate(void **state) {
  const struct state *s = *state;
  struct pare_error err = {0};
  pare_model *m;
  if (pare_model_open(s->engine, model, &m, &err) != PARE_OK) fail_msg("%s", err.text);
  for (size_t i = 0; i < ROWS; i++) {
    struct pare_text prompt = {.text = prompts[i], .len = strlen(prompts[i])};
    struct pare_generation g;
    struct pare_generate_options how = {.max_tokens = TOKENS};
    if (pare_generate(m, &prompt, 1, &how, &g, &err) != PARE_OK) fail_msg("%s", err.text);
    assert_string_equal(g.text, answer(s, 0, i).bytes);
    pare_generation_free(&g);
  }
  pare_model_close(m);
}

static void perplexity_is_that_of_perplexity(void **state) {
  const struct state *s = *state;
  struct pare_error err = {0};
  double tokens = 0, nll = 0;
  for (size_t i = 0; i < ROWS; i++) {
    if (of(s, 0, i, "scored") < 1) continue;
    char *path = path_join(s->dir.temp, "text.txt");
    FILE *f = fopen(path, "w");
    fputs(prompts[i], f);
    fclose(f);
    struct pare_perplexity_options options = {0};
    pare_record *record;
    if (pare_perplexity(s->engine, model, path, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
    json_t *tree = rendered(record);
    double mean = 0, n = 0;
    assert_true(record_number(tree, "nll", &mean) && record_number(tree, "tokens", &n));
    assert_true(n == of(s, 0, i, "scored"));
    assert_true(fabs(mean * n - of(s, 0, i, "nll")) < 1e-6 * n);
    tokens += n;
    nll += of(s, 0, i, "nll");
    json_decref(tree);
    pare_record_close(record);
    free(path);
  }
  expect(s, 0, "perplexity.tokens", tokens);
  expect(s, 0, "perplexity.value", exp(nll / tokens));
}

static void likeness_is_recomputed(void **state) {
  const struct state *s = *state;
  for (size_t m = 1; m < MODELS; m++) {
    double sum = 0, low = 1, same = 0, length = 0, base_length = 0;
    for (size_t i = 0; i < ROWS; i++) {
      double x;
      assert_int_equal(similarity_char(answer(s, 0, i), answer(s, m, i), &x, NULL), PARE_OK);
      sum += x;
      low = fmin(low, x);
      same += x == 1;
      length += (double)similarity_length(answer(s, m, i));
      base_length += (double)similarity_length(answer(s, 0, i));
      if (x == 1)
        assert_true(json_equal(json_object_get(s->samples[0][i], "ids"), json_object_get(s->samples[m][i], "ids")));
    }
    expect(s, m, "similarity.char.mean", sum / ROWS);
    expect(s, m, "similarity.char.min", low);
    expect(s, m, "similarity.exact.value", same / ROWS);
    expect(s, m, "against_base.identical_rate", same / ROWS);
    expect(s, m, "against_base.len_ratio.value", length / base_length);
  }
  expect(s, 1, "similarity.char.max", 1); // on so many prompts int8 and the original do agree somewhere
}

static void forced_tokens_are_counted(void **state) {
  const struct state *s = *state;
  for (size_t m = 0; m < MODELS; m++) {
    double same = 0, forced = 0, kl = 0, nll = 0, base_nll = 0, scored = 0;
    for (size_t i = 0; i < ROWS; i++) {
      same += of(s, m, i, "same_top");
      forced += of(s, m, i, "forced");
      kl += of(s, m, i, "kl");
      nll += of(s, m, i, "nll");
      base_nll += of(s, 0, i, "nll");
      scored += of(s, m, i, "scored");
    }
    assert_true(forced >= ROWS);
    if (m == 0) { // the original goes on as it did
      assert_true(same == forced);
      assert_true(kl == 0);
      continue;
    }
    assert_true(kl > 0);
    expect(s, m, "against_base.same_top.value", same / forced);
    expect(s, m, "against_base.same_top.n", forced);
    expect(s, m, "against_base.kl_mean", kl / forced);
    expect(s, m, "against_base.perplexity_ratio.value", exp((nll - base_nll) / scored));
    expect_within(s, m, "against_base.same_top");
    expect_within(s, m, "against_base.perplexity_ratio");
  }
}

static void rouge_is_recomputed(void **state) {
  const struct state *s = *state;
  double base_mean = 0;
  for (size_t m = 0; m < MODELS; m++) {
    double f1[ROUGE_KINDS] = {0}, n = 0;
    for (size_t i = 0; i < ROWS; i++) {
      const char *reference = record_string(s->samples[m][i], "reference");
      assert_true((reference != NULL) == (i % 2 == 0));
      if (!reference) continue;
      struct rouge_score score[ROUGE_KINDS];
      struct similarity_text a = answer(s, m, i);
      assert_int_equal(rouge_compute(reference, strlen(reference), a.bytes, a.len, score, NULL), PARE_OK);
      for (size_t k = 0; k < ROUGE_KINDS; k++) f1[k] += score[k].f1;
      n++;
    }
    expect(s, m, "rouge.n", n);
    for (size_t k = 0; k < ROUGE_KINDS; k++) {
      char path[48];
      snprintf(path, sizeof path, "rouge.%s.value", rouge_names[k]);
      expect(s, m, path, f1[k] / n);
    }
    if (m == 0) base_mean = f1[ROUGE_L] / n;
    if (m) expect(s, m, "against_base.rougeL_rel.value", f1[ROUGE_L] / n / base_mean);
    if (m) expect(s, m, "against_base.rouge_delta.rougeL.value", f1[ROUGE_L] / n - base_mean);
  }
}

// Twelve references are too few to resample, whatever the number of rows.
static void few_texts_give_no_interval(void **state) {
  const struct state *s = *state;
  double ends[2];
  for (size_t m = 1; m < MODELS; m++) {
    const json_t *model_entry = record_model(s->record, m);
    assert_false(record_interval(model_entry, "rouge.rougeL.ci95", ends));
    assert_string_equal(record_reason(model_entry, "rouge.rougeL.ci95"), "n too small: 12 texts, 20 needed");
    assert_false(record_interval(model_entry, "against_base.rouge_delta.rougeL.ci95", ends));
    assert_true(record_interval(model_entry, "against_base.len_ratio.ci95", ends));
  }
  // So nothing is known about quality, and only sizes are compared.
  assert_int_equal(json_array_size(record_get(s->record, "recommendations")), 1);
  const char *because = record_string(s->record, "recommendations.0.because");
  if (!strstr(because, "ROUGE-L unknown: n too small")) fail_msg("%s", because);
}

static void examples_are_the_first_and_the_worst(void **state) {
  const struct state *s = *state;
  for (size_t m = 1; m < MODELS; m++) {
    const json_t *rows = record_get(record_model(s->record, m), "examples");
    assert_true(json_array_size(rows) >= 5);
    double before = 0;
    for (size_t k = 0; k < json_array_size(rows); k++) {
      const json_t *row = json_array_get(rows, k);
      size_t at = 0;
      double match = 0;
      assert_true(record_count(row, "row", &at) && record_number(row, "match", &match));
      assert_string_equal(record_string(row, "text"), prompts[at]);
      assert_true((match == 1) == (strcmp(record_string(row, "difference"), "identical") == 0));
      if (k < 5) assert_int_equal(at, k);
      if (k > 5) assert_true(match >= before);
      before = match;
    }
  }
}

static void lint_recomputes(void **state) {
  const struct state *s = *state;
  static const struct {
    const char *object, *key;
  } fields[] = {{"models.1.similarity.exact", "value"},
                {"models.1.similarity.char", "min"},
                {"models.1.against_base.perplexity_ratio", "value"},
                {"models.1.against_base.rougeL_rel", "value"},
                {"models.2.rouge.rouge2", "value"},
                {"models.2.against_base", "identical_rate"},
                {"models.1.similarity", "perplexity"},
                {"models.2.similarity.teacher_forced", "value"}};
  static const struct {
    const char *object, *key;
  } counts[] = {{"models.0.generated.finish_reason", "eos"}, {"models.1.rouge", "n"}};
  struct pare_error err = {0};
  if (report_lint(s->record, &err) != PARE_OK) fail_msg("%s", err.text);
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    json_t *copy = json_deep_copy(s->record);
    json_t *object = (json_t *)record_get(copy, fields[i].object);
    assert_int_equal(json_object_set_new(object, fields[i].key, json_real(1.0625)), 0);
    if (report_lint(copy, &err) != PARE_BUG) fail_msg("%s.%s is not recomputed", fields[i].object, fields[i].key);
    json_decref(copy);
  }
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    json_t *copy = json_deep_copy(s->record);
    json_t *object = (json_t *)record_get(copy, counts[i].object);
    json_int_t was = json_integer_value(json_object_get(object, counts[i].key));
    assert_int_equal(json_object_set_new(object, counts[i].key, json_integer(was + 1)), 0);
    if (report_lint(copy, &err) != PARE_BUG) fail_msg("%s.%s is not counted", counts[i].object, counts[i].key);
    json_decref(copy);
  }
  json_t *copy = json_deep_copy(s->record); // twelve references bear no interval
  json_t *delta = (json_t *)record_get(copy, "models.1.against_base.rouge_delta.rougeL");
  assert_int_equal(json_object_set_new(delta, "ci95", json_pack("[f, f]", -0.01, 0.01)), 0);
  assert_int_equal(report_lint(copy, &err), PARE_BUG);
  json_decref(copy);
}

static void gates_decide_on_texts(void **state) {
  const struct state *s = *state;
  static const struct {
    const char *gate;
    size_t rows;
    enum pare_status status;
  } cases[] = {{"max_ppl_increase: 0.5\nmax_mean_kl: 1\nmin_same_top: 0.3\nmin_len_ratio: 0.2\n", 22, PARE_OK},
               {"max_mean_kl: 0\n", 22, PARE_REFUSED},
               {"max_mean_kl: 1000\n", 5, PARE_INCONCLUSIVE},
               {"max_mean_kl: 1000\nci: 0.9\n", 22, PARE_INCONCLUSIVE},
               {"min_rougeL_rel: 0.01\nmin_samples: 6\n", 5, PARE_INCONCLUSIVE},
               {"max_accuracy_drop_pp: 1\n", 5, PARE_INCONCLUSIVE}};
  static const char *const schemes[] = {"int8"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *path = path_join(s->dir.temp, "gate.yaml");
    FILE *f = fopen(path, "w");
    fputs(cases[i].gate, f);
    fclose(f);
    struct pare_compare_options options = {.schemes = schemes,
                                           .scheme_count = 1,
                                           .generate = {.max_tokens = TOKENS},
                                           .data = {.limit = cases[i].rows},
                                           .iterations = 1,
                                           .gate = path};
    struct pare_error err = {0};
    pare_record *record;
    enum pare_status status = pare_compare(s->engine, model, s->data, &options, &record, &err);
    if (status != cases[i].status) fail_msg("case %zu: %d, expected %d: %s", i, status, cases[i].status, err.text);
    pare_record_close(record);
    free(path);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  const struct state *s = *state;
  static const char *const phrases[] = {"a", "b"}, *const other[] = {PROJECT_DIR "/models/agnews-gpt2"};
  struct {
    struct pare_compare_options options;
    enum pare_status status;
    const char *says;
  } cases[] = {
      {{.classify = {.labels = phrases, .label_count = 2}, .candidates = other, .candidate_count = 1},
       PARE_USAGE,
       "expected a classifier"},
      {{.candidates = other, .candidate_count = 1}, PARE_DATA, "text-classification"},
      {{.candidates = other, .candidate_count = 1, .data = {.reference_column = "title"}}, PARE_DATA, "'title'"},
      {{.candidates = other, .candidate_count = 1, .data = {.reference_column = "text"}}, PARE_USAGE, "cannot be both"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    pare_record *record = (pare_record *)1;
    struct pare_error err = {0};
    enum pare_status status = pare_compare(s->engine, model, s->data, &cases[i].options, &record, &err);
    if (status != cases[i].status || !strstr(err.text, cases[i].says))
      fail_msg("case %zu: %d: %s", i, status, err.text);
    assert_null(record);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_row_is_answered),
      cmocka_unit_test(answers_are_those_of_generate),
      cmocka_unit_test(perplexity_is_that_of_perplexity),
      cmocka_unit_test(likeness_is_recomputed),
      cmocka_unit_test(forced_tokens_are_counted),
      cmocka_unit_test(rouge_is_recomputed),
      cmocka_unit_test(few_texts_give_no_interval),
      cmocka_unit_test(examples_are_the_first_and_the_worst),
      cmocka_unit_test(lint_recomputes),
      cmocka_unit_test(gates_decide_on_texts),
      cmocka_unit_test(what_does_not_fit_is_refused),
  };
  return cmocka_run_group_tests(tests, run_once, forget);
}
