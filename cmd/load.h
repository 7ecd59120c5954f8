// load.h - the parts of `pare load`: what is sent (load_request.c), sockets and clocks (load_io.c), one run
// (load_run.c), tokens in answers (load_answer.c), the search for a rate (load_search.c), what is printed
// (load_print.c).
#ifndef PARE_CMD_LOAD_H
#define PARE_CMD_LOAD_H

#include <curl/curl.h>
#include <signal.h>

#include "base/buf.h"
#include "base/latency.h"
#include "command.h"
#include "load_answer.h"

// ---- what is sent ----
struct load_request_options {
  const char *url, *kind, *model, *body, *api_key, *api_key_file;
  const struct args_list *headers;
  const char *data, *text_column;
  size_t limit, max_tokens;
  bool stream, shuffle, remote;
  uint64_t seed;
};
// Every body is written before the first request, so that sending one costs no work of ours.
struct load_request {
  char *url;
  bool post, stream;
  bool counts_tokens; // the answer is a completion
  struct curl_slist *headers;
  struct buf bodies;
  size_t *starts; // (count + 1) into bodies.data
  size_t *order;  // (count) which body is next
  size_t count;   // at least 1; a GET's one body is empty
};
// PARE_USAGE for what does not fit together and for a host that is not this machine, without `remote`.
enum pare_status load_request_open(const struct load_request_options *o, struct load_request *out,
                                   struct pare_error *err);
void load_request_close(struct load_request *r); // accepts a zeroed struct

// ---- sockets and clocks ----
// One curl multi handle driven by epoll, a timer that is exact to the kernel's (a poll's timeout is not), and Ctrl-C.
struct load_io {
  CURLM *multi;
  int epoll, timer, signals; // -1: closed
  sigset_t mask_before;
  uint64_t curl_due_ns; // when curl wants to be called; UINT64_MAX: never
  bool holds_signals;
  bool interrupted; // Ctrl-C or SIGTERM came
  void (*done)(void *context, CURL *easy, CURLcode code);
  void *context;
};
// SIGINT and SIGTERM are held back until load_io_close. *out must not move. Raises this process's limit of open files
// as far as needed.
enum pare_status load_io_open(size_t connections, struct load_io *out, struct pare_error *err);
void load_io_close(struct load_io *io);
// Sends off what was added to multi; `done` is called for every transfer that ended.
void load_io_work(struct load_io *io);
// Sleeps until until_ns at most, then deals with what came.
void load_io_wait(struct load_io *io, uint64_t until_ns);

// ---- one run ----
struct load_plan {
  double rate;        // requests per second; 0: closed loop
  bool uniform;       // arrivals in even steps, else Poisson
  size_t connections; // most requests in flight, of those the engine can; closed loop: clients
  double warmup_s, duration_s;
  size_t requests;   // counted ones, then the run ends early; 0: no such limit
  size_t timeout_ms; // of a request, from its sending
  double cut_ms;     // the run is given up once more than cut_most counted requests failed or took longer
  size_t cut_most;   // 0: it never is
  struct pare_progress progress;
};

enum load_error {
  LOAD_CONNECT,
  LOAD_TIMEOUT,
  LOAD_HTTP_4XX,
  LOAD_HTTP_429,
  LOAD_HTTP_5XX,
  LOAD_UNSENT,
  LOAD_OTHER,
  LOAD_ERRORS // their count; of an answer: none of them, it is good
};
enum { LOAD_STATUS_END = 600, LOAD_REASON_BYTES = 240 };
extern const char *const load_error_names[LOAD_ERRORS];

// Of the requests whose scheduled time lay between the warm-up and the end. latency runs from the scheduled time, the
// rest of a failed request's life is unknown: it is lost. service (from the real sending), first_token (from the
// scheduled time) and token are of good answers alone; lag is from schedule to sending.
struct load_result {
  struct load_plan plan;
  double window_s; // what was measured of it
  size_t requests, sent, good;
  size_t sent_in_window, answered_in_window, tokens_in_window, late; // late: failed or beyond cut_ms
  size_t errors[LOAD_ERRORS], status[LOAD_STATUS_END];
  char first_error[LOAD_REASON_BYTES]; // "" without one
  uint64_t bytes_sent, bytes_received; // bodies
  size_t connects;                     // connections opened for these requests
  double cpu_share;                    // of one core, this program's own
  bool interrupted, cut;
  struct latency latency, service, lag, first_token, token;
};
static inline size_t load_error_count(const struct load_result *r) {
  return r->requests - r->good;
}

struct load_engine;
// Tries once whether anybody listens: PARE_IO names the URL and the reason. *out is to be closed in every case.
enum pare_status load_engine_open(const struct load_request *request, size_t connections, uint64_t seed,
                                  size_t timeout_ms, struct load_engine **out, struct pare_error *err);
void load_engine_close(struct load_engine *e); // accepts NULL
// result: load_result_new's. A run always ends: at the end of its duration, answers are awaited for the timeout.
void load_engine_run(struct load_engine *e, const struct load_plan *plan, struct load_result *result);
bool load_engine_interrupted(const struct load_engine *e);
void load_engine_rest(struct load_engine *e, double seconds); // nothing is sent
struct load_result *load_result_new(struct pare_error *err);  // to be freed with free(); NULL: no memory

// ---- the highest rate under a limit ----
struct load_limits {
  double p99_ms, max_error_rate, max_rate;
};
struct load_trial {
  double rate, answered, p99_ms, error_rate, window_s; // p99_ms NAN: not to be told
  size_t requests, errors[LOAD_ERRORS];
  char first_error[LOAD_REASON_BYTES]; // "" without one
  bool check;                          // one of the longer windows at the end
  bool cut, meets;
};
enum { LOAD_MAX_TRIALS = 100 };
struct load_search {
  struct load_limits limits;
  struct load_trial trials[LOAD_MAX_TRIALS];
  size_t count;
  double rate;        // 0: none was found
  const char *reason; // why none; or why no higher one was tried; NULL
};
// Every trial ends as load_engine_run does; there are LOAD_MAX_TRIALS at most.
// plan: the first trial. result: the last trial's. each is called after every trial; may be NULL.
void load_find_rate(struct load_engine *e, const struct load_plan *plan, struct load_search *search,
                    struct load_result *result, void (*each)(const struct load_trial *t));

// ---- output ----
struct load_output {
  const struct load_request *request;
  const struct load_search *search; // NULL: none
  bool histogram;
};
enum pare_status load_print_json(const struct load_output *o, const struct load_result *r, struct pare_error *err);
void load_print_text(const struct load_output *o, const struct load_result *r);
void load_print_trial_head(void);
void load_print_trial(const struct load_trial *t);

#endif
