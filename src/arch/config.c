// config.c - see config.h.
#include "arch/config.h"

#include <jansson.h>
#include <string.h>

static const char *const json_type_names[] = {"an object",     "an array", "a string", "an integer",
                                              "a real number", "true",     "false",    "null"};

static const json_t *get(const struct config_reader *r, const char *key) {
  const json_t *v = json_object_get((const json_t *)r->json, key);
  return json_is_null(v) ? NULL : v;
}

static enum pare_status wrong(const struct config_reader *r, const char *key, const char *expected,
                              const json_t *found) {
  return error_set(r->err, PARE_DATA, "%s: %s: expected %s, found %s", r->file, key, expected,
                   json_type_names[json_typeof(found)]);
}

enum pare_status config_size(const struct config_reader *r, const char *key, const char *alias, size_t fallback,
                             size_t max, size_t *out) {
  const json_t *v = get(r, key);
  if (!v && alias) {
    v = get(r, alias);
    if (v) key = alias;
  }
  if (!v && fallback == CONFIG_REQUIRED) return error_set(r->err, PARE_DATA, "%s: missing key %s", r->file, key);
  if (v && !json_is_integer(v)) return wrong(r, key, "an integer", v);
  // A default may be computed (GPT-2's 4 x width), so it is held to the range as well.
  json_int_t i = v ? json_integer_value(v) : (json_int_t)fallback;
  if (i < 1 || (uint64_t)i > max)
    return error_set(r->err, PARE_DATA, "%s: %s: expected 1 to %zu, found %lld", r->file, key, max, (long long)i);
  *out = (size_t)i;
  return PARE_OK;
}

bool config_absent(const struct config_reader *r, const char *key) {
  return !get(r, key);
}

enum pare_status config_sizes(const struct config_reader *r, const char *key, size_t most, size_t max, size_t *out,
                              size_t *count) {
  const json_t *list = get(r, key);
  *count = json_array_size(list);
  if (list && !json_is_array(list)) return wrong(r, key, "an array", list);
  if (*count > most)
    return error_set(r->err, PARE_DATA, "%s: %s: expected at most %zu entries, found %zu", r->file, key, most, *count);
  for (size_t i = 0; i < *count; i++) {
    const json_t *v = json_array_get(list, i);
    if (!json_is_integer(v)) return wrong(r, key, "integers", v);
    json_int_t n = json_integer_value(v);
    if (n < 1 || (uint64_t)n > max)
      return error_set(r->err, PARE_DATA, "%s: %s: expected 1 to %zu, found %lld", r->file, key, max, (long long)n);
    out[i] = (size_t)n;
  }
  return PARE_OK;
}

enum pare_status config_eps(const struct config_reader *r, const char *key, float fallback, float *out) {
  const json_t *v = get(r, key);
  *out = fallback;
  if (!v) return PARE_OK;
  if (!json_is_number(v)) return wrong(r, key, "a number", v);
  double x = json_number_value(v);
  if (!(x > 0 && x < 1))
    return error_set(r->err, PARE_DATA, "%s: %s: expected between 0 and 1, found %g", r->file, key, x);
  *out = (float)x;
  return PARE_OK;
}

enum pare_status config_id(const struct config_reader *r, const char *key, size_t V, uint32_t fallback, uint32_t *out) {
  const json_t *v = get(r, key);
  if (v && !json_is_integer(v)) return wrong(r, key, "an integer", v);
  json_int_t i = v ? json_integer_value(v) : (json_int_t)fallback;
  if (i < 0 || (uint64_t)i >= V)
    return error_set(r->err, PARE_DATA, "%s: %s: expected an id below the vocabulary's %zu, found %lld", r->file, key,
                     V, (long long)i);
  *out = (uint32_t)i;
  return PARE_OK;
}

enum pare_status config_bool(const struct config_reader *r, const char *key, bool fallback, bool *out) {
  const json_t *v = get(r, key);
  *out = fallback;
  if (!v) return PARE_OK;
  if (!json_is_boolean(v)) return wrong(r, key, "true or false", v);
  *out = json_is_true(v);
  return PARE_OK;
}

enum pare_status config_act(const struct config_reader *r, const char *key, const char *fallback, enum act *out) {
  static const struct {
    const char *name;
    enum act act;
  } names[] = {{"gelu", ACT_GELU},
               {"gelu_new", ACT_GELU_TANH},
               {"gelu_pytorch_tanh", ACT_GELU_TANH},
               {"gelu_fast", ACT_GELU_TANH},
               {"quick_gelu", ACT_QUICK_GELU},
               {"relu", ACT_RELU},
               {"silu", ACT_SILU},
               {"swish", ACT_SILU},
               {"tanh", ACT_TANH}};
  const json_t *v = get(r, key);
  if (v && !json_is_string(v)) return wrong(r, key, "the name of an activation", v);
  const char *name = v ? json_string_value(v) : fallback;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (strcmp(names[i].name, name) != 0) continue;
    *out = names[i].act;
    return PARE_OK;
  }
  return error_set(
      r->err, PARE_DATA,
      "%s: %s: activation \"%.60s\" is not implemented (gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, quick_gelu, "
      "relu, silu, swish and tanh are)",
      r->file, key, name);
}

