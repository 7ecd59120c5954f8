// prepare.c - a job before it is computed, on the thread that read the request: which form answers, what the cache has,
// texts to ids. What a linear model answers is answered here and now.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "base/clock.h"
#include "base/error.h"
#include "runner.h"

// In [0, 1), the same for the same key.
static double share_of(const char *key) {
  uint64_t h = 0xCBF29CE484222325u;
  for (; *key; key++) h = (h ^ (unsigned char)*key) * 0x100000001B3u;
  h ^= h >> 33;
  h *= 0xFF51AFD7ED558CCDu;
  h ^= h >> 33;
  return (double)(h >> 11) * 0x1p-53;
}

static bool fail(struct job *job, enum job_failure failure, const char *format, const char *name) {
  if (job->failure == JOB_FINE) {
    job->failure = failure;
    error_set(&job->error, PARE_DATA, format, name);
  }
  return false;
}

static bool check_task(struct job *job) {
  const struct served *s = job->served;
  switch (job->op) {
    case JOB_CLASSIFY:
      if (s->task != PARE_TASK_CLASSIFY) return fail(job, JOB_BAD, "the model '%.200s' is no classifier", s->name);
      if (job->classify.labels && !s->nli)
        return fail(job, JOB_BAD,
                    "candidate labels need a natural-language-inference model; '%.200s' has no label named entailment",
                    s->name);
      return true;
    case JOB_EMBED:
      return s->task == PARE_TASK_ENCODE ||
             fail(job, JOB_BAD, "the model '%.200s' is no encoder without a head", s->name);
    case JOB_GENERATE:
      return s->task == PARE_TASK_LANGUAGE_MODEL || s->task == PARE_TASK_SEQ2SEQ ||
             fail(job, JOB_BAD, "the model '%.200s' generates no text", s->name);
  }
  return false;
}

static bool make_room(struct job *job) {
  size_t labels = job->op == JOB_CLASSIFY ? job_labels(job) : 0;
  size_t width = job->op == JOB_EMBED ? pare_model_output_width(served_model(job->served)) : 0;
  size_t each = 2 * labels + width;
  float *floats = each ? job_alloc(job, job->count * each * sizeof *floats) : NULL;
  if (each && !floats) return fail(job, JOB_BROKEN, "%s", "out of memory");
  for (size_t i = 0; each && i < job->count; i++, floats += each) {
    job->items[i].scores = labels ? floats : NULL;
    job->items[i].logits = labels ? floats + labels : NULL;
    job->items[i].vector = width ? floats : NULL;
  }
  return true;
}

// ---- linear models ------------------------------------------------------------------------------------------------

static pare_session *borrow_session(struct runner *r, struct pare_error *err) {
  pare_session *session = NULL;
  pthread_mutex_lock(&r->idle_lock);
  if (r->idle_count) session = r->idle[--r->idle_count];
  pthread_mutex_unlock(&r->idle_lock);
  if (session) return session;
  const struct pare_session_options alone = {.alone = true};
  return pare_session_open(r->form->model, &alone, &session, err) ? NULL : session;
}

static void return_session(struct runner *r, pare_session *session) {
  pthread_mutex_lock(&r->idle_lock);
  if (r->idle_count == r->idle_cap) {
    size_t cap = r->idle_cap ? 2 * r->idle_cap : 4;
    pare_session **idle = realloc(r->idle, cap * sizeof(pare_session *));
    if (idle) {
      r->idle = idle;
      r->idle_cap = cap;
    }
  }
  bool kept = r->idle_count < r->idle_cap;
  if (kept) r->idle[r->idle_count++] = session;
  pthread_mutex_unlock(&r->idle_lock);
  if (!kept) pare_session_close(session);
}

static enum pare_status classify_item(const struct runner *r, pare_session *session, const struct job *job,
                                      struct job_item *item, struct pare_error *err) {
  if (!item->ids) return pare_classify(session, &item->text, 1, &job->classify, item->scores, item->logits, err);
  const struct pare_sequence q = {.ids = item->ids, .types = item->types, .len = item->id_count};
  enum pare_status status = pare_session_logits(session, &q, 1, item->logits, err);
  return status ? status
                : pare_classify_scores(r->form->model, &job->classify, item->logits, item->scores, item->logits, err);
}

