// exchange.h - one HTTP request and its answer, as a protocol sees them: no sockets, no threads. A handler either
// answers at once (exchange_reply, exchange_json, exchange_fail) or hands over a job (exchange_submit); when the job is
// done its `answer` writes the body.
#ifndef PARE_SERVER_EXCHANGE_H
#define PARE_SERVER_EXCHANGE_H

#include <jansson.h>

#include "base/buf.h"
#include "job.h"
#include "models.h"

struct exchange;

// How errors look: {"error": {"message", "type", "param", "code"}}, {"error": "..."}; the same with 422 for what is the
// client's to mend and 424 for a model that failed.
enum error_style { ERROR_OPENAI, ERROR_PLAIN, ERROR_GENERATE };

// One address. Patterns: "/v2/models/{}/infer"; {} stands for one part of the path, {*} for one or more (model names
// may hold a slash); what they stand for, percent-decoded, comes in params.
struct route {
  const char *method, *pattern;
  void (*handle)(struct exchange *x);
  enum error_style style;
  const char *endpoint; // label in metrics and logs
};

enum { EXCHANGE_PARAMS = 2, EXCHANGE_HEADERS = 8 };

// How a protocol writes what came of a job.
struct answer {
  void (*whole)(struct exchange *x); // x->job succeeded: the body into x->out
  // With job->stream, in this order: piece any number of times for each item, then end once, which also says it if the
  // job failed in the middle. Each appends whole events to x->out. The job is locked meanwhile.
  void (*piece)(struct exchange *x, size_t item, size_t text_from, size_t token_from, bool last);
  void (*end)(struct exchange *x);
};

struct exchange {
  const struct route *route;
  char *params[EXCHANGE_PARAMS];
  const char *body; // for the handler alone
  size_t body_len;
  char id[72]; // request id: the client's own, if it is harmless
  struct models *models;
  const struct serve_config *config;
  struct server *server; // NULL in tests of a protocol
  // A request's header, NULL without one. Names without regard to case.
  const char *(*header)(const struct exchange *x, const char *name);
  void *connection;

  json_t *json; // the body parsed, once exchange_parse was called and until exchange_submit
  struct job *job;
  const struct answer *answer;
  void (*later)(struct exchange *x);
  void *state; // a protocol's own between handle and answer: from job_alloc

  unsigned status; // 0: not answered yet
  const char *content_type;
  struct buf out;
  struct {
    const char *name;
    char value[96];
  } headers[EXCHANGE_HEADERS];
  size_t header_count;
};

// The body as JSON; on a mistake answers 400 naming line and column, and returns NULL. The exchange owns it.
json_t *exchange_parse(struct exchange *x);
// Answers: body is what x->out holds.
void exchange_reply(struct exchange *x, unsigned status, const char *content_type);
// Answers with a JSON value, which is taken over (NULL: no memory, 500). Numbers carry nine digits.
void exchange_json(struct exchange *x, unsigned status, json_t *value);
// Appends a JSON value to x->out and takes it over.
void exchange_write(struct exchange *x, json_t *value);
// Answers with an error in the route's style, unless there is an answer already. param: the key at fault, or NULL.
void exchange_fail(struct exchange *x, unsigned status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void exchange_header_set(struct exchange *x, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Finds the model and holds it: 404 when there is none of that name. NULL: answered.
struct served *exchange_model(struct exchange *x, const char *name);
// Hands the job over; it is the exchange's from now on. The parsed body goes: the job has copies of what it needs, as
// it may wait for long and outlive the request.
void exchange_submit(struct exchange *x, struct job *job, const struct answer *answer);
// Has `work` called on a thread where it may take its time (opening a model); it answers.
void exchange_later(struct exchange *x, void (*work)(struct exchange *x));
// The error a failed job stands for, in the route's style.
void exchange_fail_job(struct exchange *x);
void exchange_free(struct exchange *x); // what it owns, not itself

#endif
