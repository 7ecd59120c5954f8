// evaluation.h - the options `pare eval` and `pare compare` share, and what they do with them.
#ifndef PARE_CMD_EVALUATION_H
#define PARE_CMD_EVALUATION_H

#include "command.h"
#include "sampling.h"

// First member of both commands' options, so that one table of offsets serves both.
struct evaluation {
  struct args_common common;
  struct sampling sampling; // its seed is also that of turns and intervals
  const char *repetition_penalty, *data, *text_column, *label_column, *reference_column, *labels, *template_text;
  const char *output, *report, *markdown, *text, *samples;
  bool multi_label;
  size_t limit, beams, max_tokens; // max_tokens: of a classifier's text, or of an answer in words
};
enum { EVALUATION_OPTIONS = 22 };
extern const struct arg_option evaluation_table[EVALUATION_OPTIONS];

// Outputs that cannot be written, or two of one name.
enum pare_status evaluation_check_outputs(const struct evaluation *e, struct pare_error *err);
// What can be refused before any work: missing data, a template without labels, files that cannot be written.
enum pare_status evaluation_check(const struct evaluation *e, const char *command, struct pare_error *err);
// The part of pare_compare's options that follows from these; borrows from all three.
enum pare_status evaluation_options(const struct evaluation *e, const struct labels *labels, const struct args *args,
                                    struct pare_compare_options *out, struct pare_error *err);
// The record into the files asked for, then to standard output.
enum pare_status evaluation_print(const struct evaluation *e, const pare_record *record, struct pare_error *err);

#endif
