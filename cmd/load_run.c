// load_run.c - one run: requests leave at the times a schedule says, whatever the answers do.
//
// The schedule is a sequence of times, not a queue: with every connection in use the next time simply waits, keeps its
// value, and the request's latency counts from it. So a server that stands still is charged for all the requests that
// came meanwhile (Tene, "How NOT to measure latency", 2015: coordinated omission). In a closed loop the next time is
// always now.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "load.h"

const char *const load_error_names[LOAD_ERRORS] = {"connect",  "timeout", "http_4xx", "http_429",
                                                   "http_5xx", "unsent",  "other"};
// A closed loop against a server that is gone would do nothing but fail; it tries this often instead.
static const uint64_t retry_ns = 10 * 1000 * 1000;
enum { PROBE_MS = 10000 };

struct slot { // one request in flight, and the connection it most likely keeps
  CURL *easy;
  struct load_engine *engine;
  uint64_t scheduled_ns, sent_ns;
  size_t sent_bytes, received_bytes;
  bool busy, counted;
  char reason[LOAD_REASON_BYTES]; // the beginning of an answer with an error status
  size_t reason_len;
  struct load_answer answer;
};

struct load_engine {
  const struct load_request *request;
  struct load_io io;
  struct slot *slots;
  struct slot **free_slots; // a stack: the connection used last is the warmest
  size_t slot_count, free_count, next_body;
  // of the run
  const struct load_plan *plan;
  struct load_result *result;
  struct rng rng;
  uint64_t begin_ns, measure_ns, end_ns, next_ns, hold_ns, last_done_ns;
  double cpu_at_measure;
  size_t arrivals, started; // scheduled since the beginning; counted requests scheduled
  bool measuring;
};

static uint64_t to_ns(double seconds) {
  return (uint64_t)llround(seconds * 1e9);
}

static double cpu_seconds(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

// ---- answers ----

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
  struct slot *s = context;
  size_t len = size * count;
  long code = 0;
  if (s->received_bytes == 0) curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &code);
  if (code >= 400) s->reason_len = 1; // from here on the text is kept
  s->received_bytes += len;
  if (s->reason_len) {
    for (size_t i = 0; i < len && s->reason_len < sizeof s->reason; i++) {
      unsigned char c = (unsigned char)bytes[i];
      s->reason[s->reason_len++ - 1] = c >= 0x20 && c < 0x7f ? (char)c : c < 0x20 ? ' ' : '?';
    }
    s->reason[s->reason_len - 1] = 0;
  } else if (s->engine->request->stream) {
    load_answer_event_bytes(&s->answer, bytes, len, clock_ns());
  } else if (s->engine->request->counts_tokens) {
    load_answer_body_bytes(&s->answer, bytes, len);
  }
  return len;
}

static enum load_error judge(const struct slot *s, CURLcode code, long status) {
  if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) return LOAD_CONNECT;
  if (code == CURLE_OPERATION_TIMEDOUT) return LOAD_TIMEOUT;
  if (code != CURLE_OK) return LOAD_OTHER;
  if (status == 429) return LOAD_HTTP_429;
  if (status >= 500) return LOAD_HTTP_5XX;
  if (status >= 400) return LOAD_HTTP_4XX;
  return status >= 200 && status < 300 && !s->answer.failed ? LOAD_ERRORS : LOAD_OTHER;
}

static void keep_reason(struct load_result *r, const struct slot *s, CURLcode code, long status) {
  char *to = r->first_error;
  size_t room = sizeof r->first_error;
  if (to[0]) return;
  if (code != CURLE_OK) {
    long number = 0;
    if (code != CURLE_OPERATION_TIMEDOUT) curl_easy_getinfo(s->easy, CURLINFO_OS_ERRNO, &number);
    snprintf(to, room, "%s%s%s", curl_easy_strerror(code), number ? ": " : "", number ? strerror((int)number) : "");
  } else if (s->answer.failed) {
    snprintf(to, room, "an error inside the stream, or an event that is no JSON");
  } else {
    snprintf(to, room, "status %ld%s%.200s", status, s->reason_len > 1 ? ": " : "", s->reason_len ? s->reason : "");
  }
}

static void count_late(struct load_engine *e) {
  struct load_result *r = e->result;
  r->late++;
  if (e->plan->cut_most && r->late > e->plan->cut_most) r->cut = true;
}

