// generation_config.c - see generation_config.h.
#include "task/generation_config.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
  const json_t *json;
  const char *file;
  size_t V;
  struct pare_error *err;
};

static const json_t *get(const struct reader *r, const char *key) {
  const json_t *v = json_object_get(r->json, key);
  return json_is_null(v) ? NULL : v;
}

static enum pare_status wrong(const struct reader *r, const char *key, const char *expected) {
  return error_set(r->err, PARE_DATA, "%s: %s: expected %s", r->file, key, expected);
}

static enum pare_status read_size(const struct reader *r, const char *key, size_t least, size_t most, size_t *out) {
  const json_t *v = get(r, key);
  if (!v) return PARE_OK;
  json_int_t i = json_is_integer(v) ? json_integer_value(v) : -1;
  if (!json_is_integer(v) || i < 0 || (uint64_t)i < least || (uint64_t)i > most)
    return error_set(r->err, PARE_DATA, "%s: %s: expected an integer from %zu to %zu", r->file, key, least, most);
  *out = (size_t)i;
  return PARE_OK;
}

static enum pare_status read_real(const struct reader *r, const char *key, double least, double most, double *out) {
  const json_t *v = get(r, key);
  if (!v) return PARE_OK;
  double x = json_is_number(v) ? json_number_value(v) : NAN;
  if (!(x >= least && x <= most))
    return error_set(r->err, PARE_DATA, "%s: %s: expected a number from %g to %g", r->file, key, least, most);
  *out = x;
  return PARE_OK;
}

static enum pare_status add_id(const struct reader *r, const char *key, const json_t *v, struct id_list *out) {
  json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
  if (!json_is_integer(v)) return wrong(r, key, "an id or a list of ids");
  if (id < 0 || (uint64_t)id >= r->V)
    return error_set(r->err, PARE_DATA, "%s: %s: expected ids below the vocabulary's %zu, found %lld", r->file, key,
                     r->V, (long long)id);
  out->ids[out->count++] = (uint32_t)id;
  return PARE_OK;
}

static enum pare_status count_ids(const struct reader *r, const char *key, const json_t *v, size_t *n) {
  *n = json_is_array(v) ? json_array_size(v) : 1;
  if (*n <= GENERATION_MAX_IDS) return PARE_OK;
  return error_set(r->err, PARE_DATA, "%s: %s: expected at most %d ids, found %zu", r->file, key, GENERATION_MAX_IDS,
                   *n);
}

// One id, or a list of them.
static enum pare_status read_ids(const struct reader *r, const char *key, struct id_list *out) {
  const json_t *v = get(r, key);
  if (!v) return PARE_OK;
  size_t n;
  enum pare_status s = count_ids(r, key, v, &n);
  if (s) return s;
  free(out->ids);
  *out = (struct id_list){.ids = malloc((n ? n : 1) * sizeof *out->ids)};
  if (!out->ids) return error_no_memory(r->err);
  if (!json_is_array(v)) return add_id(r, key, v, out);
  for (size_t i = 0; !s && i < n; i++) s = add_id(r, key, json_array_get(v, i), out);
  return s;
}

static enum pare_status read_id(const struct reader *r, const char *key, int64_t *out) {
  struct id_list one = {0};
  enum pare_status s = read_ids(r, key, &one);
  if (!s && one.count > 1) s = wrong(r, key, "one id");
  if (!s && one.count) *out = one.ids[0];
  free(one.ids);
  return s;
}

static enum pare_status read_early_stopping(const struct reader *r, enum pare_early_stopping *out) {
  const json_t *v = get(r, "early_stopping");
  if (!v) return PARE_OK;
  bool never = json_is_string(v) && !strcmp(json_string_value(v), "never");
  if (!json_is_boolean(v) && !never) return wrong(r, "early_stopping", "true, false or \"never\"");
  *out = never ? PARE_EARLY_NEVER : json_is_true(v) ? PARE_EARLY_TRUE : PARE_EARLY_FALSE;
  return PARE_OK;
}

