// hf.c - POST /models/NAME, the Hugging Face Inference API: what is asked follows from the model's task, and from
// candidate labels being there. hf_answer.c writes what came of it.
#include "hf.h"

#include <stdlib.h>
#include <string.h>

#include "classifying.h"
#include "protocols.h"

enum { DEFAULT_TOKENS = 20, ANSWERS_MAX = 64 };

// ---- classification ------------------------------------------------------------------------------------------------

static void read_function(struct fields *f, struct hf *h) {
  static const char *const names[] = {
      [HF_OWN] = "default", [HF_SOFTMAX] = "softmax", [HF_SIGMOID] = "sigmoid", [HF_NONE] = "none"};
  const char *name = fields_text(f, "function_to_apply", names[HF_OWN]);
  size_t i = 0;
  while (i < sizeof names / sizeof *names && strcmp(names[i], name)) i++;
  if (i < sizeof names / sizeof *names) {
    h->function = (enum hf_function)i;
  } else {
    fields_fail(f, "function_to_apply", "\"softmax\", \"sigmoid\" or \"none\"");
  }
}

static struct job *classification(struct fields *f, struct fields *p, struct served *s, struct hf *h) {
  struct job *job = classifying_job(f, s, "inputs");
  if (!job) return NULL;
  classifying_candidates(p, job, "candidate_labels");
  h->zero_shot = job->classify.labels != NULL;
  h->top = fields_size(p, "top_k", CANDIDATES_MAX, 1, UINT32_MAX);
  if (!h->zero_shot) {
    read_function(p, h);
    return job;
  }
  const char *output = fields_text(p, "output", "list");
  h->pipeline = !strcmp(output, "pipeline");
  if (!h->pipeline && strcmp(output, "list")) fields_fail(p, "output", "\"list\" or \"pipeline\"");
  return job;
}

// ---- generation ----------------------------------------------------------------------------------------------------

// Greedy unless something was said that only drawing can do.
static void read_sampling(struct fields *p, struct pare_generate_options *o) {
  bool draws =
      fields_has(p, "temperature") || fields_has(p, "top_k") || fields_has(p, "top_p") || fields_has(p, "min_p");
  inputs_sampling(p, 1, o);
  if (!fields_flag(p, "do_sample", draws)) o->temperature = 0;
}

static void seed_items(struct fields *p, struct job *job) {
  uint64_t seed = inputs_seed(p);
  job->generate.seed = seed;
  for (size_t i = 0; i < job->count; i++) job->items[i].seed = seed + i;
}

static struct job *continuation(struct fields *f, struct fields *p, struct served *s, struct hf *h) {
  size_t most = f->x->config->limits.max_tokens, usual = DEFAULT_TOKENS < most ? DEFAULT_TOKENS : most;
  h->times = fields_size(p, "num_return_sequences", 1, 1, ANSWERS_MAX);
  h->prompt = fields_flag(p, "return_full_text", true);
  struct job *job = p->ok ? inputs_texts_job(f, s, "inputs", JOB_GENERATE, h->times) : NULL;
  if (!job) return NULL;
  struct pare_generate_options *o = &job->generate;
  o->max_tokens = fields_size(p, "max_new_tokens", usual, 1, most);
  read_sampling(p, o);
  inputs_stop(p, fields_has(p, "stop") ? "stop" : "stop_sequences", job);
  seed_items(p, job);
  return job;
}

static void read_early_stopping(struct fields *p, struct pare_generate_options *o) {
  const json_t *value = fields_any(p, "early_stopping");
  if (!value) return;
  const char *text = json_string_value(value);
  if (json_is_boolean(value)) {
    o->early_stopping = json_is_true(value) ? PARE_EARLY_TRUE : PARE_EARLY_FALSE;
  } else if (text && !strcmp(text, "never")) {
    o->early_stopping = PARE_EARLY_NEVER;
  } else {
    fields_fail(p, "early_stopping", "true, false or \"never\"");
  }
}

// max_length and min_length count the id that the decoder starts with, as transformers does. What is not given is the
// model's own generation_config.json's to say.
static void read_lengths(struct fields *p, size_t most, struct pare_generate_options *o) {
  bool new_most = fields_has(p, "max_new_tokens"), new_least = fields_has(p, "min_new_tokens");
  size_t longest =
      new_most ? fields_size(p, "max_new_tokens", 0, 1, most) : fields_size(p, "max_length", 1, 2, most + 1) - 1;
  const char *key = new_least ? "min_new_tokens" : "min_length";
  size_t least = fields_size(p, key, 0, 0, most);
  if (!new_least && least) least--;
  o->max_tokens = longest;
  o->min_tokens = least || !fields_has(p, key) ? least : PARE_OFF;
  if (longest && least > longest) fields_fail(p, key, "at most as long as the longest answer");
}

