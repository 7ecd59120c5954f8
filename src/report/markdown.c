// markdown.c - the report as GitHub-flavoured Markdown: the same tables. Text from data is escaped, so that it can
// neither open a tag nor end a cell.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/draw.h"
#include "report/record.h"
#include "report/report.h"
#include "report/tables.h"
#include "report/text_draw.h"

void markdown_escape(const char *text, struct buf *out) {
  struct buf clean = {0};
  text_add_clean(&clean, text, strlen(text), SIZE_MAX);
  for (const char *s = clean.data; s && *s; s++) {
    char c = *s;
    if (c == '<') {
      buf_puts(out, "&lt;");
    } else if (c == '&') {
      buf_puts(out, "&amp;");
    } else {
      if (strchr("\\`*_{}[]|~#", c)) buf_puts(out, "\\");
      buf_add(out, s, 1);
    }
  }
  out->failed |= clean.failed;
  buf_free(&clean);
}

void table_draw_markdown(const struct table *t, struct buf *out) {
  for (size_t c = 0; c < t->column_count; c++) {
    buf_puts(out, c ? " | " : "| ");
    markdown_escape(t->columns[c].head, out);
  }
  buf_puts(out, " |\n");
  for (size_t c = 0; c < t->column_count; c++) buf_puts(out, t->columns[c].flags & COLUMN_TEXT ? "|:---" : "|---:");
  buf_puts(out, "|\n");
  for (size_t r = 0; r < table_rows(t); r++) {
    for (size_t c = 0; c < t->column_count; c++) {
      buf_puts(out, c ? " | " : "| ");
      markdown_escape(table_at(t, r, c)->text, out);
    }
    buf_puts(out, " |\n");
  }
  if (t->notes.len) buf_puts(out, "\n");
  struct buf note = {0};
  for (size_t at = 0; table_next_note(t, &at, &note);) {
    markdown_escape(note.data, out);
    buf_puts(out, at < t->notes.len ? "  \n" : "\n"); // two spaces: a line break
  }
  out->failed |= note.failed;
  buf_free(&note);
}

static void verdict(const json_t *record, struct buf *out) {
  const char *said = record_string(record, "gate.verdict");
  if (!said) return;
  buf_puts(out, "\n**Verdict: ");
  markdown_escape(said, out);
  buf_puts(out, "**\n");
}

enum pare_status report_markdown(const json_t *record, struct buf *out, struct pare_error *err) {
  static void (*const builders[])(const json_t *, struct table *) = {
      tables_recommendations, tables_size,   tables_accuracy, tables_agreement, tables_likeness, tables_perplexity,
      tables_rouge,           tables_speed,  tables_classes,  tables_coverage,  tables_gate,     tables_examples,
      tables_side_by_side,    tables_context};
  enum pare_status status = report_lint(record, err);
  if (status != PARE_OK) return status;
  struct buf headline = {0};
  tables_headline(record, &headline);
  buf_puts(out, "# pare report\n\n");
  if (headline.data) markdown_escape(headline.data, out);
  buf_puts(out, "\n");
  bool failed = headline.failed;
  buf_free(&headline);
  verdict(record, out);
  for (size_t i = 0; i < sizeof builders / sizeof *builders; i++) {
    struct table t = {0};
    builders[i](record, &t);
    if (table_rows(&t)) {
      buf_printf(out, "\n## %s\n\n", t.title);
      table_draw_markdown(&t, out);
    }
    failed |= t.failed || t.notes.failed;
    table_free(&t);
  }
  buf_puts(out, "\n## How\n\n");
  for (const char *const *method = tables_methods; *method; method++) {
    buf_puts(out, "- ");
    markdown_escape(*method, out);
    buf_puts(out, "\n");
  }
  return failed || out->failed ? error_no_memory(err) : PARE_OK;
}