static void count_error(struct load_engine *e, enum load_error error) {
  struct load_result *r = e->result;
  r->requests++;
  r->errors[error]++;
  latency_add_lost(&r->latency);
  count_late(e);
}

static void count_good(struct load_engine *e, struct slot *s, uint64_t now) {
  struct load_result *r = e->result;
  uint64_t latency = now - s->scheduled_ns;
  r->requests++;
  r->good++;
  latency_add(&r->latency, latency);
  latency_add(&r->service, now - s->sent_ns);
  if (e->plan->cut_most && (double)latency > e->plan->cut_ms * 1e6) count_late(e);
  const struct load_answer *a = &s->answer;
  if (!e->request->stream || !a->chunks) return;
  latency_add(&r->first_token, a->first_ns - s->scheduled_ns);
  size_t tokens = load_answer_tokens(a);
  if (tokens > 1 && a->chunks > 1) latency_add(&r->token, (a->last_ns - a->first_ns) / (tokens - 1));
}

// The server closed a kept connection just when it was used again: no answer to this request. curl sends such a request
// once more by itself, but counts that over the whole life of a handle and stops at five, and takes the next kept
// connection, which may be as stale. A new one (connects: 1) cannot be: nothing is sent a third time.
static bool was_stale(CURLcode code, long status, long connects) {
  bool broken = code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR || code == CURLE_GOT_NOTHING;
  return broken && connects == 0 && status == 0;
}

static void release(struct load_engine *e, struct slot *s) {
  curl_multi_remove_handle(e->io.multi, s->easy);
  s->busy = false;
  e->free_slots[e->free_count++] = s;
}

static void on_done(void *context, CURL *easy, CURLcode code) {
  struct load_engine *e = context;
  struct load_result *r = e->result;
  struct slot *s = NULL;
  long status = 0, connects = 0;
  uint64_t now = clock_ns();
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&s);
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
  if (was_stale(code, status, connects)) {
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_multi_remove_handle(e->io.multi, easy);
    curl_multi_add_handle(e->io.multi, easy);
    return;
  }
  if (e->request->counts_tokens && !e->request->stream && !s->reason_len) load_answer_body_end(&s->answer);
  enum load_error error = judge(s, code, status);
  if (error == LOAD_CONNECT && e->plan->rate == 0) e->hold_ns = now + retry_ns;
  if (error == LOAD_ERRORS && now >= e->measure_ns && now < e->end_ns) {
    r->answered_in_window++;
    r->tokens_in_window += load_answer_tokens(&s->answer);
  }
  if (s->counted) {
    if (code == CURLE_OK && status > 0 && status < LOAD_STATUS_END) r->status[status]++;
    r->connects += (size_t)connects;
    r->bytes_sent += s->sent_bytes;
    r->bytes_received += s->received_bytes;
    e->last_done_ns = now;
    if (error == LOAD_ERRORS) {
      count_good(e, s, now);
    } else {
      keep_reason(r, s, code, status);
      count_error(e, error);
    }
  }
  release(e, s);
}

// ---- the schedule ----

static void next_arrival(struct load_engine *e) {
  const struct load_plan *p = e->plan;
  if (p->rate == 0) return;
  if (p->uniform) {
    e->next_ns = e->begin_ns + to_ns((double)e->arrivals / p->rate); // from the beginning: no rounding adds up
  } else {
    e->next_ns += to_ns(-log(1 - rng_unit(&e->rng)) / p->rate);
  }
}

// Takes the next time off the schedule; says whether it is counted.
static bool take_arrival(struct load_engine *e, uint64_t at) {
  bool counted = at >= e->measure_ns;
  e->started += counted;
  e->arrivals++;
  next_arrival(e);
  return counted;
}

static bool schedule_ended(const struct load_engine *e, uint64_t now) {
  const struct load_plan *p = e->plan;
  if (e->result->cut || e->io.interrupted || (p->requests && e->started >= p->requests)) return true;
  return (p->rate == 0 ? now : e->next_ns) >= e->end_ns;
}

