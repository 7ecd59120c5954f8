// models.c - pare models
#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
};

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  if (args->count) return error_set(err, PARE_USAGE, "models: expected no arguments, found '%s'", args->words[0]);
  struct resolve_roots roots;
  resolve_roots(&roots);
  pare_record *record = NULL;
  enum pare_status status = pare_models((const char *const *)roots.list, roots.count, &record, err);
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  resolve_free_roots(&roots);
  return status;
}

static const struct arg_spec spec = {
    .name = "models",
    .usage = "[options]",
    .about =
        "Lists the models that come with the program: name, architecture, task, parameters, size. A name from this "
        "list can\n"
        "stand wherever a MODEL is expected. Folders searched: $PARE_MODELS, models/ beside the program's folder, "
        "models/ of\n"
        "the source tree.",
    .example = "  pare models --json\n",
    .run = run,
};

enum pare_status cmd_models(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
