// openai_answer.c - POST /v1/completions, the answer: whole, or as server-sent events.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "openai.h"

// ---- what both have -----------------------------------------------------------------------------------------------

static const char *finish_name(const struct job_item *item) {
  return item->finish == PARE_FINISH_LENGTH ? "length" : "stop";
}

// An answer, or a chunk of one; choices are taken over.
static json_t *body(const struct exchange *x, json_t *choices) {
  const struct completion *c = x->state;
  const struct served *s = x->job->served;
  return json_pack("{s:o, s:s, s:I, s:s, s:o, s:o}", "id", json_sprintf("cmpl-%s", x->id), "object", "text_completion",
                   "created", (json_int_t)c->created, "model", s->name, "system_fingerprint",
                   json_sprintf("pare-%s-%s", pare_version(), s->forms[x->job->variant].scheme), "choices", choices);
}

static json_t *usage(const struct exchange *x) {
  const struct completion *c = x->state;
  size_t prompt = 0, answer = 0, reused = 0;
  for (size_t i = 0; i < x->job->count; i++) {
    const struct job_item *item = &x->job->items[i];
    if (i % c->best_of == 0) prompt += item->tokens, reused += item->reused;
    answer += item->output_count;
  }
  return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)prompt, "completion_tokens",
                   (json_int_t)answer, "total_tokens", (json_int_t)(prompt + answer), "prompt_tokens_details",
                   "cached_tokens", (json_int_t)reused);
}

// The prompt's text: to be freed with free(). NULL: no memory.
static char *prompt_text(const struct job *job, const struct job_item *item, size_t *len) {
  char *out = NULL;
  if (item->ids) {
    if (pare_detokenize(served_model(job->served), item->ids, item->id_count, false, &out, NULL)) return NULL;
    *len = strlen(out);
    return out;
  }
  out = malloc(item->text.len + 1);
  if (out && item->text.len) memcpy(out, item->text.text, item->text.len);
  *len = item->text.len;
  return out;
}

static json_t *choice_of_part(const struct exchange *x, size_t i, size_t index, const struct completion_part *part) {
  const struct completion *c = x->state;
  const struct job_item *item = &x->job->items[i];
  struct buf text = {0};
  buf_add(&text, part->prompt, part->prompt ? part->prompt_len : 0);
  if (item->output_len > part->text_from)
    buf_add(&text, item->output + part->text_from, item->output_len - part->text_from);
  json_t *logprobs = c->logprobs ? completion_logprobs(x->job, item, part) : json_null();
  json_t *choice = json_pack("{s:I, s:o, s:o, s:s?}", "index", (json_int_t)index, "text",
                             text.failed ? NULL : json_stringn(text.len ? text.data : "", text.len), "logprobs",
                             logprobs, "finish_reason", part->last ? finish_name(item) : NULL);
  buf_free(&text);
  return choice;
}

// The i-th item from text_from, token_from on, as choice `index`. NULL: no memory.
static json_t *choice(struct exchange *x, size_t i, size_t index, size_t text_from, size_t token_from, bool last) {
  const struct completion *c = x->state;
  struct completion_sent *sent = &c->sent[i];
  struct completion_part part = {.text_from = text_from, .token_from = token_from, .last = last};
  char *prompt = NULL;
  if (c->echo && !sent->any) {
    prompt = prompt_text(x->job, &x->job->items[i], &part.prompt_len);
    if (!prompt) return NULL;
    part.prompt = prompt;
    sent->base = completion_characters(prompt, 0, part.prompt_len);
  }
  sent->any = true;
  part.base = sent->base;
  json_t *out = choice_of_part(x, i, index, &part);
  free(prompt);
  return out;
}

// ---- whole --------------------------------------------------------------------------------------------------------

// Mean log probability of a token; an answer of none is worse than any.
static double mean_logprob(const struct job_item *item) {
  double sum = 0;
  for (size_t i = 0; i < item->output_count; i++) sum += (double)item->logprobs[item->tokens + i];
  return item->output_count ? sum / (double)item->output_count : -INFINITY;
}

// How many of the prompt's other answers come before this one: better ones, of equal ones the earlier.
static size_t place_of(const struct completion *c, size_t i) {
  size_t begin = i - i % c->best_of, place = 0;
  if (c->best_of == c->n) return i - begin;
  for (size_t k = begin; k < begin + c->best_of; k++)
    place += c->sent[k].mean > c->sent[i].mean || (c->sent[k].mean == c->sent[i].mean && k < i);
  return place;
}

static void whole(struct exchange *x) {
  const struct completion *c = x->state;
  size_t prompts = x->job->count / c->best_of, wanted = prompts * c->n;
  json_t *choices = json_array();
  for (size_t k = 0; k < wanted; k++) json_array_append_new(choices, json_null());
  bool fine = json_array_size(choices) == wanted;
  for (size_t i = 0; i < x->job->count && c->best_of > c->n; i++) c->sent[i].mean = mean_logprob(&x->job->items[i]);
  for (size_t i = 0; fine && i < x->job->count; i++) {
    size_t place = place_of(c, i), index = i / c->best_of * c->n + place;
    if (place < c->n) fine = !json_array_set_new(choices, index, choice(x, i, index, 0, 0, true));
  }
  json_t *answer = fine ? body(x, choices) : NULL;
  if (!fine) json_decref(choices);
  if (answer && json_object_set_new(answer, "usage", usage(x))) {
    json_decref(answer);
    answer = NULL;
  }
  exchange_json(x, 200, answer);
}

// ---- streamed -----------------------------------------------------------------------------------------------------

static void event(struct exchange *x, json_t *value) {
  buf_puts(&x->out, "data: ");
  exchange_write(x, value);
  buf_puts(&x->out, "\n\n");
}

// Every chunk has the key once usage was asked for: null until the last.
static void chunk(struct exchange *x, json_t *choices, json_t *used) {
  const struct completion *c = x->state;
  json_t *value = choices ? body(x, choices) : NULL;
  if (value && c->usage)
    json_object_set_new(value, "usage", used);
  else
    json_decref(used);
  event(x, value);
}

static void piece(struct exchange *x, size_t item, size_t text_from, size_t token_from, bool last) {
  json_t *one = choice(x, item, item, text_from, token_from, last);
  chunk(x, one ? json_pack("[o]", one) : NULL, json_null());
}

static void end(struct exchange *x) {
  const struct completion *c = x->state;
  const struct job *job = x->job;
  if (job->failure != JOB_FINE) {
    // The status is long sent; an error is all that can follow.
    bool ours = job->failure == JOB_BROKEN;
    event(x, json_pack("{s:{s:s, s:s, s:n, s:i}}", "error", "message", job->error.text[0] ? job->error.text : "stopped",
                       "type", ours ? "server_error" : "invalid_request_error", "param", "code", ours ? 500 : 400));
  } else if (c->usage) {
    chunk(x, json_array(), usage(x));
  }
  buf_puts(&x->out, "data: [DONE]\n\n");
}

const struct answer completion_answer = {whole, piece, end};
