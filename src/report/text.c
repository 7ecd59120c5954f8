// text.c - the report for a terminal. What matters most comes last, where the prompt is.
#include <stdlib.h>
#include <string.h>

#include "report/record.h"
#include "report/report.h"
#include "report/tables.h"
#include "report/text_draw.h"

enum { WIDTH_DEFAULT = 100, WIDTH_MIN = 40 };

static void title(const char *text, bool color, struct buf *out) {
  buf_printf(out, color ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
}

static void verdict(const json_t *record, bool color, struct buf *out) {
  const char *said = record_string(record, "gate.verdict");
  if (!said) return;
  const json_t *models = record_get(record, "gate.models");
  const char *code = strcmp(said, "PASS") == 0 ? "\033[32m" : strcmp(said, "FAIL") == 0 ? "\033[31m" : "\033[33m";
  buf_printf(out, "\nVerdict: %s%s%s", color ? code : "", said, color ? "\033[0m" : "");
  for (size_t i = 0; i < json_array_size(models); i++) {
    const json_t *m = json_array_get(models, i);
    const char *name = record_string(m, "name"), *own = record_string(m, "verdict");
    buf_puts(out, i ? ", " : " (");
    if (name) text_add_clean(out, name, strlen(name), 40);
    buf_printf(out, ": %s", own ? own : "?");
  }
  buf_puts(out, json_array_size(models) ? ")\n" : "\n");
}

enum pare_status report_text(const json_t *record, struct report_text_options options, struct buf *out,
                             struct pare_error *err) {
  static void (*const builders[])(const json_t *, struct table *) = {
      tables_size,  tables_accuracy, tables_agreement, tables_likeness,   tables_perplexity,
      tables_rouge, tables_speed,    tables_classes,   tables_gate_brief, tables_recommendations};
  enum pare_status status = report_lint(record, err);
  if (status != PARE_OK) return status;
  size_t width = options.width == 0 ? WIDTH_DEFAULT : size_max(options.width, WIDTH_MIN);
  struct buf headline = {0};
  tables_headline(record, &headline);
  if (headline.len) text_add_wrapped(out, headline.data, width, 0);
  bool failed = headline.failed;
  buf_free(&headline);
  for (size_t i = 0; i < sizeof builders / sizeof *builders; i++) {
    struct table t = {0};
    builders[i](record, &t);
    if (table_rows(&t)) {
      title(t.title, options.color, out);
      table_draw_text(&t, width, options.color, out);
    }
    failed |= t.failed || t.notes.failed;
    table_free(&t);
  }
  verdict(record, options.color, out);
  return failed || out->failed ? error_no_memory(err) : PARE_OK;
}