// Keys that would change the answer and are not implemented, each with the number at which it changes nothing.
static enum pare_status refuse_others(const struct reader *r) {
  static const struct {
    const char *key;
    double neutral;
  } keys[] = {{"bad_words_ids", 0},
              {"sequence_bias", 0},
              {"guidance_scale", 1},
              {"encoder_repetition_penalty", 1},
              {"exponential_decay_length_penalty", 0},
              {"num_beam_groups", 1},
              {"diversity_penalty", 0},
              {"penalty_alpha", 0},
              {"force_words_ids", 0},
              {"constraints", 0},
              {"forced_decoder_ids", 0},
              {"renormalize_logits", 0},
              {"stop_strings", 0},
              {"watermarking_config", 0},
              {"dola_layers", 0}};
  for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
    const json_t *v = get(r, keys[i].key);
    // NOLINTNEXTLINE(clang-analyzer-core.FloatingPointEquality): as written in the file
    bool neutral = !v || json_is_false(v) || (json_is_number(v) && json_number_value(v) == keys[i].neutral) ||
                   (json_is_array(v) && !json_array_size(v));
    if (!neutral) return error_set(r->err, PARE_UNAVAILABLE, "%s: %s is not implemented", r->file, keys[i].key);
  }
  return PARE_OK;
}

static enum pare_status check_lengths(const struct reader *r, const struct generation_config *c) {
  if (c->max_length && !c->max_new_tokens && !c->min_new_tokens && c->min_length > c->max_length)
    return error_set(r->err, PARE_DATA, "%s: min_length: %zu is above max_length, %zu", r->file, c->min_length,
                     c->max_length);
  if (c->max_new_tokens && c->min_new_tokens > c->max_new_tokens)
    return error_set(r->err, PARE_DATA, "%s: min_new_tokens: %zu is above max_new_tokens, %zu", r->file,
                     c->min_new_tokens, c->max_new_tokens);
  return PARE_OK;
}

enum pare_status generation_config_parse(const pare_model *m, const struct json_t *json, const char *file,
                                         struct generation_config *out, struct pare_error *err) {
  enum { MOST = 1 << 20 };
  struct reader r = {(const json_t *)json, file, m->config.V, err};
  *out = (struct generation_config){.beams = 1,
                                    .length_penalty = 1,
                                    .repetition_penalty = 1,
                                    .early_stopping = PARE_EARLY_FALSE,
                                    .forced_bos = -1,
                                    .start_id = m->config.start_id};
  int64_t start = m->config.start_id;
  enum pare_status s = refuse_others(&r);
  if (!s) s = read_size(&r, "num_beams", 1, GENERATION_MAX_BEAMS, &out->beams);
  if (!s) s = read_size(&r, "max_length", 2, MOST, &out->max_length);
  if (!s) s = read_size(&r, "min_length", 0, MOST, &out->min_length);
  if (!s) s = read_size(&r, "max_new_tokens", 1, MOST, &out->max_new_tokens);
  if (!s) s = read_size(&r, "min_new_tokens", 0, MOST, &out->min_new_tokens);
  if (!s) s = read_size(&r, "no_repeat_ngram_size", 0, MOST, &out->no_repeat_ngram);
  if (!s) s = read_size(&r, "encoder_no_repeat_ngram_size", 0, MOST, &out->encoder_no_repeat_ngram);
  if (!s) s = read_real(&r, "length_penalty", -1000, 1000, &out->length_penalty);
  if (!s) s = read_real(&r, "repetition_penalty", 1e-6, 1e6, &out->repetition_penalty);
  if (!s) s = read_early_stopping(&r, &out->early_stopping);
  if (!s) s = read_id(&r, "forced_bos_token_id", &out->forced_bos);
  if (!s) s = read_ids(&r, "forced_eos_token_id", &out->forced_eos);
  if (!s) s = read_ids(&r, "eos_token_id", &out->eos);
  if (!s) s = read_ids(&r, "suppress_tokens", &out->suppress);
  if (!s) s = read_ids(&r, "begin_suppress_tokens", &out->begin_suppress);
  if (!s) s = read_id(&r, "decoder_start_token_id", &start);
  if (!s) s = check_lengths(&r, out);
  out->start_id = (uint32_t)start;
  return s;
}

