// convert.c - pare convert
#include <string.h>

#include "base/error.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *out, *format;
  bool onnx_per_token, dry_run;
};

enum pare_status check_format(const char *command, const char *format, bool onnx_option, struct pare_error *err) {
  bool onnx = strcmp(format, "onnx") == 0;
  if (strcmp(format, "gguf") == 0)
    return error_set(err, PARE_UNAVAILABLE, "%s: --format gguf is not built yet; hf and onnx are", command);
  if (!onnx && strcmp(format, "hf") != 0)
    return error_set(err, PARE_USAGE, "%s: expected --format hf, gguf or onnx, found '%s'", command, format);
  if (onnx_option && !onnx) return error_set(err, PARE_USAGE, "%s: --onnx-per-token goes with --format onnx", command);
  return PARE_OK;
}

static enum pare_status check(const struct options *o, const struct args *args, struct pare_error *err) {
  if (args->count != 1)
    return error_set(err, PARE_USAGE, "convert: expected one MODEL, found %zu arguments", args->count);
  if (!o->format) return error_set(err, PARE_USAGE, "convert: expected --format hf or onnx");
  if (!o->out && !o->dry_run) return error_set(err, PARE_USAGE, "convert: expected -o OUT (or --dry-run)");
  return check_format("convert", o->format, o->onnx_per_token, err);
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  enum pare_status status = check(o, args, err);
  if (status != PARE_OK) return status;
  struct opened opened = {0};
  pare_record *record = NULL;
  status = resolve_model(args->words[0], &opened.path, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) {
    struct pare_convert_options options = {
        .format = o->format, .onnx_per_token = o->onnx_per_token, .dry_run = o->dry_run, .command = args->command};
    status = pare_convert(opened.engine, opened.path, o->out, &options, &record, err);
  }
  if (status == PARE_OK) status = output_record(record, &o->common, err);
  pare_record_close(record);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"output", 'o', ARG_STRING, offsetof(struct options, out), "OUT", "directory to write; appears only when complete"},
    {"format", 0, ARG_STRING, offsetof(struct options, format), "FORMAT",
     "hf: config.json and one model.safetensors; onnx: model.onnx, or\nmodel_quantized.onnx for 8-bit weights"},
    {"onnx-per-token", 0, ARG_FLAG, offsetof(struct options, onnx_per_token), NULL,
     "onnx, int8: quantize activations per token, as pare does: answers\nnearer to pare's, and the same in any batch; "
     "slower"},
    {"dry-run", 0, ARG_FLAG, offsetof(struct options, dry_run), NULL, "show the exact size, write nothing"},
};
static const struct arg_spec spec = {
    .name = "convert",
    .usage = "MODEL -o OUT --format FORMAT [options]",
    .about =
        "Writes a model in another file format without quantizing it again: every weight keeps its encoding (f16 stays "
        "f16, the\n"
        "integers of an int8 model stay those integers), shards become one file, tensors the architecture does not use "
        "are left\n"
        "out. OUT must not exist, or hold an earlier output.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare convert nli-minilm -o nli-onnx --format onnx\n"
        "  pare convert agnews-int8 -o agnews-int8-onnx --format onnx\n",
    .run = run,
};

enum pare_status cmd_convert(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