static struct job *summary(struct fields *f, struct fields *p, struct served *s, struct hf *h) {
  h->times = 1;
  struct job *job = inputs_texts_job(f, s, "inputs", JOB_GENERATE, 1);
  if (!job) return NULL;
  struct pare_generate_options *o = &job->generate;
  size_t most = f->x->config->limits.max_tokens;
  read_lengths(p, most, o);
  o->beams = fields_size(p, "num_beams", 0, 1, 64);
  bool own_penalty = !fields_has(p, "repetition_penalty");
  read_sampling(p, o);
  if (own_penalty) o->repetition_penalty = 0;
  if (o->beams > 1 && o->temperature > 0) fields_fail(p, "num_beams", "1 where tokens are drawn");
  o->has_length_penalty = fields_has(p, "length_penalty");
  o->length_penalty = fields_number(p, "length_penalty", 0, -1000, 1000);
  size_t ngram = fields_size(p, "no_repeat_ngram_size", 0, 0, most);
  o->no_repeat_ngram = ngram || !fields_has(p, "no_repeat_ngram_size") ? ngram : PARE_OFF;
  read_early_stopping(p, o);
  inputs_stop(p, "stop", job);
  seed_items(p, job);
  return job;
}

// ---- vectors -------------------------------------------------------------------------------------------------------

// How alike "source_sentence" and each of "sentences" are.
static struct job *similarities(struct fields *f, struct served *s) {
  struct fields in = fields_below(f, "inputs");
  size_t count = 0;
  struct pare_text *others = fields_texts(&in, "sentences", f->x->config->limits.texts - 1, &count);
  const json_t *one = fields_any(&in, "source_sentence");
  if (in.ok && !json_is_string(one)) fields_fail(&in, "source_sentence", "a text");
  struct job *job = in.ok ? job_new(s, JOB_EMBED, 1 + count) : NULL;
  struct pare_text first = {.text = json_string_value(one), .len = json_string_length(one)};
  bool fine = job && inputs_put_text(&first, job, &job->items[0]);
  for (size_t i = 0; fine && i < count; i++) fine = inputs_put_text(&others[i], job, &job->items[1 + i]);
  free(others);
  if (in.ok && !fine) inputs_no_memory(&in);
  f->ok = f->ok && in.ok;
  if (fine) return job;
  job_free(job);
  return NULL;
}

// huggingface_hub puts `normalize` beside the inputs.
static struct job *vectors(struct fields *f, struct served *s, struct hf *h) {
  h->similarity = json_is_object(fields_any(f, "inputs"));
  if (h->similarity) return similarities(f, s);
  struct job *job = inputs_texts_job(f, s, "inputs", JOB_EMBED, 1);
  if (job) job->raw = !fields_flag(f, "normalize", true);
  return job;
}

// ---- the request ---------------------------------------------------------------------------------------------------

static void read_settings(struct fields *f) {
  struct fields options = fields_below(f, "options");
  fields_flag(&options, "use_cache", true);
  fields_flag(&options, "wait_for_model", false);
  if (!options.ok) f->ok = false;
  fields_flag(f, "normalize", true); // whatever the model is
  if (fields_flag(f, "stream", false)) fields_fail(f, "stream", "false, as POST /v1/completions streams");
}

static struct job *make_job(struct fields *f, struct served *s, struct hf *h) {
  struct fields p = fields_below(f, "parameters"), generate = {0};
  if (s->task != PARE_TASK_CLASSIFY && fields_has(&p, "candidate_labels"))
    fields_fail(&p, "candidate_labels", "none, as the model does not classify");
  // huggingface_hub puts what its signature has no name for one level down.
  if (s->task == PARE_TASK_SEQ2SEQ && fields_has(&p, "generate_parameters")) {
    generate = fields_below(&p, "generate_parameters");
    if (generate.ok) generate.path = "parameters.generate_parameters.";
    if (generate.ok) p = generate;
  }
  struct job *job = NULL;
  f->ok = f->ok && p.ok;
  if (!f->ok) return NULL;
  switch (s->task) {
    case PARE_TASK_CLASSIFY: job = classification(f, &p, s, h); break;
    case PARE_TASK_LANGUAGE_MODEL: job = continuation(f, &p, s, h); break;
    case PARE_TASK_SEQ2SEQ: job = summary(f, &p, s, h); break;
    case PARE_TASK_ENCODE: job = vectors(f, s, h); break;
  }
  f->ok = f->ok && p.ok;
  return job;
}

static void handle(struct exchange *x) {
  struct fields f = fields_of_body(x);
  struct served *s = f.ok ? exchange_model(x, x->params[0]) : NULL;
  if (!s) return;
  struct hf h = {.task = s->task};
  read_settings(&f);
  struct job *job = make_job(&f, s, &h);
  served_release(s);
  struct hf *state = job ? job_alloc(job, sizeof *state) : NULL;
  if (job && !state) inputs_no_memory(&f);
  if (!job || !f.ok) {
    job_free(job);
    return;
  }
  const json_t *inputs = fields_any(&f, "inputs");
  h.many = json_is_array(inputs);
  *state = h;
  x->state = state;
  exchange_submit(x, job, &hf_answer);
}

const struct route hf_routes[] = {
    {"POST", "/models/{*}", handle, ERROR_PLAIN, "hf"},
};
const size_t hf_route_count = sizeof hf_routes / sizeof *hf_routes;
