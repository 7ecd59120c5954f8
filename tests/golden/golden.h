// golden.h - what the golden tests share: cases of a golden.json, engines per table, models by folder.
#ifndef PARE_TESTS_GOLDEN_H
#define PARE_TESTS_GOLDEN_H

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"
#include "base/size.h"
#include "model/session.h"

static inline void must(enum pare_status s, const struct pare_error *err) {
  if (s) fail_msg("status %d: %s", s, err->text);
}

// Every table this CPU has; engines[i] uses threads[i % 2 + 1].
static inline size_t open_engines(pare_engine *engines, size_t cap, size_t threads) {
  size_t count, n = 0;
  const struct kernels *const *all = kernels_all(&count);
  struct pare_error err;
  for (size_t i = 0; i < count && n < cap; i++) {
    if (!all[i]->supported()) continue;
    engines[n].kernels = all[i];
    must(pool_open(threads, &engines[n].pool, &err), &err);
    n++;
  }
  return n;
}

static inline void close_engines(pare_engine *engines, size_t n) {
  for (size_t i = 0; i < n; i++) pool_close(engines[i].pool);
}

// Ids and types of a case; logits of it by a model.
// A file of expectations and an engine of two threads, for a group of tests; 0 when both are there.
static inline int golden_setup(const char *file, json_t **golden, pare_engine *engine) {
  *golden = json_load_file(file, 0, NULL);
  return !*golden || kernels_select(NULL, &engine->kernels, NULL) || pool_open(2, &engine->pool, NULL);
}

static inline int golden_teardown(json_t *golden, pare_engine *engine) {
  json_decref(golden);
  pool_close(engine->pool);
  return 0;
}

static inline pare_model *golden_open(pare_engine *engine, const char *dir) {
  struct pare_error err = {0};
  pare_model *m;
  must(model_open(engine, dir, &m, &err), &err);
  return m;
}

struct golden_case {
  uint32_t *ids;
  uint8_t *types;
  size_t len;
  uint32_t *decoder_ids; // NULL: none
  size_t decoder_len;
};

static inline struct pare_sequence golden_sequence(const struct golden_case *c) {
  return (struct pare_sequence){
      .ids = c->ids, .types = c->types, .len = c->len, .decoder_ids = c->decoder_ids, .decoder_len = c->decoder_len};
}

static inline struct golden_case golden_read(const json_t *j) {
  const json_t *ids = json_object_get(j, "ids"), *types = json_object_get(j, "types");
  struct golden_case c = {.len = json_array_size(ids)};
  c.ids = calloc(c.len, sizeof *c.ids);
  c.types = calloc(c.len, 1);
  for (size_t i = 0; i < c.len; i++) {
    c.ids[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    if (types) c.types[i] = (uint8_t)json_integer_value(json_array_get(types, i));
  }
  const json_t *decoder = json_object_get(j, "decoder_ids");
  if (!decoder) return c;
  c.decoder_len = json_array_size(decoder);
  c.decoder_ids = calloc(c.decoder_len, sizeof *c.decoder_ids);
  for (size_t i = 0; i < c.decoder_len; i++)
    c.decoder_ids[i] = (uint32_t)json_integer_value(json_array_get(decoder, i));
  return c;
}

static inline void golden_free(struct golden_case *c) {
  free(c->ids);
  free(c->types);
  free(c->decoder_ids);
}

static inline float *golden_run(pare_model *m, const struct golden_case *c, size_t *count) {
  struct pare_error err = {0};
  pare_session *s;
  must(session_open(m, 0, &s, &err), &err);
  struct pare_sequence q = golden_sequence(c);
  *count = session_sequence_rows(m, &q) * session_columns(m);
  float *logits = calloc(*count, sizeof *logits);
  must(session_logits(s, &q, 1, logits, &err), &err);
  session_close(s);
  return logits;
}

// Compares with one golden entry within budget x max(1, max |logit|); prints where and by how much it is off.
static inline void golden_compare(const char *what, const json_t *j, const float *logits, size_t count, size_t columns,
                                  double budget) {
  const json_t *expected = json_object_get(j, "logits"), *rows = json_object_get(j, "rows"),
               *sum = json_object_get(j, "sum");
  double worst = 0, scale = 1, total = 0, square = 0;
  size_t at = 0, compared = 0;
  for (size_t i = 0; i < count; i++) {
    total += (double)logits[i];
    scale = fmax(scale, fabs((double)logits[i]));
  }
  for (size_t r = 0; r < json_array_size(expected); r++) {
    size_t row = rows ? (size_t)json_integer_value(json_array_get(rows, r)) : r;
    const json_t *values = json_array_get(expected, r);
    assert_int_equal(json_array_size(values), columns);
    assert_true((row + 1) * columns <= count);
    for (size_t i = 0; i < columns; i++, compared++) {
      double e = json_number_value(json_array_get(values, i)), d = fabs(e - (double)logits[row * columns + i]);
      square += d * d;
      if (!(d <= worst)) worst = d, at = row * columns + i;
    }
  }
  if (!(worst <= budget * scale))
    fail_msg("%s: value %zu: found %.9g, off by %.3g (allowed %.3g); RMS error %.3g over %zu", what, at,
             (double)logits[at], worst, budget * scale, sqrt(square / (double)compared), compared);
  if (sum && !(fabs(total - json_number_value(sum)) <= budget * scale * sqrt((double)count) * 4))
    fail_msg("%s: sum of %zu logits: expected %.9g, found %.9g", what, count, json_number_value(sum), total);
}

// Calls fn for every folder below root that holds a golden.json; fails when there are fewer than `least`.
static inline void each_golden(const char *root, size_t least, void (*fn)(const char *folder, const json_t *cases)) {
  struct dirent **names;
  int n = scandir(root, &names, NULL, alphasort);
  size_t seen = 0;
  for (int i = 0; i < n; i++) {
    char folder[1024], file[1100];
    snprintf(folder, sizeof folder, "%s/%s", root, names[i]->d_name);
    snprintf(file, sizeof file, "%s/golden.json", folder);
    json_t *cases = names[i]->d_name[0] == '.' ? NULL : json_load_file(file, 0, NULL);
    if (cases) {
      fn(folder, cases);
      seen++;
    }
    json_decref(cases);
    free(names[i]);
  }
  if (n >= 0) free(names);
  if (seen < least) fail_msg("%s: %zu golden folders, expected at least %zu", root, seen, least);
}

#endif
