// command.h - what every command starts with: options, an engine, a model, texts, and how it prints.
#ifndef PARE_CMD_COMMAND_H
#define PARE_CMD_COMMAND_H

#include <jansson.h>
#include <stdio.h>

#include "args.h"
#include "pare.h"

// Each command: argv[0] is its name. The returned status is the exit code; on failure err says why.
enum pare_status cmd_models(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_info(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_schemes(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_tokenize(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_logits(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_classify(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_generate(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_summarize(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_perplexity(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_quantize(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_convert(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_train(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_eval(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_compare(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_report(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_bench(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_serve(int argc, char **argv, struct pare_error *err);
enum pare_status cmd_load(int argc, char **argv, struct pare_error *err);

// ---- models (resolve.c) ----
// The folders shipped models are looked up in: $PARE_MODELS (several, separated by ':'), models/ beside the program's
// folder, the source tree's models/. Strings to be freed with resolve_free_roots.
enum { RESOLVE_MAX_ROOTS = 16 };
struct resolve_roots {
  char *list[RESOLVE_MAX_ROOTS];
  size_t count;
};
void resolve_roots(struct resolve_roots *out);
void resolve_free_roots(struct resolve_roots *roots);
// A MODEL argument as a path, to be freed with free(): an existing path as it is, else a shipped model's folder.
// PARE_NOFILE lists the shipped names.
enum pare_status resolve_model(const char *name, char **path, struct pare_error *err);
// The same without the existing path.
enum pare_status resolve_shipped(const char *name, char **path, struct pare_error *err);

// ---- engine and model opened together ----
struct opened {
  char *path;
  struct pare_used used; // open_model with a preference
  pare_engine *engine;
  pare_model *model;     // open_model only
  pare_session *session; // open_session only
};
enum pare_status open_engine(const struct args_common *common, struct opened *out, struct pare_error *err);
enum pare_status open_model(const struct args_common *common, const char *name, struct opened *out,
                            struct pare_error *err);
// Commands that answer use the quantized model unless told otherwise. Their option structs begin with this one, their
// tables of options share preference_table. A fallback is said once on standard error.
struct preference {
  struct args_common common;
  const char *quantized;
  bool original;
};
enum { PREFERENCE_OPTIONS = 2 };
extern const struct arg_option preference_table[PREFERENCE_OPTIONS];
enum pare_status open_preferred(const struct preference *p, const char *name, struct opened *out,
                                struct pare_error *err);
// ,"model_used":"quantized","fallback":null
void output_json_used(const struct opened *o);
enum pare_status open_session(const struct args_common *common, const char *name, struct opened *out,
                              struct pare_error *err);
void opened_close(struct opened *o); // accepts a zeroed struct

// ---- file formats (convert.c) ----
// PARE_UNAVAILABLE for a --format that is not built yet, PARE_USAGE for one there is not, and for an ONNX option
// without ONNX.
enum pare_status check_format(const char *command, const char *format, bool onnx_option, struct pare_error *err);

// ---- texts (input.c) ----
struct inputs {
  struct pare_text *texts;
  size_t count;
  pare_dataset *data;
};
struct input_source {
  const char *const *words; // TEXT arguments; "-" alone: lines of standard input
  size_t count;
  const char *file, *text_column; // --input, and its column with the text; NULL: none, "text"
  const char *pair;               // goes with a single TEXT; NULL: none
};
// PARE_USAGE when there is nothing to read, or both TEXT and a file.
enum pare_status inputs_read(const struct input_source *from, struct inputs *out, struct pare_error *err);
void inputs_free(struct inputs *in);

// ---- labels (labels.c) ----
// --labels a,b,c or NAME="phrase",...; what is in double quotes may hold commas, and keeps the spaces at its ends.
// Every name may come once.
struct labels {
  const char **phrases;
  const char **names; // the phrase itself where no NAME was given
  size_t count;
  void *memory;
};
enum pare_status labels_parse(const char *text, struct labels *out, struct pare_error *err);
void labels_free(struct labels *l);
// A template without phrases to put into it would do nothing: PARE_USAGE. Either may be NULL.
enum pare_status labels_check_template(const char *labels, const char *template_text, struct pare_error *err);

// ---- output (output.c) ----
size_t output_width(void);                             // columns of the terminal, or 100
void output_json_string(const char *text, size_t len); // quoted and escaped; invalid UTF-8 becomes U+FFFD
void output_json_floats(const float *x,
                        size_t n); // [..] with 9 digits, which give the same float back; null for NaN and infinity
// text in exactly `columns` columns: line breaks shown as spaces, cut with "..." or padded.
void output_cell(const char *text, size_t len, size_t columns);
// Renders a record as the common options say: JSON lines, or text in the terminal's width.
enum pare_status output_record(const pare_record *record, const struct args_common *common, struct pare_error *err);
// Renders a record into a file, by rename.
enum pare_status output_file(const pare_record *record, enum pare_format format, const char *path,
                             struct pare_error *err);
// PARE_IO unless path (may be NULL) can be written; leaves nothing behind.
enum pare_status output_probe(const char *path, struct pare_error *err);
bool output_failed(void); // standard output can take no more

// ---- progress (progress.c) ----
// A bar on standard error when that is a terminal and --quiet was not given.
struct progress {
  bool on, shown;
  unsigned long long last_ns;
};
struct pare_progress progress_start(struct progress *p, const struct args_common *common);
void progress_end(struct progress *p); // removes the bar

#endif
