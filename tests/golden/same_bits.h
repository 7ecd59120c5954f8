// same_bits.h - a model's answer is the same bits on every table (scalar, AVX2, AVX-512 ...), with one thread or two,
// alone or in any batch. The one exception is bf16 where the CPU has bf16 dot products: there the batch and thread
// rules hold, the table rule does not. Use same_bits_setup and same_bits_teardown as the group's.
#ifndef PARE_TESTS_SAME_BITS_H
#define PARE_TESTS_SAME_BITS_H

#include "golden.h"

#include "base/file.h"
#include "format/safetensors.h"
#include "quant/scheme.h"
#include "quantize_any.h"

enum { SAME_BITS_ENGINES = 8, SAME_BITS_CASES = 160 };

static pare_engine same_bits_engines[2][SAME_BITS_ENGINES]; // [threads - 1][table]
static size_t same_bits_engine_count;

static inline int same_bits_setup(void **state) {
  (void)state;
  for (size_t t = 0; t < 2; t++) same_bits_engine_count = open_engines(same_bits_engines[t], SAME_BITS_ENGINES, t + 1);
  return same_bits_engine_count < 1;
}

static inline int same_bits_teardown(void **state) {
  (void)state;
  for (size_t t = 0; t < 2; t++) close_engines(same_bits_engines[t], same_bits_engine_count);
  return 0;
}

struct same_bits_cases {
  struct pare_sequence q[SAME_BITS_CASES];
  size_t n, total; // sequences; values of all their logits
};

// Every case alone, into one array, case after case.
static inline float *same_bits_run_alone(pare_model *m, const struct same_bits_cases *c) {
  struct pare_error err = {0};
  float *out = calloc(c->total, sizeof *out), *at = out;
  for (size_t i = 0; i < c->n; i++) {
    pare_session *s;
    must(session_open(m, size_max(c->q[i].len, c->q[i].decoder_len), &s, &err), &err);
    must(session_logits(s, &c->q[i], 1, at, &err), &err);
    at += session_sequence_rows(m, &c->q[i]) * session_columns(m);
    session_close(s);
  }
  return out;
}

// All cases in one call, cut into ragged batches of at most `tokens`.
static inline float *same_bits_run_batch(pare_model *m, const struct same_bits_cases *c, size_t tokens) {
  struct pare_error err = {0};
  float *out = calloc(c->total, sizeof *out);
  pare_session *s;
  must(session_open(m, tokens, &s, &err), &err);
  must(session_logits(s, c->q, c->n, out, &err), &err);
  session_close(s);
  return out;
}

static inline void same_bits_compare(const char *what, const char *how, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (memcmp(&a[i], &b[i], sizeof *a) != 0)
      fail_msg("%s: %s: value %zu is %.9g, was %.9g", what, how, i, (double)b[i], (double)a[i]);
}

static inline void same_bits_check_model(const char *what, const char *dir, struct same_bits_cases *c) {
  struct pare_error err = {0};
  float *reference = NULL;
  for (size_t t = 0; t < 2; t++) {
    for (size_t e = 0; e < same_bits_engine_count; e++) {
      pare_model *m;
      must(model_open(&same_bits_engines[t][e], dir, &m, &err), &err);
      c->total = 0;
      size_t tokens = m->config.P;
      for (size_t i = 0; i < c->n; i++) c->total += session_sequence_rows(m, &c->q[i]) * session_columns(m);
      char how[100];
      snprintf(how, sizeof how, "%s, %zu thread(s)", same_bits_engines[t][e].kernels->name, t + 1);
      float *alone = same_bits_run_alone(m, c), *one = same_bits_run_batch(m, c, 8 * tokens),
            *cut = same_bits_run_batch(m, c, tokens);
      same_bits_compare(what, "one ragged batch against alone", alone, one, c->total);
      same_bits_compare(what, "several batches against alone", alone, cut, c->total);
      bool exception = same_bits_engines[t][e].kernels->bf16_dot && !strncmp(m->scheme, "bf16", 4);
      if (reference && !exception) same_bits_compare(what, how, reference, alone, c->total);
      free(one);
      free(cut);
      if (reference) free(alone);
      if (!reference) reference = alone;
      model_close(m);
    }
  }
  free(reference);
}

static inline void same_bits_scheme(const char *source, const char *scheme, struct same_bits_cases *c) {
  struct pare_error err = {0};
  struct outdir dir;
  char what[300];
  snprintf(what, sizeof what, "%s as %s", path_base(source), scheme);
  must(dir_create_temp(&dir, &err), &err);
  char *out = path_join(dir.temp, "model");
  struct pare_quantize_options options = {.scheme = scheme, .even_if_larger = true};
  json_t *record = NULL;
  must(quantize_any(&same_bits_engines[0][0], source, out, &options, &record, &err), &err);
  same_bits_check_model(what, out, c);
  json_decref(record);
  free(out);
  dir_discard(&dir);
}

// A copy of source in a new directory, where every step-th value of tensors with `containing` in their name is moved by
// 9: what llm-int8 keeps out of its integers.
static inline void same_bits_outliers(const char *source, const char *containing, size_t step, struct outdir *dir) {
  struct pare_error err = {0};
  struct tensors tensors;
  must(tensors_open(source, &tensors, &err), &err);
  struct tensor *list = calloc(tensors.count, sizeof *list);
  float **moved = calloc(tensors.count, sizeof *moved);
  size_t found = 0;
  for (size_t i = 0; i < tensors.count; i++) {
    list[i] = tensors.list[i];
    if (!strstr(list[i].name, containing)) continue;
    assert_int_equal(list[i].dtype, DTYPE_F32);
    moved[i] = malloc(list[i].bytes);
    memcpy(moved[i], list[i].data, list[i].bytes);
    for (size_t k = 0; k < list[i].bytes / sizeof(float); k += step) moved[i][k] += k % 2 ? -9.0f : 9.0f;
    list[i].data = (const uint8_t *)moved[i];
    found++;
  }
  assert_true(found > 0);
  must(dir_create_temp(dir, &err), &err);
  char *weights = path_join(dir->temp, "model.safetensors"), *to = path_join(dir->temp, "config.json"),
       *from = path_join(source, "config.json");
  struct mapping config;
  must(safetensors_write(weights, list, tensors.count, NULL, 0, &err), &err);
  must(file_map(from, &config, &err), &err);
  must(file_write_all(to, config.data, config.len, &err), &err);
  file_unmap(&config);
  for (size_t i = 0; i < tensors.count; i++) free(moved[i]);
  free(moved);
  free(list);
  free(weights);
  free(from);
  free(to);
  tensors_close(&tensors);
}

// Every scheme on the texts of source's golden.json.
static inline void same_bits_all_schemes(const char *source) {
  char file[1100];
  snprintf(file, sizeof file, "%s/golden.json", source);
  json_t *golden = json_load_file(file, 0, NULL);
  if (!golden) fail_msg("cannot read %s", file);
  struct golden_case read[SAME_BITS_CASES];
  struct same_bits_cases c = {.n = size_min(json_array_size(golden), SAME_BITS_CASES)};
  for (size_t i = 0; i < c.n; i++) {
    read[i] = golden_read(json_array_get(golden, i));
    c.q[i] = golden_sequence(&read[i]);
  }
  size_t count;
  const struct scheme *all = schemes_all(&count);
  for (size_t i = 0; i < count; i++)
    if (all[i].encoding) same_bits_scheme(source, all[i].name, &c);
  same_bits_scheme(source, "int8+prune=0.3", &c);
  for (size_t i = 0; i < c.n; i++) golden_free(&read[i]);
  json_decref(golden);
}

#endif