static void answer_linear(struct runner *r, struct job *job) {
  struct pare_error err = {0};
  uint64_t start = clock_ns();
  job->form = r->form;
  job->variant = r->variant;
  pare_session *session = borrow_session(r, &err);
  enum pare_status status = session ? PARE_OK : err.code;
  bool numbers = true;
  for (size_t i = 0; !status && numbers && i < job->count; i++) {
    struct job_item *item = &job->items[i];
    status = classify_item(r, session, job, item, &err);
    numbers = status || are_numbers(item->scores, job_labels(job));
    item->done = true;
  }
  if (session) return_session(r, session);
  job->done_ns = clock_ns();
  double seconds = (double)(job->done_ns - start) * 1e-9;
  if (!numbers && r->variant == VARIANT_QUANTIZED && r->served->forms[VARIANT_ORIGINAL].model) {
    struct runner *original = runner_of(r->s, r->served, VARIANT_ORIGINAL);
    rollout_trip(r->served->rollout, REASON_NAN, json_pack("{s:s}", "what", "the scores are not numbers"));
    if (original) {
      answer_linear(original, job);
      return;
    }
  }
  if (status) fail(job, status == PARE_DATA ? JOB_BAD : JOB_BROKEN, "%s", err.text);
  if (!numbers) fail(job, JOB_BROKEN, "%s", "the model's answer is not numbers");
  metric_observe(r->metrics.inference_seconds, seconds);
  if (job->failure != JOB_BAD) rollout_observe(r->served->rollout, r->variant, seconds, job->failure == JOB_BROKEN);
  size_t n = job_labels(job);
  for (size_t i = 0; job->failure == JOB_FINE && i < job->count; i++) {
    metric_observe(r->metrics.confidence, highest(job->items[i].scores, n));
    shadow_offer(r, job, i, seconds / (double)job->count);
  }
}

// ---- texts to ids -------------------------------------------------------------------------------------------------

static bool check_ids(struct job *job, const struct job_item *item) {
  const pare_model *m = served_model(job->served);
  size_t V = pare_model_vocab_size(m), longest = pare_model_max_tokens(m);
  if (item->id_count < 1 || item->id_count > longest) {
    job->failure = JOB_BAD;
    error_set(&job->error, PARE_DATA, "expected 1 to %zu token ids, found %zu", longest, item->id_count);
    return false;
  }
  for (size_t i = 0; i < item->id_count; i++) {
    if (item->ids[i] < V) continue;
    job->failure = JOB_BAD;
    error_set(&job->error, PARE_DATA, "token id %u is not below the vocabulary's %zu", item->ids[i], V);
    return false;
  }
  return true;
}

// Ids that were given, as if they had been read.
static bool copy_ids(struct unit *u, const struct job_item *item) {
  struct pare_tokens *t = &u->sequences[0];
  t->ids = malloc(item->id_count * sizeof *t->ids);
  t->types = calloc(item->id_count, sizeof *t->types);
  if (!t->ids || !t->types) return false;
  memcpy(t->ids, item->ids, item->id_count * sizeof *t->ids);
  if (item->types) memcpy(t->types, item->types, item->id_count);
  t->len = item->id_count;
  return true;
}

static bool read_text(struct job *job, struct unit *u, struct job_item *item) {
  const pare_model *m = served_model(job->served);
  struct pare_error err = {0};
  size_t n = job->op == JOB_CLASSIFY && !item->ids ? pare_classify_sequence_count(m, &job->classify) : 1;
  enum pare_status status = PARE_OK;
  if (item->ids && !check_ids(job, item)) return false;
  u->sequences = calloc(n ? n : 1, sizeof *u->sequences);
  if (!u->sequences) return fail(job, JOB_BROKEN, "%s", "out of memory");
  u->sequence_count = n;
  if (item->ids) {
    if (!copy_ids(u, item)) return fail(job, JOB_BROKEN, "%s", "out of memory");
  } else if (job->op == JOB_CLASSIFY) {
    status = pare_classify_tokenize(m, &item->text, &job->classify, u->sequences, &err);
  } else {
    status = pare_tokenize(m, &item->text, 0, u->sequences, &err);
  }
  if (status) return fail(job, status == PARE_BUG ? JOB_BROKEN : JOB_BAD, "%s", err.text);
  for (size_t i = 0; i < n; i++) u->tokens += u->sequences[i].len;
  item->tokens = u->tokens;
  return true;
}

// Of a prompt the ids are kept beside the answer: an echo and a change of form need them.
static bool read_prompt(struct job *job, struct unit *u, struct job_item *item) {
  bool continues = job->served->task == PARE_TASK_LANGUAGE_MODEL;
  if (item->ids && !continues) return fail(job, JOB_BAD, "the model '%.200s' takes texts, not ids", job->served->name);
  if (!read_text(job, u, item)) return false;
  struct pare_tokens *t = &u->sequences[0];
  if (t->truncated && continues) return fail(job, JOB_BAD, "%s", "the prompt is longer than the model can read");
  uint32_t *ids = job_alloc(job, (t->len ? t->len : 1) * sizeof *ids);
  if (!ids) return fail(job, JOB_BROKEN, "%s", "out of memory");
  memcpy(ids, t->ids, t->len * sizeof *ids);
  item->prompt_ids = ids;
  u->ids = t->ids;
  u->id_count = t->len;
  t->ids = NULL;
  pare_tokens_free(t);
  u->sequence_count = 0;
  return true;
}

