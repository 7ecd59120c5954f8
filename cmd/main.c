// main.c - the table of commands.
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nearest.h"
#include "command.h"

struct command {
  const char *name;
  enum pare_status (*run)(int argc, char **argv, struct pare_error *err); // NULL: not built yet
  const char *help;
};

static const struct command commands[] = {
    {"models", cmd_models, "list the shipped models"},
    {"info", cmd_info, "architecture, tensors, sizes and provenance of a model"},
    {"schemes", cmd_schemes, "list the ways a model can be quantized"},
    {"tokenize", cmd_tokenize, "text to token ids, and back"},
    {"logits", cmd_logits, "raw outputs of a model"},
    {"classify", cmd_classify, "label and confidence for texts, by the model's labels or yours"},
    {"generate", cmd_generate, "continue a prompt"},
    {"summarize", cmd_summarize, "shorten a text"},
    {"quantize", cmd_quantize, "write a smaller model"},
    {"convert", cmd_convert, "change the file format, not the values"},
    {"train", cmd_train, "train a linear classifier"},
    {"tune", NULL, "choose a scheme per tensor under limits"},
    {"perplexity", cmd_perplexity, "how well a language model predicts a text"},
    {"eval", cmd_eval, "accuracy of one model on labelled data"},
    {"compare", cmd_compare, "the main job: every candidate against the original, with a verdict"},
    {"report", cmd_report, "the reports of a record once more, or a check of one"},
    {"bench", cmd_bench, "latency and throughput by batch and length"},
    {"serve", cmd_serve, "REST server: the models over HTTP, the original behind the quantized one"},
    {"load", cmd_load, "load generator for a running server"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const char *command_name(const void *list, size_t i) {
  return ((const struct command *)list)[i].name;
}

static void print_overview(FILE *to) {
  fputs("pare - cuts text models down to size and says what that cost\n\nusage: pare COMMAND [arguments] [options]\n\n",
        to);
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (commands[i].run) fprintf(to, "  %-12s%s\n", commands[i].name, commands[i].help);
  }
  fputs("\nnot built yet:", to);
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (!commands[i].run) fprintf(to, " %s", commands[i].name);
  }
  fputs(
      "\n\nexamples:\n"
      "  pare classify agnews-gpt2 \"Oil prices fall as OPEC raises output\"\n"
      "  pare compare agnews-gpt2 --schemes f16,int8,nf4 --data data/ag_news_test.csv --limit 500 --report "
      "report.html\n"
      "  pare quantize agnews-gpt2 -o agnews-int8 --scheme int8\n\n"
      "`pare COMMAND --help` describes a command; `pare --version` prints the version.\n"
      "exit codes: 0 done, 1 gate FAIL or refused, 2 gate INCONCLUSIVE, 64 usage, 65 bad data, 66 no such file,\n"
      "            69 not available here, 70 a bug, 74 cannot write\n",
      to);
}

static const struct command *find_command(const char *name) {
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (strcmp(name, commands[i].name) == 0) return &commands[i];
  }
  return NULL;
}

static enum pare_status run_command(int argc, char **argv, struct pare_error *err) {
  const struct command *c = find_command(argv[0]);
  if (c && c->run) return c->run(argc, argv, err);
  if (c) return error_set(err, PARE_UNAVAILABLE, "%s is not built yet", c->name);
  const char *near = nearest_name(argv[0], commands, COMMAND_COUNT, command_name);
  if (near) return error_set(err, PARE_USAGE, "unknown command '%s'; did you mean %s?", argv[0], near);
  return error_set(err, PARE_USAGE, "unknown command '%s'; `pare --help` lists them", argv[0]);
}

static enum pare_status run(int argc, char **argv, struct pare_error *err) {
  if (argc < 2) {
    print_overview(stderr);
    return error_set(err, PARE_USAGE, "expected a command, found none");
  }
  if (strcmp(argv[1], "--version") == 0) {
    printf("pare %s\n", pare_version());
    return PARE_OK;
  }
  bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0;
  if (help && argc >= 3) {
    char *of_command[] = {argv[2], "--help", NULL};
    return run_command(2, of_command, err);
  }
  if (help) {
    print_overview(stdout);
    return PARE_OK;
  }
  return run_command(argc - 1, argv + 1, err);
}

// A standard descriptor that is closed would go to the next file opened, and what is printed into that file. The place
// is taken by one that cannot be read or written the way the missing one is used, so its use still fails.
static bool fill_standard_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return false;
  }
  return true;
}

int main(int argc, char **argv) {
  if (!fill_standard_descriptors()) return PARE_BUG;
  // A reader that goes away (`pare ... | head`) is an error of writing, not a signal: temporary files are still
  // removed.
  signal(SIGPIPE, SIG_IGN);
  struct pare_error err = {0};
  enum pare_status status = run(argc, argv, &err);
  bool unwritten = fflush(stdout) != 0 || output_failed();
  if (unwritten && (status == PARE_OK || status == PARE_REFUSED || status == PARE_INCONCLUSIVE)) {
    status = error_set(&err, PARE_IO, "cannot write to standard output");
  }
  if (status != PARE_OK && err.text[0]) fprintf(stderr, "pare: %s\n", err.text);
  return status;
}
