// request.c - see request.h. libmicrohttpd calls request_access once with the header, again with pieces of the body,
// and once when it is complete. A request that has to wait suspends its connection; who answers resumes it, and
// request_access is called again. What two threads look at is under the job's lock.
#include "request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/rng.h"
#include "json_text.h"
#include "keys.h"
#include "routes.h"
#include "server_metrics.h"

struct cursor {
  size_t text, token; // sent so far
  bool last;          // and that it was all
};

struct request {
  struct exchange x;
  struct http_shared *shared;
  struct MHD_Connection *connection;
  struct watched *watched;
  const char *path; // of the connection's memory
  const char *method;
  struct buf body;       // until the handler has read it
  size_t counted;        // of shared->body_bytes
  unsigned body_refused; // the status that says why it was not kept; 0: it is
  bool submitted, answered, stream_ended;
  bool waiting; // suspended until there is more; with a job, under its lock
  struct cursor *cursors;
  size_t sent; // of x.out, streaming
  uint64_t start_ns;
};

// ---- an answer goes out -------------------------------------------------------------------------------------------

static void add_headers(struct request *r, struct MHD_Response *response) {
  const struct exchange *x = &r->x;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, x->content_type);
  MHD_add_response_header(response, "X-Request-Id", x->id);
  for (size_t i = 0; i < x->header_count; i++)
    MHD_add_response_header(response, x->headers[i].name, x->headers[i].value);
  const char *variant = x->job ? job_variant(x->job) : NULL;
  if (variant) MHD_add_response_header(response, "X-Pare-Variant", variant);
  if (atomic_load(&r->shared->server->draining)) MHD_add_response_header(response, "Connection", "close");
}

static enum MHD_Result queue(struct request *r, unsigned status, struct MHD_Response *response) {
  add_headers(r, response);
  r->answered = true;
  enum MHD_Result result = MHD_queue_response(r->connection, status, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result send_whole(struct request *r) {
  struct exchange *x = &r->x;
  if (!x->status || x->out.failed) {
    buf_free(&x->out);
    x->out = (struct buf){0};
    x->status = 0;
    exchange_fail(x, 500, NULL, "out of memory");
  }
  size_t len = x->out.len;
  char *body = buf_take(&x->out);
  if (!body) return MHD_NO;
  struct MHD_Response *response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE);
  if (!response) {
    free(body);
    return MHD_NO;
  }
  return queue(r, x->status, response);
}

// Writes what there is to send by now. The job is locked.
static void write_pieces(struct request *r) {
  struct exchange *x = &r->x;
  const struct job *job = x->job;
  bool failed = job->finished && job->failure != JOB_FINE; // too late for a status: the end says it
  for (size_t i = 0; !failed && i < job->count; i++) {
    const struct job_item *item = &job->items[i];
    struct cursor *c = &r->cursors[i];
    if (c->last || (!item->done && item->output_len == c->text && item->output_count == c->token)) continue;
    x->answer->piece(x, i, c->text, c->token, item->done);
    *c = (struct cursor){item->output_len, item->output_count, item->done};
  }
  if (!job->finished) return;
  x->answer->end(x);
  r->stream_ended = true;
}

static ssize_t read_stream(void *cls, uint64_t pos, char *to, size_t max) {
  struct request *r = cls;
  struct buf *out = &r->x.out;
  (void)pos;
  if (r->sent == out->len) {
    out->len = r->sent = 0;
    pthread_mutex_lock(&r->x.job->lock);
    if (!r->stream_ended) write_pieces(r);
    if (!out->len && !r->stream_ended) {
      r->waiting = true;
      MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->x.job->lock);
    if (out->failed) return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!out->len && !r->stream_ended) return 0;
    if (!out->len) return MHD_CONTENT_READER_END_OF_STREAM;
  }
  size_t n = out->len - r->sent < max ? out->len - r->sent : max;
  memcpy(to, out->data + r->sent, n);
  r->sent += n;
  return (ssize_t)n;
}

static enum MHD_Result send_stream(struct request *r) {
  enum { BLOCK = 16384 };
  r->x.status = 200;
  r->x.content_type = "text/event-stream";
  exchange_header_set(&r->x, "Cache-Control", "no-cache");
  struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, r, NULL);
  return response ? queue(r, 200, response) : MHD_NO;
}

// ---- waiting ------------------------------------------------------------------------------------------------------

static void client_left(void *context, bool gone) {
  struct request *r = context;
  struct job *job = r->x.job;
  // Who only stopped sending may still read. Short work is answered; of a long answer in one piece, nobody can tell.
  if (!gone && (job->op != JOB_GENERATE || job->stream)) return;
  atomic_store(&job->cancelled, true);
  scheduler_look(r->shared->server->scheduler);
}

