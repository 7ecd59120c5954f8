// report.c - pare report: a record's reports once more, and whether one written earlier still follows from it.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "command.h"

struct options {
  struct args_common common;
  const char *html, *markdown, *text, *check;
};

static bool ends_with(const char *path, const char *ending) {
  size_t n = strlen(path), k = strlen(ending);
  return n >= k && !strcmp(path + n - k, ending);
}

// The first line that differs, found and expected.
static enum pare_status same_text(const char *path, const char *found, size_t found_len, const char *expected,
                                  struct pare_error *err) {
  size_t line = 1, start = 0, i = 0, expected_len = strlen(expected);
  while (i < found_len && i < expected_len && found[i] == expected[i]) {
    if (found[i] == '\n') line++, start = i + 1;
    i++;
  }
  if (i == found_len && i == expected_len) return PARE_OK;
  int had = (int)strcspn(expected + start, "\n");
  size_t end = start;
  while (end < found_len && found[end] != '\n') end++;
  return error_set(err, PARE_DATA, "%s:%zu: the record does not support this line: found \"%.*s\", expected \"%.*s\"",
                   path, line, (int)(end - start < 90 ? end - start : 90), found + start, had < 90 ? had : 90,
                   expected + start);
}

static enum pare_status check_file(const pare_record *record, const char *path, struct pare_error *err) {
  enum pare_format format = ends_with(path, ".html") ? PARE_HTML : ends_with(path, ".md") ? PARE_MARKDOWN : PARE_TEXT;
  struct mapping file;
  char *text = NULL;
  enum pare_status status = file_map(path, &file, err);
  if (status != PARE_OK) return status;
  status = pare_record_render(record, format, NULL, &text, err);
  if (status == PARE_OK) status = same_text(path, (const char *)file.data, file.len, text, err);
  free(text);
  file_unmap(&file);
  return status;
}

static enum pare_status run(const void *values, const struct args *args, struct pare_error *err) {
  const struct options *o = values;
  pare_record *record = NULL;
  if (args->count != 1) return error_set(err, PARE_USAGE, "report: expected one RECORD.json, found %zu", args->count);
  enum pare_status status = pare_record_open(args->words[0], &record, err);
  if (status == PARE_OK) status = output_file(record, PARE_HTML, o->html, err);
  if (status == PARE_OK) status = output_file(record, PARE_MARKDOWN, o->markdown, err);
  if (status == PARE_OK) status = output_file(record, PARE_TEXT, o->text, err);
  if (status == PARE_OK && o->check) status = check_file(record, o->check, err);
  bool asked = o->html || o->markdown || o->text || o->check;
  if (status == PARE_OK && (!asked || o->common.json)) status = output_record(record, &o->common, err);
  pare_record_close(record);
  return status;
}

static const struct arg_option table[] = {
    {"report", 0, ARG_STRING, offsetof(struct options, html), "FILE", "as one HTML page"},
    {"markdown", 0, ARG_STRING, offsetof(struct options, markdown), "FILE", "as Markdown"},
    {"text", 0, ARG_STRING, offsetof(struct options, text), "FILE", "as plain text, 100 columns"},
    {"check", 0, ARG_STRING, offsetof(struct options, check), "FILE",
     "a report written earlier (.md, .html, else plain text):\nexit 65 naming the first line that the record does not "
     "support"},
};
static const struct arg_spec spec = {
    .name = "report",
    .usage = "RECORD.json [options]",
    .about =
        "Writes the reports of a record that `pare compare --output` kept. Every derived number and sentence is "
        "computed anew\n"
        "first; a record that disagrees with itself is refused (exit 70). Without options the report goes to the "
        "terminal.",
    .options = table,
    .option_count = sizeof table / sizeof table[0],
    .example = "  pare report record.json --markdown report.md\n  pare report record.json --check report.md\n",
    .run = run,
};

enum pare_status cmd_report(int argc, char **argv, struct pare_error *err) {
  struct options o = {.common = {0}};
  return args_run(&spec, argc, argv, &o, err);
}
