// info.c - pare info
#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
};

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count != 1) return error_set(err, PARE_USAGE, "info: expected one MODEL, found %zu arguments", args->count);
  struct opened opened = {0};
  pare_record *record = NULL;
  enum pare_status status = open_model(&o->common, args->words[0], &opened, err);
  if (status == PARE_OK) status = pare_model_info(opened.model, &record, err);
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  opened_close(&opened);
  return status;
}

static const struct arg_spec spec = {
    .name = "info",
    .usage = "MODEL [options]",
    .about =
        "Shows what a model is made of: architecture, task, labels, every tensor with its shape, encoding and bytes, "
        "and, for a\n"
        "model written by `pare quantize`, where it came from. MODEL is a Hugging Face directory, a weight file, "
        "a fastai\nexport or a name `pare models` lists.",
    .example = "  pare info models/nli-minilm\n",
    .run = run,
};

enum pare_status cmd_info(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
