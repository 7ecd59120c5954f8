// html.c - the report as one page that needs nothing but itself. Everything that comes from a record is escaped.
#include "report/html.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report/charts.h"
#include "report/record.h"
#include "report/report.h"
#include "report/tables.h"
#include "report/text_draw.h"

void html_escape(const char *s, struct buf *out) {
  for (const char *run = s;; s++) {
    unsigned char c = (unsigned char)*s;
    const char *entity = c == '&'                ? "&amp;"
                         : c == '<'              ? "&lt;"
                         : c == '>'              ? "&gt;"
                         : c == '"'              ? "&quot;"
                         : c == '\''             ? "&#39;"
                         : c < 0x20 || c == 0x7f ? " "
                                                 : NULL;
    // U+FFFE and U+FFFF are no XML characters.
    bool odd = c == 0xef && (unsigned char)s[1] == 0xbf && ((unsigned char)s[2] == 0xbe || (unsigned char)s[2] == 0xbf);
    if (!entity && !odd) continue;
    buf_add(out, run, (size_t)(s - run));
    if (c == 0) return;
    buf_puts(out, odd ? " " : entity);
    if (odd) s += 2;
    run = s + 1;
  }
}

void html_isolated(const char *s, struct buf *out) {
  struct buf clean = {0}; // without the controls that reorder text inside the isolate
  text_add_clean(&clean, s, strlen(s), SIZE_MAX);
  buf_puts(out, "<bdi>");
  if (clean.data) html_escape(clean.data, out);
  buf_puts(out, "</bdi>");
  out->failed |= clean.failed;
  buf_free(&clean);
}

static void cell_draw(const struct table *t, size_t r, size_t c, struct buf *out) {
  static const char *const tones[] = {"", " good", " bad", " unsure", " muted"};
  const struct cell *cell = table_at(t, r, c);
  int flags = t->columns[c].flags;
  const char *wide = flags & COLUMN_WRAP ? " w" : flags & COLUMN_USER ? " u" : "";
  buf_printf(out, c ? "<td class=\"%s%s%s\">" : "<th scope=\"row\" class=\"%s%s%s\">", flags & COLUMN_TEXT ? "t" : "n",
             wide, tones[cell->tone]);
  if (flags & COLUMN_USER) {
    html_isolated(cell->text, out);
  } else {
    html_escape(cell->text, out);
  }
  buf_puts(out, c ? "</td>" : "</th>");
}

static void notes_draw(const struct table *t, struct buf *out) {
  struct buf note = {0};
  for (size_t at = 0; table_next_note(t, &at, &note);) {
    buf_puts(out, "<p class=\"note\">");
    html_escape(note.data, out);
    buf_puts(out, "</p>\n");
  }
  out->failed |= note.failed;
  buf_free(&note);
}

void table_draw_html(const struct table *t, struct buf *out) {
  buf_printf(out,
             "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table: "
             "%s\"><table><caption>%s</caption>\n<thead><tr>",
             t->title, t->title);
  for (size_t c = 0; c < t->column_count; c++) {
    int flags = t->columns[c].flags;
    buf_printf(out, "<th scope=\"col\" class=\"%s%s\">", flags & COLUMN_TEXT ? "t" : "n",
               flags & COLUMN_USER ? " u" : "");
    html_isolated(t->columns[c].head, out);
    buf_puts(out, "</th>");
  }
  buf_puts(out, "</tr></thead>\n<tbody>\n");
  for (size_t r = 0; r < table_rows(t); r++) {
    buf_puts(out, "<tr>");
    for (size_t c = 0; c < t->column_count; c++) cell_draw(t, r, c, out);
    buf_puts(out, "</tr>\n");
  }
  buf_puts(out, "</tbody></table></div>\n");
  notes_draw(t, out);
}