// What has to be computed, as a list in job->plan.
static bool plan(struct runner *r, struct job *job) {
  struct server *server = r->s->server;
  struct cache *cache = answer_is_kept(job) ? server->cache : NULL;
  struct buf key = {0};
  struct unit **last = &job->plan;
  bool ok = true;
  size_t open_items = 0;
  for (size_t i = 0; ok && i < job->count; i++) {
    struct job_item *item = &job->items[i];
    if (cache) {
      answer_key(job, item, r->variant, &key);
      item->cached = answer_find(cache, &key, job, item);
      metric_add(item->cached ? r->metrics.cache_hits : r->metrics.cache_misses, 1);
      if (item->cached) {
        item->done = true;
        continue;
      }
    }
    struct unit *u = unit_new(job, i);
    if (!u) {
      ok = fail(job, JOB_BROKEN, "%s", "out of memory");
      break;
    }
    ok = job->op == JOB_GENERATE ? read_prompt(job, u, item) : read_text(job, u, item);
    *last = u;
    last = &u->next;
    open_items++;
  }
  buf_free(&key);
  atomic_store(&job->open_items, open_items);
  return ok;
}

static void drop_plan(struct job *job) {
  for (struct unit *u = job->plan, *next; u; u = next) {
    next = u->next;
    unit_free(u);
  }
  job->plan = NULL;
}

void answer_keep(struct runner *r, const struct job *job, const struct job_item *item) {
  struct cache *cache = r->s->server->cache;
  struct buf key = {0};
  if (!cache || !answer_is_kept(job)) return;
  answer_key(job, item, r->variant, &key);
  answer_put(cache, &key, job, item);
  buf_free(&key);
}

// ---- the way in ---------------------------------------------------------------------------------------------------

// How long one who came now would wait, by what was seen lately. With the lock held.
static double wait_seconds(const struct runner *r) {
  bool reads = r->served->task == PARE_TASK_CLASSIFY || r->served->task == PARE_TASK_ENCODE;
  double rate = r->tokens_per_second;
  if (reads) return rate > 0 ? (double)r->waiting_tokens / rate : 1;
  size_t at_once = r->served->task == PARE_TASK_SEQ2SEQ ? 1 : r->s->server->config->streams;
  return (double)r->jobs * r->answer_seconds / (double)(at_once ? at_once : 1);
}

// Takes a place in the queue unless it is full.
static bool enter(struct runner *r, unsigned *retry_seconds) {
  const struct serve_limits *l = &r->s->server->config->limits;
  struct scheduler *s = r->s;
  pthread_mutex_lock(&s->lock);
  bool room = r->jobs < l->queue && (!r->jobs || r->waiting_tokens <= l->queue_tokens);
  if (room) {
    r->jobs++;
    s->jobs++;
  }
  double seconds = wait_seconds(r);
  pthread_mutex_unlock(&s->lock);
  *retry_seconds = seconds < 1 ? 1 : seconds > 60 ? 60 : (unsigned)ceil(seconds);
  if (!room) metric_add(r->metrics.rejected, 1);
  return room;
}

static void leave(struct runner *r) {
  pthread_mutex_lock(&r->s->lock);
  r->jobs--;
  r->s->jobs--;
  pthread_mutex_unlock(&r->s->lock);
}

enum scheduled scheduler_prepare(struct scheduler *s, struct job *job, const char *key, unsigned *retry_seconds) {
  struct served *served = job->served;
  if (scheduler_is_stopped(s)) fail(job, JOB_SHUT_DOWN, "%s", "the server is shutting down");
  if (job->failure != JOB_FINE || !check_task(job) || !make_room(job)) return SCHEDULED_DONE;
  enum variant v = rollout_choose(served->rollout, share_of(key));
  if (!served->has_quantized) v = VARIANT_ORIGINAL;
  struct runner *r = runner_of(s, served, v);
  if (!r) {
    fail(job, JOB_BROKEN, "%s", "out of memory");
    return SCHEDULED_DONE;
  }
  if (served->linear) {
    answer_linear(r, job);
    return SCHEDULED_DONE;
  }
  job->form = r->form;
  job->variant = v;
  // A full queue is told before a text is read.
  if (!enter(r, retry_seconds)) return SCHEDULED_REFUSED;
  uint64_t start = clock_ns();
  bool ok = plan(r, job);
  metric_observe(r->metrics.tokenize_seconds, (double)(clock_ns() - start) * 1e-9);
  if (ok && job->plan) return SCHEDULED_READY;
  drop_plan(job);
  leave(r);
  return SCHEDULED_DONE;
}

void scheduler_push(struct job *job) {
  struct runner *r = job->form->runner;
  struct unit *list = job->plan;
  job->plan = NULL;
  uint64_t now = clock_ns();
  for (struct unit *u = list; u; u = u->next) u->queued_ns = now;
  runner_push(r, list);
}
