// beam.c - see beam.h. -1e9 marks what cannot win, as in transformers: adding it keeps such entries comparable.
#include "task/beam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static const float NEVER = -1e9f;

struct candidate {
  float score;
  size_t index; // beam * V + id; of the merged list: place
};

struct beam {
  const struct generation_config *config;
  size_t N, K; // beams, continuations looked at
  size_t prompt_len, max_len, len;
  bool open;                                                        // an open sequence may still beat a finished one
  float running[GENERATION_MAX_BEAMS], score[GENERATION_MAX_BEAMS]; // of open sequences, of finished ones
  bool finished[GENERATION_MAX_BEAMS];
  size_t done_len[GENERATION_MAX_BEAMS];
  uint32_t *block;                         // the four below
  uint32_t *ids, *next, *done, *done_next; // (N, max_len) each
  struct candidate *top;                   // (K)
  bool *hits;                              // (K) the continuation ends its sequence
};

enum pare_status beam_open(const struct generation_config *config, const uint32_t *prompt, size_t prompt_len,
                           size_t max_len, struct beam **out, struct pare_error *err) {
  size_t N = config->beams, K = size_max(2, 1 + config->eos.count) * N, values;
  struct beam *b = calloc(1, sizeof *b);
  *out = b;
  if (b && size_mul(4 * N, max_len, &values)) b->block = calloc(values, sizeof *b->block);
  if (b) b->top = calloc(K, sizeof *b->top);
  if (b) b->hits = calloc(K, sizeof *b->hits);
  if (!b || !b->block || !b->top || !b->hits) {
    beam_close(b);
    *out = NULL;
    return error_no_memory(err);
  }
  b->config = config;
  b->N = N;
  b->K = K;
  b->prompt_len = b->len = prompt_len;
  b->max_len = max_len;
  b->open = true;
  b->ids = b->block;
  b->next = b->ids + N * max_len;
  b->done = b->next + N * max_len;
  b->done_next = b->done + N * max_len;
  for (size_t i = 0; i < N; i++) {
    b->running[i] = i ? NEVER : 0; // all begin alike: only the first counts at first
    b->score[i] = NEVER;
    memcpy(b->ids + i * max_len, prompt, prompt_len * sizeof *prompt);
  }
  return PARE_OK;
}

void beam_close(struct beam *b) {
  if (!b) return;
  free(b->block);
  free(b->top);
  free(b->hits);
  free(b);
}

size_t beam_length(const struct beam *b) {
  return b->len;
}

const uint32_t *beam_ids(const struct beam *b, size_t beam) {
  return b->ids + beam * b->max_len;
}

// Keeps list (*n of at most cap) the best seen, best first; entries come in ascending index, so an equal one stays
// behind.
static void keep(struct candidate *list, size_t *n, size_t cap, float score, size_t index) {
  size_t at = *n;
  if (at == cap) {
    if (!(score > list[cap - 1].score)) return;
    at--;
  } else {
    ++*n;
  }
  for (; at && score > list[at - 1].score; at--) list[at] = list[at - 1];
  list[at] = (struct candidate){score, index};
}

// The K best continuations; their number, less only when the beams have fewer continuations.
static size_t best_continuations(struct beam *b, const float *const *rows, size_t V) {
  size_t n = 0;
  for (size_t i = 0; i < b->N; i++) {
    float base = b->running[i];
    for (size_t id = 0; id < V; id++) {
      float score = rows[i][id] + base;
      if (n < b->K || score > b->top[b->K - 1].score) keep(b->top, &n, b->K, score, i * V + id);
    }
  }
  return n;
}

static void open_next(struct beam *b, size_t n, size_t V, size_t *parents) {
  struct candidate best[GENERATION_MAX_BEAMS];
  size_t count = 0;
  for (size_t k = 0; k < n; k++) keep(best, &count, b->N, b->hits[k] ? b->top[k].score + NEVER : b->top[k].score, k);
  for (size_t i = 0; i < b->N; i++) {
    // A vocabulary smaller than the beams leaves some without a continuation of their own: they repeat the last.
    const struct candidate *chosen = &best[size_min(i, count - 1)];
    size_t index = b->top[chosen->index].index;
    parents[i] = index / V;
    uint32_t *to = b->next + i * b->max_len;
    memcpy(to, b->ids + parents[i] * b->max_len, b->len * sizeof *to);
    to[b->len] = (uint32_t)(index % V);
    b->running[i] = i < count ? chosen->score : NEVER;
  }
}

