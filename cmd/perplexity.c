// perplexity.c - pare perplexity
#include <stdlib.h>

#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *data, *base;
  size_t context, stride, limit;
};

static enum pare_status measure(const struct options *o, const struct opened *opened, const char *base,
                                pare_record **record, struct pare_error *err) {
  struct progress progress;
  struct pare_perplexity_options options = {.base = base,
                                            .context = o->context,
                                            .stride = o->stride,
                                            .limit = o->limit,
                                            .progress = progress_start(&progress, &o->common)};
  enum pare_status status = pare_perplexity(opened->engine, opened->path, o->data, &options, record, err);
  progress_end(&progress);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct opened opened = {0};
  pare_record *record = NULL;
  char *base = NULL;
  if (args->count != 1)
    return error_set(err, PARE_USAGE, "perplexity: expected one MODEL, found %zu arguments", args->count);
  if (!o->data) return error_set(err, PARE_USAGE, "perplexity: expected --data FILE.txt");
  enum pare_status status = resolve_model(args->words[0], &opened.path, err);
  if (status == PARE_OK && o->base) status = resolve_model(o->base, &base, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) status = measure(o, &opened, base, &record, err);
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  free(base);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"data", 0, ARG_STRING, offsetof(struct options, data), "FILE.txt", "the text, read whole"},
    {"base", 0, ARG_STRING, offsetof(struct options, base), "MODEL",
     "the original: adds KL divergence and how often the likeliest token is the same"},
    {"context", 0, ARG_SIZE, offsetof(struct options, context), "N", "tokens in a window (the model's longest)"},
    {"stride", 0, ARG_SIZE, offsetof(struct options, stride), "N", "tokens a window moves by (half a window)"},
    {"limit", 0, ARG_SIZE, offsetof(struct options, limit), "N", "only the first N tokens of the text"},
};
static const struct arg_spec spec = {
    .name = "perplexity",
    .usage = "MODEL --data FILE.txt [--base MODEL] [options]",
    .about =
        "Measures how well a language model predicts a text. The text is cut into windows; a window scores the tokens "
        "that no\n"
        "earlier window scored. Compare perplexities only of the same tokenizer, text, context and stride. --json:\n"
        "perplexity, ci95, nll, tokens, bits_per_byte, and with --base kl_mean, kl_p99, same_top and more.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare perplexity path/to/gpt2 --data text.txt --context 512\n"
        "  pare perplexity gpt2-int8 --base path/to/gpt2 --data text.txt\n",
    .run = run,
};

enum pare_status cmd_perplexity(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
