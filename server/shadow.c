// shadow.c - what one form answered is asked of the other too, for a share of the requests, by a thread that runs only
// when the machine has nothing better to do. It computes by itself: the engine's threads stay with those who wait.
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/thread.h"
#include "runner.h"

struct ask {
  struct ask *next;
  struct job *job; // held, and by it the model
  size_t index;
  enum variant answered; // by which form
  double seconds;
  struct shadow *w; // that computes it
};

struct shadow {
  struct scheduler *s;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more;
  struct ask *first, **last;
  _Atomic uint64_t count;
  _Atomic bool stop;
};

// Uniform in [0, 1), another at each call.
static double draw(struct shadow *w) {
  return (double)(rng_mix(atomic_fetch_add_explicit(&w->count, RNG_STEP, memory_order_relaxed)) >> 11) * 0x1p-53;
}

static void drop(struct ask *a) {
  rollout_shadow_dropped(a->job->served->rollout);
  job_free(a->job);
  free(a);
}

void shadow_offer(struct runner *r, struct job *job, size_t index, double seconds) {
  struct shadow *w = r->s->shadow;
  if (!r->served->has_quantized || job->items[index].cached) return;
  // Answers that were drawn differ by chance; a prompt that was only scored has none.
  if (job->op == JOB_GENERATE && (job->generate.temperature > 0 || job->generate.max_tokens == PARE_OFF || job->score))
    return;
  if (!rollout_shadow(r->served->rollout, draw(w))) return;
  struct ask *a = malloc(sizeof *a);
  if (!a) {
    rollout_shadow_dropped(r->served->rollout);
    return;
  }
  *a = (struct ask){.job = job_hold(job), .index = index, .answered = r->variant, .seconds = seconds, .w = w};
  pthread_mutex_lock(&w->lock);
  bool closed = w->stop;
  if (!closed) {
    *w->last = a;
    w->last = &a->next;
    pthread_cond_signal(&w->more);
  }
  pthread_mutex_unlock(&w->lock);
  if (closed) drop(a);
}

// ---- the other form's answer, against the one that was given ------------------------------------------------------

static pare_session *session_of(struct runner *r, struct pare_error *err) {
  const struct pare_session_options alone = {.alone = true};
  if (!r->shadow_session) pare_session_open(r->form->model, &alone, &r->shadow_session, err);
  return r->shadow_session;
}

static size_t best_of(const float *scores, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (scores[i] > scores[best]) best = i;
  return best;
}

static bool compare_labels(struct runner *r, const struct ask *a, struct rollout_pair *pair, struct pare_error *err) {
  const struct job *job = a->job;
  const struct job_item *item = &job->items[a->index];
  size_t n = job_labels(job);
  pare_session *session = session_of(r, err);
  float *scores = session ? malloc(2 * (n ? n : 1) * sizeof *scores) : NULL;
  if (!scores) return false;
  enum pare_status status;
  if (item->ids) {
    const struct pare_sequence q = {.ids = item->ids, .types = item->types, .len = item->id_count};
    status = pare_session_logits(session, &q, 1, scores + n, err);
    if (!status) status = pare_classify_scores(r->form->model, &job->classify, scores + n, scores, NULL, err);
  } else {
    status = pare_classify(session, &item->text, 1, &job->classify, scores, NULL, err);
  }
  if (!status) {
    const float *original = a->answered == VARIANT_ORIGINAL ? item->scores : scores;
    const float *quantized = a->answered == VARIANT_ORIGINAL ? scores : item->scores;
    size_t label = best_of(original, n);
    pair->agree = best_of(quantized, n) == label;
    pair->confidence_shift = fabs((double)original[label] - (double)quantized[label]);
  }
  free(scores);
  return !status;
}

// Vectors agree when they point the same way: a cosine of 0.99, a hundredth of a turn apart at most.
static bool compare_vectors(struct runner *r, const struct ask *a, struct rollout_pair *pair, struct pare_error *err) {
  const struct job_item *item = &a->job->items[a->index];
  const pare_model *m = r->form->model;
  struct pare_tokens t = {0};
  size_t C = pare_model_output_width(m);
  pare_session *session = session_of(r, err);
  enum pare_status status = session ? PARE_OK : err->code;
  if (!status && !item->ids) status = pare_tokenize(m, &item->text, 0, &t, err);
  struct pare_sequence q = {.ids = t.ids, .types = t.types, .len = t.len};
  if (item->ids) q = (struct pare_sequence){.ids = item->ids, .types = item->types, .len = item->id_count};
  float *rows = !status ? malloc((q.len + 1) * C * sizeof *rows) : NULL;
  if (!status) status = rows ? pare_session_logits(session, &q, 1, rows, err) : error_no_memory(err);
  if (!status) {
    float *v = rows + q.len * C;
    double dot = 0, x = 0, y = 0;
    pare_embed_pool(m, r->pooling, rows, q.len, true, v);
    for (size_t c = 0; c < C; c++) {
      dot += (double)v[c] * (double)item->vector[c];
      x += (double)v[c] * (double)v[c];
      y += (double)item->vector[c] * (double)item->vector[c];
    }
    double cosine = dot / sqrt(x * y);
    pair->agree = cosine >= 0.99;
    pair->confidence_shift = isfinite(cosine) ? fmin(1, 1 - cosine) : NAN;
  }
  free(rows);
  pare_tokens_free(&t);
  return !status;
}