// With the job locked.
static void resume(void *owner) {
  struct request *r = owner;
  if (!r->waiting) return;
  r->waiting = false;
  MHD_resume_connection(r->connection);
}

const struct scheduler_hooks http_hooks = {.more = resume, .done = resume};

static void run_later(void *context) {
  struct request *r = context;
  r->x.later(&r->x);
  MHD_resume_connection(r->connection);
}

static void refuse(struct request *r, unsigned retry_seconds) {
  exchange_header_set(&r->x, "Retry-After", "%u", retry_seconds);
  exchange_fail(&r->x, 429, NULL, "too many requests are waiting; try again in %u s", retry_seconds);
}

// One connection has asked alone for a while. While this thread computes it reads nobody else's request, so that
// requests of others are noticed only afterwards, by when they came.
static bool is_alone(struct request *r) {
  const uint64_t WHILE_NS = 50000000;
  return atomic_load(&r->shared->active) == 1 && r->start_ns - atomic_load(&r->shared->other_ns) > WHILE_NS;
}

// The handler left a job. True: the connection waits.
static bool submit(struct request *r) {
  struct server *server = r->shared->server;
  struct job *job = r->x.job;
  unsigned retry_seconds = 1;
  r->submitted = true;
  job->arrived_ns = clock_ns();
  if (!job->deadline_ns && r->x.config->limits.timeout_ms)
    job->deadline_ns = job->arrived_ns + (uint64_t)r->x.config->limits.timeout_ms * 1000000;
  job->owner = r;
  if (job->stream) {
    r->cursors = job_alloc(job, job->count * sizeof *r->cursors);
    if (!r->cursors) {
      exchange_fail(&r->x, 500, NULL, "out of memory");
      job->finished = true;
      return false;
    }
  }
  switch (scheduler_prepare(server->scheduler, job, r->x.id, &retry_seconds)) {
    case SCHEDULED_DONE: job->finished = true; return false;
    case SCHEDULED_REFUSED:
      refuse(r, retry_seconds);
      job->finished = true; // nobody else has it: it goes with the request
      return false;
    case SCHEDULED_READY: break;
  }
  bool computed = is_alone(r) && scheduler_compute(server->scheduler, job);
  pthread_mutex_lock(&job->lock);
  bool wait = !job->finished;
  if (wait) {
    r->waiting = true;
    MHD_suspend_connection(r->connection);
  }
  pthread_mutex_unlock(&job->lock);
  if (!wait) return false;
  watch_enter(r->shared->watch, r->watched, WATCH_WORK, client_left, r);
  if (!computed) scheduler_push(job);
  return true;
}

// ---- the request comes in -----------------------------------------------------------------------------------------

static const char *header_of(const struct exchange *x, const char *name) {
  return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

// The client's id, if it is short and harmless; else one of ours.
static void name_request(struct request *r) {
  const char *given = header_of(&r->x, "X-Request-Id");
  size_t len = given ? strlen(given) : 0, ok = 0;
  while (ok < len && (isalnum((unsigned char)given[ok]) || strchr("-_.:", given[ok]))) ok++;
  if (len && ok == len && len < sizeof r->x.id) {
    memcpy(r->x.id, given, len + 1);
    return;
  }
  // One seed for the process and a step that never comes round: each id once, and none tells how many came before.
  uint64_t id = rng_mix(atomic_fetch_add(&r->shared->ids, RNG_STEP));
  snprintf(r->x.id, sizeof r->x.id, "%016llx", (unsigned long long)id);
}

static bool is_openai(const char *path) {
  return !strncmp(path, "/v1/", 4);
}

static void find_route(struct request *r) {
  char allowed[64];
  struct exchange *x = &r->x;
  x->route = route_find(all_routes, all_route_lists, r->method, r->path, x->params, allowed);
  if (x->route) return;
  static const struct route nowhere_openai = {.style = ERROR_OPENAI, .endpoint = "unknown"},
                            nowhere = {.style = ERROR_PLAIN, .endpoint = "unknown"};
  x->route = is_openai(r->path) ? &nowhere_openai : &nowhere;
  if (*allowed) {
    exchange_header_set(x, "Allow", "%s", allowed);
    exchange_fail(x, 405, NULL, "%s is not for this address; it takes %s", r->method, allowed);
  } else {
    exchange_fail(x, 404, NULL, "no such address; GET /openapi.json lists them");
  }
}

static enum MHD_Result count_length(void *cls, enum MHD_ValueKind kind, const char *name, const char *value) {
  (void)kind;
  (void)value;
  if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH)) ++*(unsigned *)cls;
  return MHD_YES;
}

