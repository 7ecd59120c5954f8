// model.c - opening a model: its source's config and tensors, table, tokenizer, provenance, self-test.
#include "model/model.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "model/features.h"
#include "model/selftest.h"
#include "model/weights.h"

static double ms_since(uint64_t start) {
  return (double)(clock_ns() - start) / 1e6;
}

char *model_directory(const char *path) {
  if (file_is_dir(path)) return strdup(path);
  const char *base = path_base(path);
  if (base == path) return strdup(".");
  size_t len = (size_t)(base - path);
  while (len > 1 && path[len - 1] == '/') len--;
  return strndup(path, len);
}

// The config, then the weights: what an architecture is called decides whether they are looked at.
static enum pare_status load_source(pare_model *m, bool weights, struct pare_error *err) {
  struct model_source *src = &m->source;
  const char *type = json_string_value(json_object_get(src->config, "model_type"));
  if (!type) return error_set(err, PARE_DATA, "%s: missing key model_type", src->config_file);
  if (!(m->arch = arch_find(type)))
    return error_set(err, PARE_UNAVAILABLE,
                     "%s: model_type \"%.60s\" is not built yet (gpt2, bert, distilbert, awd_lstm, bart, linear are)",
                     src->config_file, type);
  enum pare_status s = weights ? model_source_weights(src, err) : PARE_OK;
  m->config_json = src->config;
  m->tensors = src->tensors;
  src->config = NULL;
  src->tensors = (struct tensors){0};
  return s ? s : m->arch->read_config(m->config_json, src->config_file, &m->config, err);
}

// What the file says of its own quantization must be something we read; the tensors themselves then decide.
static enum pare_status check_quantization(const pare_model *m, struct pare_error *err) {
  const json_t *q = json_object_get(m->config_json, "quantization_config");
  if (!q || json_is_null(q)) return PARE_OK;
  const char *method = json_string_value(json_object_get(q, "quant_method"));
  if (!method)
    return error_set(err, PARE_DATA, "%s: config.json: quantization_config: missing key quant_method", m->path);
  if (!strcmp(method, "pare") || !strcmp(method, "bitsandbytes") || !strcmp(method, "compressed-tensors"))
    return PARE_OK;
  return error_set(
      err, PARE_UNAVAILABLE,
      "%s: config.json: quantization method \"%.40s\" is not read yet (bitsandbytes, compressed-tensors and pare are)",
      m->path, method);
}

static enum pare_status load_labels(pare_model *m, struct pare_error *err) {
  if (m->config.task != ARCH_CLASSIFY) return PARE_OK;
  const json_t *names = json_object_get(m->config_json, "id2label");
  m->labels = calloc(m->config.N, sizeof *m->labels);
  if (!m->labels) return error_no_memory(err);
  for (size_t i = 0; i < m->config.N; i++) {
    char key[32], fallback[48];
    snprintf(key, sizeof key, "%zu", i);
    snprintf(fallback, sizeof fallback, "LABEL_%zu", i); // as transformers names them
    const json_t *name = names ? json_object_get(names, key) : NULL;
    if (json_is_object(names) && json_object_size(names) && !json_is_string(name))
      return error_set(err, PARE_DATA, "%s: config.json: id2label: no name for label %zu", m->path, i);
    m->labels[i] = strdup(name ? json_string_value(name) : fallback);
    if (!m->labels[i]) return error_no_memory(err);
  }
  return PARE_OK;
}

static enum pare_status load_tokenizer(pare_model *m, struct pare_error *err) {
  uint64_t start = clock_ns();
  const struct model_source *src = &m->source;
  enum pare_status s = m->arch->bag     ? features_open(m, err)
                       : src->tokenizer ? tokenizer_from_fastai(src->tokenizer, m->path, &m->tokenizer, err)
                                        : tokenizer_open(src->directory, &m->tokenizer, err);
  m->tokenizer_ms = ms_since(start);
  if (s == PARE_NOFILE) return PARE_OK; // ids still work
  if (s) return s;
  size_t size = tokenizer_vocab_size(m->tokenizer);
  if (size <= m->config.V) return PARE_OK;
  return error_set(err, PARE_DATA, "%s: the tokenizer has ids up to %zu, the model's vocab_size is %zu", m->path,
                   size - 1, m->config.V);
}

