// server.c - see server.h: the parts, put together and taken apart in order; signals.
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "http.h"
#include "make_quantized.h"
#include "scheduler.h"
#include "server_metrics.h"
#include "shrunk.h"
#include "state.h"

enum { FLUSH_MS = 500 };

// ---- what happens is said -----------------------------------------------------------------------------------------

static void log_rollout(void *context, json_t *event) {
  struct server *s = context;
  const char *what = json_string_value(json_object_get(event, "event"));
  log_event(s->log, what && !strcmp(what, "promotion") ? "info" : "warning", what ? what : "rollout", event);
}

static void log_model(void *context, const struct served *m) {
  struct server *s = context;
  json_t *fields = json_pack("{s:s, s:s}", "model", m->name, "path", m->config->path);
  for (size_t v = 0; fields && v < VARIANT_COUNT; v++) {
    const struct form *f = &m->forms[v];
    if (f->model)
      json_object_set_new(fields, variant_name((enum variant)v),
                          json_pack("{s:s, s:f}", "scheme", f->scheme, "load_ms", f->load_ms));
  }
  if (m->state_reason[0]) json_object_set_new(fields, "reason", json_string(m->state_reason));
  log_event(s->log, m->state_reason[0] ? "warning" : "info", "model", fields);
  server_metrics_model(s, m);
}

// ---- models -------------------------------------------------------------------------------------------------------

static enum pare_status load_models(struct server *s, const struct serve_config *c, struct pare_error *err) {
  enum pare_status status = PARE_OK;
  for (size_t i = 0; !status && i < c->model_count; i++) status = models_load(s->models, &c->models[i], err);
  return status;
}

static bool same_text(const char *a, const char *b) {
  return a && b ? !strcmp(a, b) : a == b;
}

static bool same_rollout(const struct rollout_config *a, const struct rollout_config *b) {
  return a->mode == b->mode && a->quantized_share == b->quantized_share && a->shadow_share == b->shadow_share &&
         a->shadow_pending == b->shadow_pending && a->min_agreement == b->min_agreement &&
         a->max_confidence_shift == b->max_confidence_shift && a->max_error_rate == b->max_error_rate &&
         a->p95_ms == b->p95_ms && a->min_samples == b->min_samples && a->confidence == b->confidence &&
         a->automatic == b->automatic && a->promote == b->promote;
}

static bool same_model(const struct serve_model_config *a, const struct serve_model_config *b) {
  return same_text(a->path, b->path) && same_text(a->quantized, b->quantized) && same_text(a->scheme, b->scheme) &&
         a->use_quantization == b->use_quantization && a->keep_original == b->keep_original &&
         same_rollout(&a->rollout, &b->rollout);
}

// What the new configuration names and the old one did not, or otherwise, is opened; what it does not name goes. A
// model whose files changed is opened again by a load call.
static void take_over(struct server *s, const struct serve_config *now) {
  struct served **all;
  size_t n = models_all(s->models, &all);
  for (size_t i = 0; i < n; i++) {
    bool named = false;
    for (size_t k = 0; k < now->model_count; k++) named |= !strcmp(now->models[k].name, all[i]->name);
    if (!named && !models_unload(s->models, all[i]->name, NULL))
      log_event(s->log, "info", "unload", json_pack("{s:s}", "model", all[i]->name));
    served_release(all[i]);
  }
  free(all);
  for (size_t k = 0; k < now->model_count; k++) {
    struct pare_error err = {0};
    struct served *old = models_find(s->models, now->models[k].name);
    bool same = old && same_model(old->config, &now->models[k]);
    served_release(old);
    if (!same && models_load(s->models, &now->models[k], &err))
      log_event(s->log, "error", "load", json_pack("{s:s, s:s}", "model", now->models[k].name, "error", err.text));
  }
}

// Requests under way look at the configuration they came under.
struct kept_serve_config {
  struct serve_config config;
  struct kept_serve_config *before;
};

static void reload(void *context) {
  struct server *s = context;
  struct pare_error err = {0};
  struct kept_serve_config *now = calloc(1, sizeof *now);
  enum pare_status status = now ? s->reload->load(s->reload->context, &now->config, &err) : error_no_memory(&err);
  if (status) {
    log_event(s->log, "error", "reload", json_pack("{s:s}", "error", err.text)); // what runs goes on
    free(now);
    return;
  }
  now->before = s->kept;
  s->kept = now;
  atomic_store(&s->config, &now->config);
  take_over(s, &now->config);
  make_quantized(s, &now->config);
  log_event(s->log, "info", "reload", NULL);
}

// ---- signals ------------------------------------------------------------------------------------------------------

static void block_signals(sigset_t *mine, sigset_t *before) {
  sigemptyset(mine);
  sigaddset(mine, SIGTERM);
  sigaddset(mine, SIGINT);
  sigaddset(mine, SIGHUP);
  pthread_sigmask(SIG_BLOCK, mine, before);
}

