// bench_batches.c - runs that are one call of session_logits: equal sequences of random ids, or the texts of a file as
// one ragged batch.
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/size.h"
#include "eval/bench_kinds.h"
#include "report/record.h"

// ---- what both have in common ----

static void batch_free(struct bench_batch *x) {
  for (size_t i = 0; x->texts && i < x->count; i++) encoded_free(&x->texts[i]);
  free(x->texts);
  free(x->sequences);
  free(x->ids);
  free(x->logits);
  *x = (struct bench_batch){0};
}

static void end(struct bench *b) {
  for (size_t k = 0; k < 2; k++) batch_free(&b->batch[k]);
}

static enum pare_status make_logits(struct bench_batch *x, const pare_model *m, struct pare_error *err) {
  size_t values = 0;
  bool fits = true;
  for (size_t i = 0; fits && i < x->count; i++) {
    size_t each;
    fits = size_mul(session_rows(m, x->sequences[i].len), session_columns(m), &each) && size_add(values, each, &values);
  }
  x->logits = fits ? calloc(values, sizeof *x->logits) : NULL;
  return x->logits ? PARE_OK : error_no_memory(err);
}

static enum pare_status run(struct bench *b, size_t k, size_t i, struct pare_error *err) {
  struct eval_subject *s = &b->subjects[k];
  const struct bench_batch *x = &b->batch[k];
  s->session->ctx.counters = (struct nn_counters){0}; // every run does the same: the last one's are read
  uint64_t start = clock_ns();
  enum pare_status status = session_logits(s->session, x->sequences, x->count, x->logits, err);
  s->latency_ms[i] = (double)(clock_ns() - start) * 1e-6;
  return status;
}

static enum pare_status fill_rates(const struct bench *b, size_t k, json_t *line, struct pare_error *err) {
  double median = 0;
  if (!record_number(line, "latency_ms.median", &median) || median <= 0)
    return error_set(err, PARE_BUG, "a run took no time");
  const struct nn_counters *n = &b->subjects[k].session->ctx.counters;
  int bad = json_object_set_new(line, "tokens_per_s", json_real((double)b->batch[k].tokens / (median * 1e-3)));
  bad |= json_object_set_new(line, "gops", json_real((double)n->operations / (median * 1e6)));
  bad |= json_object_set_new(line, "gb_per_s", json_real((double)n->weight_bytes / (median * 1e6)));
  return bad ? error_no_memory(err) : PARE_OK;
}

// ---- random ids ----

static enum pare_status choose_ids(struct bench *b, struct pare_error *err) {
  const struct pare_bench_options *o = b->options;
  b->batches_default = 1;
  b->across = o->batch_count ? o->batches : &b->batches_default;
  b->across_count = o->batch_count ? o->batch_count : 1;
  b->along = o->length_count ? o->lengths : b->lengths_default;
  b->along_count = o->length_count;
  size_t longest = bench_longest_input(b);
  const size_t wanted[] = {16, 64, o->max_tokens ? o->max_tokens : SIZE_MAX};
  for (size_t i = 0; !o->length_count && i < 3; i++) {
    size_t length = size_min(size_min(wanted[i], wanted[2]), longest);
    if (b->along_count == 0 || b->lengths_default[b->along_count - 1] != length)
      b->lengths_default[b->along_count++] = length;
  }
  b->work.tokens = bench_largest(b->along, b->along_count);
  b->rows = b->across_count * b->along_count;
  if (b->work.tokens > longest)
    return error_set(err, PARE_USAGE, "expected lengths up to the model's %zu tokens, found %zu", longest,
                     b->work.tokens);
  bool fits = size_mul(bench_largest(b->across, b->across_count), b->work.tokens, &b->session_tokens);
  return fits ? PARE_OK : error_no_memory(err);
}

