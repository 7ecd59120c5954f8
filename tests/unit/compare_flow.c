// compare_flow.c - compare, eval and bench: labels, refusals, what is left behind, and the shapes of what they hand
// out.
#include <dirent.h>
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
#include "eval/accuracy.h"
#include "pare.h"
#include "report/record.h"

static const char agnews[] = PROJECT_DIR "/models/agnews-gpt2", minilm[] = PROJECT_DIR "/models/nli-minilm";
static const char ag_news_csv[] = PROJECT_DIR "/data/ag_news_test.csv";

struct state {
  pare_engine *engine;
  struct outdir dir; // data files of the tests
  struct outdir tmp; // TMPDIR while a test runs: quantized candidates go here, and must be gone afterwards
};

static int enter(void **state) {
  struct state *s = calloc(1, sizeof *s);
  if (!s || dir_create_temp(&s->dir, NULL) || dir_create_temp(&s->tmp, NULL)) return -1;
  setenv("TMPDIR", s->tmp.temp, 1);
  *state = s;
  return pare_engine_open(&(struct pare_engine_options){.threads = 1}, &s->engine, NULL) != PARE_OK;
}

static int leave(void **state) {
  struct state *s = *state;
  unsetenv("TMPDIR");
  pare_engine_close(s->engine);
  dir_discard(&s->dir);
  dir_discard(&s->tmp);
  free(s);
  return 0;
}

static char *put(const struct state *s, const char *name, const char *text) {
  char *path = path_join(s->dir.temp, name);
  assert_int_equal(file_write_all(path, text, strlen(text), NULL), PARE_OK);
  return path;
}

