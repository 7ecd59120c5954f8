// server_metrics.c - see server_metrics.h.
#include "server_metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http.h"
#include "scheduler.h"

// Factors of two and a half and two, from what a linear classifier takes to a long text's summary.
static const double seconds_bounds[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                        0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};
static const double token_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 384, 512, 1024, 2048, 4096};
static const double text_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
static const double share_bounds[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99, 1};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECONDS METRIC_HISTOGRAM, seconds_bounds, COUNT(seconds_bounds)

enum family {
  REQUESTS,
  DURATION,
  QUEUE_SECONDS,
  TOKENIZE,
  INFERENCE,
  FIRST_TOKEN,
  INTER_TOKEN,
  BATCH_TOKENS,
  BATCH_TEXTS,
  QUEUE,
  REJECTED,
  CANCELLED,
  LATE,
  PROMPT_TOKENS,
  GENERATED,
  FINISHED,
  REUSED,
  HITS,
  MISSES,
  CACHE_BYTES,
  CONFIDENCE,
  CONNECTIONS,
  LOAD_SECONDS,
  READY,
  BUILD,
  RSS,
  CPU,
  FDS,
  START
};
static const struct metric_family families[] = {
    [REQUESTS] = {"pare_requests_total", "Requests answered, by status code.", METRIC_COUNTER, NULL, 0},
    [DURATION] = {"pare_request_duration_seconds", "From a request's header to its answer's last byte.", SECONDS},
    [QUEUE_SECONDS] = {"pare_request_queue_seconds", "From when a text or stream was queued until it is computed.",
                       SECONDS},
    [TOKENIZE] = {"pare_tokenize_seconds", "Text to token ids, of one request.", SECONDS},
    [INFERENCE] = {"pare_inference_seconds", "One pass over a batch.", SECONDS},
    [FIRST_TOKEN] = {"pare_time_to_first_token_seconds", "From a request's last byte to its first new token.", SECONDS},
    [INTER_TOKEN] = {"pare_inter_token_latency_seconds", "Between two new tokens of an answer.", SECONDS},
    [BATCH_TOKENS] = {"pare_batch_tokens", "Tokens in a pass.", METRIC_HISTOGRAM, token_bounds, COUNT(token_bounds)},
    [BATCH_TEXTS] = {"pare_batch_texts", "Texts or streams in a pass.", METRIC_HISTOGRAM, text_bounds,
                     COUNT(text_bounds)},
    [QUEUE] = {"pare_queue_requests", "Requests that wait or are worked on.", METRIC_GAUGE, NULL, 0},
    [REJECTED] = {"pare_queue_rejected_total", "Requests refused because too many waited.", METRIC_COUNTER, NULL, 0},
    [CANCELLED] = {"pare_cancelled_total", "Requests given up because the client left.", METRIC_COUNTER, NULL, 0},
    [LATE] = {"pare_deadline_exceeded_total", "Requests not answered in time.", METRIC_COUNTER, NULL, 0},
    [PROMPT_TOKENS] = {"pare_prompt_tokens_total", "Tokens of texts and prompts.", METRIC_COUNTER, NULL, 0},
    [GENERATED] = {"pare_generation_tokens_total", "New tokens.", METRIC_COUNTER, NULL, 0},
    [FINISHED] = {"pare_generation_finished_total", "Answers, by why they ended.", METRIC_COUNTER, NULL, 0},
    [REUSED] = {"pare_prefix_reused_tokens_total", "Prompt tokens whose keys and values were at hand.", METRIC_COUNTER,
                NULL, 0},
    [HITS] = {"pare_cache_hits_total", "Texts answered from the response cache.", METRIC_COUNTER, NULL, 0},
    [MISSES] = {"pare_cache_misses_total", "Texts looked for in the response cache in vain.", METRIC_COUNTER, NULL, 0},
    [CACHE_BYTES] = {"pare_cache_bytes", "Size of the response cache.", METRIC_GAUGE, NULL, 0},
    [CONFIDENCE] = {"pare_confidence", "Score of the label answered.", METRIC_HISTOGRAM, share_bounds,
                    COUNT(share_bounds)},
    [CONNECTIONS] = {"pare_connections", "Open connections.", METRIC_GAUGE, NULL, 0},
    [LOAD_SECONDS] = {"pare_model_load_seconds", "What opening the weights took.", METRIC_GAUGE, NULL, 0},
    [READY] = {"pare_model_ready", "1 when the model answers.", METRIC_GAUGE, NULL, 0},
    [BUILD] = {"pare_build_info", "1; the labels say what runs.", METRIC_GAUGE, NULL, 0},
    [RSS] = {"process_resident_memory_bytes", "Resident memory.", METRIC_GAUGE, NULL, 0},
    [CPU] = {"process_cpu_seconds_total", "User and system time.", METRIC_COUNTER, NULL, 0},
    [FDS] = {"process_open_fds", "Open descriptors.", METRIC_GAUGE, NULL, 0},
    [START] = {"process_start_time_seconds", "When the process started, Unix time.", METRIC_GAUGE, NULL, 0},
};

