// oip_generate.c - POST /v2/models/{model}[/versions/{version}]/generate and /generate_stream: {text_input, parameters}
// -> {text_output, model_name, model_version, details}; as a stream the same, a server-sent event for each token, whose
// text_output is what that token added. Without details several tokens may come in one event.
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "inputs.h"
#include "oip.h"

struct generate {
  bool details;
  size_t sent; // bytes of the text that went out
};

// ---- the request ----------------------------------------------------------------------------------------------------

// What is absent: a language model's next tokens are the most probable ones, 20 of them as the protocol says; an
// encoder-decoder follows its own configuration.
static bool read_parameters(struct fields *p, struct job *job, struct generate *g) {
  struct pare_generate_options *o = &job->generate;
  bool own = job->served->task == PARE_TASK_SEQ2SEQ;
  size_t most = p->x->config->limits.max_tokens;
  o->max_tokens = fields_size(p, "max_tokens", own ? 0 : size_min(20, most), 1, most);
  bool own_penalty = own && !fields_has(p, "repetition_penalty");
  inputs_sampling(p, 0, o);
  if (own_penalty) o->repetition_penalty = 0;
  o->presence_penalty = fields_number(p, "presence_penalty", 0, -2, 2);
  o->frequency_penalty = fields_number(p, "frequency_penalty", 0, -2, 2);
  // A search takes no temperature; who gives one wants to draw.
  if (own && o->temperature > 0) o->beams = 1;
  o->seed = job->items[0].seed = inputs_seed(p);
  inputs_stop(p, "stop", job);
  g->details = fields_flag(p, "details", false);
  job->logprobs = g->details && !own; // a search has none
  return p->ok;
}

static bool fill(struct exchange *x, struct fields *f, struct job *job) {
  struct fields p = fields_below(f, "parameters");
  struct generate *g = job_alloc(job, sizeof *g);
  const json_t *text = fields_any(f, "text_input");
  x->state = g;
  if (!g) {
    inputs_no_memory(f);
    return false;
  }
  if (!json_is_string(text)) {
    fields_fail(f, "text_input", "a text");
    return false;
  }
  const struct pare_text prompt = {.text = json_string_value(text), .len = json_string_length(text)};
  if (!inputs_put_text(&prompt, job, &job->items[0])) {
    inputs_no_memory(f);
    return false;
  }
  return read_parameters(&p, job, g);
}

static void generate(struct exchange *x, bool stream, const struct answer *answer) {
  struct served *s = oip_model(x);
  if (!s) return;
  struct fields f = fields_of_body(x);
  struct job *job = NULL;
  if (!oip_generates(s)) {
    exchange_fail(x, 400, NULL, "the model '%.200s' writes no text: POST /v2/models/%.200s/infer", s->name, s->name);
  } else if (f.ok && !(job = job_new(s, JOB_GENERATE, 1))) {
    exchange_fail(x, 500, NULL, "out of memory");
  } else if (job && fill(x, &f, job)) {
    job->stream = stream;
    exchange_submit(x, job, answer);
    job = NULL;
  }
  if (job) x->state = NULL;
  job_free(job);
  served_release(s);
}

// ---- the answer -----------------------------------------------------------------------------------------------------

static const char *finish_name(enum pare_finish finish) {
  static const char *const names[] = {
      [PARE_FINISH_LENGTH] = "length", [PARE_FINISH_EOS] = "eos_token", [PARE_FINISH_STOP] = "stop_sequence"};
  return names[finish];
}

// Where the text of the tokens before `i` ends: at a whole character, and not behind a stop text.
static size_t text_before(const struct job_item *item, size_t i) {
  size_t end = size_min(i ? item->ends[i - 1] : 0, item->output_len);
  while (end > 0 && end < item->output_len && ((unsigned char)item->output[end] & 0xC0) == 0x80) end--;
  return end;
}

static json_t *text_of(const struct job_item *item, size_t from, size_t to) {
  return json_stringn(item->output ? item->output + from : "", to - from);
}

// A token by itself, decoded; "" for a special one unless `whole`. To be freed; NULL: no memory.
static char *decoded(const pare_model *m, uint32_t id, bool whole) {
  char *text = NULL;
  return pare_detokenize(m, &id, 1, !whole, &text, NULL) ? NULL : text;
}