static void wait_for_end(struct server *s, const sigset_t *mine) {
  for (;;) {
    int signal = 0;
    if (sigwait(mine, &signal)) continue;
    if (signal != SIGHUP) {
      log_event(s->log, "info", "stop", json_pack("{s:s}", "signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
      return;
    }
    if (background_run(s->background, reload, s)) log_event(s->log, "error", "reload", NULL);
  }
}

// What came while the server was ending: it must not end the process the other way.
static void forget_signals(const sigset_t *mine) {
  const struct timespec now = {0};
  while (sigtimedwait(mine, NULL, &now) > 0) {
  }
}

// A model is being quantized, which may take minutes more and cannot be broken off. Everybody has been answered; what
// is half written was never seen and is removed by a process that waits for our end (base/file.h, outdir).
static _Noreturn void end_now(struct server *s) {
  background_close(s->background);
  scheduler_close(s->scheduler);
  http_flush(s->http, FLUSH_MS);
  log_close(s->log);
  _exit(PARE_OK);
}

// ---- start and end ------------------------------------------------------------------------------------------------

static enum pare_status open_parts(struct server *s, struct pare_error *err) {
  const struct serve_config *c = s->config;
  const struct pare_engine_options options = {.isa = c->isa, .threads = c->threads, .detached = true};
  enum pare_status status = pare_engine_open(&options, &s->engine, err);
  if (status) return status;
  s->log = log_open(STDERR_FILENO);
  s->metrics = metrics_new();
  s->cache = c->cache_bytes ? cache_new(c->cache_bytes) : NULL;
  if (!s->log || !s->metrics || (c->cache_bytes && !s->cache)) return error_no_memory(err);
  server_metrics_begin(s);
  status = background_open(&s->background, err);
  if (!status) status = background_open(&s->workshop, err);
  if (!status) status = scheduler_open(s, &http_hooks, &s->scheduler, err);
  if (status) return status;
  const struct models_hooks hooks = {.engine = s->engine,
                                     .metrics = s->metrics,
                                     .sink = {log_rollout, s},
                                     .runner_free = scheduler_runner_free,
                                     .opened = log_model,
                                     .ready = server_metrics_ready,
                                     .context = s};
  s->models = models_new(&hooks);
  return s->models ? PARE_OK : error_no_memory(err);
}

// In the order in which nobody is left behind: the background's work may still use the scheduler, requests wait for the
// scheduler, and models are held by both.
static void close_parts(struct server *s) {
  background_close(s->workshop);
  background_close(s->background);
  scheduler_close(s->scheduler);
  http_flush(s->http, FLUSH_MS); // who is told that there is no answer shall hear it
  http_close(s->http);           // until here a request may still come, and is refused
  background_free(s->background);
  background_free(s->workshop);
  models_free(s->models);
  scheduler_free(s->scheduler);
  cache_free(s->cache);
  metrics_free(s->metrics);
  for (struct kept_serve_config *k = s->kept, *before; k; k = before) {
    before = k->before;
    serve_config_free(&k->config);
    free(k);
  }
  log_close(s->log);
  pare_engine_close(s->engine);
}

static bool only_this_machine(const char *host) {
  return !strncmp(host, "127.", 4) || !strcmp(host, "::1") || !strcmp(host, "localhost");
}

static void say_ready(struct server *s, uint16_t port, uint64_t start_ns) {
  const struct serve_config *c = s->config;
  char address[SERVE_ADDRESS_CAP], url[SERVE_ADDRESS_CAP + 8];
  serve_config_address(c, port, address);
  snprintf(url, sizeof url, "http://%s", address);
  log_event(s->log, "info", "ready",
            json_pack("{s:s, s:s, s:I, s:I, s:f}", "url", url, "isa", pare_engine_isa(s->engine), "threads",
                      (json_int_t)pare_engine_threads(s->engine), "models", (json_int_t)c->model_count, "ms",
                      (double)(clock_ns() - start_ns) * 1e-6));
  if (!c->api_key_count && !only_this_machine(c->host))
    log_event(s->log, "warning", "open",
              json_pack("{s:s}", "reason", "no api_keys: whoever reaches this address may ask, load and unload"));
}

enum pare_status server_run(const struct serve_config *config, const struct server_reload *reload_by,
                            struct pare_error *err) {
  struct server s = {.config = config, .reload = reload_by};
  uint64_t start = clock_ns();
  uint16_t port = 0;
  int fd = -1;
  sigset_t mine, before;
  shrunk_survive();
  block_signals(&mine, &before); // threads inherit this; only wait_for_end takes them
  enum pare_status status = open_parts(&s, err);
  if (!status) status = http_listen(config, &fd, &port, err); // a port that is taken is told before models are opened
  if (!status) status = load_models(&s, config, err);
  if (!status) status = http_open(&s, fd, &s.http, err);
  if (status && fd >= 0) close(fd);
  if (!status) {
    say_ready(&s, port, start);
    make_quantized(&s, config);
    wait_for_end(&s, &mine);
    atomic_store(&s.draining, true);
    http_drain(s.http, config->limits.drain_ms);
    log_event(s.log, "info", "stopped", NULL);
    if (!background_is_idle(s.workshop)) end_now(&s);
  }
  close_parts(&s);
  if (!status) forget_signals(&mine);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return status;
}