static struct metric *of(struct metrics *m, enum family f, const char *model, const char *variant) {
  const struct metric_label labels[] = {{"model", model}, {"variant", variant}};
  return metrics_series(m, &families[f], labels, variant ? 2 : model ? 1 : 0);
}

void form_metrics_find(struct metrics *m, const char *model, const char *variant, struct form_metrics *out) {
  *out = (struct form_metrics){
      .queue_seconds = of(m, QUEUE_SECONDS, model, NULL),
      .tokenize_seconds = of(m, TOKENIZE, model, NULL),
      .inference_seconds = of(m, INFERENCE, model, variant),
      .batch_tokens = of(m, BATCH_TOKENS, model, NULL),
      .batch_texts = of(m, BATCH_TEXTS, model, NULL),
      .first_token_seconds = of(m, FIRST_TOKEN, model, NULL),
      .inter_token_seconds = of(m, INTER_TOKEN, model, NULL),
      .prompt_tokens = of(m, PROMPT_TOKENS, model, variant),
      .generated_tokens = of(m, GENERATED, model, variant),
      .reused_tokens = of(m, REUSED, model, NULL),
      .confidence = of(m, CONFIDENCE, model, variant),
      .rejected = of(m, REJECTED, model, NULL),
      .cancelled = of(m, CANCELLED, model, NULL),
      .late = of(m, LATE, model, NULL),
      .cache_hits = of(m, HITS, model, NULL),
      .cache_misses = of(m, MISSES, model, NULL),
  };
}

void count_finish(struct metrics *m, const char *model, enum pare_finish finish) {
  static const char *const names[] = {
      [PARE_FINISH_LENGTH] = "length", [PARE_FINISH_EOS] = "eos", [PARE_FINISH_STOP] = "stop"};
  const struct metric_label labels[] = {{"model", model}, {"finished_reason", names[finish]}};
  metric_add(metrics_series(m, &families[FINISHED], labels, 2), 1);
}

void request_count(struct server *s, const struct exchange *x, double seconds) {
  char code[8];
  snprintf(code, sizeof code, "%u", x->status);
  struct job *job = x->job;
  const char *variant = job ? job_variant(job) : NULL;
  const struct metric_label labels[] = {{"model", job ? job->served->name : ""},
                                        {"variant", variant ? variant : ""},
                                        {"endpoint", x->route->endpoint},
                                        {"code", code}};
  metric_add(metrics_series(s->metrics, &families[REQUESTS], labels, 4), 1);
  metric_observe(metrics_series(s->metrics, &families[DURATION], labels, 3), seconds);
}

// ---- what is read when somebody asks ------------------------------------------------------------------------------

static double resident_bytes(void) {
  FILE *f = fopen("/proc/self/statm", "r");
  unsigned long all = 0, resident = 0;
  if (f && fscanf(f, "%lu %lu", &all, &resident) != 2) resident = 0;
  if (f) fclose(f);
  return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  double n = 0;
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n > 3 ? n - 3 : 0; // ".", ".." and the folder itself
}

static double cpu_seconds(void) {
  struct timespec t = {0};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void server_metrics_write(struct server *s, struct buf *out) {
  metric_set(of(s->metrics, QUEUE, NULL, NULL), (double)scheduler_queue(s->scheduler));
  metric_set(of(s->metrics, CACHE_BYTES, NULL, NULL), s->cache ? (double)cache_bytes(s->cache) : 0);
  metric_set(of(s->metrics, CONNECTIONS, NULL, NULL), (double)http_connections(s->http));
  metric_set(of(s->metrics, RSS, NULL, NULL), resident_bytes());
  metric_set(of(s->metrics, FDS, NULL, NULL), open_descriptors());
  metric_raise(of(s->metrics, CPU, NULL, NULL), cpu_seconds());
  metrics_write(s->metrics, out);
}

void server_metrics_begin(struct server *s) {
  const struct metric_label build[] = {{"version", pare_version()}, {"isa", pare_engine_isa(s->engine)}};
  metric_set(metrics_series(s->metrics, &families[BUILD], build, 2), 1);
  metric_set(of(s->metrics, START, NULL, NULL), (double)time(NULL));
}

void server_metrics_model(struct server *s, const struct served *m) {
  for (size_t v = 0; v < VARIANT_COUNT; v++)
    if (m->forms[v].model)
      metric_set(of(s->metrics, LOAD_SECONDS, m->name, variant_name((enum variant)v)), m->forms[v].load_ms * 1e-3);
}

void server_metrics_ready(void *server, const char *name, bool ready) {
  metric_set(of(((struct server *)server)->metrics, READY, name, NULL), ready);
}