// Two readers of one connection, a proxy and we, must not differ in where a body ends (RFC 9112, sections 6.1, 6.3).
static void check_framing(struct request *r) {
  const char *coding = header_of(&r->x, MHD_HTTP_HEADER_TRANSFER_ENCODING);
  unsigned lengths = 0;
  MHD_get_connection_values(r->connection, MHD_HEADER_KIND, count_length, &lengths);
  if (lengths + (coding != NULL) > 1)
    exchange_fail(&r->x, 400, NULL, "expected one Content-Length or a Transfer-Encoding, found more");
  if (coding && strcasecmp(coding, "chunked"))
    exchange_fail(&r->x, 400, NULL, "Transfer-Encoding: expected chunked, found %.80s", coding);
  if (r->x.status) exchange_header_set(&r->x, "Connection", "close"); // what follows is nobody's request
}

// A browser sends along what it knows of a password, also for a page of somebody else; that page could unload models.
static void check_site(struct request *r) {
  const char *site = header_of(&r->x, "Sec-Fetch-Site");
  bool reads = !strcmp(r->method, "GET") || !strcmp(r->method, "HEAD");
  if (site && !strcmp(site, "cross-site") && !reads)
    exchange_fail(&r->x, 403, NULL, "%s is not for pages of another site (Sec-Fetch-Site)", r->method);
}

static void check_size(struct request *r) {
  const char *length = header_of(&r->x, MHD_HTTP_HEADER_CONTENT_LENGTH);
  size_t limit = r->x.config->limits.body_bytes;
  if (length && strtoull(length, NULL, 10) > limit)
    exchange_fail(&r->x, 413, NULL, "the body is %.20s bytes: at most %zu expected", length, limit);
}

static void check_key(struct request *r) {
  const struct serve_config *c = r->x.config;
  if (keys_allow(c, header_of(&r->x, "Authorization"), header_of(&r->x, "X-Api-Key"))) return;
  r->x.status = 0; // whatever else is wrong: without a key nobody learns what is where
  r->x.header_count = 0;
  // A header for each: browsers do not look for a second challenge in one.
  exchange_header_set(&r->x, "WWW-Authenticate", "Basic realm=\"pare\"");
  exchange_header_set(&r->x, "WWW-Authenticate", "Bearer");
  exchange_fail(&r->x, 401, NULL, "expected an API key: Authorization: Bearer KEY");
}

static struct request *begin(struct http_shared *shared, struct MHD_Connection *connection, const char *path,
                             const char *method) {
  struct request *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  *r = (struct request){
      .shared = shared, .connection = connection, .path = path, .method = method, .start_ns = clock_ns()};
  r->watched = info ? info->socket_context : NULL;
  r->x.server = shared->server;
  r->x.config = shared->server->config; // the same to its end, whatever is reloaded
  r->x.models = shared->server->models;
  r->x.connection = connection;
  r->x.header = header_of;
  atomic_fetch_add(&shared->active, 1);
  if (atomic_exchange(&shared->last, r->watched) != r->watched) atomic_store(&shared->other_ns, r->start_ns);
  name_request(r);
  watch_enter(shared->watch, r->watched, WATCH_BODY, NULL, NULL);
  return r;
}

static void drop_body(struct request *r) {
  buf_free(&r->body);
  r->body = (struct buf){0};
  r->x.body = "";
  r->x.body_len = 0;
  atomic_fetch_sub(&r->shared->body_bytes, r->counted);
  r->counted = 0;
}

// What all connections' bodies may hold together: far less than each its most. The first bytes of a body are always
// taken, so that large ones, which somebody may send slowly, do not keep small ones out. False: no more.
static bool count_body(struct request *r, size_t len) {
  const size_t ALWAYS = 16384, LEAST = (size_t)128 << 20, most = 64 * r->x.config->limits.body_bytes;
  size_t beyond = len > ALWAYS ? len - ALWAYS : 0, more = beyond - r->counted;
  r->counted = beyond;
  return !more || atomic_fetch_add(&r->shared->body_bytes, more) + more <= (most > LEAST ? most : LEAST);
}

// A body that is not kept is read to its end all the same: who sends it listens only then.
static void take_body(struct request *r, const char *bytes, size_t len) {
  if (r->body_refused) return;
  if (len > r->x.config->limits.body_bytes - r->body.len) {
    r->body_refused = 413;
  } else if (!count_body(r, r->body.len + len)) {
    r->body_refused = 503;
  } else {
    buf_add(&r->body, bytes, len);
    if (r->body.failed) r->body_refused = 500;
  }
  if (r->body_refused) drop_body(r);
}