static size_t entries(const char *path) {
  DIR *dir = opendir(path);
  assert_non_null(dir);
  size_t n = 0;
  for (struct dirent *e; (e = readdir(dir));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(dir);
  return n;
}

static json_t *rendered(pare_record *record, enum pare_format format) {
  char *text;
  struct pare_error err = {0};
  if (pare_record_render(record, format, NULL, &text, &err) != PARE_OK) fail_msg("%s", err.text);
  json_t *tree = json_loads(text, 0, NULL);
  if (!tree) fail_msg("not one JSON value: %.200s", text);
  free(text);
  return tree;
}

static double number(const json_t *tree, const char *path) {
  double x = 0;
  if (!record_number(tree, path, &x)) fail_msg("no number %s", path);
  return x;
}

static void labels_are_matched(void **state) {
  (void)state;
  static const char *const names[] = {"World", "2", "Sport", "sport"};
  char *block = strdup("text,label\na,World\nb,WORLD\nc,sport\nd,SPORT\ne,2\nf,0\ng,\n");
  pare_dataset *d;
  int label[7];
  assert_int_equal(dataset_parse("data", DATASET_CSV, block, strlen(block), NULL, &d, NULL), PARE_OK);
  assert_int_equal(accuracy_map_labels(d, names, 4, label, NULL), PARE_OK);
  const int expected[7] = {0, 0, 3, 2, 1, 0, -1}; // exactly, then without regard to case, then as an index
  assert_memory_equal(label, expected, sizeof label);
  dataset_close(d);
}

static void unknown_labels_are_named(void **state) {
  const struct state *s = *state;
  char *data = put(s, "labels.csv", "text,label\nsome text,World\nmore text,Weather\n");
  struct pare_compare_options options = {.iterations = 1};
  struct pare_error err = {0};
  pare_record *record;
  assert_int_equal(pare_eval(s->engine, agnews, data, &options, &record, &err), PARE_DATA);
  assert_null(record);
  assert_non_null(strstr(err.text, "labels.csv line 3"));
  assert_non_null(strstr(err.text, "'Weather'"));
  assert_non_null(strstr(err.text, "World, Sports, Business, Sci/Tech"));
  free(data);
}

static void refusals_come_early_and_leave_nothing(void **state) {
  const struct state *s = *state;
  char *gate = put(s, "gate.yaml", "max_acuracy_drop_pp: 1\n"), *samples = path_join(s->dir.temp, "samples.jsonl");
  static const char *const schemes[] = {"int8"}, *const unbuilt[] = {"int8", "q4_k"}, *const unknown[] = {"int9"};
  const char *const other[] = {minilm}, *const none[] = {"/no/such/model"};
  struct pare_compare_options base = {.data = {.limit = 4}, .iterations = 1, .samples = samples};
  struct {
    struct pare_compare_options options;
    enum pare_status status;
  } cases[6];
  for (size_t i = 0; i < 6; i++) cases[i].options = base;
  cases[0].status = PARE_USAGE; // nothing to compare
  cases[1].options.schemes = unbuilt, cases[1].options.scheme_count = 2, cases[1].status = PARE_UNAVAILABLE;
  cases[2].options.schemes = unknown, cases[2].options.scheme_count = 1, cases[2].status = PARE_USAGE;
  cases[3].options.schemes = schemes, cases[3].options.scheme_count = 1, cases[3].options.gate = gate,
  cases[3].status = PARE_DATA;
  cases[4].options.candidates = other, cases[4].options.candidate_count = 1,
  cases[4].status = PARE_DATA; // other labels
  cases[5].options.candidates = none, cases[5].options.candidate_count = 1, cases[5].status = PARE_NOFILE;
  for (size_t i = 0; i < 6; i++) {
    pare_record *record = (pare_record *)1;
    struct pare_error err = {0};
    enum pare_status status = pare_compare(s->engine, agnews, ag_news_csv, &cases[i].options, &record, &err);
    if (status != cases[i].status)
      fail_msg("case %zu: status %d, expected %d: %s", i, status, cases[i].status, err.text);
    assert_true(err.text[0]);
    assert_null(record);
    assert_false(file_exists(samples));
    assert_int_equal(entries(s->tmp.temp), 0);
  }
  assert_int_equal(entries(s->dir.temp), 1); // the gate file alone: no temporary names either
  free(gate);
  free(samples);
}

static void candidates_that_grow_are_shown(void **state) {
  const struct state *s = *state;
  static const char *const schemes[] = {"f32", "f32"};
  struct pare_compare_options options = {.schemes = schemes, .scheme_count = 2, .data = {.limit = 3}, .iterations = 2};
  struct pare_error err = {0};
  pare_record *record;
  if (pare_compare(s->engine, agnews, ag_news_csv, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
  json_t *tree = rendered(record, PARE_JSON_LINES);
  assert_true(json_is_true(record_get(tree, "models.1.not_smaller")));
  assert_true(json_is_false(record_get(tree, "models.0.not_smaller")));
  assert_string_equal(record_string(tree, "models.1.name"), "f32");
  assert_string_equal(record_string(tree, "models.2.name"), "f32-2"); // names tell models apart
  assert_true(number(tree, "models.1.against_base.identical_rate") == 1);
  assert_true(number(tree, "models.1.against_base.kl_max") == 0); // the same weights, the same bits
  assert_int_equal(entries(s->tmp.temp), 0);
  json_decref(tree);
  pare_record_close(record);
}

static void without_labels_the_rest_stays(void **state) {
  const struct state *s = *state;
  char *data = put(s, "texts.txt", "Oil prices fall as OPEC raises output\nThe match ended in a draw\nRain\n");
  char *gate = put(s, "gate.yaml", "max_accuracy_drop_pp: 1\n");
  static const char *const schemes[] = {"int8"};
  struct pare_compare_options options = {.schemes = schemes, .scheme_count = 1, .iterations = 2, .gate = gate};
  struct pare_error err = {0};
  pare_record *record;
  assert_int_equal(pare_compare(s->engine, agnews, data, &options, &record, &err), PARE_INCONCLUSIVE);
  json_t *tree = rendered(record, PARE_JSON);
  assert_null(record_get(tree, "models.0.accuracy"));
  assert_string_equal(record_reason(tree, "models.0.accuracy"), "the data has no labels");
  assert_null(record_get(tree, "models.1.against_base.flips"));
  number(tree, "models.1.against_base.identical_rate");
  number(tree, "models.1.confidence.mean");
  assert_true(number(tree, "dataset.labelled") == 0);
  assert_true(number(tree, "dataset.n") == 3);
  json_decref(tree);
  pare_record_close(record);
  free(data);
  free(gate);
}

// An empty line of a .txt file is an empty text, and every model answers it.
static void empty_texts_are_answered(void **state) {
  const struct state *s = *state;
  char *data = put(s, "texts.txt", "\nThe match ended in a draw\n\n");
  static const char *const models[] = {agnews, minilm};
  for (size_t i = 0; i < 2; i++) {
    struct pare_compare_options options = {0};
    struct pare_error err = {0};
    pare_record *record;
    if (pare_eval(s->engine, models[i], data, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
    pare_record_close(record);
  }
  free(data);
}

static void zero_shot_answers_in_the_datas_words(void **state) {
  const struct state *s = *state;
  static const char *const phrases[] = {"world politics", "sports", "business", "science"};
  static const char *const labels[] = {"World", "Sports", "Business", "Sci/Tech"};
  struct pare_compare_options options = {
      .classify = {.labels = phrases, .label_count = 4}, .data_labels = labels, .data = {.limit = 6}};
  struct pare_error err = {0};
  pare_record *record;
  if (pare_eval(s->engine, minilm, ag_news_csv, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
  json_t *tree = rendered(record, PARE_JSON);
  assert_string_equal(record_string(tree, "task"), "zero-shot-classification");
  assert_string_equal(record_string(tree, "models.0.per_class.3.label"), "Sci/Tech");
  assert_null(record_get(tree, "dataset.truncated"));
  json_decref(tree);
  pare_record_close(record);
}

static void eval_is_one_models_row(void **state) {
  const struct state *s = *state;
  struct pare_compare_options options = {.data = {.limit = 40}};
  struct pare_error err = {0};
  pare_record *record;
  if (pare_eval(s->engine, agnews, ag_news_csv, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
  json_t *tree = rendered(record, PARE_JSON), *line = rendered(record, PARE_JSON_LINES);
  assert_int_equal(record_model_count(tree), 1);
  assert_null(record_get(tree, "models.0.latency_ms"));
  assert_true(number(tree, "models.0.throughput") > 0);
  assert_true(json_equal(record_get(line, "accuracy"), record_get(tree, "models.0.accuracy")));
  assert_string_equal(record_string(line, "dataset.path"), ag_news_csv);
  json_decref(tree);
  json_decref(line);
  pare_record_close(record);
}

static void near(double found, double expected) {
  if (fabs(found - expected) > 1e-9 * fabs(expected)) fail_msg("found %.17g, expected %.17g", found, expected);
}

static void bench_counts_tokens(void **state) {
  const struct state *s = *state;
  static const size_t batches[] = {1, 3}, lengths[] = {5, 8};
  struct pare_bench_options options = {
      .against = agnews, .batches = batches, .batch_count = 2, .lengths = lengths, .length_count = 2, .iterations = 7};
  struct pare_error err = {0};
  pare_record *record;
  if (pare_bench(s->engine, agnews, &options, &record, &err) != PARE_OK) fail_msg("%s", err.text);
  json_t *tree = rendered(record, PARE_JSON);
  const json_t *rows = record_get(tree, "rows");
  assert_int_equal(json_array_size(rows), 4);
  for (size_t i = 0; i < 4; i++) {
    const json_t *row = json_array_get(rows, i);
    double tokens = (double)(batches[i / 2] * lengths[i % 2]), median = number(row, "latency_ms.median"), ci[2];
    assert_true(number(row, "shape.batch") == (double)batches[i / 2]);
    assert_true(number(row, "shape.length") == (double)lengths[i % 2]);
    near(number(row, "tokens_per_s"), tokens / (median * 1e-3));
    near(number(row, "against.ratio.value"), number(row, "against.latency_ms.median") / median);
    assert_true(record_interval(row, "against.ratio.ci95", ci));
    // At least 2 operations per token and weight of the layers; of the last layer only a row of each sequence is
    // needed.
    assert_true(number(row, "gops") * median * 1e6 > 2 * 2.5e6 * tokens);
    assert_true(json_array_size(record_get(row, "latency_samples_ms")) == 7);
  }
  json_decref(tree);
  pare_record_close(record);
  static const size_t too_long[] = {100000};
  options.lengths = too_long;
  options.length_count = 1;
  assert_int_equal(pare_bench(s->engine, agnews, &options, &record, &err), PARE_USAGE);
  assert_null(record);
}

static void pages_are_for_comparisons(void **state) {
  (void)state;
  pare_record *record;
  char *text = (char *)1;
  assert_int_equal(pare_schemes(&record, NULL), PARE_OK);
  assert_int_equal(pare_record_render(record, PARE_HTML, NULL, &text, NULL), PARE_USAGE);
  assert_null(text);
  pare_record_close(record);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(labels_are_matched),
      cmocka_unit_test(pages_are_for_comparisons),
      cmocka_unit_test_setup_teardown(unknown_labels_are_named, enter, leave),
      cmocka_unit_test_setup_teardown(refusals_come_early_and_leave_nothing, enter, leave),
      cmocka_unit_test_setup_teardown(candidates_that_grow_are_shown, enter, leave),
      cmocka_unit_test_setup_teardown(without_labels_the_rest_stays, enter, leave),
      cmocka_unit_test_setup_teardown(empty_texts_are_answered, enter, leave),
      cmocka_unit_test_setup_teardown(zero_shot_answers_in_the_datas_words, enter, leave),
      cmocka_unit_test_setup_teardown(eval_is_one_models_row, enter, leave),
      cmocka_unit_test_setup_teardown(bench_counts_tokens, enter, leave),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