static json_t *token_of(const struct job *job, size_t i) {
  const struct job_item *item = &job->items[0];
  const pare_model *m = served_model(job->served);
  char *whole = decoded(m, item->output_ids[i], true), *bare = decoded(m, item->output_ids[i], false);
  bool special = whole && bare && *whole && !*bare;
  // What a search found comes in one piece, of which no token's share is known.
  json_t *text = job->served->task == PARE_TASK_SEQ2SEQ ? json_string(whole)
                                                        : text_of(item, text_before(item, i), text_before(item, i + 1));
  json_t *logprob = item->logprobs ? json_real((double)item->logprobs[item->tokens + i]) : json_null();
  free(whole);
  free(bare);
  return json_pack("{s:I, s:o, s:o, s:b}", "id", (json_int_t)item->output_ids[i], "text", text ? text : json_string(""),
                   "logprob", logprob ? logprob : json_null(), "special", special);
}

static void set_finish(json_t *details, const struct job *job) {
  const struct job_item *item = &job->items[0];
  json_object_set_new(details, "finish_reason", json_string(finish_name(item->finish)));
  json_object_set_new(details, "prompt_tokens", json_integer((json_int_t)item->tokens));
  json_object_set_new(details, "generated_tokens", json_integer((json_int_t)item->output_count));
  // What would give the same answer again.
  if (job->generate.temperature > 0) json_object_set_new(details, "seed", json_integer((json_int_t)item->seed));
}

static void write_whole(struct exchange *x) {
  const struct job *job = x->job;
  const struct generate *g = x->state;
  const struct job_item *item = &job->items[0];
  json_t *out = oip_head(job->served);
  json_object_set_new(out, "text_output", text_of(item, 0, item->output_len));
  if (g->details) {
    json_t *details = json_object(), *tokens = json_array();
    set_finish(details, job);
    for (size_t i = 0; i < item->output_count; i++) json_array_append_new(tokens, token_of(job, i));
    json_object_set_new(details, "logprobs", tokens);
    json_object_set_new(out, "details", details);
  }
  exchange_json(x, 200, out);
}

static void write_event(struct exchange *x, json_t *value) {
  buf_puts(&x->out, "data: ");
  exchange_write(x, value);
  buf_puts(&x->out, "\n\n");
}

// The text up to `to`, with that token (SIZE_MAX: none), and why it ended if it did.
static void write_piece(struct exchange *x, size_t to, size_t token, bool last) {
  struct generate *g = x->state;
  const struct job *job = x->job;
  json_t *out = oip_head(job->served);
  json_object_set_new(out, "text_output", text_of(&job->items[0], g->sent, to));
  g->sent = to;
  if (g->details) {
    json_t *details = json_object();
    if (token != SIZE_MAX) json_object_set_new(details, "token", token_of(job, token));
    if (last) set_finish(details, job);
    json_object_set_new(out, "details", details);
  }
  write_event(x, out);
}

static void write_pieces(struct exchange *x, size_t index, size_t text_from, size_t token_from, bool last) {
  const struct job_item *item = &x->job->items[index];
  const struct generate *g = x->state;
  size_t n = item->output_count, len = item->output_len;
  (void)text_from; // what went out is counted here: a token's text may come later than the token
  for (size_t i = token_from; g->details && i < n; i++) {
    size_t to = i + 1 < n && item->ends ? size_max(text_before(item, i + 1), g->sent) : len;
    write_piece(x, to, i, last && i + 1 == n);
  }
  if (g->details && n > token_from) return;
  if (len > g->sent || last) write_piece(x, len, SIZE_MAX, last);
}

// Too late for a status: the error is the last event.
static void write_end(struct exchange *x) {
  const char *why = x->job->error.text;
  if (x->job->failure != JOB_FINE) write_event(x, json_pack("{s:s}", "error", *why ? why : "broken off"));
}

void oip_generate(struct exchange *x) {
  static const struct answer answer = {.whole = write_whole};
  generate(x, false, &answer);
}

void oip_generate_stream(struct exchange *x) {
  static const struct answer answer = {.piece = write_pieces, .end = write_end};
  generate(x, true, &answer);
}
