// openai_completions.c - POST /v1/completions, the request: what OpenAI's API and vLLM's additions to it say becomes a
// job. Keys that neither knows are ignored, as both do.
#include <stdlib.h>
#include <string.h>

#include "inputs.h"
#include "openai.h"
#include "protocols.h"

enum { DEFAULT_TOKENS = 16, TOP_MAX = 20 };

// A request while it is read.
struct reading {
  struct fields f;
  const struct served *served;
  struct inputs prompts;
  struct completion c;
  struct job *job;
};

static void take_bias(struct fields *f, struct job *job, size_t vocab) {
  json_t *object = fields_any(f, "logit_bias");
  if (!object) return;
  if (!json_is_object(object)) {
    fields_fail(f, "logit_bias", "an object of ids and numbers");
    return;
  }
  struct pare_logit_bias *bias = job_alloc(job, json_object_size(object) * sizeof *bias);
  if (!bias) {
    inputs_no_memory(f);
    return;
  }
  const char *key;
  json_t *value;
  size_t n = 0;
  json_object_foreach(object, key, value) {
    char *end;
    unsigned long id = strtoul(key, &end, 10);
    double number = json_number_value(value);
    bool canonical = key[0] >= '0' && key[0] <= '9' && !(key[0] == '0' && key[1]) && !*end && strlen(key) < 11;
    if (!canonical || id >= vocab || !json_is_number(value) || !(number >= -100 && number <= 100)) {
      exchange_fail(f->x, 400, "logit_bias",
                    "logit_bias: expected ids from 0 to %zu with numbers from -100 to 100, found otherwise at "
                    "\"%.40s\"",
                    vocab - 1, key);
      f->ok = false;
      return;
    }
    bias[n++] = (struct pare_logit_bias){.id = (uint32_t)id, .bias = (float)number};
  }
  job->generate.bias = bias;
  job->generate.bias_count = n;
}

// Whether the model can answer at all, and what an encoder-decoder cannot.
static void check_model(struct reading *r) {
  struct fields *f = &r->f;
  if (r->served->task == PARE_TASK_LANGUAGE_MODEL) return;
  const char *param = "model", *why = NULL;
  if (r->served->task == PARE_TASK_CLASSIFY) {
    why = "classifies: POST /v1/classify";
  } else if (r->served->task == PARE_TASK_ENCODE) {
    why = "writes no text: POST /v1/embeddings";
  } else if (r->c.logprobs) {
    param = "logprobs";
    why = "is an encoder-decoder, whose log probabilities are not given";
  } else if (r->prompts.ids) {
    param = "prompt";
    why = "is an encoder-decoder, which takes texts, not ids";
  }
  if (!why || !f->ok) return;
  exchange_fail(f->x, 400, param, "%s: the model '%.200s' %s", param, r->served->name, why);
  f->ok = false;
}

static void read_counts(struct reading *r) {
  struct fields *f = &r->f;
  size_t texts = f->x->config->limits.texts;
  r->c.n = fields_size(f, "n", 1, 1, texts);
  r->c.best_of = fields_size(f, "best_of", r->c.n, 1, texts);
  r->c.echo = fields_flag(f, "echo", false);
  r->c.logprobs = fields_has(f, "logprobs");
  struct fields stream = fields_below(f, "stream_options");
  stream.path = "stream_options.";
  r->c.usage = fields_flag(&stream, "include_usage", false);
  if (!stream.ok) f->ok = false;
  if (r->c.best_of < r->c.n) fields_fail(f, "best_of", "at least n");
  const char *suffix = fields_text(f, "suffix", "");
  if (*suffix) fields_fail(f, "suffix", "none, as models here only continue a text");
}

static void read_prompts(struct reading *r) {
  struct fields *f = &r->f;
  size_t texts = f->x->config->limits.texts;
  inputs_of_body(f, "prompt", r->served, texts, pare_model_max_tokens(served_model(r->served)), &r->prompts);
  if (f->ok && r->prompts.count * r->c.best_of > texts) {
    exchange_fail(f->x, 400, "prompt", "prompt: expected at most %zu answers in one request, found %zu prompts of %zu",
                  texts, r->prompts.count, r->c.best_of);
    f->ok = false;
  }
}

