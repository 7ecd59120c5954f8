// schemes.c - pare schemes
#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
};

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count) return error_set(err, PARE_USAGE, "schemes: expected no arguments, found '%s'", args->words[0]);
  pare_record *record = NULL;
  enum pare_status status = pare_schemes(&record, err);
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  return status;
}

static const struct arg_spec spec = {
    .name = "schemes",
    .usage = "[options]",
    .about =
        "Lists the schemes `pare quantize` and `pare compare` take: bits per weight, how weights are stored "
        "(encoding), how the\n"
        "stored values are chosen (method), whether calibration texts are needed, and the file formats a scheme is "
        "saved to.",
    .example = "  pare schemes\n",
    .run = run,
};

enum pare_status cmd_schemes(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
