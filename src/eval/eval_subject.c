// eval_subject.c - see eval_subject.h.
#include "eval/eval_subject.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "model/info.h"
#include "task/generate.h"

enum pare_status eval_subject_open(struct eval_subject *s, pare_engine *engine, struct pare_error *err) {
  enum pare_status status = model_open(engine, s->path, &s->model, err);
  if (status == PARE_OK) status = session_open(s->model, 0, &s->session, err);
  return status;
}

void eval_subject_close(struct eval_subject *s) {
  session_close(s->session);
  model_close(s->model);
  free(s->name);
  free(s->path);
  free(s->classes.prediction);
  free(s->classes.scores);
  free(s->classes.logits);
  for (size_t i = 0; i < s->texts.rows; i++) generation_free(&s->texts.answer[i]);
  free(s->texts.answer);
  free(s->texts.nll);
  free(s->texts.kl);
  free(s->texts.same_top);
  free(s->chunk_seconds);
  free(s->latency_ms);
  free(s->latency_order);
  *s = (struct eval_subject){0};
}

const char *eval_path_name(const char *path, size_t *len) {
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') end--;
  size_t start = end;
  while (start > 0 && path[start - 1] != '/') start--;
  *len = end - start;
  return path + start;
}

enum pare_status eval_check_iterations(size_t iterations, struct pare_error *err) {
  if (iterations <= EVAL_ITERATIONS_MAX) return PARE_OK;
  return error_set(err, PARE_USAGE, "expected at most %d iterations, found %zu", EVAL_ITERATIONS_MAX, iterations);
}

json_t *eval_bytes_json(const char *text, size_t len) {
  char *copy = calloc(len + 1, 1);
  if (!copy) return NULL;
  if (len) memcpy(copy, text, len);
  for (size_t at = utf8_first_bad(copy, len); at < len; at += utf8_first_bad(copy + at, len - at)) copy[at] = '?';
  json_t *json = json_stringn(copy, len);
  free(copy);
  return json;
}

json_t *eval_text_json(const char *text) {
  return text ? eval_bytes_json(text, strlen(text)) : json_null();
}

void eval_add_quoted(struct buf *out, const char *text, size_t len) {
  json_t *json = eval_bytes_json(text, len);
  char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;
  if (quoted) buf_puts(out, quoted);
  out->failed |= !quoted;
  free(quoted);
  json_decref(json);
}

json_t *eval_subject_json(const struct eval_subject *s, const struct eval_subject *base) {
  const pare_model *m = s->model;
  struct model_bytes b = model_bytes(m);
  size_t base_bytes = base->model->tensors.file_bytes;
  double f32_bytes = 4.0 * (double)base->model->parameters;
  json_t *bytes = json_pack("{s:I, s:I, s:I, s:I}", "embedding", (json_int_t)b.embedding, "linear",
                            (json_int_t)b.linear, "scale", (json_int_t)b.scale, "other", (json_int_t)b.other);
  json_t *json = json_pack("{s:o, s:s, s:I, s:f, s:o, s:f, s:b, s:f, s:f, s:I, s:o}", "name", eval_text_json(s->name),
                           "scheme", m->scheme, "size_bytes", (json_int_t)b.total, "size_percent_of_f32",
                           100.0 * (double)b.total / f32_bytes, "bytes", bytes, "compression",
                           (double)base_bytes / (double)b.total, "not_smaller", s != base && b.total >= base_bytes,
                           "load_ms", s->cost.load_ms, "open_ms", s->cost.open_ms, "rss_bytes",
                           (json_int_t)s->cost.rss_bytes, "coverage", model_coverage(m));
  if (json && !s->temporary) json_object_set_new(json, "path", eval_text_json(s->path));
  return json;
}