enum pare_status config_must_be(const struct config_reader *r, const char *key, bool value) {
  bool found;
  enum pare_status s = config_bool(r, key, value, &found);
  if (s) return s;
  if (found == value) return PARE_OK;
  return error_set(r->err, PARE_DATA, "%s: %s: %s is not implemented, expected %s", r->file, key,
                   found ? "true" : "false", value ? "true" : "false");
}

enum pare_status config_must_be_text(const struct config_reader *r, const char *key, const char *value) {
  const json_t *v = get(r, key);
  if (!v) return PARE_OK;
  if (!json_is_string(v)) return wrong(r, key, "a string", v);
  if (!strcmp(json_string_value(v), value)) return PARE_OK;
  return error_set(r->err, PARE_DATA, "%s: %s: \"%.60s\" is not implemented, expected \"%s\"", r->file, key,
                   json_string_value(v), value);
}

static enum pare_status read_task(const struct config_reader *r, const struct config_classes *names,
                                  struct config *out) {
  const json_t *list = get(r, "architectures");
  if (list && !json_is_array(list)) return wrong(r, "architectures", "an array", list);
  const json_t *first = list ? json_array_get(list, 0) : NULL;
  if (!first) { // saved by hand: what the bare model gives
    out->task = names->seq2seq ? ARCH_SEQ2SEQ : names->encode ? ARCH_ENCODE : ARCH_LANGUAGE_MODEL;
    return PARE_OK;
  }
  if (!json_is_string(first)) return wrong(r, "architectures", "strings", first);
  const char *name = json_string_value(first);
  if (names->classify && !strcmp(name, names->classify)) {
    out->task = ARCH_CLASSIFY;
  } else if (names->language_model && !strcmp(name, names->language_model)) {
    out->task = ARCH_LANGUAGE_MODEL;
  } else if (names->encode && !strcmp(name, names->encode)) {
    out->task = ARCH_ENCODE;
  } else if (names->seq2seq && !strcmp(name, names->seq2seq)) {
    out->task = ARCH_SEQ2SEQ;
  } else {
    return error_set(r->err, PARE_UNAVAILABLE, "%s: architecture \"%.80s\" is not built yet", r->file, name);
  }
  return PARE_OK;
}

static enum pare_status read_labels(const struct config_reader *r, struct config *out) {
  if (out->task != ARCH_CLASSIFY) return PARE_OK;
  const json_t *labels = get(r, "id2label");
  if (labels && !json_is_object(labels)) return wrong(r, "id2label", "an object", labels);
  size_t named = labels ? json_object_size(labels) : 0;
  enum pare_status s = config_size(r, "num_labels", NULL, named ? named : 2, 1 << 20, &out->N);
  if (s) return s;
  if (named && named != out->N)
    return error_set(r->err, PARE_DATA, "%s: id2label names %zu labels, num_labels says %zu", r->file, named, out->N);
  const json_t *type = get(r, "problem_type");
  if (!type) {
    out->regression = out->N == 1; // as transformers decides when it is not said
    return PARE_OK;
  }
  if (!json_is_string(type)) return wrong(r, "problem_type", "a string", type);
  const char *name = json_string_value(type);
  out->multi_label = !strcmp(name, "multi_label_classification");
  out->regression = !strcmp(name, "regression");
  if (out->multi_label || out->regression || !strcmp(name, "single_label_classification")) return PARE_OK;
  return error_set(r->err, PARE_DATA, "%s: problem_type: \"%.60s\" is not implemented", r->file, name);
}

enum pare_status config_common(const struct config_reader *r, const struct config_classes *names, struct config *out) {
  enum pare_status s = read_task(r, names, out);
  if (!s) s = read_labels(r, out);
  if (!s) s = config_bool(r, "tie_word_embeddings", true, &out->tied);
  if (s) return s;
  const json_t *pad = get(r, "pad_token_id");
  out->pad_id = -1;
  if (!pad) return PARE_OK;
  if (!json_is_integer(pad)) return wrong(r, "pad_token_id", "an integer", pad);
  out->pad_id = json_integer_value(pad);
  return PARE_OK;
}

enum pare_status config_check(const struct config_reader *r, const struct config *c, const char *width_key,
                              const char *heads_key) {
  if (c->C % c->H == 0) return PARE_OK;
  return error_set(r->err, PARE_DATA, "%s: %s: %zu is not a multiple of %s, %zu", r->file, width_key, c->C, heads_key,
                   c->H);
}
