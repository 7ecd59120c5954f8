// load.c - pare load
#include "load.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct options {
  struct args_common common;
  const char *rate, *arrivals, *warmup, *duration;
  size_t connections, clients, requests, timeout;
  const char *data, *text_column, *kind, *body, *model, *api_key, *api_key_file;
  struct args_list headers;
  size_t limit, max_tokens;
  uint64_t seed;
  bool shuffle, stream, remote, histogram, find_rate;
  const char *p99_ms, *max_error_rate, *max_rate;
};
enum { MOST_CONNECTIONS = 16384, LONGEST_MS = 3600 * 1000 };

// A number with a point in [least, most]; `otherwise` when the option was not given.
static enum pare_status real_within(const char *text, const char *option, double otherwise, double least, double most,
                                    double *out, struct pare_error *err) {
  enum pare_status status = args_real(text, option, out, err);
  if (status != PARE_OK) return status;
  if (!text) *out = otherwise;
  if (*out >= least && *out <= most) return PARE_OK;
  return error_set(err, PARE_USAGE, "--%s: expected a number from %g to %g, found %s", option, least, most, text);
}

static enum pare_status check_loop(const struct options *o, struct pare_error *err) {
  if (o->clients && (o->rate || o->arrivals || o->connections))
    return error_set(err, PARE_USAGE,
                     "--clients is the closed loop, where answers say when to send: --rate, --arrivals and "
                     "--connections do not go with it");
  if (o->find_rate && (o->clients || o->requests))
    return error_set(err, PARE_USAGE, "--find-rate sets the rate itself: --clients and --requests do not go with it");
  if (o->find_rate && !o->p99_ms) return error_set(err, PARE_USAGE, "--find-rate: --p99-ms LIMIT must say what holds");
  if (!o->find_rate && (o->p99_ms || o->max_error_rate || o->max_rate))
    return error_set(err, PARE_USAGE, "--p99-ms, --max-error-rate and --max-rate go with --find-rate");
  if (o->connections > MOST_CONNECTIONS || o->clients > MOST_CONNECTIONS)
    return error_set(err, PARE_USAGE, "expected at most %d connections, found %zu", MOST_CONNECTIONS,
                     o->connections > o->clients ? o->connections : o->clients);
  if (o->timeout < 1 || o->timeout > LONGEST_MS)
    return error_set(err, PARE_USAGE, "--timeout: expected 1 to %d ms, found %zu", LONGEST_MS, o->timeout);
  if (o->arrivals && strcmp(o->arrivals, "poisson") != 0 && strcmp(o->arrivals, "uniform") != 0)
    return error_set(err, PARE_USAGE, "--arrivals: expected poisson or uniform, found '%s'", o->arrivals);
  return PARE_OK;
}

static enum pare_status read_plan(const struct options *o, struct load_plan *plan, struct load_limits *limits,
                                  struct pare_error *err) {
  const double most_rate = 1e6, longest_s = 86400;
  *plan = (struct load_plan){.uniform = o->arrivals && strcmp(o->arrivals, "uniform") == 0,
                             .connections = o->clients       ? o->clients
                                            : o->connections ? o->connections
                                                             : 256,
                             .requests = o->requests,
                             .timeout_ms = o->timeout};
  enum pare_status status = check_loop(o, err);
  if (status == PARE_OK) status = real_within(o->rate, "rate", 10, 1e-3, most_rate, &plan->rate, err);
  if (status == PARE_OK) status = real_within(o->warmup, "warmup", 2, 0, longest_s, &plan->warmup_s, err);
  if (status == PARE_OK) status = real_within(o->duration, "duration", 10, 1e-3, longest_s, &plan->duration_s, err);
  if (status == PARE_OK) status = real_within(o->p99_ms, "p99-ms", 1, 1e-3, LONGEST_MS, &limits->p99_ms, err);
  if (status == PARE_OK)
    status = real_within(o->max_error_rate, "max-error-rate", 0.001, 0, 1, &limits->max_error_rate, err);
  if (status == PARE_OK) status = real_within(o->max_rate, "max-rate", most_rate, 1, most_rate, &limits->max_rate, err);
  if (o->clients) plan->rate = 0;
  return status;
}

