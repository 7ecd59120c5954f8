// evaluation.h - the options `pare eval` and `pare compare` share, and what they do with them.
#ifndef PARE_CMD_EVALUATION_H
#define PARE_CMD_EVALUATION_H

#include "command.h"

// First member of both commands' options, so that one table of offsets serves both.
struct evaluation {
  struct args_common common;
  const char *data, *text_column, *label_column, *labels, *template_text;
  const char *output, *report, *markdown, *text, *samples;
  bool multi_label;
  size_t max_tokens, limit;
  uint64_t seed;
};
enum { EVALUATION_OPTIONS = 14 };
extern const struct arg_option evaluation_table[EVALUATION_OPTIONS];

// Outputs that cannot be written, or two of one name.
enum pare_status evaluation_check_outputs(const struct evaluation *e, struct pare_error *err);
// What can be refused before any work: missing data, a template without labels, files that cannot be written.
enum pare_status evaluation_check(const struct evaluation *e, const char *command, struct pare_error *err);
// The part of pare_compare's options that follows from these; borrows from all three.
struct pare_compare_options evaluation_options(const struct evaluation *e, const struct labels *labels,
                                               const struct args *args);
// The record into the files asked for, then to standard output.
enum pare_status evaluation_print(const struct evaluation *e, const pare_record *record, struct pare_error *err);

#endif