static enum pare_status begin_ids(struct bench *b, size_t row, struct pare_error *err) {
  size_t count = b->across[row / b->along_count], length = b->along[row % b->along_count];
  size_t V = bench_smallest_vocabulary(b);
  const struct rng before = b->rng;
  for (size_t k = 0; k < b->count; k++) {
    struct bench_batch *x = &b->batch[k];
    *x = (struct bench_batch){.count = count, .tokens = count * length, .longest = length};
    x->ids = calloc(x->tokens, sizeof *x->ids);
    x->sequences = calloc(count, sizeof *x->sequences);
    if (!x->ids || !x->sequences) return error_no_memory(err);
    b->rng = before; // the same ids for both models
    for (size_t i = 0; i < x->tokens; i++) x->ids[i] = (uint32_t)rng_below(&b->rng, V);
    for (size_t i = 0; i < count; i++)
      x->sequences[i] = (struct pare_sequence){.ids = x->ids + i * length, .len = length};
    enum pare_status status = make_logits(x, b->subjects[k].model, err);
    if (status != PARE_OK) return status;
  }
  return PARE_OK;
}

static enum pare_status fill_ids(const struct bench *b, size_t k, json_t *line, struct pare_error *err) {
  const struct bench_batch *x = &b->batch[k];
  json_t *shape = json_pack("{s:I, s:I}", "batch", (json_int_t)x->count, "length", (json_int_t)x->longest);
  if (json_object_set_new(line, "shape", shape)) return error_no_memory(err);
  return fill_rates(b, k, line, err);
}

const struct bench_kind bench_ids = {
    .choose = choose_ids, .begin = begin_ids, .run = run, .fill = fill_ids, .end = end};

// ---- the texts of a file ----

static enum pare_status read_texts(struct bench *b, size_t k, struct pare_error *err) {
  struct bench_batch *x = &b->batch[k];
  pare_model *m = b->subjects[k].model;
  x->count = b->data->count;
  x->sequences = calloc(x->count, sizeof *x->sequences);
  x->texts = calloc(x->count, sizeof *x->texts);
  if (!x->sequences || !x->texts) return error_no_memory(err);
  for (size_t i = 0; i < x->count; i++) {
    struct pare_text text = dataset_text(b->data, i);
    struct encoded *e = &x->texts[i];
    enum pare_status status = model_tokenize(m, &text, b->options->max_tokens, false, e, err);
    if (status != PARE_OK) return status;
    x->sequences[i] = (struct pare_sequence){.ids = e->ids, .types = e->types, .len = e->len};
    x->longest = size_max(x->longest, e->len);
    if (!size_add(x->tokens, e->len, &x->tokens)) return error_no_memory(err);
  }
  return make_logits(x, m, err);
}

// Both models read the same texts, each by its own tokenizer.
static enum pare_status choose_texts(struct bench *b, struct pare_error *err) {
  const struct pare_bench_options *o = b->options;
  enum pare_status status = dataset_open(o->data, &o->source, &b->data, err);
  for (size_t k = 0; status == PARE_OK && k < b->count; k++) status = read_texts(b, k, err);
  for (size_t k = 0; status == PARE_OK && k < b->count; k++) {
    b->session_tokens = size_max(b->session_tokens, size_max(b->batch[k].tokens, 1));
    b->work.tokens = size_max(b->work.tokens, size_max(b->batch[k].longest, 1));
  }
  b->rows = 1;
  return status;
}

static enum pare_status begin_texts(struct bench *b, size_t row, struct pare_error *err) {
  (void)b;
  (void)row;
  (void)err;
  return PARE_OK; // read once, by choose_texts
}

static enum pare_status fill_texts(const struct bench *b, size_t k, json_t *line, struct pare_error *err) {
  const struct bench_batch *x = &b->batch[k];
  json_t *shape = json_pack("{s:I, s:I, s:I}", "texts", (json_int_t)x->count, "tokens", (json_int_t)x->tokens,
                            "longest", (json_int_t)x->longest);
  if (json_object_set_new(line, "shape", shape)) return error_no_memory(err);
  return fill_rates(b, k, line, err);
}

const struct bench_kind bench_texts = {
    .choose = choose_texts, .begin = begin_texts, .run = run, .fill = fill_texts, .end = end};