static void refuse_body(struct request *r) {
  struct exchange *x = &r->x;
  switch (r->body_refused) {
    case 413:
      exchange_fail(x, 413, NULL, "the body is too large: at most %zu bytes expected", x->config->limits.body_bytes);
      break;
    case 503:
      exchange_header_set(x, "Retry-After", "1");
      exchange_fail(x, 503, NULL, "too many large bodies are being sent; try again in 1 s");
      break;
    default: exchange_fail(x, 500, NULL, "out of memory");
  }
}

// The whole request is here. True: the connection waits for the answer.
static bool handle(struct request *r) {
  struct exchange *x = &r->x;
  // The sender's part is over; from now on only we can be slow.
  if (r->body_refused) {
    refuse_body(r);
    return false;
  }
  x->body = r->body.data ? r->body.data : "";
  x->body_len = r->body.len;
  x->route->handle(x);
  drop_body(r); // what is needed of it was copied; a request may wait for long
  if (x->later && !x->status) {
    r->submitted = true;
    MHD_suspend_connection(r->connection);
    watch_enter(r->shared->watch, r->watched, WATCH_WORK, NULL, NULL);
    if (!background_run(r->shared->server->background, run_later, r)) return true;
    exchange_fail(x, 500, NULL, "out of memory");
    MHD_resume_connection(r->connection);
    return true;
  }
  return x->job && !x->status && submit(r);
}

// The job is done, or what there is of a streamed answer can go.
static enum MHD_Result answer(struct request *r) {
  struct exchange *x = &r->x;
  if (x->job && !x->status) {
    pthread_mutex_lock(&x->job->lock);
    bool stream = x->job->stream && (!x->job->finished || x->job->failure == JOB_FINE);
    pthread_mutex_unlock(&x->job->lock);
    if (stream) return send_stream(r);
    if (x->job->failure == JOB_FINE) {
      x->answer->whole(x);
    } else {
      exchange_fail_job(x);
    }
  }
  return send_whole(r);
}

enum MHD_Result request_access(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                               const char *version, const char *upload, size_t *upload_size, void **context) {
  struct request *r = *context;
  (void)version;
  if (!r) {
    *context = r = begin(cls, connection, url, method);
    if (!r) return MHD_NO;
    find_route(r);
    check_key(r);
    if (!r->x.status) check_framing(r);
    if (!r->x.status) check_site(r);
    if (!r->x.status) check_size(r);
    return r->x.status ? send_whole(r) : MHD_YES;
  }
  if (*upload_size) {
    take_body(r, upload, *upload_size);
    *upload_size = 0;
    return MHD_YES;
  }
  if (r->answered) return MHD_YES;
  if (!r->submitted) {
    watch_enter(r->shared->watch, r->watched, WATCH_WORK, NULL, NULL);
    if (handle(r)) return MHD_YES;
  } else if (!(r->x.job && r->x.job->stream)) {
    watch_enter(r->shared->watch, r->watched, WATCH_WORK, NULL, NULL);
  }
  return answer(r);
}

// ---- the end ------------------------------------------------------------------------------------------------------

static void say(struct request *r, enum MHD_RequestTerminationCode code) {
  struct server *s = r->shared->server;
  struct exchange *x = &r->x;
  struct job *job = x->job;
  double seconds = (double)(clock_ns() - r->start_ns) * 1e-9;
  if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK && x->status < 400) x->status = 499; // it left before the end
  request_count(s, x, seconds);
  if (!x->config->log_requests) return;
  // Method and path are the client's, whatever bytes they are.
  json_t *fields = json_pack("{s:s, s:o, s:o, s:i, s:f}", "id", x->id, "method", json_text(r->method), "path",
                             json_text(r->path), "status", (int)x->status, "ms", seconds * 1e3);
  if (fields && job) {
    json_object_set_new(fields, "model", json_string(job->served->name));
    if (job_variant(job)) json_object_set_new(fields, "variant", json_string(job_variant(job)));
  }
  log_event(s->log, x->status >= 500 ? "error" : "info", "request", fields);
}

void request_completed(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code) {
  struct http_shared *shared = cls;
  struct request *r = *context;
  (void)connection;
  if (!r) return;
  *context = NULL;
  watch_enter(shared->watch, r->watched, WATCH_IDLE, NULL, NULL);
  say(r, code);
  struct job *job = r->x.job;
  if (job && r->submitted) {
    pthread_mutex_lock(&job->lock);
    bool ours = job->finished;
    if (!ours) { // the client left in the middle of a stream
      job->owner = NULL;
      atomic_store(&job->cancelled, true);
      r->x.job = NULL;
    }
    pthread_mutex_unlock(&job->lock);
    if (!ours) scheduler_look(shared->server->scheduler);
  }
  exchange_free(&r->x);
  drop_body(r);
  free(r);
  atomic_fetch_sub(&shared->active, 1);
}
