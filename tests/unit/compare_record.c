// compare_record.c - pare_compare on a slice of real data, its record computed again, naively, from the raw samples it
// wrote.
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// after the standard headers, as cmocka asks
#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "eval/compare.h"
#include "pare.h"
#include "report/record.h"

enum { ROWS = 60, RUNS = 63, CLASSES = 4, MODELS = 3 };

static const char *const names[MODELS] = {"agnews-gpt2", "int8", "nf4"};

// One model's raw outcomes.
struct raw {
  char label[ROWS][32], prediction[ROWS][32];
  double scores[ROWS][CLASSES], logits[ROWS][CLASSES];
  double latency_ms[RUNS];
  size_t order[RUNS], rows, runs;
};

struct state {
  double elapsed_ms; // of the whole call
  json_t *record;
  struct raw raw[MODELS];
};

static size_t model_number(const json_t *line) {
  const char *name = json_string_value(json_object_get(line, "model"));
  assert_non_null(name);
  for (size_t i = 0; i < MODELS; i++) {
    if (strcmp(name, names[i]) == 0) return i;
  }
  fail_msg("no model %s", name);
  return 0;
}

static void take_line(struct raw *raw, const json_t *line) {
  const json_t *latency = json_object_get(line, "latency_ms");
  if (latency) {
    assert_true(raw->runs < RUNS);
    raw->order[raw->runs] = (size_t)json_integer_value(json_object_get(line, "order"));
    raw->latency_ms[raw->runs++] = json_number_value(latency);
    return;
  }
  size_t i = raw->rows++;
  assert_true(i < ROWS);
  assert_int_equal(json_integer_value(json_object_get(line, "row")), i);
  snprintf(raw->label[i], sizeof raw->label[i], "%s", json_string_value(json_object_get(line, "label")));
  snprintf(raw->prediction[i], sizeof raw->prediction[i], "%s", json_string_value(json_object_get(line, "prediction")));
  for (size_t k = 0; k < CLASSES; k++) {
    raw->scores[i][k] = json_number_value(json_array_get(json_object_get(line, "scores"), k));
    raw->logits[i][k] = json_number_value(json_array_get(json_object_get(line, "logits"), k));
  }
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
  struct outdir dir;
  struct pare_error err = {0};
  pare_engine *engine;
  pare_record *record;
  if (!s || dir_create_temp(&dir, &err) != PARE_OK) return -1;
  char *samples = path_join(dir.temp, "samples.jsonl");
  if (pare_engine_open(&(struct pare_engine_options){.threads = 2}, &engine, &err) != PARE_OK) fail_msg("%s", err.text);
  struct pare_compare_options options = {.schemes = schemes,
                                         .scheme_count = 2,
                                         .data = {.limit = ROWS},
                                         .iterations = RUNS,
                                         .seed = 7,
                                         .samples = samples};
  uint64_t start = clock_ns();
  enum pare_status status = pare_compare(engine, PROJECT_DIR "/models/agnews-gpt2",
                                         PROJECT_DIR "/data/ag_news_test.csv", &options, &record, &err);
  if (status != PARE_OK) fail_msg("%s", err.text);
  s->elapsed_ms = (double)(clock_ns() - start) * 1e-6;
  s->record = rendered(record);
  FILE *file = fopen(samples, "r");
  assert_non_null(file);
  for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL));) {
    take_line(&s->raw[model_number(line)], line);
    json_decref(line);
  }
  fclose(file);
  free(samples);
  pare_record_close(record);
  pare_engine_close(engine);
  dir_discard(&dir);
  *state = s;
  return 0;
}

static int forget(void **state) {
  struct state *s = *state;
  json_decref(s->record);
  free(s);
  return 0;
}

// ---- reading the record ----

static double number(const struct state *s, size_t model, const char *path) {
  double x;
  const json_t *m = record_model(s->record, model);
  if (!record_number(m, path, &x)) fail_msg("%s: no number %s", names[model], path);
  return x;
}

static void expect(const struct state *s, size_t model, const char *path, double expected) {
  double found = number(s, model, path);
  if (!(fabs(found - expected) <= 1e-6 * fmax(fabs(expected), 1e-6))) {
    fail_msg("%s: %s is %.17g, computed %.17g", names[model], path, found, expected);
  }
}

static bool right(const struct raw *raw, size_t i) {
  return strcmp(raw->label[i], raw->prediction[i]) == 0;
}

// ---- the tests ----

static void samples_are_complete(void **state) {
  const struct state *s = *state;
  bool seen[MODELS * RUNS] = {false};
  for (size_t m = 0; m < MODELS; m++) {
    assert_int_equal(s->raw[m].rows, ROWS);
    assert_int_equal(s->raw[m].runs, RUNS);
    for (size_t i = 0; i < RUNS; i++) {
      assert_true(s->raw[m].order[i] < MODELS * RUNS);
      assert_false(seen[s->raw[m].order[i]]);
      seen[s->raw[m].order[i]] = true;
    }
    for (size_t i = 0; i < ROWS; i++) assert_string_equal(s->raw[m].label[i], s->raw[0].label[i]);
  }
  assert_int_equal(record_model_count(s->record), MODELS);
  for (size_t m = 0; m < MODELS; m++) assert_string_equal(record_model_name(record_model(s->record, m)), names[m]);
}

