// inputs.c - see inputs.h.
#include "inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { STOPS_MAX = 16 };

void inputs_no_memory(struct fields *f) {
  exchange_fail(f->x, 500, NULL, "out of memory");
  f->ok = false;
}

// ---- texts and ids ------------------------------------------------------------------------------------------------

static const json_t *input_at(const struct inputs *in, size_t i) {
  return in->many ? json_array_get(in->value, i) : in->value;
}

static bool check_ids(struct fields *f, const char *key, const struct inputs *in, size_t i, size_t vocab,
                      size_t longest) {
  const json_t *ids = input_at(in, i);
  size_t n = json_array_size(ids), at = 0;
  const json_t *id = NULL;
  while (at < n && (id = json_array_get(ids, at)) && json_is_integer(id) && json_integer_value(id) >= 0 &&
         json_integer_value(id) < (json_int_t)vocab)
    at++;
  if (at < n && !json_is_integer(id)) {
    exchange_fail(f->x, 400, key, "%s: expected an id at position %zu of item %zu, found something else", key, at, i);
  } else if (at < n) {
    exchange_fail(f->x, 400, key, "%s: expected ids from 0 to %zu, found %lld at position %zu of item %zu", key,
                  vocab - 1, (long long)json_integer_value(id), at, i);
  } else if (n < 1 || n > longest) {
    exchange_fail(f->x, 400, key, "%s: expected 1 to %zu ids in item %zu, found %zu", key, longest, i, n);
  } else {
    return true;
  }
  f->ok = false;
  return false;
}

bool inputs_of_body(struct fields *f, const char *key, const struct served *s, size_t limit, size_t longest,
                    struct inputs *out) {
  json_t *value = fields_any(f, key), *first = json_is_array(value) ? json_array_get(value, 0) : NULL;
  *out = (struct inputs){.value = value, .many = first && !json_is_integer(first)};
  out->ids = json_is_array(out->many ? first : value);
  out->count = out->many ? json_array_size(value) : 1;
  bool fits = (first || json_is_string(value)) && out->count <= limit;
  for (size_t i = 0; fits && i < out->count; i++)
    fits = out->ids ? json_is_array(input_at(out, i)) : json_is_string(input_at(out, i));
  if (!fits) {
    char expected[120];
    snprintf(expected, sizeof expected, "a text, ids, or a list of 1 to %zu texts or of so many lists of ids", limit);
    fields_fail(f, key, expected);
  }
  size_t vocab = pare_model_vocab_size(served_model(s));
  for (size_t i = 0; f->ok && out->ids && i < out->count; i++) check_ids(f, key, out, i, vocab, longest);
  return f->ok;
}

bool inputs_put_text(const struct pare_text *text, struct job *job, struct job_item *item) {
  item->text = (struct pare_text){.text = job_strdup(job, text->text, text->len), .len = text->len};
  return item->text.text != NULL;
}

bool inputs_put(const struct inputs *in, size_t i, struct job *job, struct job_item *item) {
  const json_t *value = input_at(in, i);
  if (!in->ids) {
    struct pare_text text = {.text = json_string_value(value), .len = json_string_length(value)};
    return inputs_put_text(&text, job, item);
  }
  size_t n = json_array_size(value);
  uint32_t *ids = job_alloc(job, n * sizeof *ids);
  if (!ids) return false;
  for (size_t k = 0; k < n; k++) ids[k] = (uint32_t)json_integer_value(json_array_get(value, k));
  item->ids = ids;
  item->id_count = n;
  return true;
}

struct job *inputs_texts_job(struct fields *f, struct served *s, const char *key, enum job_op op, size_t times) {
  size_t count = 0, limit = f->x->config->limits.texts / times;
  struct pare_text *texts = limit ? fields_texts(f, key, limit, &count) : NULL;
  if (!limit) fields_fail(f, key, "fewer answers in one request");
  struct job *job = texts ? job_new(s, op, count * times) : NULL;
  bool fine = job != NULL;
  for (size_t i = 0; fine && i < count * times; i++) {
    if (i % times) {
      job->items[i] = job->items[i - 1];
    } else {
      fine = inputs_put_text(&texts[i / times], job, &job->items[i]);
    }
  }
  if (texts && !fine) {
    inputs_no_memory(f);
    job_free(job);
    job = NULL;
  }
  free(texts);
  return job;
}

// ---- options ------------------------------------------------------------------------------------------------------

void inputs_sampling(struct fields *f, double temperature, struct pare_generate_options *out) {
  out->temperature = fields_number(f, "temperature", temperature, 0, 100);
  out->top_p = fields_number(f, "top_p", 1, 0, 1);
  if (out->top_p == 0) out->temperature = 0;
  const json_t *k = fields_any(f, "top_k");
  // vLLM's clients write -1 where they want none.
  bool off = json_is_integer(k) && json_integer_value(k) == -1;
  out->top_k = off ? 0 : fields_size(f, "top_k", 0, 0, UINT32_MAX);
  out->min_p = fields_number(f, "min_p", 0, 0, 1);
  out->repetition_penalty = fields_number(f, "repetition_penalty", 1, 0.01, 100);
}

uint64_t inputs_seed(struct fields *f) {
  const json_t *value = fields_any(f, "seed");
  uint64_t seed = 0;
  if (json_is_integer(value)) {
    seed = (uint64_t)json_integer_value(value);
  } else if (value) {
    fields_fail(f, "seed", "a whole number");
  } else if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
    exchange_fail(f->x, 500, NULL, "no random numbers");
    f->ok = false;
  }
  return seed;
}

const char *const *inputs_strings(struct fields *f, const char *key, size_t limit, struct job *job, size_t *count) {
  const char **borrowed = fields_strings(f, key, limit, count);
  if (!borrowed) return NULL;
  const char **out = job_alloc(job, *count * sizeof *out);
  bool copied = out != NULL;
  for (size_t i = 0; copied && i < *count; i++) {
    out[i] = job_strdup(job, borrowed[i], strlen(borrowed[i]));
    copied = out[i] != NULL;
  }
  free(borrowed);
  if (copied) return out;
  *count = 0;
  inputs_no_memory(f);
  return NULL;
}

void inputs_stop(struct fields *f, const char *key, struct job *job) {
  // An empty list asks for nothing.
  const json_t *value = fields_any(f, key);
  if (json_is_array(value) && !json_array_size(value)) return;
  struct pare_generate_options *o = &job->generate;
  o->stop = inputs_strings(f, key, STOPS_MAX, job, &o->stop_count);
  for (size_t i = 0; i < o->stop_count; i++)
    if (!o->stop[i][0]) fields_fail(f, key, "texts that are not empty");
}
