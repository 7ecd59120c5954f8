// exchange.c - see exchange.h.
#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json_text.h"

static const char media_json[] = "application/json";

json_t *exchange_parse(struct exchange *x) {
  json_error_t at;
  if (x->json) return x->json;
  if (!x->body_len) {
    exchange_fail(x, 400, NULL, "expected a JSON object as body, found none");
    return NULL;
  }
  const char *coding = x->header ? x->header(x, "Content-Encoding") : NULL;
  if (coding && *coding && strcasecmp(coding, "identity")) {
    exchange_fail(x, 415, NULL, "Content-Encoding: expected a body that is not compressed, found '%.40s'", coding);
    return NULL;
  }
  x->json = json_loadb(x->body, x->body_len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &at);
  if (!x->json)
    exchange_fail(x, 400, NULL, "the body is not JSON: line %d, column %d: %s", at.line, at.column, at.text);
  return x->json;
}

void exchange_reply(struct exchange *x, unsigned status, const char *content_type) {
  x->status = status;
  x->content_type = content_type;
}

static int append(const char *bytes, size_t len, void *out) {
  buf_add(out, bytes, len);
  return 0;
}

void exchange_write(struct exchange *x, json_t *value) {
  // Nine digits tell every float from every other.
  if (!value || json_dump_callback(value, append, &x->out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)))
    x->out.failed = true;
  json_decref(value);
}

void exchange_json(struct exchange *x, unsigned status, json_t *value) {
  exchange_write(x, value);
  exchange_reply(x, status, media_json);
}

static const char *error_type(unsigned status) {
  switch (status) {
    case 401: return "authentication_error";
    case 404: return "not_found_error";
    case 429: return "rate_limit_error";
    case 503: return "unavailable_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
  }
}

void exchange_fail(struct exchange *x, unsigned status, const char *param, const char *format, ...) {
  char text[768];
  if (x->status) return;
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  // A message that was cut within a character, or that quotes what a client sent, is not always UTF-8.
  json_t *message = json_text(text);
  buf_free(&x->out);
  x->out = (struct buf){0};
  bool plain = x->route && x->route->style != ERROR_OPENAI;
  if (status == 400 && x->route && x->route->style == ERROR_GENERATE) status = 422;
  json_t *error = plain ? json_pack("{s:o}", "error", message)
                        : json_pack("{s:{s:o, s:s, s:s?, s:i}}", "error", "message", message, "type",
                                    error_type(status), "param", param, "code", (int)status);
  exchange_json(x, status, error);
}

void exchange_header_set(struct exchange *x, const char *name, const char *format, ...) {
  if (x->header_count == EXCHANGE_HEADERS) return;
  va_list list;
  va_start(list, format);
  vsnprintf(x->headers[x->header_count].value, sizeof x->headers->value, format, list);
  va_end(list);
  x->headers[x->header_count++].name = name;
}

struct served *exchange_model(struct exchange *x, const char *name) {
  struct served *s = models_find(x->models, name);
  if (s) return s;
  if (name && *name) {
    exchange_fail(x, 404, "model", "the model '%.200s' is not here; GET /v1/models lists those that are", name);
  } else {
    exchange_fail(x, 400, "model", "model: expected the name of a model, found none; GET /v1/models lists them");
  }
  return NULL;
}

void exchange_submit(struct exchange *x, struct job *job, const struct answer *answer) {
  x->job = job;
  x->answer = answer;
  json_decref(x->json);
  x->json = NULL;
}

void exchange_later(struct exchange *x, void (*work)(struct exchange *x)) {
  x->later = work;
}

void exchange_fail_job(struct exchange *x) {
  const char *text = x->job->error.text;
  switch (x->job->failure) {
    case JOB_FINE: break;
    case JOB_BAD: exchange_fail(x, 400, NULL, "%s", text); return;
    case JOB_DEADLINE: exchange_fail(x, 504, NULL, "not answered in time"); return;
    case JOB_CANCELLED: exchange_fail(x, 499, NULL, "the client left"); return;
    case JOB_SHUT_DOWN: exchange_fail(x, 503, NULL, "the server is shutting down"); return;
    case JOB_BROKEN:
      exchange_fail(x, x->route && x->route->style == ERROR_GENERATE ? 424 : 500, NULL, "%s", text);
      return;
  }
}

void exchange_free(struct exchange *x) {
  for (size_t i = 0; i < EXCHANGE_PARAMS; i++) free(x->params[i]);
  json_decref(x->json);
  job_free(x->job);
  buf_free(&x->out);
}