static enum pare_status load_provenance(pare_model *m, struct pare_error *err) {
  if (!m->source.directory) return PARE_OK;
  char *file = path_join(m->source.directory, "pare.json");
  if (!file) return error_no_memory(err);
  enum pare_status s = file_exists(file) ? json_file_load(file, &m->provenance, err) : PARE_OK;
  if (!s && m->provenance && !json_is_object(m->provenance))
    s = error_set(err, PARE_DATA, "%s: expected a JSON object", file);
  const json_t *scheme = s ? NULL : json_object_get(m->provenance, "scheme");
  if (scheme && (!json_is_string(scheme) || json_string_length(scheme) >= sizeof m->scheme))
    s = error_set(err, PARE_DATA, "%s: scheme: expected a name of at most %zu bytes", file, sizeof m->scheme - 1);
  free(file);
  return s;
}

struct tally {
  const struct encoding *encoding[16];
  size_t bytes[16], n;
};

static void count_encoding(void *context, const struct arch_row *row, const struct weight *w) {
  struct tally *t = context;
  if (row->k == D_NONE) return;
  size_t i = 0;
  while (i < t->n && t->encoding[i] != w->stored.encoding) i++;
  if (i == t->n) t->encoding[t->n++] = w->stored.encoding;
  t->bytes[i] += w->N * w->K;
}

// pare.json names the scheme; otherwise the encoding that most weights are in.
static void name_scheme(pare_model *m) {
  const char *name = m->provenance ? json_string_value(json_object_get(m->provenance, "scheme")) : NULL;
  if (!name) {
    struct tally t = {0};
    model_each_weight(m, count_encoding, &t);
    size_t best = 0;
    for (size_t i = 1; i < t.n; i++)
      if (t.bytes[i] > t.bytes[best]) best = i;
    name = t.n ? t.encoding[best]->name : "f32";
  }
  snprintf(m->scheme, sizeof m->scheme, "%s", name);
}

// How much of a model is opened.
enum depth { DEPTH_KIND, DEPTH_STORED, DEPTH_COMPUTE };

static enum pare_status open_kind(pare_model *m, struct pare_error *err) {
  enum pare_status s = model_source_open(m->path, &m->source, err);
  if (!s) s = load_source(m, false, err);
  return s ? s : load_labels(m, err);
}

static enum pare_status open_parts(pare_model *m, bool compute, struct pare_error *err) {
  uint64_t start = clock_ns();
  enum pare_status s = model_source_open(m->path, &m->source, err);
  if (!s) s = load_source(m, true, err);
  if (!s) s = check_quantization(m, err);
  if (!s) s = weights_resolve(m, err);
  if (!s && compute) s = weights_pack(m, err);
  m->load_ms = ms_since(start);
  if (!s) s = load_labels(m, err);
  if (!s) s = load_tokenizer(m, err);
  if (!s) s = load_provenance(m, err);
  if (!s) name_scheme(m);
  start = clock_ns();
  if (!s && compute) s = selftest_check(m, err);
  m->self_test_ms = ms_since(start);
  return s;
}

static enum pare_status open_model(pare_engine *engine, const char *path, enum depth depth, pare_model **out,
                                   struct pare_error *err) {
  *out = NULL;
  pare_model *m = calloc(1, sizeof *m);
  if (!m || !(m->path = strdup(path))) {
    free(m);
    return error_no_memory(err);
  }
  m->kernels = engine->kernels;
  m->pool = engine->pool;
  m->detached = engine->detached;
  enum pare_status s = depth == DEPTH_KIND ? open_kind(m, err) : open_parts(m, depth == DEPTH_COMPUTE, err);
  if (s) {
    model_close(m);
    return s;
  }
  *out = m;
  return PARE_OK;
}

enum pare_status model_open(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err) {
  return open_model(engine, path, DEPTH_COMPUTE, out, err);
}

