// search.c - a turn of an encoder-decoder: some of the texts that wait, answered together by beam search. That is long
// work: between its steps other forms take turns, and it stops when nobody waits any more.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runner.h"

enum { TOGETHER = 8 };

struct turn {
  struct runner *r;
  struct unit *units[TOGETHER];
  size_t count;
  uint64_t others_ns; // what other forms' turns took
};

// Texts go together if they are asked for in the same way. Strings and lists are not compared: such go alone, and so do
// draws, whose seeds count from the first text's.
static bool same_way(const struct job *a, const struct job *b) {
  const struct pare_generate_options *x = &a->generate, *y = &b->generate;
  if (a == b) return x->temperature == 0;
  return x->temperature == 0 && y->temperature == 0 && !x->stop_count && !y->stop_count && !x->bias_count &&
         !y->bias_count && x->max_tokens == y->max_tokens && x->beams == y->beams && x->min_tokens == y->min_tokens &&
         x->repetition_penalty == y->repetition_penalty && x->no_repeat_ngram == y->no_repeat_ngram &&
         x->length_penalty == y->length_penalty && x->has_length_penalty == y->has_length_penalty &&
         x->early_stopping == y->early_stopping && x->presence_penalty == y->presence_penalty &&
         x->frequency_penalty == y->frequency_penalty;
}

static bool go_on(void *context) {
  struct turn *t = context;
  bool wanted = false;
  uint64_t begin = clock_ns();
  for (size_t i = 0; i < t->count; i++) wanted |= !unit_is_unwanted(t->units[i], begin);
  if (wanted && run_another(t->r)) t->others_ns += clock_ns() - begin;
  return wanted;
}

// False: no memory, and the item has no answer.
static bool keep(struct job *job, struct job_item *item, struct pare_generation *g) {
  size_t *ends = malloc((g->count ? g->count : 1) * sizeof *ends);
  if (!ends) return false;
  for (size_t i = 0; i < g->count; i++) ends[i] = g->text_len; // it came in one piece
  pthread_mutex_lock(&job->lock);
  item->output = g->text;
  item->output_len = g->text_len;
  item->output_ids = g->ids;
  item->output_count = g->count;
  item->finish = g->finish;
  item->ends = ends;
  pthread_mutex_unlock(&job->lock);
  g->text = NULL;
  g->ids = NULL;
  return true;
}

// Nobody waits any more for a unit that is late, although others of the turn kept it going.
static void finish(struct turn *t, struct pare_generation *answers, enum pare_status status, const char *why,
                   double seconds) {
  struct runner *r = t->r;
  for (size_t i = 0; i < t->count; i++) {
    struct unit *u = t->units[i];
    struct job_item *item = &u->job->items[u->index];
    if (unit_give_up(r, u)) continue;
    if (status) {
      bool numbers = status == PARE_DATA && strstr(why, "not numbers");
      if (!numbers || !unit_rescue(r, u, why))
        unit_finish(r, u, status == PARE_DATA || status == PARE_USAGE ? JOB_BAD : JOB_BROKEN, why);
      continue;
    }
    if (!keep(u->job, item, &answers[i])) {
      unit_finish(r, u, JOB_BROKEN, "out of memory");
      continue;
    }
    metric_add(r->metrics.prompt_tokens, (double)item->tokens);
    metric_add(r->metrics.generated_tokens, (double)item->output_count);
    count_finish(r->s->server->metrics, r->served->name, item->finish);
    answer_keep(r, u->job, item);
    shadow_offer(r, u->job, u->index, seconds / (double)t->count);
    unit_finish(r, u, JOB_FINE, NULL);
  }
  for (size_t i = 0; i < t->count; i++) pare_generation_free(&answers[i]); // what was not kept
}

void run_search(struct runner *r) {
  struct turn t = {.r = r};
  struct pare_text texts[TOGETHER];
  struct pare_generation answers[TOGETHER] = {{0}};
  struct pare_error err = {0};
  while (t.count < TOGETHER) {
    size_t count;
    struct unit *u = runner_take(r, SIZE_MAX, 1, &count);
    if (!u) break;
    if (t.count && !same_way(t.units[0]->job, u->job)) {
      runner_push_front(r, u);
      break;
    }
    texts[t.count] = u->job->items[u->index].text;
    t.units[t.count++] = u;
  }
  if (!t.count) return;
  struct pare_generate_options options = t.units[0]->job->generate;
  options.seed = t.units[0]->job->items[t.units[0]->index].seed;
  options.go_on = go_on;
  options.context = &t;
  uint64_t begin = clock_ns();
  enum pare_status status = pare_generate(r->form->model, texts, t.count, &options, answers, &err);
  double seconds = (double)(clock_ns() - begin - t.others_ns) * 1e-9;
  metric_observe(r->metrics.inference_seconds, seconds);
  metric_observe(r->metrics.batch_texts, (double)t.count);
  finish(&t, answers, status, err.text, seconds);
}