static void read_tokens(struct reading *r) {
  struct fields *f = &r->f;
  struct pare_generate_options *o = &r->job->generate;
  bool seq2seq = r->served->task == PARE_TASK_SEQ2SEQ, given = fields_has(f, "max_tokens");
  size_t most = f->x->config->limits.max_tokens, low = r->c.echo && !seq2seq ? 0 : 1;
  size_t n = fields_size(f, "max_tokens", DEFAULT_TOKENS < most ? DEFAULT_TOKENS : most, low, most);
  o->max_tokens = n ? n : PARE_OFF;
  if (seq2seq && !given) o->max_tokens = 0; // as long as its own configuration says
  size_t longest = pare_model_max_tokens(served_model(r->served));
  for (size_t i = 0; f->ok && n && i < r->job->count; i++) {
    if (r->job->items[i].id_count < longest) continue;
    exchange_fail(f->x, 400, "prompt", "prompt: expected fewer than %zu ids, so that one can follow, found %zu",
                  longest, r->job->items[i].id_count);
    f->ok = false;
  }
}

static const char not_here[] = "none, as the model is an encoder-decoder";

static void read_options(struct reading *r) {
  struct fields *f = &r->f;
  struct pare_generate_options *o = &r->job->generate;
  bool seq2seq = r->served->task == PARE_TASK_SEQ2SEQ;
  read_tokens(r);
  // An encoder-decoder that is not told otherwise searches as its own configuration says.
  inputs_sampling(f, seq2seq ? 0 : 1, o);
  if (seq2seq && !fields_has(f, "repetition_penalty")) o->repetition_penalty = 0;
  o->presence_penalty = fields_number(f, "presence_penalty", 0, -2, 2);
  o->frequency_penalty = fields_number(f, "frequency_penalty", 0, -2, 2);
  inputs_stop(f, "stop", r->job);
  take_bias(f, r->job, pare_model_vocab_size(served_model(r->served)));
  if (seq2seq && o->presence_penalty != 0) fields_fail(f, "presence_penalty", not_here);
  if (seq2seq && o->frequency_penalty != 0) fields_fail(f, "frequency_penalty", not_here);
  if (seq2seq && o->bias_count) fields_fail(f, "logit_bias", not_here);
  r->job->top_count = fields_size(f, "logprobs", 0, 0, TOP_MAX);
  r->job->logprobs = r->c.logprobs || r->c.best_of > r->c.n;
  r->job->score = r->c.logprobs && r->c.echo;
  r->job->stream = fields_flag(f, "stream", false);
  if (r->job->stream && r->c.best_of > r->c.n) fields_fail(f, "best_of", "n, as a stream cannot be taken back");
  if (!r->job->stream && fields_has(f, "stream_options"))
    fields_fail(f, "stream_options", "none without \"stream\": true");
  uint64_t seed = inputs_seed(f);
  o->seed = seed;
  for (size_t i = 0; i < r->job->count; i++) r->job->items[i].seed = seed + i;
}

static bool make_job(struct reading *r) {
  if (!r->f.ok) return false;
  size_t per = r->c.best_of, count = r->prompts.count * per;
  r->job = job_new((struct served *)r->served, JOB_GENERATE, count);
  struct completion *state = r->job ? job_alloc(r->job, sizeof *state) : NULL;
  bool fine = state != NULL;
  for (size_t i = 0; fine && i < count; i++) {
    struct job_item *item = &r->job->items[i], *first = &r->job->items[i - i % per];
    if (i % per) {
      *item = *first; // the same prompt
    } else {
      fine = inputs_put(&r->prompts, i / per, r->job, item);
    }
  }
  r->c.sent = fine ? job_alloc(r->job, count * sizeof *r->c.sent) : NULL;
  if (!r->c.sent) {
    inputs_no_memory(&r->f);
    return false;
  }
  *state = r->c;
  r->f.x->state = state;
  return true;
}

static void handle(struct exchange *x) {
  struct reading r = {.f = fields_of_body(x), .c = {.created = time(NULL)}};
  const char *name = fields_text(&r.f, "model", NULL);
  struct served *s = r.f.ok ? exchange_model(x, name) : NULL;
  if (!s) return;
  r.served = s;
  read_counts(&r);
  read_prompts(&r);
  check_model(&r);
  if (make_job(&r)) read_options(&r);
  served_release(s);
  if (!r.f.ok) {
    job_free(r.job);
    x->state = NULL;
    return;
  }
  if (r.job->stream) x->content_type = "text/event-stream";
  exchange_submit(x, r.job, &completion_answer);
}

const struct route completions_routes[] = {
    {"POST", "/v1/completions", handle, ERROR_OPENAI, "completions"},
};
const size_t completions_route_count = sizeof completions_routes / sizeof *completions_routes;