// Every request failed to connect: the server went away after it was tried.
static enum pare_status check_connected(const struct load_request *q, const struct load_result *r,
                                        struct pare_error *err) {
  if (r->requests == 0 || r->errors[LOAD_CONNECT] < r->requests) return PARE_OK;
  return error_set(err, PARE_IO, "%s: none of %zu requests could connect: %s", q->url, r->requests, r->first_error);
}

static enum pare_status measure(const struct options *o, struct load_engine *engine, struct load_plan *plan,
                                struct load_output *output, struct load_search *search, struct load_result *result,
                                struct pare_error *err) {
  struct progress progress = {.on = false};
  if (o->find_rate && !o->common.json) { // a row after each trial is progress enough
    load_print_trial_head();
  } else {
    plan->progress = progress_start(&progress, &o->common);
  }
  if (o->find_rate) {
    output->search = search;
    load_find_rate(engine, plan, search, result, o->common.json ? NULL : load_print_trial);
  } else {
    load_engine_run(engine, plan, result);
  }
  progress_end(&progress);
  enum pare_status status = check_connected(output->request, result, err);
  if (status != PARE_OK) return status;
  if (o->common.json) {
    status = load_print_json(output, result, err);
  } else {
    load_print_text(output, result);
  }
  fflush(stdout); // a signal held back may end the program as soon as the engine is closed
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count != 1) return error_set(err, PARE_USAGE, "load: expected one URL, found %zu arguments", args->count);
  struct load_request_options what = {.url = args->words[0],
                                      .kind = o->kind,
                                      .model = o->model,
                                      .body = o->body,
                                      .api_key = o->api_key,
                                      .api_key_file = o->api_key_file,
                                      .headers = &o->headers,
                                      .data = o->data,
                                      .text_column = o->text_column,
                                      .limit = o->limit,
                                      .max_tokens = o->max_tokens,
                                      .stream = o->stream,
                                      .shuffle = o->shuffle,
                                      .remote = o->remote,
                                      .seed = o->seed};
  struct load_plan plan;
  struct load_search search = {.count = 0};
  struct load_request request = {.url = NULL};
  struct load_engine *engine = NULL;
  struct load_result *result = NULL;
  enum pare_status status = read_plan(o, &plan, &search.limits, err);
  if (status != PARE_OK) return status;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  status = load_request_open(&what, &request, err);
  if (status == PARE_OK) status = load_engine_open(&request, plan.connections, o->seed, plan.timeout_ms, &engine, err);
  if (status == PARE_OK && !(result = load_result_new(err))) status = PARE_BUG;
  struct load_output output = {.request = &request, .histogram = o->histogram};
  if (status == PARE_OK) status = measure(o, engine, &plan, &output, &search, result, err);
  free(result);
  load_engine_close(engine);
  load_request_close(&request);
  curl_global_cleanup();
  return status;
}