// Lenient: a language model's end-of-text ids that its vocabulary has.
static enum pare_status known_ids(const struct reader *r, const char *key, struct id_list *out) {
  const json_t *v = get(r, key);
  size_t n;
  enum pare_status s = count_ids(r, key, v, &n);
  if (s) return s;
  *out = (struct id_list){.ids = malloc((n ? n : 1) * sizeof *out->ids)};
  if (!out->ids) return error_no_memory(r->err);
  for (size_t i = 0; i < n; i++) {
    const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
    json_int_t id = json_is_integer(one) ? json_integer_value(one) : -1;
    if (id >= 0 && (uint64_t)id < r->V) out->ids[out->count++] = (uint32_t)id;
  }
  return PARE_OK;
}

static enum pare_status load_language_model(const struct reader *own, const struct reader *config,
                                            struct generation_config *out) {
  *out = (struct generation_config){
      .beams = 1, .length_penalty = 1, .repetition_penalty = 1, .early_stopping = PARE_EARLY_FALSE, .forced_bos = -1};
  enum pare_status s = known_ids(own, "eos_token_id", &out->eos);
  if (s || out->eos.count) return s;
  free(out->eos.ids);
  out->eos = (struct id_list){0};
  return known_ids(config, "eos_token_id", &out->eos);
}

// An id that config.json does not mention has BART's default there, 2; null says that there is none.
static enum pare_status default_id(const struct reader *r, const char *key, struct id_list *out) {
  if (json_object_get(r->json, key) || r->V <= 2) return PARE_OK;
  free(out->ids);
  *out = (struct id_list){.ids = malloc(sizeof *out->ids), .count = 1};
  if (!out->ids) return error_no_memory(r->err);
  out->ids[0] = 2;
  return PARE_OK;
}

// Without generation_config.json, config.json speaks, with the defaults its kind has there.
static enum pare_status load_seq2seq(const pare_model *m, const json_t *own, const char *file, const char *config_file,
                                     struct generation_config *out, struct pare_error *err) {
  enum pare_status s = generation_config_parse(m, own ? own : m->config_json, own ? file : config_file, out, err);
  struct reader r = {m->config_json, config_file, m->config.V, err};
  if (!s && own && !out->eos.count) s = read_ids(&r, "eos_token_id", &out->eos);
  if (!s && !out->eos.count) s = default_id(&r, "eos_token_id", &out->eos);
  if (!s && !own) s = default_id(&r, "forced_eos_token_id", &out->forced_eos);
  return s;
}

enum pare_status generation_config_load(const pare_model *m, struct generation_config *out, struct pare_error *err) {
  *out = (struct generation_config){0};
  char *dir = model_directory(m->path), *file = dir ? path_join(dir, "generation_config.json") : NULL,
       *config_file = dir ? path_join(dir, "config.json") : NULL;
  json_t *own = NULL;
  enum pare_status s = file && config_file ? PARE_OK : error_no_memory(err);
  if (!s && file_exists(file)) s = json_file_load(file, &own, err);
  if (!s && own && !json_is_object(own)) s = error_set(err, PARE_DATA, "%s: expected a JSON object", file);
  if (!s) {
    const struct reader in_own = {own, file, m->config.V, err},
                        in_config = {m->config_json, config_file, m->config.V, err};
    s = m->config.task == ARCH_SEQ2SEQ ? load_seq2seq(m, own, file, config_file, out, err)
                                       : load_language_model(&in_own, &in_config, out);
  }
  json_decref(own);
  free(dir);
  free(file);
  free(config_file);
  return s;
}

void generation_config_free(struct generation_config *c) {
  free(c->forced_eos.ids);
  free(c->eos.ids);
  free(c->suppress.ids);
  free(c->begin_suppress.ids);
  *c = (struct generation_config){0};
}

bool id_list_has(const struct id_list *list, uint32_t id) {
  for (size_t i = 0; i < list->count; i++)
    if (list->ids[i] == id) return true;
  return false;
}
