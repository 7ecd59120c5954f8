// bench_generation.c - runs that read prompts and continue them greedily: how long until the first new token, and how
// long for each one after it.
#include <stdlib.h>

#include "base/error.h"
#include "base/size.h"
#include "eval/bench_kinds.h"
#include "eval/stats_fill.h"
#include "report/record.h"

static void end(struct bench *b) {
  for (size_t k = 0; k < 2; k++) {
    greedy_close(b->stream[k].greedy);
    free(b->stream[k].first_ms);
    free(b->stream[k].token_ms);
    b->stream[k] = (struct bench_stream){0};
  }
}

static enum pare_status choose(struct bench *b, struct pare_error *err) {
  const struct pare_bench_options *o = b->options;
  b->batches_default = 1;
  b->prompts_default = 16;
  b->across = o->stream_count ? o->streams : &b->batches_default;
  b->across_count = o->stream_count ? o->stream_count : 1;
  b->along = o->prompt_count ? o->prompts : &b->prompts_default;
  b->along_count = o->prompt_count ? o->prompt_count : 1;
  b->rows = b->across_count * b->along_count;
  b->work.greedy = (struct greedy_size){.streams = bench_largest(b->across, b->across_count),
                                        .prompt = bench_largest(b->along, b->along_count),
                                        .generate = o->generate};
  enum pare_status status = PARE_OK;
  for (size_t k = 0; status == PARE_OK && k < b->count; k++)
    status = greedy_check(b->subjects[k].model, &b->work.greedy, err);
  return status;
}

static enum pare_status begin(struct bench *b, size_t row, struct pare_error *err) {
  b->size = (struct greedy_size){.streams = b->across[row / b->along_count],
                                 .prompt = b->along[row % b->along_count],
                                 .generate = b->options->generate};
  const struct rng before = b->rng;
  for (size_t k = 0; k < b->count; k++) {
    struct bench_stream *s = &b->stream[k];
    s->first_ms = calloc(b->iterations, sizeof *s->first_ms);
    s->token_ms = calloc(b->iterations, sizeof *s->token_ms);
    if (!s->first_ms || !s->token_ms) return error_no_memory(err);
    b->rng = before; // the same prompts for both models
    enum pare_status status =
        greedy_open(b->subjects[k].model, &b->size, bench_smallest_vocabulary(b), &b->rng, &s->greedy, err);
    if (status != PARE_OK) return status;
  }
  return PARE_OK;
}

static enum pare_status run(struct bench *b, size_t k, size_t i, struct pare_error *err) {
  struct bench_stream *s = &b->stream[k];
  enum pare_status status = greedy_run(s->greedy, &s->cost, err);
  b->subjects[k].latency_ms[i] = s->cost.first_ms + s->cost.rest_ms;
  s->first_ms[i] = s->cost.first_ms;
  s->token_ms[i] = b->size.generate > 1 ? s->cost.rest_ms / (double)(b->size.generate - 1) : 0;
  return status;
}

// What a part of a run reached: `tokens` of all streams, and the work counted, in `ms`.
static json_t *part_json(double tokens, struct nn_counters n, double ms) {
  return json_pack("{s:f, s:f, s:f}", "tokens_per_s", tokens / (ms * 1e-3), "gops", (double)n.operations / (ms * 1e6),
                   "gb_per_s", (double)n.weight_bytes / (ms * 1e6));
}

static int fill_decode(const struct bench *b, const struct bench_stream *s, json_t *line) {
  double token_ms = 0;
  if (b->size.generate == 1)
    return record_set_null(line, "decode", "one new token: it comes with the prompt") |
           record_set_null(line, "token_ms", "one new token: it comes with the prompt");
  record_number(line, "token_ms.median", &token_ms); // above 0: fill has looked
  struct nn_counters step = s->cost.rest;
  step.operations /= b->size.generate - 1;
  step.weight_bytes /= b->size.generate - 1;
  return json_object_set_new(line, "decode", part_json((double)b->size.streams, step, token_ms));
}

static enum pare_status fill(const struct bench *b, size_t k, json_t *line, struct pare_error *err) {
  const struct bench_stream *s = &b->stream[k];
  const struct greedy_size *z = &b->size;
  double median = 0, first = 0, prompt = (double)(z->streams * z->prompt), made = (double)(z->streams * z->generate);
  enum pare_status status =
      fill_times(line, "first_token_ms", "first_token_samples_ms", s->first_ms, b->iterations, err);
  if (status == PARE_OK && z->generate > 1)
    status = fill_times(line, "token_ms", "token_samples_ms", s->token_ms, b->iterations, err);
  if (status != PARE_OK) return status;
  double token = 1;
  if (!record_number(line, "latency_ms.median", &median) || !record_number(line, "first_token_ms.median", &first) ||
      (z->generate > 1 && !record_number(line, "token_ms.median", &token)) || first <= 0 || token <= 0)
    return error_set(err, PARE_BUG, "a run took no time");
  struct nn_counters whole = {.operations = s->cost.first.operations + s->cost.rest.operations,
                              .weight_bytes = s->cost.first.weight_bytes + s->cost.rest.weight_bytes};
  json_t *shape = json_pack("{s:I, s:I, s:I}", "streams", (json_int_t)z->streams, "prompt", (json_int_t)z->prompt,
                            "generate", (json_int_t)z->generate);
  int bad = json_object_set_new(line, "shape", shape);
  json_t *all = part_json(made, whole, median);
  bad |= json_object_update_missing(line, all);
  json_decref(all);
  bad |= json_object_set_new(line, "prefill", part_json(prompt, s->cost.first, first));
  bad |= fill_decode(b, s, line);
  return bad ? error_no_memory(err) : PARE_OK;
}

static enum pare_status compare(const struct bench *b, json_t *against, struct pare_error *err) {
  const struct bench_stream *s = b->stream;
  int bad = json_object_set_new(against, "prefill_ratio", bench_ratio(b, s[0].first_ms, s[1].first_ms));
  bad |= b->size.generate == 1
             ? record_set_null(against, "decode_ratio", "one new token: it comes with the prompt")
             : json_object_set_new(against, "decode_ratio", bench_ratio(b, s[0].token_ms, s[1].token_ms));
  return bad ? error_no_memory(err) : PARE_OK;
}

const struct bench_kind bench_generation = {
    .choose = choose, .begin = begin, .run = run, .fill = fill, .compare = compare, .end = end};
