// args.h - command line options as a table: parsing and --help both read it.
#ifndef PARE_CMD_ARGS_H
#define PARE_CMD_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare.h"

// A command's option values are a struct whose first member is struct args_common; `offset` says where each value goes.
struct args_common {
  size_t threads;
  const char *isa;
  bool json, quiet, verbose, help;
};

// An option that may be given several times. Items point into argv.
struct args_list {
  const char **items;
  size_t count;
};

enum arg_kind {
  ARG_FLAG,
  ARG_STRING,
  ARG_SIZE,
  ARG_SEED, // up to 2^53 - 1
  ARG_LIST
}; // bool, const char *, size_t, uint64_t, struct args_list

struct arg_option {
  const char *name; // without the dashes
  char letter;      // -o; 0: none
  enum arg_kind kind;
  size_t offset;
  const char *value; // what the value is called in --help; NULL for flags
  const char *help;
};

struct args;
struct arg_spec {
  const char *name;  // the command
  const char *usage; // what follows "pare NAME "
  const char *about; // what it does, for a stranger
  const struct arg_option *options;
  size_t option_count;
  const struct arg_option *shared; // more of them, which another command has too
  size_t shared_count;
  const struct arg_option *more; // a second set of those
  size_t more_count;
  const char *example; // whole lines
  enum pare_status (*run)(const void *values, const struct args *args, struct pare_error *err);
};

struct args {
  const char **words; // arguments that are no options, in order
  size_t count;
  struct args_list *lists[4]; // to be freed
  size_t list_count;
  char *command; // the whole command line, quoted for a shell
};

// argv[0] is the command's name. values: zeroed or holding defaults. PARE_USAGE with the nearest option on an unknown
// one. Help wins over every other complaint: with --help among them, nothing else is looked at.
enum pare_status args_parse(const struct arg_spec *spec, int argc, char **argv, void *values, struct args *out,
                            struct pare_error *err);
void args_free(struct args *a);
// The value of an option that takes a number with a point; text NULL (not given): 0. PARE_USAGE names the option.
enum pare_status args_real(const char *text, const char *option, double *out, struct pare_error *err);
// The whole command: parse, then --help or spec->run.
enum pare_status args_run(const struct arg_spec *spec, int argc, char **argv, void *values, struct pare_error *err);

// "a,b,c" -> items, into one block to be freed with free(); empty items are refused. *count is set.
enum pare_status args_split(const char *text, const char *option, const char ***items, size_t *count,
                            struct pare_error *err);
enum pare_status args_split_sizes(const char *text, const char *option, size_t **items, size_t *count,
                                  struct pare_error *err);
enum pare_status args_split_ids(const char *text, const char *option, uint32_t **ids, size_t *count,
                                struct pare_error *err);

#endif