static void compare_ids(const struct job_item *item, const uint32_t *ids, size_t count, enum pare_finish finish,
                        struct rollout_pair *pair) {
  pair->agree = count == item->output_count && finish == item->finish &&
                (!count || !memcmp(ids, item->output_ids, count * sizeof *ids));
  pair->confidence_shift = pair->agree ? 0 : 1;
}

// The very ids that the first form went on from: reading the text of ids again may give others.
static bool compare_streams(struct runner *r, const struct ask *a, struct rollout_pair *pair, struct pare_error *err) {
  const struct pare_generator_options alone = {.streams = 1, .alone = true};
  const struct job_item *item = &a->job->items[a->index];
  struct pare_prompt prompt = {.ids = item->prompt_ids, .len = item->tokens, .options = a->job->generate};
  pare_generator *g = NULL;
  size_t stream, live = 1;
  prompt.options.seed = item->seed;
  enum pare_status status = pare_generator_open(r->form->model, &alone, &g, err);
  if (!status) status = pare_generator_start(g, &prompt, &stream, err);
  while (!status && live && !a->w->stop) status = pare_generator_step(g, &live, err);
  if (!status && live) status = PARE_UNAVAILABLE; // the server is shutting down
  if (!status) {
    struct pare_stream st = pare_generator_state(g, stream);
    compare_ids(item, st.ids, st.count, st.finish, pair);
    if (st.status) *pair = (struct rollout_pair){.confidence_shift = NAN};
  }
  pare_generator_close(g);
  return !status;
}

static bool not_stopped(void *context) {
  const struct shadow *w = context;
  return !w->stop;
}

// An encoder-decoder's.
static bool compare_searches(struct runner *r, const struct ask *a, struct rollout_pair *pair, struct pare_error *err) {
  const struct job_item *item = &a->job->items[a->index];
  struct pare_generate_options options = a->job->generate;
  struct pare_generation g = {0};
  options.seed = item->seed;
  options.on_text = NULL;
  options.go_on = not_stopped;
  options.context = a->w;
  options.alone = true;
  enum pare_status status = pare_generate(r->form->model, &item->text, 1, &options, &g, err);
  if (!status) compare_ids(item, g.ids, g.count, g.finish, pair);
  if (status == PARE_DATA && strstr(err->text, "not numbers")) {
    *pair = (struct rollout_pair){.confidence_shift = NAN};
    status = PARE_OK;
  }
  pare_generation_free(&g);
  return !status;
}

static void answer(const struct ask *a, struct scheduler *s) {
  struct served *served = a->job->served;
  enum variant other = a->answered == VARIANT_ORIGINAL ? VARIANT_QUANTIZED : VARIANT_ORIGINAL;
  struct runner *r = runner_of(s, served, other);
  struct pare_error err = {0};
  struct rollout_pair pair = {0};
  bool ok = r && !served_open_form(served, other, &err);
  uint64_t start = clock_ns();
  if (ok) {
    switch (a->job->op) {
      case JOB_CLASSIFY: ok = compare_labels(r, a, &pair, &err); break;
      case JOB_EMBED: ok = compare_vectors(r, a, &pair, &err); break;
      case JOB_GENERATE:
        ok = (served->task == PARE_TASK_SEQ2SEQ ? compare_searches : compare_streams)(r, a, &pair, &err);
        break;
    }
  }
  double seconds = (double)(clock_ns() - start) * 1e-9;
  pair.quantized_seconds = other == VARIANT_ORIGINAL ? a->seconds : seconds;
  if (ok && !isfinite(pair.confidence_shift) && other == VARIANT_QUANTIZED)
    rollout_trip(served->rollout, REASON_NAN,
                 json_pack("{s:s, s:b}", "what", "the answer is not numbers", "shadow", true));
  if (ok) {
    rollout_observe_pair(served->rollout, &pair);
  } else if (a->w->stop) {
    rollout_shadow_dropped(served->rollout);
  } else {
    rollout_shadow_failed(served->rollout, other);
  }
}

static void *shadow_main(void *arg) {
  struct shadow *w = arg;
  const struct sched_param none = {0};
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
  pthread_mutex_lock(&w->lock);
  for (;;) {
    while (!w->first && !w->stop) pthread_cond_wait(&w->more, &w->lock);
    if (w->stop) break;
    struct ask *a = w->first;
    w->first = a->next;
    if (!w->first) w->last = &w->first;
    pthread_mutex_unlock(&w->lock);
    answer(a, w->s);
    job_free(a->job);
    free(a);
    pthread_mutex_lock(&w->lock);
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

enum pare_status shadow_open(struct scheduler *s, struct shadow **out, struct pare_error *err) {
  *out = NULL;
  struct shadow *w = calloc(1, sizeof *w);
  if (!w) return error_no_memory(err);
  w->s = s;
  w->last = &w->first;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->more, NULL);
  if (thread_start(&w->thread, shadow_main, w)) {
    free(w);
    return error_set(err, PARE_BUG, "cannot start a thread");
  }
  *out = w;
  return PARE_OK;
}

void shadow_close(struct shadow *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->stop = true;
  pthread_cond_signal(&w->more);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  for (struct ask *a = w->first, *next; a; a = next) {
    next = a->next;
    drop(a);
  }
  w->first = NULL;
  w->last = &w->first;
}

void shadow_free(struct shadow *w) {
  if (!w) return;
  pthread_cond_destroy(&w->more);
  pthread_mutex_destroy(&w->lock);
  free(w);
}