enum pare_status model_open_stored(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err) {
  return open_model(engine, path, DEPTH_STORED, out, err);
}

enum pare_status model_open_kind(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err) {
  return open_model(engine, path, DEPTH_KIND, out, err);
}

void model_close(pare_model *m) {
  if (!m) return;
  for (size_t i = 0; m->labels && i < m->config.N; i++) free(m->labels[i]);
  free(m->labels);
  weights_free(m);
  tensors_close(&m->tensors);
  model_source_close(&m->source);
  tokenizer_close(m->tokenizer);
  json_decref(m->config_json);
  json_decref(m->provenance);
  free(m->path);
  free(m);
}

size_t model_max_tokens(const pare_model *m) {
  size_t n = m->config.P;
  return m->tokenizer ? size_min(n, tokenizer_model_max_length(m->tokenizer)) : n;
}

void model_each_weight(const pare_model *m,
                       void (*visit)(void *context, const struct arch_row *row, const struct weight *w),
                       void *context) {
  size_t rows = m->arch->row_count;
  for (size_t i = 0; i < rows; i++)
    if (!arch_row_layered(&m->arch->rows[i]) && m->weights.global[i].present)
      visit(context, &m->arch->rows[i], &m->weights.global[i]);
  for (size_t l = 0; l < arch_layers(&m->config); l++)
    for (size_t i = 0; i < rows; i++)
      if (m->weights.layers[l * rows + i].present) visit(context, &m->arch->rows[i], &m->weights.layers[l * rows + i]);
}

static void count_bytes(void *context, const struct arch_row *row, const struct weight *w) {
  struct model_bytes *b = context;
  size_t values = row->k == D_NONE ? 0 : w->stored.parts[0].bytes;
  *(row->role == ROLE_EMBEDDING ? &b->embedding : &b->linear) += values;
  for (size_t i = 1; i < w->stored.part_count && row->k != D_NONE; i++) b->scale += w->stored.parts[i].bytes;
}

struct model_bytes model_bytes(const pare_model *m) {
  struct model_bytes b = {.total = m->tensors.file_bytes};
  model_each_weight(m, count_bytes, &b);
  b.other = b.total - size_min(b.total, b.embedding + b.linear + b.scale); // norms, biases, headers, what is not used
  return b;
}

// A text without tokens leaves nothing to compute on: a model without special tokens reads its end-of-text token
// instead.
static enum pare_status put_end_of_text(const pare_model *m, struct encoded *out, struct pare_error *err) {
  int64_t id = tokenizer_special_id(m->tokenizer, "eos_token");
  if (id < 0)
    return error_set(err, PARE_DATA, "%s: the text has no tokens and the model no end-of-text token", m->path);
  if (!out->cap) {
    out->ids = malloc(sizeof *out->ids);
    out->types = malloc(sizeof *out->types);
    if (!out->ids || !out->types) return error_no_memory(err);
    out->cap = 1;
  }
  out->ids[0] = (uint32_t)id;
  out->types[0] = 0;
  out->len = 1;
  return PARE_OK;
}

enum pare_status model_tokenize(const pare_model *m, const struct pare_text *text, size_t max_tokens, bool only_first,
                                struct encoded *out, struct pare_error *err) {
  if (!m->tokenizer)
    return error_set(
        err, PARE_NOFILE,
        "%s: no tokenizer (tokenizer.json, fastai_tokenizer.json, vocab.json with merges.txt, or vocab.txt)", m->path);
  size_t limit = model_max_tokens(m);
  if (max_tokens && max_tokens < limit) limit = max_tokens;
  struct encode_options opt = {.add_special = true,
                               .max_tokens = limit,
                               .truncation = only_first ? TRUNCATE_ONLY_FIRST : TRUNCATE_LONGEST_FIRST};
  enum pare_status s = tokenizer_encode(m->tokenizer, (struct text_span){text->text, text->len},
                                        (struct text_span){text->pair, text->pair_len}, &opt, out, err);
  if (s || out->len || m->arch->bag) return s;
  return put_end_of_text(m, out, err);
}