static void verdict_gate(const json_t *record, const char *said, struct buf *out) {
  bool pass = strcmp(said, "PASS") == 0, fail = strcmp(said, "FAIL") == 0;
  const json_t *models = record_get(record, "gate.models");
  const char *file = record_string(record, "gate.file");
  buf_printf(out, "<section class=\"verdict %s\" aria-label=\"Verdict\"><p><b>%s ",
             pass   ? "pass"
             : fail ? "fail"
                    : "unsure",
             pass   ? "✓"
             : fail ? "✗"
                    : "?");
  html_escape(said, out);
  buf_puts(out, "</b></p><p>");
  buf_puts(out, pass   ? "Every limit of the gate is met."
                : fail ? "A limit of the gate is not met."
                       : "The sample cannot decide every limit of the gate.");
  if (file) {
    buf_puts(out, " <span class=\"meta\">Gate: ");
    html_isolated(file, out);
    buf_puts(out, "</span>");
  }
  buf_puts(out, "</p>\n<ul class=\"chips\">");
  for (size_t i = 0; i < json_array_size(models); i++) {
    const json_t *m = json_array_get(models, i);
    const char *name = record_string(m, "name"), *own = record_string(m, "verdict");
    size_t at = name ? record_find_model(record, name) : record_model_count(record);
    bool good = own && strcmp(own, "PASS") == 0, bad = own && strcmp(own, "FAIL") == 0;
    buf_puts(out, "<li>");
    html_isolated(at < record_model_count(record) ? record_model_label(record_model(record, at)) : "?", out);
    buf_printf(out, " <span class=\"%s\">%s ", good ? "good" : bad ? "bad" : "unsure", good ? "✓" : bad ? "✗" : "?");
    html_escape(own ? own : "?", out);
    buf_puts(out, "</span></li>");
  }
  buf_puts(out, json_array_size(models) ? "</ul></section>\n" : "<li>no candidate</li></ul></section>\n");
}

// Without a gate there is no verdict, only what the numbers recommend.
static void verdict(const json_t *record, struct buf *out) {
  const char *said = record_string(record, "gate.verdict");
  const json_t *rows = record_get(record, "recommendations");
  if (said) {
    verdict_gate(record, said, out);
    return;
  }
  buf_puts(out,
           "<section class=\"verdict\" aria-label=\"Verdict\"><p><b>No gate</b></p><p>No limits were set, so nothing "
           "passes or "
           "fails here.");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const char *priority = record_string(json_array_get(rows, i), "priority");
    const char *model = record_string(json_array_get(rows, i), "model");
    if (!priority || !model || strcmp(priority, "overall") != 0) continue;
    size_t at = record_find_model(record, model);
    buf_puts(out, " Recommended overall: <strong>");
    html_isolated(at < record_model_count(record) ? record_model_label(record_model(record, at)) : model, out);
    buf_puts(out, "</strong>.");
  }
  buf_puts(out, "</p></section>\n");
}

static void recommendations(const json_t *record, struct buf *out) {
  const json_t *rows = record_get(record, "recommendations");
  if (json_array_size(rows) == 0) return;
  buf_puts(out, "<section><h2>Recommendations</h2><div class=\"cards\">\n");
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    const char *model = record_string(row, "model"), *because = record_string(row, "because");
    const char *priority = record_string(row, "priority");
    size_t at = model ? record_find_model(record, model) : record_model_count(record);
    buf_puts(out, "<article class=\"card\"><p class=\"eyebrow\">");
    html_escape(priority ? priority : "?", out);
    buf_puts(out, "</p><p class=\"model\">");
    html_isolated(at < record_model_count(record) ? record_model_label(record_model(record, at)) : "?", out);
    buf_puts(out, "</p><p class=\"because\">");
    html_isolated(because ? because : "", out);
    buf_puts(out, "</p></article>\n");
  }
  buf_puts(out, "</div></section>\n");
}

// One section: a heading, the charts, the table. Left out when there is nothing in it.
struct section {
  const char *title;
  void (*charts[2])(const json_t *, struct buf *);
  void (*table)(const json_t *, struct table *);
};

static void section_draw(const json_t *record, const struct section *s, struct buf *out) {
  struct buf body = {0};
  struct table t = {0};
  for (size_t i = 0; i < 2; i++) {
    if (s->charts[i]) s->charts[i](record, &body);
  }
  if (s->table) s->table(record, &t);
  if (table_rows(&t)) table_draw_html(&t, &body);
  if (body.len) {
    buf_printf(out, "<section><h2>%s</h2>\n", s->title);
    buf_add(out, body.data, body.len);
    buf_puts(out, "</section>\n");
  }
  out->failed |= body.failed || t.failed || t.notes.failed;
  buf_free(&body);
  table_free(&t);
}