// In every round each model has its turn, and the order of turns changes from round to round.
static void models_take_turns(void **state) {
  const struct state *s = *state;
  size_t different = 0;
  for (size_t i = 0; i < RUNS; i++) {
    size_t round = i / COMPARE_BLOCK, first = round * COMPARE_BLOCK * MODELS;
    for (size_t m = 0; m < MODELS; m++) {
      assert_in_range(s->raw[m].order[i], first, first + COMPARE_BLOCK * MODELS - 1);
      if (i % COMPARE_BLOCK) assert_int_equal(s->raw[m].order[i], s->raw[m].order[i - 1] + 1);
    }
    different += (s->raw[0].order[i] < s->raw[1].order[i]) != (s->raw[0].order[0] < s->raw[1].order[0]);
  }
  assert_true(different > 0);
}

static void accuracy_is_recomputed(void **state) {
  const struct state *s = *state;
  for (size_t m = 0; m < MODELS; m++) {
    size_t correct = 0;
    double confidence = 0, lowest = 1;
    for (size_t i = 0; i < ROWS; i++) {
      double best = 0;
      for (size_t k = 0; k < CLASSES; k++) best = fmax(best, s->raw[m].scores[i][k]);
      confidence += best / ROWS;
      lowest = fmin(lowest, best);
      correct += right(&s->raw[m], i);
    }
    assert_true(correct > ROWS / 2); // the model knows its trade, so a mixed-up label table would show
    expect(s, m, "accuracy.correct", (double)correct);
    expect(s, m, "accuracy.value", (double)correct / ROWS);
    expect(s, m, "accuracy.n", ROWS);
    expect(s, m, "confidence.mean", confidence);
    expect(s, m, "confidence.min", lowest);
  }
}

static double f1_of(const struct raw *raw, const char *label) {
  double hits = 0, said = 0, is = 0;
  for (size_t i = 0; i < ROWS; i++) {
    hits += right(raw, i) && strcmp(raw->label[i], label) == 0;
    said += strcmp(raw->prediction[i], label) == 0;
    is += strcmp(raw->label[i], label) == 0;
  }
  return said + is > 0 ? 2 * hits / (said + is) : 0;
}

static void f1_is_recomputed(void **state) {
  const struct state *s = *state;
  for (size_t m = 0; m < MODELS; m++) {
    double macro = 0;
    for (size_t k = 0; k < CLASSES; k++) {
      char path[32];
      snprintf(path, sizeof path, "labels.%zu", k);
      double f1 = f1_of(&s->raw[m], record_string(s->record, path));
      macro += f1 / CLASSES;
      snprintf(path, sizeof path, "per_class.%zu.f1", k);
      expect(s, m, path, f1);
    }
    expect(s, m, "f1_macro", macro);
  }
}

static double binomial(size_t n, size_t k) { // C(n, k) / 2^n
  double p = pow(0.5, (double)n);
  for (size_t i = 1; i <= k; i++) p *= (double)(n - k + i) / (double)i;
  return p;
}

static void flips_are_recomputed(void **state) {
  const struct state *s = *state;
  for (size_t m = 1; m < MODELS; m++) {
    size_t lost = 0, won = 0, same = 0;
    for (size_t i = 0; i < ROWS; i++) {
      bool was = right(&s->raw[0], i), is = right(&s->raw[m], i);
      lost += was && !is;
      won += !was && is;
      same += strcmp(s->raw[0].prediction[i], s->raw[m].prediction[i]) == 0;
    }
    double p = 0;
    for (size_t k = lost > won ? lost : won; k <= lost + won; k++) p += 2 * binomial(lost + won, k);
    expect(s, m, "against_base.flips.right_to_wrong", (double)lost);
    expect(s, m, "against_base.flips.wrong_to_right", (double)won);
    expect(s, m, "against_base.mcnemar_p", fmin(p, 1));
    expect(s, m, "against_base.identical_rate", (double)same / ROWS);
    expect(s, m, "against_base.accuracy_delta.value", ((double)won - (double)lost) / ROWS);
    size_t examples = json_array_size(record_get(record_model(s->record, m), "flip_examples"));
    assert_int_equal(examples, ROWS - same < 10 ? ROWS - same : 10);
  }
}

static double log_softmax(const double *x, size_t k) {
  double sum = 0;
  for (size_t i = 0; i < CLASSES; i++) sum += exp(x[i]);
  return x[k] - log(sum);
}