static void send_one(struct load_engine *e, uint64_t now) {
  const struct load_request *q = e->request;
  struct slot *s = e->free_slots[--e->free_count];
  s->busy = true;
  s->sent_ns = now;
  s->scheduled_ns = e->plan->rate == 0 ? now : e->next_ns;
  s->counted = take_arrival(e, s->scheduled_ns);
  s->received_bytes = s->sent_bytes = s->reason_len = 0;
  load_answer_reset(&s->answer);
  curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, 0L);
  if (q->post) {
    size_t body = q->order[e->next_body++ % q->count];
    s->sent_bytes = q->starts[body + 1] - q->starts[body];
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, q->bodies.data + q->starts[body]);
    curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->sent_bytes);
  }
  if (s->counted) {
    e->result->sent++;
    if (now < e->end_ns) e->result->sent_in_window++;
    latency_add(&e->result->lag, now - s->scheduled_ns);
  }
  curl_multi_add_handle(e->io.multi, s->easy);
}

static bool has_room(const struct load_engine *e) {
  return e->slot_count - e->free_count < e->plan->connections;
}

static void send_due(struct load_engine *e) {
  for (;;) {
    uint64_t now = clock_ns(), due = e->plan->rate == 0 ? e->hold_ns : e->next_ns;
    if (!has_room(e) || due > now || schedule_ended(e, now)) return;
    send_one(e, now);
  }
}

// When the loop must wake although nothing came.
static uint64_t next_wake(const struct load_engine *e, uint64_t now, uint64_t drained_ns) {
  if (schedule_ended(e, now)) return drained_ns;
  uint64_t due = e->plan->rate == 0 ? e->hold_ns : e->next_ns;
  uint64_t wake = has_room(e) && due < drained_ns ? due : drained_ns;
  if (!e->measuring && e->measure_ns < wake) wake = e->measure_ns;
  if (e->plan->rate == 0 && now < e->end_ns && e->end_ns < wake) wake = e->end_ns;
  return wake;
}

static void report(const struct load_engine *e, uint64_t now) {
  const struct pare_progress *p = &e->plan->progress;
  if (!p->report) return;
  uint64_t at = now < e->end_ns ? now : e->end_ns;
  p->report(p->context,
            now < e->measure_ns ? "warming up"
            : now < e->end_ns   ? "sending"
                                : "waiting for answers",
            (size_t)((at - e->begin_ns) / 1000000u), (size_t)((e->end_ns - e->begin_ns) / 1000000u));
}

// Sends and receives until nothing is left to do, or the time for answers is over.
static void loop(struct load_engine *e) {
  uint64_t drained_ns = e->end_ns + (uint64_t)e->plan->timeout_ms * 1000000u;
  for (;;) {
    uint64_t now = clock_ns();
    if (!e->measuring && now >= e->measure_ns) {
      e->measuring = true;
      e->cpu_at_measure = cpu_seconds();
    }
    send_due(e);
    load_io_work(&e->io);
    now = clock_ns();
    report(e, now);
    bool idle = e->free_count == e->slot_count;
    if (e->io.interrupted || now >= drained_ns || (idle && schedule_ended(e, now))) return;
    load_io_wait(&e->io, next_wake(e, now, drained_ns)); // also when more is due: the other sockets have their turn
  }
}

// What is still in flight is unanswered; what is still on the schedule was never sent. After Ctrl-C neither was given
// its time, and is not counted.
static void settle(struct load_engine *e) {
  struct load_result *r = e->result;
  for (size_t i = 0; i < e->slot_count; i++) {
    struct slot *s = &e->slots[i];
    if (!s->busy) continue;
    release(e, s);
    if (s->counted && !e->io.interrupted) {
      keep_reason(r, s, CURLE_OPERATION_TIMEDOUT, 0);
      count_error(e, LOAD_TIMEOUT);
    }
  }
  while (e->plan->rate > 0 && !schedule_ended(e, 0)) {
    if (take_arrival(e, e->next_ns)) count_error(e, LOAD_UNSENT);
  }
}

