// api.c - pare.h in terms of the layers below: engine, model, text, session, classify, lists. (api_quantize.c:
// quantizing and converting; api_eval.c: data and the main job; api_record.c: records.) Thin on purpose: arguments are
// adapted here and nothing else is decided.
#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "api_record.h"
#include "base/size.h"
#include "model/info.h"
#include "model/preferred.h"
#include "quant/quantize.h"
#include "task/classify.h"
#include "task/generate.h"

const char *pare_version(void) {
  return PARE_VERSION;
}

enum { THREADS_MAX = 1024 }; // far beyond any machine this runs well on; what is larger is a slip of the hand

static size_t usable_cores(void) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set)) return 1;
  int n = CPU_COUNT(&set);
  return n > 0 ? (size_t)n : 1;
}

enum pare_status pare_engine_open(const struct pare_engine_options *options, pare_engine **out,
                                  struct pare_error *err) {
  *out = NULL;
  size_t threads = options ? options->threads : 0;
  if (threads > THREADS_MAX) {
    return error_set(err, PARE_USAGE, "expected at most %d threads, found %zu", THREADS_MAX, threads);
  }
  pare_engine *e = calloc(1, sizeof *e);
  if (!e) return error_no_memory(err);
  enum pare_status s = kernels_select(options ? options->isa : NULL, &e->kernels, err);
  if (!s) s = pool_open(threads ? threads : usable_cores(), &e->pool, err);
  if (s) {
    free(e);
    return s;
  }
  e->detached = options && options->detached;
  *out = e;
  return PARE_OK;
}

void pare_engine_close(pare_engine *engine) {
  if (!engine) return;
  pool_close(engine->pool);
  free(engine);
}

const char *pare_engine_isa(const pare_engine *engine) {
  return engine->kernels->name;
}

size_t pare_engine_threads(const pare_engine *engine) {
  return pool_threads(engine->pool);
}

enum pare_status pare_model_open(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err) {
  return model_open(engine, path, out, err);
}

enum pare_status pare_model_open_preferred(pare_engine *engine, const char *path,
                                           const struct pare_preference *preference, pare_model **out,
                                           struct pare_used *used, struct pare_error *err) {
  return preferred_open(engine, path, preference, out, used, err);
}

const char *pare_model_path(const pare_model *model) {
  return model->path;
}

void pare_model_close(pare_model *model) {
  model_close(model);
}

enum pare_task pare_model_task(const pare_model *model) {
  static const enum pare_task tasks[] = {[ARCH_CLASSIFY] = PARE_TASK_CLASSIFY,
                                         [ARCH_LANGUAGE_MODEL] = PARE_TASK_LANGUAGE_MODEL,
                                         [ARCH_ENCODE] = PARE_TASK_ENCODE,
                                         [ARCH_SEQ2SEQ] = PARE_TASK_SEQ2SEQ};
  return tasks[model->config.task];
}

size_t pare_model_label_count(const pare_model *model) {
  return model->config.N;
}

const char *pare_model_label(const pare_model *model, size_t i) {
  return i < model->config.N ? model->labels[i] : NULL;
}

size_t pare_model_vocab_size(const pare_model *model) {
  return model->config.V;
}

size_t pare_model_output_width(const pare_model *model) {
  return session_columns(model);
}

size_t pare_model_max_tokens(const pare_model *model) {
  return model_max_tokens(model);
}

const char *pare_model_scheme(const pare_model *model) {
  return model->scheme;
}

double pare_model_load_ms(const pare_model *model) {
  return model->load_ms;
}

enum pare_status pare_model_info(const pare_model *model, pare_record **out, struct pare_error *err) {
  return record_new(RECORD_INFO, model_info(model), out, err);
}

enum pare_status pare_tokenize(const pare_model *model, const struct pare_text *text, size_t max_tokens,
                               struct pare_tokens *out, struct pare_error *err) {
  struct encoded e = {out->ids, out->types, out->len, out->cap, out->truncated};
  enum pare_status s = model_tokenize(model, text, max_tokens, false, &e, err);
  *out = (struct pare_tokens){e.ids, e.types, s ? 0 : e.len, e.cap, e.truncated};
  return s;
}