static bool all_finished(const struct beam *b) {
  for (size_t i = 0; i < b->N; i++)
    if (!b->finished[i]) return false;
  return true;
}

static float penalty(const struct beam *b, size_t length) {
  return (float)pow((double)length, b->config->length_penalty);
}

// The best N of what was finished and what ends now.
static void finish(struct beam *b, size_t n, size_t V) {
  struct candidate best[GENERATION_MAX_BEAMS];
  size_t count = 0, done_len[GENERATION_MAX_BEAMS];
  bool full = all_finished(b) && b->config->early_stopping == PARE_EARLY_TRUE, finished[GENERATION_MAX_BEAMS];
  for (size_t i = 0; i < b->N; i++) keep(best, &count, b->N, b->score[i], i);
  for (size_t k = 0; k < n; k++) {
    float score = b->top[k].score / penalty(b, b->len + 1 - b->prompt_len);
    if (full) score += NEVER;
    if (!b->open) score += NEVER;
    if (!b->hits[k] || k >= b->N) score += NEVER;
    keep(best, &count, b->N, score, b->N + k);
  }
  for (size_t i = 0; i < b->N; i++) {
    uint32_t *to = b->done_next + i * b->max_len;
    b->score[i] = best[i].score;
    if (best[i].index < b->N) {
      size_t old = best[i].index;
      finished[i] = b->finished[old];
      done_len[i] = b->done_len[old];
      memcpy(to, b->done + old * b->max_len, done_len[i] * sizeof *to);
      continue;
    }
    size_t k = best[i].index - b->N, index = b->top[k].index;
    finished[i] = b->hits[k] && k < b->N;
    done_len[i] = b->len + 1;
    memcpy(to, b->ids + index / V * b->max_len, b->len * sizeof *to);
    to[b->len] = (uint32_t)(index % V);
  }
  memcpy(b->finished, finished, b->N * sizeof *finished);
  memcpy(b->done_len, done_len, b->N * sizeof *done_len);
  uint32_t *swap = b->done;
  b->done = b->done_next;
  b->done_next = swap;
}

// Whether the best open sequence may still enter the finished ones. Its best length is not known: "never" stop early
// takes the longest where length is rewarded, the others the present one.
static bool may_improve(const struct beam *b) {
  bool longest = b->config->early_stopping == PARE_EARLY_NEVER && b->config->length_penalty > 0;
  float best = b->running[0] / penalty(b, (longest ? b->max_len : b->len) - b->prompt_len), worst = b->score[0];
  for (size_t i = 1; i < b->N; i++) worst = b->score[i] < worst ? b->score[i] : worst;
  for (size_t i = 0; i < b->N; i++)
    if (best > (b->finished[i] ? worst : NEVER)) return true;
  return false;
}

bool beam_step(struct beam *b, const float *const *rows, size_t V, size_t *parents) {
  size_t n = best_continuations(b, rows, V);
  bool all_hit = true;
  for (size_t k = 0; k < n; k++) {
    b->hits[k] = b->len + 1 >= b->max_len || id_list_has(&b->config->eos, (uint32_t)(b->top[k].index % V));
    all_hit &= b->hits[k];
  }
  open_next(b, n, V, parents);
  finish(b, n, V);
  uint32_t *swap = b->ids;
  b->ids = b->next;
  b->next = swap;
  b->len++;
  b->open = b->open && may_improve(b);
  return b->open && !all_hit && !(b->config->early_stopping == PARE_EARLY_TRUE && all_finished(b));
}

const uint32_t *beam_best(const struct beam *b, size_t *len) {
  *len = b->done_len[0] > b->prompt_len ? b->done_len[0] - b->prompt_len : 0;
  return b->done + b->prompt_len;
}