void load_engine_run(struct load_engine *e, const struct load_plan *plan, struct load_result *result) {
  memset(result, 0, sizeof *result);
  result->plan = *plan;
  e->plan = &result->plan;
  e->result = result;
  e->begin_ns = e->next_ns = clock_ns();
  e->measure_ns = e->begin_ns + to_ns(plan->warmup_s);
  e->end_ns = e->measure_ns + to_ns(plan->duration_s);
  e->hold_ns = e->last_done_ns = 0;
  e->arrivals = e->started = 0;
  e->measuring = false;
  for (size_t i = 0; i < e->slot_count; i++) {
    curl_easy_setopt(e->slots[i].easy, CURLOPT_TIMEOUT_MS, (long)plan->timeout_ms);
  }
  if (!plan->uniform) next_arrival(e);
  loop(e);
  uint64_t now = clock_ns();
  double cpu = e->measuring ? cpu_seconds() - e->cpu_at_measure : 0;
  settle(e);
  // The window closes early when the run did.
  bool early = e->io.interrupted || result->cut;
  uint64_t end = early ? now : plan->requests && e->last_done_ns ? e->last_done_ns : e->end_ns;
  if (end > e->end_ns) end = e->end_ns;
  result->window_s = end > e->measure_ns ? (double)(end - e->measure_ns) * 1e-9 : 0;
  double observed_s = now > e->measure_ns ? (double)(now - e->measure_ns) * 1e-9 : 0;
  result->cpu_share = observed_s > 0 ? cpu / observed_s : 0;
  result->interrupted = e->io.interrupted;
}

bool load_engine_interrupted(const struct load_engine *e) {
  return e->io.interrupted;
}

void load_engine_rest(struct load_engine *e, double seconds) {
  for (uint64_t now, end = clock_ns() + to_ns(seconds); (now = clock_ns()) < end && !e->io.interrupted;) {
    load_io_work(&e->io);
    load_io_wait(&e->io, end);
  }
}

// ---- opening ----

static void set_up(struct load_engine *e, CURL *easy, void *slot) {
  const struct load_request *q = e->request;
  curl_easy_setopt(easy, CURLOPT_URL, q->url);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, q->headers);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "pare/" PARE_VERSION);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_PROXY, ""); // none, whatever the environment says
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, -1L);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, slot);
  if (q->post) curl_easy_setopt(easy, CURLOPT_POST, 1L);
}

// Whether anybody listens, before anything is sent. A short --timeout is meant for answers: on a starved machine even a
// connection to itself takes longer than 100 ms.
static enum pare_status probe(const struct load_engine *e, size_t timeout_ms, struct pare_error *err) {
  CURL *easy = curl_easy_init();
  if (!easy) return error_no_memory(err);
  curl_easy_setopt(easy, CURLOPT_URL, e->request->url);
  curl_easy_setopt(easy, CURLOPT_PROXY, "");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > PROBE_MS ? timeout_ms : PROBE_MS));
  CURLcode code = curl_easy_perform(easy);
  long number = 0;
  curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
  curl_easy_cleanup(easy);
  if (code == CURLE_OK) return PARE_OK;
  return error_set(err, PARE_IO, "%s: cannot connect: %s%s%s", e->request->url, curl_easy_strerror(code),
                   number ? ": " : "", number ? strerror((int)number) : "");
}

enum pare_status load_engine_open(const struct load_request *request, size_t connections, uint64_t seed,
                                  size_t timeout_ms, struct load_engine **out, struct pare_error *err) {
  struct load_engine *e = calloc(1, sizeof *e);
  *out = e;
  if (!e) return error_no_memory(err);
  e->request = request;
  rng_seed(&e->rng, seed);
  e->io = (struct load_io){.epoll = -1, .timer = -1, .signals = -1};
  enum pare_status status = probe(e, timeout_ms, err);
  if (status == PARE_OK) status = load_io_open(connections, &e->io, err);
  if (status != PARE_OK) return status;
  e->io.done = on_done;
  e->io.context = e;
  e->slots = calloc(connections, sizeof *e->slots);
  e->free_slots = calloc(connections, sizeof *e->free_slots);
  if (!e->slots || !e->free_slots) return error_no_memory(err);
  for (; e->slot_count < connections; e->slot_count++) {
    struct slot *s = &e->slots[e->slot_count];
    s->engine = e;
    s->easy = curl_easy_init();
    if (!s->easy) return error_no_memory(err);
    set_up(e, s->easy, s);
    e->free_slots[connections - 1 - e->free_count++] = s;
  }
  return PARE_OK;
}

void load_engine_close(struct load_engine *e) {
  if (!e) return;
  for (size_t i = 0; i < e->slot_count; i++) {
    curl_easy_cleanup(e->slots[i].easy);
    buf_free(&e->slots[i].answer.text);
  }
  load_io_close(&e->io);
  free(e->slots);
  free(e->free_slots);
  free(e);
}

struct load_result *load_result_new(struct pare_error *err) {
  struct load_result *r = calloc(1, sizeof *r);
  if (!r) error_no_memory(err);
  return r;
}
