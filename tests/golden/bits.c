// bits.c - the answer is the same bits on every table (scalar, AVX2, AVX-512 ...), with one thread or two, alone or in
// any batch: for every scheme on tiny models of each architecture, and for the shipped classifiers on a short text. The
// one exception is bf16 where the CPU has bf16 dot products: there the batch and thread rules hold, the table rule does
// not.
#include "golden.h"

#include "base/file.h"
#include "quant/scheme.h"
#include "quantize_any.h"

enum { MAX_ENGINES = 8, MAX_CASES = 16 };

static pare_engine engines[2][MAX_ENGINES]; // [threads - 1][table]
static size_t engine_count;

static int setup(void **state) {
  (void)state;
  for (size_t t = 0; t < 2; t++) engine_count = open_engines(engines[t], MAX_ENGINES, t + 1);
  return engine_count < 1;
}

static int teardown(void **state) {
  (void)state;
  for (size_t t = 0; t < 2; t++) close_engines(engines[t], engine_count);
  return 0;
}

struct cases {
  struct pare_sequence q[MAX_CASES];
  size_t n, total; // sequences; values of all their logits
};

// Every case alone, into one array, case after case.
static float *run_alone(pare_model *m, const struct cases *c) {
  struct pare_error err = {0};
  float *out = calloc(c->total, sizeof *out), *at = out;
  for (size_t i = 0; i < c->n; i++) {
    pare_session *s;
    must(session_open(m, c->q[i].len, &s, &err), &err);
    must(session_logits(s, &c->q[i], 1, at, &err), &err);
    at += session_rows(m, c->q[i].len) * session_columns(m);
    session_close(s);
  }
  return out;
}

// All cases in one call, cut into ragged batches of at most `tokens`.
static float *run_batch(pare_model *m, const struct cases *c, size_t tokens) {
  struct pare_error err = {0};
  float *out = calloc(c->total, sizeof *out);
  pare_session *s;
  must(session_open(m, tokens, &s, &err), &err);
  must(session_logits(s, c->q, c->n, out, &err), &err);
  session_close(s);
  return out;
}

static void same(const char *what, const char *how, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (memcmp(&a[i], &b[i], sizeof *a) != 0)
      fail_msg("%s: %s: value %zu is %.9g, was %.9g", what, how, i, (double)b[i], (double)a[i]);
}

static void check_model(const char *what, const char *dir, struct cases *c) {
  struct pare_error err = {0};
  float *reference = NULL;
  for (size_t t = 0; t < 2; t++) {
    for (size_t e = 0; e < engine_count; e++) {
      pare_model *m;
      must(model_open(&engines[t][e], dir, &m, &err), &err);
      c->total = 0;
      size_t tokens = m->config.P;
      for (size_t i = 0; i < c->n; i++) c->total += session_rows(m, c->q[i].len) * session_columns(m);
      char how[100];
      snprintf(how, sizeof how, "%s, %zu thread(s)", engines[t][e].kernels->name, t + 1);
      float *alone = run_alone(m, c), *one = run_batch(m, c, 8 * tokens), *cut = run_batch(m, c, tokens);
      same(what, "one ragged batch against alone", alone, one, c->total);
      same(what, "several batches against alone", alone, cut, c->total);
      bool exception = engines[t][e].kernels->bf16_dot && !strncmp(m->scheme, "bf16", 4);
      if (reference && !exception) same(what, how, reference, alone, c->total);
      free(one);
      free(cut);
      if (reference) free(alone);
      if (!reference) reference = alone;
      model_close(m);
    }
  }
  free(reference);
}

static void check_scheme(const char *source, const char *scheme, struct cases *c) {
  struct pare_error err = {0};
  struct outdir dir;
  char what[300];
  snprintf(what, sizeof what, "%s as %s", path_base(source), scheme);
  must(dir_create_temp(&dir, &err), &err);
  char *out = path_join(dir.temp, "model");
  struct pare_quantize_options options = {.scheme = scheme, .even_if_larger = true};
  json_t *record = NULL;
  must(quantize_any(&engines[0][0], source, out, &options, &record, &err), &err);
  check_model(what, out, c);
  json_decref(record);
  free(out);
  dir_discard(&dir);
}

static void check_all_schemes(const char *source, const json_t *golden) {
  struct golden_case read[MAX_CASES];
  struct cases c = {.n = size_min(json_array_size(golden), MAX_CASES)};
  for (size_t i = 0; i < c.n; i++) {
    read[i] = golden_read(json_array_get(golden, i));
    c.q[i] = (struct pare_sequence){read[i].ids, read[i].types, read[i].len};
  }
  size_t count;
  const struct scheme *all = schemes_all(&count);
  for (size_t i = 0; i < count; i++)
    if (all[i].encoding) check_scheme(source, all[i].name, &c);
  check_scheme(source, "int8+prune=0.3", &c);
  for (size_t i = 0; i < c.n; i++) golden_free(&read[i]);
}

static void check_tiny(const char *name) {
  char folder[1024], file[1100];
  snprintf(folder, sizeof folder, "%s/golden/data/models/%s", TEST_DIR, name);
  snprintf(file, sizeof file, "%s/golden.json", folder);
  json_t *golden = json_load_file(file, 0, NULL);
  if (!golden) fail_msg("cannot read %s", file);
  check_all_schemes(folder, golden);
  json_decref(golden);
}

static void every_scheme_gives_the_same_bits(void **state) {
  (void)state;
  static const char *const names[] = {"gpt2-cls", "gpt2-lm", "gpt2-lm-untied", "bert", "distilbert"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) check_tiny(names[i]);
}

// Norms with large gains: here llm-int8 has outlier columns in nearly every layer, other ones for every text.
static void check_outliers(const char *folder, const json_t *golden) {
  struct golden_case read[MAX_CASES];
  struct cases c = {.n = size_min(json_array_size(golden), MAX_CASES)};
  for (size_t i = 0; i < c.n; i++) {
    read[i] = golden_read(json_array_get(golden, i));
    c.q[i] = (struct pare_sequence){read[i].ids, read[i].types, read[i].len};
  }
  check_model(path_base(folder), folder, &c);
  for (size_t i = 0; i < c.n; i++) golden_free(&read[i]);
}

static void outlier_columns_are_each_texts_own(void **state) {
  (void)state;
  each_golden(TEST_DIR "/golden/data/llm-int8", 4, check_outliers);
}

static void shipped_models_give_the_same_bits(void **state) {
  (void)state;
  static uint32_t ids[24], pair[17];
  for (uint32_t i = 0; i < 24; i++) ids[i] = 17 + i * 331 % 8000;
  for (uint32_t i = 0; i < 17; i++) pair[i] = 101 + i * 97 % 8000;
  struct cases c = {.q = {{ids, NULL, 24}, {pair, NULL, 17}, {ids + 3, NULL, 1}}, .n = 3};
  static const char *const schemes[] = {"f32", "int8", "nf4", "llm-int8", "int8-static"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    check_scheme(PROJECT_DIR "/models/agnews-gpt2", schemes[i], &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_scheme_gives_the_same_bits),
                                     cmocka_unit_test(outlier_columns_are_each_texts_own),
                                     cmocka_unit_test(shipped_models_give_the_same_bits)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
