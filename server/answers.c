// answers.c - see answers.h.
#include "answers.h"

#include <stdlib.h>
#include <string.h>

#include "models.h"

bool answer_is_kept(const struct job *job) {
  if (job->op != JOB_GENERATE) return true;
  return job->generate.temperature == 0 && !job->stream && !job->logprobs && !job->score;
}

static void add_bytes(struct buf *out, const char *bytes, size_t len) {
  buf_add(out, (const char *)&len, sizeof len); // so that "ab" + "c" is not "a" + "bc"
  if (len) buf_add(out, bytes, len);
}

static void add_strings(struct buf *out, const char *const *list, size_t n) {
  buf_add(out, (const char *)&n, sizeof n);
  for (size_t i = 0; i < n; i++) add_bytes(out, list[i], strlen(list[i]));
}

static void add_generation(struct buf *out, const struct pare_generate_options *g) {
  const double numbers[] = {g->repetition_penalty, g->length_penalty, g->presence_penalty, g->frequency_penalty};
  const size_t sizes[] = {
      g->max_tokens, g->beams, g->min_tokens, g->no_repeat_ngram, g->has_length_penalty, (size_t)g->early_stopping};
  buf_add(out, (const char *)numbers, sizeof numbers);
  buf_add(out, (const char *)sizes, sizeof sizes);
  add_strings(out, g->stop, g->stop_count);
  buf_add(out, (const char *)&g->bias_count, sizeof g->bias_count);
  for (size_t i = 0; i < g->bias_count; i++) {
    buf_add(out, (const char *)&g->bias[i].id, sizeof g->bias[i].id);
    buf_add(out, (const char *)&g->bias[i].bias, sizeof g->bias[i].bias);
  }
}

void answer_key(const struct job *job, const struct job_item *item, enum variant v, struct buf *out) {
  const struct pare_classify_options *c = &job->classify;
  const size_t kind[] = {job->served->version, v, job->op, job->raw, c->multi_label, c->max_tokens, item->ids != NULL};
  out->len = 0;
  add_bytes(out, job->served->name, strlen(job->served->name));
  buf_add(out, (const char *)kind, sizeof kind);
  add_strings(out, c->labels, c->label_count);
  add_bytes(out, c->template_text ? c->template_text : "", c->template_text ? strlen(c->template_text) : 0);
  if (job->op == JOB_GENERATE) add_generation(out, &job->generate);
  if (item->ids) {
    add_bytes(out, (const char *)item->ids, item->id_count * sizeof *item->ids);
    add_bytes(out, (const char *)item->types, item->types ? item->id_count : 0);
  } else {
    add_bytes(out, item->text.text, item->text.len);
    add_bytes(out, item->text.pair, item->text.pair ? item->text.pair_len : 0);
    buf_add(out, item->text.pair ? "1" : "0", 1);
  }
}

// A generated answer: this, the ids, their ends, the text.
struct said {
  size_t tokens, text_len, count;
  enum pare_finish finish;
};

static void *copy_of(const unsigned char **at, size_t bytes, size_t more) {
  unsigned char *out = malloc(bytes + more ? bytes + more : 1);
  if (out && bytes) memcpy(out, *at, bytes);
  *at += bytes;
  return out;
}

static bool unpack_said(const unsigned char *from, size_t len, struct job *job, struct job_item *item) {
  struct said s;
  memcpy(&s, from, sizeof s);
  from += sizeof s;
  if (len != sizeof s + s.count * (sizeof(uint32_t) + sizeof(size_t)) + s.text_len) return false;
  item->output_ids = copy_of(&from, s.count * sizeof(uint32_t), 0);
  item->ends = copy_of(&from, s.count * sizeof(size_t), 0);
  item->output = copy_of(&from, s.text_len, 1);
  if (!item->output_ids || !item->ends || !item->output) return false;
  item->output[s.text_len] = 0;
  item->output_len = s.text_len;
  item->output_count = s.count;
  item->finish = s.finish;
  item->tokens = s.tokens;
  item->prompt_ids = job_alloc(job, s.tokens * sizeof *item->prompt_ids);
  return true;
}

static bool find_said(struct cache *c, const struct buf *key, struct job *job, struct job_item *item) {
  size_t len, again;
  if (!cache_get(c, key->data, key->len, NULL, 0, &len)) return false;
  unsigned char *bytes = malloc(len);
  bool found = bytes && cache_get(c, key->data, key->len, bytes, len, &again) && again == len &&
               unpack_said(bytes, len, job, item);
  free(bytes);
  return found;
}

static void put_said(struct cache *c, const struct buf *key, const struct job_item *item) {
  const struct said s = {item->tokens, item->output_len, item->output_count, item->finish};
  struct buf out = {0};
  buf_add(&out, (const char *)&s, sizeof s);
  buf_add(&out, (const char *)item->output_ids, s.count * sizeof *item->output_ids);
  buf_add(&out, (const char *)item->ends, s.count * sizeof *item->ends);
  buf_add(&out, item->output, s.text_len);
  if (!out.failed) cache_put(c, key->data, key->len, out.data, out.len);
  buf_free(&out);
}

// Scores and logits lie side by side in the job (scheduler_prepare), so an answer is one run of floats.
static size_t floats_of(const struct job *job) {
  return job->op == JOB_CLASSIFY ? 2 * job_labels(job) : pare_model_output_width(served_model(job->served));
}

bool answer_find(struct cache *c, const struct buf *key, const struct job *job, struct job_item *item) {
  if (key->failed) return false;
  if (job->op == JOB_GENERATE) return find_said(c, key, (struct job *)job, item);
  size_t n = floats_of(job), bytes = (n + 1) * sizeof(float), len;
  float *answer = malloc(bytes);
  bool found = answer && cache_get(c, key->data, key->len, answer, bytes, &len) && len == bytes;
  if (found) {
    uint32_t tokens;
    memcpy(job->op == JOB_CLASSIFY ? item->scores : item->vector, answer, n * sizeof(float));
    memcpy(&tokens, answer + n, sizeof tokens);
    item->tokens = tokens;
  }
  free(answer);
  return found;
}

void answer_put(struct cache *c, const struct buf *key, const struct job *job, const struct job_item *item) {
  if (key->failed) return;
  if (job->op == JOB_GENERATE) {
    put_said(c, key, item);
    return;
  }
  size_t n = floats_of(job);
  float *answer = malloc((n + 1) * sizeof(float));
  if (!answer) return;
  uint32_t tokens = (uint32_t)item->tokens;
  memcpy(answer, job->op == JOB_CLASSIFY ? item->scores : item->vector, n * sizeof(float));
  memcpy(answer + n, &tokens, sizeof tokens);
  cache_put(c, key->data, key->len, answer, (n + 1) * sizeof(float));
  free(answer);
}