static const struct arg_option table[] = {
    {"rate", 0, ARG_STRING, offsetof(struct options, rate), "R", "requests per second (10); --find-rate starts there"},
    {"arrivals", 0, ARG_STRING, offsetof(struct options, arrivals), "NAME",
     "poisson, as from many people; uniform: in even steps (poisson)"},
    {"connections", 0, ARG_SIZE, offsetof(struct options, connections), "N",
     "most requests in flight; later ones wait, and the wait counts (256)"},
    {"clients", 0, ARG_SIZE, offsetof(struct options, clients), "N",
     "instead: closed loop, each client sends when its last answer came"},
    {"warmup", 0, ARG_STRING, offsetof(struct options, warmup), "S", "seconds sent first and not counted (2)"},
    {"duration", 0, ARG_STRING, offsetof(struct options, duration), "S", "seconds that are counted (10)"},
    {"requests", 0, ARG_SIZE, offsetof(struct options, requests), "N", "end after so many counted requests"},
    {"timeout", 0, ARG_SIZE, offsetof(struct options, timeout), "MS", "an answer later than this is an error (10000)"},
    {"data", 0, ARG_STRING, offsetof(struct options, data), "FILE",
     "texts to send, in turn (.csv, .tsv, .jsonl, .txt); without it and\nwithout --body: GET"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME", "column with the text (text)"},
    {"limit", 0, ARG_SIZE, offsetof(struct options, limit), "N", "first N rows only"},
    {"shuffle", 0, ARG_FLAG, offsetof(struct options, shuffle), NULL, "in an order drawn by --seed"},
    {"kind", 0, ARG_STRING, offsetof(struct options, kind), "NAME",
     "the request's form: classify, hf, infer, completions, generate\n(from the URL's path, else classify)"},
    {"model", 0, ARG_STRING, offsetof(struct options, model), "NAME", "model to name in the request"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N", "tokens to ask for (64)"},
    {"stream", 0, ARG_FLAG, offsetof(struct options, stream), NULL,
     "ask for the tokens one by one, and time the first and the others"},
    {"body", 0, ARG_STRING, offsetof(struct options, body), "TEMPLATE",
     "instead of --kind: the body; {text} is where the text goes, escaped\nfor JSON"},
    {"header", 0, ARG_LIST, offsetof(struct options, headers), "\"K: V\"", "a header; may be given again"},
    {"api-key", 0, ARG_STRING, offsetof(struct options, api_key), "KEY",
     "sent as Authorization: Bearer KEY; others on this machine can see it here"},
    {"api-key-file", 0, ARG_STRING, offsetof(struct options, api_key_file), "FILE", "the key is FILE's first line"},
    {"find-rate", 0, ARG_FLAG, offsetof(struct options, find_rate), NULL,
     "search for the highest rate that keeps the limits"},
    {"p99-ms", 0, ARG_STRING, offsetof(struct options, p99_ms), "LIMIT", "with --find-rate: of the 99th percentile"},
    {"max-error-rate", 0, ARG_STRING, offsetof(struct options, max_error_rate), "X",
     "with --find-rate: fraction of the requests that may fail (0.001)"},
    {"max-rate", 0, ARG_STRING, offsetof(struct options, max_rate), "R", "with --find-rate: try none above (1000000)"},
    {"histogram", 0, ARG_FLAG, offsetof(struct options, histogram), NULL, "with --json: every bucket [ms, count], too"},
    {"seed", 0, ARG_SEED, offsetof(struct options, seed), "N", "of the arrivals and --shuffle (0)"},
    {"remote", 0, ARG_FLAG, offsetof(struct options, remote), NULL, "allow a host other than this machine"},
};
static const struct arg_spec spec = {
    .name = "load",
    .usage = "URL [options]",
    .about =
        "Sends requests to a running server at times fixed beforehand, whatever the answers do, and counts each "
        "latency "
        "from\n"
        "the time the request was due: a server that stands still is charged for all who came meanwhile. Failed "
        "requests "
        "count\n"
        "as slower than every answer. With --find-rate the highest rate under a limit. --json: one object.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare load http://127.0.0.1:8080 --data texts.csv --rate 200 --duration 30\n"
        "  pare load http://127.0.0.1:8080 --data texts.csv --find-rate --p99-ms 100\n"
        "  pare load http://127.0.0.1:8080/v1/completions --data prompts.txt --stream --max-tokens 64 --rate 2\n"
        "  pare load http://127.0.0.1:8080/v1/classify --body '{\"input\": \"{text}\"}' --data texts.csv --clients 8\n",
    .run = run,
};

enum pare_status cmd_load(int argc, char **argv, struct pare_error *err) {
  struct options o = {.timeout = 10000, .max_tokens = 64};
  return args_run(&spec, argc, argv, &o, err);
}