void html_open(const char *title, struct buf *out) {
  buf_puts(
      out,
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"/><meta name=\"color-scheme\" content=\"light dark\"/><title>");
  html_escape(title, out);
  buf_puts(out, "</title><style>");
  buf_puts(out, html_style);
  buf_puts(out, "</style></head>\n<body>");
}

static void head(const json_t *record, const char *headline, struct buf *out) {
  const char *task = record_string(record, "task"), *arch = record_string(record, "arch");
  const char *created = record_string(record, "created");
  double parameters;
  html_open(headline, out);
  buf_puts(out, "<main>\n<header><p class=\"eyebrow\">pare report</p><h1>");
  html_isolated(headline, out);
  buf_puts(out, "</h1><p class=\"meta\">");
  html_escape(task ? task : "", out);
  if (arch) {
    buf_puts(out, " · ");
    html_isolated(arch, out);
  }
  if (record_number(record, "parameters", &parameters))
    buf_printf(out, parameters < 1e6 ? " · %.0f parameters" : " · %.1f M parameters",
               parameters < 1e6 ? parameters : parameters / 1e6);
  if (created) {
    buf_puts(out, " · ");
    html_escape(created, out);
  }
  buf_puts(out, "</p></header>\n");
}

static void methods(struct buf *out) {
  buf_puts(out, "<section><h2>How it was measured</h2><ul class=\"how\">\n");
  for (const char *const *method = tables_methods; *method; method++) {
    buf_puts(out, "<li>");
    html_escape(*method, out);
    buf_puts(out, "</li>\n");
  }
  buf_puts(out, "</ul></section>\n");
}

enum pare_status report_html(const json_t *record, struct buf *out, struct pare_error *err) {
  static const struct section before[] = {{"Summary", {NULL, NULL}, tables_summary}};
  static const struct section after[] = {
      {"Size", {chart_size, NULL}, tables_size},
      {"Accuracy", {chart_accuracy, chart_delta}, tables_accuracy},
      {"Likeness to the original's answers", {NULL, NULL}, tables_likeness},
      {"Perplexity", {NULL, NULL}, tables_perplexity},
      {"Answers against the references", {NULL, NULL}, tables_rouge},
      {"Speed and memory", {chart_latency, NULL}, tables_speed},
      {"Agreement and confidence", {NULL, NULL}, tables_agreement},
      {"F1 per class", {chart_classes, NULL}, tables_classes},
      {"Confusion", {chart_confusion, NULL}, NULL},
      {"Disagreements", {NULL, NULL}, tables_examples},
      {"Answers side by side", {NULL, NULL}, tables_side_by_side},
      {"Gate", {NULL, NULL}, tables_gate},
  };
  static const struct section last[] = {{"Encodings", {NULL, NULL}, tables_coverage},
                                        {"Data, machine, provenance", {NULL, NULL}, tables_context}};
  enum pare_status status = report_lint(record, err);
  if (status != PARE_OK) return status;
  struct buf headline = {0};
  tables_headline(record, &headline);
  head(record, headline.data ? headline.data : "", out);
  verdict(record, out);
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) section_draw(record, &before[i], out);
  recommendations(record, out);
  for (size_t i = 0; i < sizeof after / sizeof *after; i++) section_draw(record, &after[i], out);
  methods(out);
  for (size_t i = 0; i < sizeof last / sizeof *last; i++) section_draw(record, &last[i], out);
  buf_puts(out, "<footer>Computed from measurements by pare ");
  html_escape(record_string(record, "pare_version") ? record_string(record, "pare_version") : "", out);
  buf_puts(out, ". Every sentence and mark on this page follows from the record.</footer>\n</main></body></html>\n");
  bool failed = headline.failed || out->failed;
  buf_free(&headline);
  return failed ? error_no_memory(err) : PARE_OK;
}
