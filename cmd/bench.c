// bench.c - pare bench
#include <stdlib.h>

#include "base/error.h"
#include "base/size.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *batches, *lengths, *against, *output, *labels, *template_text, *data, *text_column, *prompts, *streams;
  bool multi_label;
  size_t iterations, max_tokens, limit, generate;
  uint64_t seed;
};

struct shapes {
  size_t *batches, *lengths, *prompts, *streams;
  size_t batch_count, length_count, prompt_count, stream_count;
};

// Zero-shot asks one sequence per text and label; --max-tokens cuts as it would cut texts.
static enum pare_status read_shapes(const struct options *o, struct shapes *out, struct pare_error *err) {
  const char *batches = o->batches ? o->batches : o->labels ? "1" : NULL;
  enum pare_status status = PARE_OK;
  if (batches) status = args_split_sizes(batches, "batch", &out->batches, &out->batch_count, err);
  if (status == PARE_OK && o->lengths)
    status = args_split_sizes(o->lengths, "length", &out->lengths, &out->length_count, err);
  if (status == PARE_OK && o->prompts)
    status = args_split_sizes(o->prompts, "prompt", &out->prompts, &out->prompt_count, err);
  if (status == PARE_OK && o->streams)
    status = args_split_sizes(o->streams, "streams", &out->streams, &out->stream_count, err);
  struct labels labels = {0};
  if (status == PARE_OK && o->labels) status = labels_parse(o->labels, &labels, err);
  for (size_t i = 0; status == PARE_OK && labels.count && i < out->batch_count; i++) {
    if (!size_mul(out->batches[i], labels.count, &out->batches[i])) status = error_no_memory(err);
  }
  for (size_t i = 0; status == PARE_OK && o->max_tokens && i < out->length_count; i++) {
    out->lengths[i] = size_min(out->lengths[i], o->max_tokens);
  }
  labels_free(&labels);
  return status;
}

// What a run is: random ids, --data or --generate. An option of another kind of run would do nothing.
static enum pare_status check_kind(const struct options *o, struct pare_error *err) {
  bool shapes = o->batches || o->lengths || o->labels || o->template_text || o->multi_label;
  if (o->data && (o->generate || shapes))
    return error_set(err, PARE_USAGE,
                     "--data: the texts are one batch; --batch, --length, --labels and what goes with them, and "
                     "--generate do not go with it");
  if (!o->data && (o->limit || o->text_column))
    return error_set(err, PARE_USAGE, "--limit and --text-column go with --data");
  if (o->generate && (shapes || o->max_tokens))
    return error_set(err, PARE_USAGE,
                     "--generate goes with --prompt and --streams, not with --batch, --length, "
                     "--labels or --max-tokens");
  if (!o->generate && (o->prompts || o->streams))
    return error_set(err, PARE_USAGE, "--prompt and --streams go with --generate N, the number of new tokens");
  return PARE_OK;
}

static enum pare_status bench(const struct options *o, const char *model, struct pare_error *err) {
  struct opened opened = {0};
  struct shapes shapes = {0};
  struct progress progress = {.on = false};
  char *against = NULL;
  pare_record *record = NULL;
  enum pare_status status = read_shapes(o, &shapes, err);
  if (status == PARE_OK) status = resolve_model(model, &opened.path, err);
  if (status == PARE_OK && o->against) status = resolve_model(o->against, &against, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) {
    struct pare_bench_options options = {.against = against,
                                         .batches = shapes.batches,
                                         .batch_count = shapes.batch_count,
                                         .lengths = shapes.lengths,
                                         .length_count = shapes.length_count,
                                         .max_tokens = o->max_tokens,
                                         .iterations = o->iterations,
                                         .seed = o->seed,
                                         .data = o->data,
                                         .source = {.text_column = o->text_column, .limit = o->limit},
                                         .generate = o->generate,
                                         .prompts = shapes.prompts,
                                         .prompt_count = shapes.prompt_count,
                                         .streams = shapes.streams,
                                         .stream_count = shapes.stream_count,
                                         .progress = progress_start(&progress, &o->common)};
    status = pare_bench(opened.engine, opened.path, &options, &record, err);
    progress_end(&progress);
  }
  if (status == PARE_OK) status = output_file(record, PARE_JSON, o->output, err);
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  free(against);
  free(shapes.batches);
  free(shapes.lengths);
  free(shapes.prompts);
  free(shapes.streams);
  opened_close(&opened);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count != 1)
    return error_set(err, PARE_USAGE, "bench: expected one MODEL, found %zu arguments", args->count);
  enum pare_status status = check_kind(o, err);
  if (status == PARE_OK) status = output_probe(o->output, err);
  return status == PARE_OK ? bench(o, args->words[0], err) : status;
}