static void kl_is_recomputed(void **state) {
  const struct state *s = *state;
  for (size_t m = 1; m < MODELS; m++) {
    double mean = 0, max = 0;
    for (size_t i = 0; i < ROWS; i++) {
      double kl = 0;
      for (size_t k = 0; k < CLASSES; k++) {
        double base = log_softmax(s->raw[0].logits[i], k);
        kl += exp(base) * (base - log_softmax(s->raw[m].logits[i], k));
      }
      mean += kl / ROWS;
      max = fmax(max, kl);
    }
    assert_true(mean > 1e-8); // quantized answers are not the original's
    if (fabs(number(s, m, "against_base.kl_mean") - mean) > 1e-10) fail_msg("kl_mean of %s", names[m]);
    assert_non_null(strstr(record_reason(record_model(s->record, m), "against_base.kl_p99"), "299 needed"));
    if (fabs(number(s, m, "against_base.kl_max") - max) > 1e-10) fail_msg("kl_max of %s", names[m]);
  }
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(const struct raw *raw, double p) {
  double x[RUNS];
  memcpy(x, raw->latency_ms, sizeof x);
  qsort(x, RUNS, sizeof *x, ascending);
  double at = p * (RUNS - 1);
  size_t low = (size_t)at;
  return low + 1 < RUNS ? x[low] + (at - (double)low) * (x[low + 1] - x[low]) : x[low];
}

static void latency_is_recomputed(void **state) {
  const struct state *s = *state;
  double total_ms = 0;
  for (size_t m = 0; m < MODELS; m++) {
    double mean = 0;
    for (size_t i = 0; i < RUNS; i++) mean += s->raw[m].latency_ms[i] / RUNS;
    total_ms += mean * RUNS;
    assert_true(number(s, m, "latency_ms.min") > 0.01); // some 1e8 operations take longer than 10 us anywhere
    expect(s, m, "latency_ms.mean", mean);
    expect(s, m, "latency_ms.median", percentile(&s->raw[m], 0.5));
    expect(s, m, "latency_ms.p90", percentile(&s->raw[m], 0.9));
    expect(s, m, "latency_ms.p95", percentile(&s->raw[m], 0.95));
    expect(s, m, "latency_ms.max", percentile(&s->raw[m], 1));
    expect(s, m, "latency_ms.n", RUNS);
    assert_null(record_get(record_model(s->record, m), "latency_ms.p99"));
    assert_non_null(strstr(record_reason(record_model(s->record, m), "latency_ms.p99"), "299 needed"));
    if (m) expect(s, m, "against_base.speedup.value", percentile(&s->raw[0], 0.5) / percentile(&s->raw[m], 0.5));
  }
  assert_true(total_ms < s->elapsed_ms);
}

static void sizes_are_those_of_the_files(void **state) {
  const struct state *s = *state;
  struct mapping map;
  assert_int_equal(file_map(PROJECT_DIR "/models/agnews-gpt2/model.safetensors", &map, NULL), PARE_OK);
  expect(s, 0, "size_bytes", (double)map.len);
  file_unmap(&map);
  double f32;
  assert_true(record_number(s->record, "f32_bytes", &f32));
  for (size_t m = 0; m < MODELS; m++) {
    expect(s, m, "compression", number(s, 0, "size_bytes") / number(s, m, "size_bytes"));
    expect(s, m, "size_percent_of_f32", 100 * number(s, m, "size_bytes") / f32);
    expect(s, m, "size_bytes",
           number(s, m, "bytes.embedding") + number(s, m, "bytes.linear") + number(s, m, "bytes.scale") +
               number(s, m, "bytes.other"));
    // More than its weights, less than all three models together.
    assert_true(number(s, m, "rss_bytes") > number(s, m, "size_bytes"));
    assert_true(number(s, m, "load_ms") > 0 && number(s, m, "open_ms") >= number(s, m, "load_ms"));
    assert_true(number(s, m, "throughput") > 0);
  }
  assert_true(number(s, 2, "size_bytes") < number(s, 1, "size_bytes") &&
              number(s, 1, "size_bytes") < number(s, 0, "size_bytes"));
}

static void context_is_recorded(void **state) {
  const struct state *s = *state;
  char hash[65];
  assert_int_equal(file_sha256(PROJECT_DIR "/data/ag_news_test.csv", hash, NULL), PARE_OK);
  assert_string_equal(record_string(s->record, "dataset.sha256"), hash);
  assert_string_equal(record_string(s->record, "latency_includes"), "tokenization");
  double x;
  assert_true(record_number(s->record, "dataset.n", &x) && x == ROWS);
  assert_true(record_number(s->record, "machine.threads", &x) && x == 2);
  assert_non_null(record_string(s->record, "machine.isa"));
  assert_true(json_array_size(record_get(s->record, "recommendations")) == 4);
  assert_null(record_get(s->record, "models.0.against_base"));
  assert_null(record_get(s->record, "models.1.similarity"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(samples_are_complete),   cmocka_unit_test(models_take_turns),
      cmocka_unit_test(accuracy_is_recomputed), cmocka_unit_test(f1_is_recomputed),
      cmocka_unit_test(flips_are_recomputed),   cmocka_unit_test(kl_is_recomputed),
      cmocka_unit_test(latency_is_recomputed),  cmocka_unit_test(sizes_are_those_of_the_files),
      cmocka_unit_test(context_is_recorded),
  };
  return cmocka_run_group_tests(tests, run_once, forget);
}
