// cost.c - see cost.h. A model's memory is measured in a forked child: the peak of this process would be that of all
// models together, and pages once touched stay counted.
#include "eval/cost.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/size.h"
#include "model/session.h"

// "VmHWM:     1234 kB" of /proc/self/status, in bytes; 0 when absent.
static size_t status_bytes(const char *key) {
  FILE *file = fopen("/proc/self/status", "re");
  if (!file) return 0;
  char line[256];
  size_t kib = 0, key_len = strlen(key);
  while (fgets(line, sizeof line, file)) {
    if (strncmp(line, key, key_len) == 0 && line[key_len] == ':') kib = strtoul(line + key_len + 1, NULL, 10);
  }
  fclose(file);
  return kib * 1024;
}

size_t cost_resident_bytes(void) {
  return status_bytes("VmRSS");
}

static enum pare_status run_one(pare_model *m, size_t tokens, struct pare_error *err) {
  pare_session *s;
  enum pare_status status = session_open(m, 0, &s, err);
  if (status != PARE_OK) return status;
  size_t values;
  bool fits = size_mul(session_rows(m, tokens), session_columns(m), &values);
  uint32_t *ids = calloc(tokens, sizeof *ids);
  float *logits = fits ? calloc(values, sizeof *logits) : NULL;
  if (!ids || !logits) status = error_no_memory(err);
  struct rng rng;
  rng_seed(&rng, 0);
  for (size_t i = 0; ids && i < tokens; i++) ids[i] = (uint32_t)rng_below(&rng, m->config.V);
  if (status == PARE_OK) status = session_logits(s, &(struct pare_sequence){.ids = ids, .len = tokens}, 1, logits, err);
  free(ids);
  free(logits);
  session_close(s);
  return status;
}

static enum pare_status generate_one(pare_model *m, const struct greedy_size *size, struct pare_error *err) {
  struct greedy *g;
  struct greedy_cost cost;
  struct rng rng;
  rng_seed(&rng, 0);
  enum pare_status status = greedy_open(m, size, m->config.V, &rng, &g, err);
  if (status == PARE_OK) status = greedy_run(g, &cost, err);
  greedy_close(g);
  return status;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median_of(double x[COST_OPENS]) {
  qsort(x, COST_OPENS, sizeof *x, compare_doubles);
  return x[COST_OPENS / 2];
}

static enum pare_status do_work(pare_model *m, const struct cost_work *work, struct cost *out, struct pare_error *err) {
  size_t longest = size_min(model_max_tokens(m), m->config.P);
  if (work->greedy.streams) return generate_one(m, &work->greedy, err);
  out->tokens = work->tokens ? size_min(work->tokens, longest) : longest;
  return run_one(m, out->tokens, err);
}

// The first open gives the memory: what later ones leave behind in the heap is not part of it.
static enum pare_status measure_here(pare_engine *engine, const char *path, const struct cost_work *work,
                                     struct cost *out, struct pare_error *err) {
  double load_ms[COST_OPENS], tokenizer_ms[COST_OPENS], self_test_ms[COST_OPENS], open_ms[COST_OPENS];
  for (int i = 0; i < COST_OPENS; i++) {
    pare_model *m;
    uint64_t start = clock_ns();
    enum pare_status status = model_open(engine, path, &m, err);
    if (status != PARE_OK) return status;
    open_ms[i] = (double)(clock_ns() - start) * 1e-6;
    load_ms[i] = m->load_ms;
    tokenizer_ms[i] = m->tokenizer_ms;
    self_test_ms[i] = m->self_test_ms;
    if (i == 0) {
      status = do_work(m, work, out, err);
      out->rss_bytes = status_bytes("VmHWM");
    }
    model_close(m);
    if (status != PARE_OK) return status;
  }
  out->load_ms = median_of(load_ms);
  out->tokenizer_ms = median_of(tokenizer_ms);
  out->self_test_ms = median_of(self_test_ms);
  out->open_ms = median_of(open_ms);
  return PARE_OK;
}

struct answer { // through the pipe; shorter than PIPE_BUF, so it arrives whole
  struct cost cost;
  struct pare_error err;
};

static void child(const pare_engine *parent, const char *path, const struct cost_work *work, size_t baseline, int out) {
  struct answer a = {.err = {.code = PARE_OK}};
  malloc_trim(0);
  size_t inherited = cost_resident_bytes();
  struct pare_engine engine = {.kernels = parent->kernels};
  enum pare_status status = pool_open(pool_threads(parent->pool), &engine.pool, &a.err);
  if (status == PARE_OK) status = measure_here(&engine, path, work, &a.cost, &a.err);
  a.err.code = status;
  size_t beyond = inherited > baseline ? inherited - baseline : 0;
  a.cost.rss_bytes -= size_min(beyond, a.cost.rss_bytes);
  ssize_t written = write(out, &a, sizeof a);
  _exit(written == (ssize_t)sizeof a ? 0 : 1); // no atexit handlers, no flushing of the parent's buffers
}

static enum pare_status read_answer(int in, struct answer *a, pid_t pid, const char *path, struct pare_error *err) {
  size_t got = 0;
  while (got < sizeof *a) {
    ssize_t n = read(in, (char *)a + got, sizeof *a - got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += (size_t)n;
  }
  int how = 0;
  while (waitpid(pid, &how, 0) < 0 && errno == EINTR) {
  }
  if (got == sizeof *a) return PARE_OK;
  if (WIFSIGNALED(how)) {
    return error_set(err, PARE_BUG, "%s: the process that measured its memory was ended by signal %d", path,
                     WTERMSIG(how));
  }
  return error_set(err, PARE_BUG, "%s: the process that measured its memory gave no answer", path);
}

enum pare_status cost_measure(const pare_engine *engine, const char *path, const struct cost_work *work,
                              size_t baseline, struct cost *out, struct pare_error *err) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return error_set(err, PARE_BUG, "cannot make a pipe: %s", strerror(errno));
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    child(engine, path, work, baseline, ends[1]);
  }
  close(ends[1]);
  struct answer a = {.err = {.code = PARE_OK}};
  enum pare_status status = pid < 0 ? error_set(err, PARE_BUG, "cannot start a process: %s", strerror(errno))
                                    : read_answer(ends[0], &a, pid, path, err);
  close(ends[0]);
  if (status != PARE_OK) return status;
  if (a.err.code != PARE_OK) {
    if (err) *err = a.err;
    return a.err.code;
  }
  *out = a.cost;
  return PARE_OK;
}
