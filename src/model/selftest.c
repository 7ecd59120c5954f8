// selftest.c - see selftest.h. The ids are drawn from a fixed seed, so every model of a vocabulary size gets the same
// ones.
#include "model/selftest.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/session.h"

enum { SELFTEST_TOKENS = 16, SELFTEST_KEPT = 64 }; // of a language model's row, this many values are kept

// Logits of the last row, cut to SELFTEST_KEPT.
static enum pare_status compute(pare_model *m, const uint32_t *ids, size_t n, float *kept, size_t *kept_count,
                                struct pare_error *err) {
  pare_session *session;
  enum pare_status s = session_open(m, n, &session, err);
  if (s) return s;
  size_t rows = session_rows(m, n), columns = session_columns(m);
  float *logits = malloc(rows * columns * sizeof(float));
  if (!logits) s = error_no_memory(err);
  struct pare_sequence sequence = {.ids = ids, .len = n};
  if (!s) s = session_logits(session, &sequence, 1, logits, err);
  *kept_count = size_min(columns, SELFTEST_KEPT);
  for (size_t i = 0; !s && i < *kept_count; i++) {
    kept[i] = logits[(rows - 1) * columns + i];
    if (!isfinite(kept[i])) // JSON could not hold it, and an answer that is no number says nothing
      s = error_set(err, PARE_DATA, "%s: self-test: logit %zu is %g: the weights are too large to compute with",
                    m->path, i, (double)kept[i]);
  }
  free(logits);
  session_close(session);
  return s;
}

enum pare_status selftest_make(pare_model *m, json_t **out, struct pare_error *err) {
  uint32_t ids[SELFTEST_TOKENS];
  float kept[SELFTEST_KEPT];
  size_t n = size_min(SELFTEST_TOKENS, m->config.P), count;
  struct rng rng;
  rng_seed(&rng, 1);
  for (size_t i = 0; i < n; i++) ids[i] = (uint32_t)rng_below(&rng, m->config.V);
  enum pare_status s = compute(m, ids, n, kept, &count, err);
  if (s) return s;
  json_t *list = json_array(), *values = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(ids[i]));
  for (size_t i = 0; i < count; i++) json_array_append_new(values, json_real((double)kept[i]));
  *out = json_pack("{s:i, s:o, s:o}", "numerics", SELFTEST_NUMERICS, "ids", list, "logits", values);
  return *out ? PARE_OK : error_no_memory(err);
}

static enum pare_status malformed(const pare_model *m, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s: pare.json: self_test: expected ids and logits as lists of numbers", m->path);
}

static void find_bf16(void *context, const struct arch_row *row, const struct weight *w) {
  if (row->k != D_NONE && w->stored.encoding == &encoding_bf16) *(bool *)context = true;
}

// Dot products in bf16 round differently on machines that have the instruction, and --keep may put bf16 into any
// scheme; everything else gives the same bits.
static double tolerance(const pare_model *m, const json_t *test) {
  bool same = json_integer_value(json_object_get(test, "numerics")) == SELFTEST_NUMERICS, bf16 = false;
  model_each_weight(m, find_bf16, &bf16);
  if (bf16) return 5e-2;
  return same ? 0 : 1e-2; // a last bit may move an activation to the next of 256 steps
}

enum pare_status selftest_check(pare_model *m, struct pare_error *err) {
  const json_t *test = m->provenance ? json_object_get(m->provenance, "self_test") : NULL;
  if (!test) return PARE_OK;
  const json_t *list = json_object_get(test, "ids"), *values = json_object_get(test, "logits");
  size_t n = json_array_size(list), count;
  uint32_t ids[SELFTEST_TOKENS];
  float kept[SELFTEST_KEPT];
  if (n < 1 || n > SELFTEST_TOKENS) return malformed(m, err);
  for (size_t i = 0; i < n; i++) {
    const json_t *v = json_array_get(list, i);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT32_MAX)
      return malformed(m, err);
    ids[i] = (uint32_t)json_integer_value(v);
  }
  enum pare_status s = compute(m, ids, n, kept, &count, err);
  if (s) return s;
  if (json_array_size(values) != count) return malformed(m, err);
  double limit = tolerance(m, test), scale = 1;
  for (size_t i = 0; i < count; i++) {
    if (!json_is_number(json_array_get(values, i))) return malformed(m, err);
    scale = fmax(scale, fabs(json_number_value(json_array_get(values, i))));
  }
  for (size_t i = 0; i < count; i++) {
    double expected = json_number_value(json_array_get(values, i));
    if (fabs(expected - (double)kept[i]) <= limit * scale) continue;
    return error_set(err, PARE_DATA,
                     "%s: self-test failed: logit %zu expected %.9g, found %.9g; the weights are not those written",
                     m->path, i, expected, (double)kept[i]);
  }
  return PARE_OK;
}