void pare_tokens_free(struct pare_tokens *tokens) {
  struct encoded e = {tokens->ids, tokens->types, tokens->len, tokens->cap, false};
  encoded_free(&e);
  *tokens = (struct pare_tokens){0};
}

const char *pare_token_piece(const pare_model *model, uint32_t id) {
  return model->tokenizer ? tokenizer_piece(model->tokenizer, id) : NULL;
}

enum pare_status pare_detokenize(const pare_model *model, const uint32_t *ids, size_t n, bool skip_special, char **out,
                                 struct pare_error *err) {
  *out = NULL;
  if (!model->tokenizer) return error_set(err, PARE_NOFILE, "%s: no tokenizer", model->path);
  size_t len;
  return tokenizer_decode(model->tokenizer, ids, n, skip_special, out, &len, err);
}

enum pare_status pare_session_open(pare_model *model, const struct pare_session_options *options, pare_session **out,
                                   struct pare_error *err) {
  enum pare_status s = session_open(model, options ? options->batch_tokens : 0, out, err);
  if (!s && options && options->alone) session_leave_pool(*out);
  return s;
}

void pare_session_close(pare_session *session) {
  session_close(session);
}

size_t pare_session_bytes(const pare_session *session) {
  return session->arena.size;
}

enum pare_status pare_session_logits(pare_session *session, const struct pare_sequence *sequences, size_t n,
                                     float *logits, struct pare_error *err) {
  return session_logits(session, sequences, n, logits, err);
}

size_t pare_classify_label_count(const pare_model *model, const struct pare_classify_options *options) {
  return classify_label_count(model, options);
}

enum pare_status pare_classify(pare_session *session, const struct pare_text *texts, size_t n,
                               const struct pare_classify_options *options, float *scores, float *logits,
                               struct pare_error *err) {
  return classify_run(session, texts, n, options, scores, logits, err);
}

enum pare_status pare_generate(pare_model *model, const struct pare_text *prompts, size_t n,
                               const struct pare_generate_options *options, struct pare_generation *out,
                               struct pare_error *err) {
  return generate_run(model, prompts, n, options, out, err);
}

void pare_generation_free(struct pare_generation *g) {
  generation_free(g);
}

enum pare_status pare_schemes(pare_record **record, struct pare_error *err) {
  return record_new(RECORD_SCHEMES, schemes_record(), record, err);
}

// One row of `pare models`; a directory that is no model of ours is passed over.
static void add_model(json_t *list, pare_engine *engine, const char *path) {
  pare_model *m;
  if (model_open_stored(engine, path, &m, NULL)) return;
  json_t *row = model_info(m);
  static const char *const detail[] = {"tensors", "coverage", "bytes", "provenance", "unused_tensors"};
  for (size_t i = 0; i < sizeof detail / sizeof detail[0]; i++) json_object_del(row, detail[i]);
  json_array_append_new(list, row);
  model_close(m);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
  return strcmp((*a)->d_name, (*b)->d_name);
}

enum pare_status pare_models(const char *const *roots, size_t root_count, pare_record **record,
                             struct pare_error *err) {
  pare_engine *engine;
  *record = NULL;
  enum pare_status s = pare_engine_open(&(struct pare_engine_options){.threads = 1}, &engine, err);
  if (s) return s;
  json_t *list = json_array();
  for (size_t r = 0; r < root_count; r++) {
    struct dirent **names;
    int n = scandir(roots[r], &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
      char *path = names[i]->d_name[0] == '.' ? NULL : path_join(roots[r], names[i]->d_name);
      if (path && file_is_dir(path)) add_model(list, engine, path);
      free(path);
      free(names[i]);
    }
    if (n >= 0) free(names);
  }
  pare_engine_close(engine);
  return record_new(RECORD_MODELS, list, record, err);
}
