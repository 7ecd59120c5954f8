// quantize.c - pare quantize
#include "base/error.h"
#include "calibration.h"

struct options {
  struct args_common common;
  const char *out, *scheme, *format;
  struct calibration calibrate;
  struct args_list keep;
  bool portable, even_if_larger, dry_run, onnx_per_token;
};

static enum pare_status check(const struct options *o, const struct args *args, struct pare_error *err) {
  if (args->count != 1)
    return error_set(err, PARE_USAGE, "quantize: expected one MODEL, found %zu arguments", args->count);
  if (!o->scheme) return error_set(err, PARE_USAGE, "quantize: expected --scheme NAME; `pare schemes` lists them");
  if (!o->out && !o->dry_run) return error_set(err, PARE_USAGE, "quantize: expected -o OUT (or --dry-run)");
  return check_format("quantize", o->format ? o->format : "hf", o->onnx_per_token, err);
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  struct pare_calibrate_options calibrate;
  enum pare_status status = check(o, args, err);
  if (status == PARE_OK) status = calibration_options(&o->calibrate, &calibrate, err);
  if (status != PARE_OK) return status;
  struct opened opened = {0};
  struct progress progress = {.on = false};
  pare_record *record = NULL;
  status = resolve_model(args->words[0], &opened.path, err);
  if (status == PARE_OK) status = open_engine(&o->common, &opened, err);
  if (status == PARE_OK) {
    struct pare_quantize_options options = {.scheme = o->scheme,
                                            .keep = o->keep.items,
                                            .keep_count = o->keep.count,
                                            .portable = o->portable,
                                            .format = o->format,
                                            .onnx_per_token = o->onnx_per_token,
                                            .even_if_larger = o->even_if_larger,
                                            .dry_run = o->dry_run,
                                            .command = args->command,
                                            .calibrate = calibrate,
                                            .progress = progress_start(&progress, &o->common)};
    status = pare_quantize(opened.engine, opened.path, o->out, &options, &record, err);
    progress_end(&progress);
  }
  if (record) {
    enum pare_status printed = output_record(record, &o->common, status == PARE_OK ? err : NULL);
    if (status == PARE_OK) status = printed;
  }
  pare_record_close(record);
  opened_close(&opened);
  return status;
}

static const struct arg_option table[] = {
    {"output", 'o', ARG_STRING, offsetof(struct options, out), "OUT", "directory to write; appears only when complete"},
    {"scheme", 0, ARG_STRING, offsetof(struct options, scheme), "NAME",
     "how to quantize; `pare schemes` lists the names; NAME+prune=0.3 zeroes\nthree tenths of the weights first"},
    {"keep", 0, ARG_LIST, offsetof(struct options, keep), "REGEX=SCHEME",
     "another scheme for tensors whose name matches; may be repeated,\nfirst match wins"},
    {"portable", 0, ARG_FLAG, offsetof(struct options, portable), NULL,
     "what other tools cannot hold in this scheme stays F16"},
    {"format", 0, ARG_STRING, offsetof(struct options, format), "FORMAT",
     "hf (default) or onnx: model.onnx, or model_quantized.onnx for int8"},
    {"onnx-per-token", 0, ARG_FLAG, offsetof(struct options, onnx_per_token), NULL,
     "onnx, int8: quantize activations per token, as pare does: answers\nnearer to pare's, and the same in any batch; "
     "slower"},
    {"calibrate", 0, ARG_STRING, offsetof(struct options, calibrate.file), "FILE", CALIBRATE_HELP},
    {"calibrate-rows", 0, ARG_SIZE, offsetof(struct options, calibrate.rows), "N", CALIBRATE_ROWS_HELP},
    {"calibrate-method", 0, ARG_STRING, offsetof(struct options, calibrate.method), "NAME", CALIBRATE_METHOD_HELP},
    {"percentile", 0, ARG_STRING, offsetof(struct options, calibrate.percentile), "P", PERCENTILE_HELP},
    {"even-if-larger", 0, ARG_FLAG, offsetof(struct options, even_if_larger), NULL,
     "write although the result is not smaller"},
    {"dry-run", 0, ARG_FLAG, offsetof(struct options, dry_run), NULL,
     "show the plan and its exact sizes, write nothing"},
};
static const struct arg_spec spec = {
    .name = "quantize",
    .usage = "MODEL -o OUT --scheme NAME [options]",
    .about =
        "Writes a smaller copy of a model as a Hugging Face directory, with pare.json beside it saying where it came "
        "from and an\n"
        "input with its answer that every load checks again. Each tensor's encoding, bytes and error are shown. A "
        "result that is\n"
        "not smaller is not written (exit 1) unless --even-if-larger. OUT must not exist, or hold an earlier output.\n"
        "--format onnx writes a model for onnxruntime instead (f32, f16, bf16, int8, int8-tensor).",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example =
        "  pare quantize models/agnews-gpt2 -o agnews-int8 --scheme int8\n"
        "  pare quantize nli-minilm -o nli-nf4 --scheme nf4 --keep 'classifier=f16'\n"
        "  pare quantize agnews-gpt2 -o agnews-static --scheme int8-static --calibrate news.csv\n"
        "  pare quantize nli-minilm -o nli-onnx --scheme int8 --format onnx\n",
    .run = run,
};

enum pare_status cmd_quantize(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
