// features.c - see features.h.
#include "model/features.h"

#include <jansson.h>
#include <math.h>

static enum pare_status wrong(const pare_model *m, const char *what, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s: config.json: ngrams: %s", m->path, what);
}

static bool read_number(const json_t *value, json_int_t max, json_int_t *out) {
  *out = json_integer_value(value);
  return json_is_integer(value) && *out >= 0 && *out <= max;
}

// [shortest, longest]; both 0 when the key is absent.
static bool read_range(const json_t *ngrams, const char *key, unsigned *min, unsigned *max) {
  const json_t *list = json_object_get(ngrams, key);
  json_int_t low = 0, high = 0;
  bool good = !list || (json_array_size(list) == 2 && read_number(json_array_get(list, 0), NGRAM_MAX_N, &low) &&
                        read_number(json_array_get(list, 1), NGRAM_MAX_N, &high));
  *min = (unsigned)low;
  *max = (unsigned)high;
  return good;
}

static enum pare_status read_settings(const pare_model *m, struct ngram_settings *out, struct pare_error *err) {
  const json_t *ngrams = json_object_get(m->config_json, "ngrams");
  const json_t *lowercase = json_object_get(ngrams, "lowercase"), *seed = json_object_get(ngrams, "seed");
  json_int_t bits, seed_value = 0;
  *out = (struct ngram_settings){.lowercase = !lowercase || json_is_true(lowercase)};
  if (!json_is_object(ngrams)) return wrong(m, "expected an object that says how text is cut", err);
  if (lowercase && !json_is_boolean(lowercase)) return wrong(m, "lowercase: expected true or false", err);
  if (!read_range(ngrams, "words", &out->word_min, &out->word_max))
    return wrong(m, "words: expected two numbers of at most 8", err);
  if (!read_range(ngrams, "chars", &out->char_min, &out->char_max))
    return wrong(m, "chars: expected two numbers of at most 8", err);
  if (!read_number(json_object_get(ngrams, "bits"), NGRAM_MAX_BITS, &bits))
    return wrong(m, "bits: expected a number of at most 24", err);
  if (seed && !read_number(seed, UINT32_MAX, &seed_value)) return wrong(m, "seed: expected a number below 2^32", err);
  out->bits = (unsigned)bits;
  out->seed = (uint32_t)seed_value;
  const char *problem = ngram_settings_problem(out);
  return problem ? wrong(m, problem, err) : PARE_OK;
}

json_t *features_settings(const struct ngram_settings *s) {
  return json_pack("{s:b, s:[i, i], s:[i, i], s:i, s:I}", "lowercase", s->lowercase, "words", s->word_min, s->word_max,
                   "chars", s->char_min, s->char_max, "bits", s->bits, "seed", (json_int_t)s->seed);
}

static void find_finite(void *context, const struct arch_row *row, const struct weight *w) {
  bool *finite = context;
  if (row->role == ROLE_BAG && (w->bag.dense || w->bag.entries)) *finite &= nn_bag_finite(&w->bag);
  for (size_t i = 0; w->vector && i < w->N; i++) *finite &= isfinite(w->vector[i]) != 0;
}

enum pare_status features_open(pare_model *m, struct pare_error *err) {
  struct ngram_settings settings;
  struct ngrams ngrams;
  bool finite = true;
  enum pare_status s = read_settings(m, &settings, err);
  if (s) return s;
  const struct tensor *t = m->ngrams = tensors_find(&m->tensors, FEATURES_TENSOR);
  if (!t) return error_set(err, PARE_DATA, "%s: missing tensor " FEATURES_TENSOR, m->path);
  if (t->dtype != DTYPE_U8 || t->rank != 1)
    return error_set(err, PARE_DATA, "%s: tensor " FEATURES_TENSOR ": expected a row of U8, found %s of rank %zu",
                     t->file, dtype_name(t->dtype), t->rank);
  model_each_weight(m, find_finite, &finite);
  if (!finite)
    return error_set(err, PARE_DATA,
                     "%s: tensor classifier.weight or classifier.bias: a value is infinite or not a number", t->file);
  s = ngrams_init(&ngrams, &settings, t->data, t->bytes, m->config.V, t->file, err);
  return s ? s : tokenizer_of_ngrams(&ngrams, &m->tokenizer, err);
}