static const struct arg_option table[] = {
    {"batch", 0, ARG_STRING, offsetof(struct options, batches), "N,N", "sequences per run (1)"},
    {"length", 0, ARG_STRING, offsetof(struct options, lengths), "N,N", "tokens per sequence (16, 64 and the longest)"},
    {"iterations", 0, ARG_SIZE, offsetof(struct options, iterations), "N", "timed runs per shape (60)"},
    {"against", 0, ARG_STRING, offsetof(struct options, against), "OTHER",
     "a second model, run in turns; ratio above 1: MODEL is faster"},
    {"labels", 0, ARG_STRING, offsetof(struct options, labels), "A,B,C",
     "zero-shot: every text costs one sequence per label"},
    {"template", 0, ARG_STRING, offsetof(struct options, template_text), "TEXT",
     "as in classify; does not change the time"},
    {"multi-label", 0, ARG_FLAG, offsetof(struct options, multi_label), NULL,
     "as in classify; does not change the time"},
    {"data", 0, ARG_STRING, offsetof(struct options, data), "FILE",
     "instead: the texts of FILE (.csv, .tsv, .jsonl, .txt) as one batch,\nread by the model's tokenizer beforehand"},
    {"text-column", 0, ARG_STRING, offsetof(struct options, text_column), "NAME",
     "with --data: column with the text (text)"},
    {"limit", 0, ARG_SIZE, offsetof(struct options, limit), "N", "with --data: first N rows only"},
    {"max-tokens", 0, ARG_SIZE, offsetof(struct options, max_tokens), "N", "cut every length, and every text, to N"},
    {"generate", 0, ARG_SIZE, offsetof(struct options, generate), "N",
     "instead: read prompts of random ids and continue each by N tokens,\nthe likeliest each time"},
    {"prompt", 0, ARG_STRING, offsetof(struct options, prompts), "N,N", "with --generate: tokens per prompt (16)"},
    {"streams", 0, ARG_STRING, offsetof(struct options, streams), "N,N",
     "with --generate: prompts continued together (1)"},
    {"seed", 0, ARG_SEED, offsetof(struct options, seed), "N", "of the random token ids (0)"},
    {"output", 'o', ARG_STRING, offsetof(struct options, output), "FILE", "the record as JSON"},
};
static const struct arg_spec spec = {
    .name = "bench",
    .usage = "MODEL [options]",
    .about =
        "Times a model on random token ids (no tokenization) for every combination of --batch and --length: latency "
        "with\n"
        "percentiles, tokens per second, operations and weight bytes per second, memory, load time. With --data on the "
        "texts of\n"
        "a file; with --generate, of a model that writes text, reading and writing for every combination of --prompt "
        "and\n"
        "--streams: time to the first token and per token after it. --json: one object per shape.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare bench agnews-gpt2 --batch 1,8 --length 64\n"
        "  pare bench ./agnews-int8 --against agnews-gpt2 --length 64 --iterations 100\n"
        "  pare bench agnews-gpt2 --data texts.csv --limit 32 --max-tokens 128\n"
        "  pare bench ./my-gpt2-int8 --against ./my-gpt2 --generate 64 --prompt 16,512 --streams 1,8 --iterations 10\n",
    .run = run,
};

enum pare_status cmd_bench(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
