// sections_decision.c - what a study decides: limits, plan, money, score, advice, readiness; see sections.h.
#include <stdio.h>
#include <string.h>

#include "report/record.h"
#include "report/tables.h"
#include "study/metric.h"
#include "study/sections.h"

struct column {
  const char *head, *key;
  int flags;
};

static enum tone tone_of(const char *status) {
  static const struct {
    const char *word;
    enum tone tone;
  } tones[] = {{"PASS", TONE_GOOD},          {"FAIL", TONE_BAD},       {"INCONCLUSIVE", TONE_UNSURE},
               {"Exceeded", TONE_GOOD},      {"Met", TONE_GOOD},       {"Acceptable", TONE_UNSURE},
               {"Missed", TONE_BAD},         {"supported", TONE_GOOD}, {"rejected", TONE_BAD},
               {"not decided", TONE_UNSURE}, {"success", TONE_GOOD}};
  for (size_t i = 0; i < sizeof tones / sizeof tones[0]; i++)
    if (!strcmp(tones[i].word, status)) return tones[i].tone;
  return TONE_PLAIN;
}

// Rows of objects as a table of the named fields, under a heading. Nothing when there are no rows.
static void rows_table(struct document *d, const char *title, const json_t *rows, const struct column *columns,
                       size_t count) {
  if (json_array_size(rows) == 0) return;
  struct table t = {.title = title};
  document_heading(d, 2, title);
  for (size_t c = 0; c < count; c++) table_column(&t, columns[c].flags, columns[c].head);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    for (size_t c = 0; c < count; c++) {
      const char *text = record_string(json_array_get(rows, i), columns[c].key);
      table_text(&t, text ? tone_of(text) : TONE_MUTED, text ? text : "–");
    }
  }
  document_table(d, &t);
}

enum { WORDS = COLUMN_TEXT | COLUMN_USER, SENTENCE = COLUMN_TEXT | COLUMN_WRAP | COLUMN_USER };
static const struct column limit_columns[] = {{"Metric", "name", SENTENCE},   {"Part", "part", WORDS},
                                              {"Model", "model", WORDS},      {"Limit", "limit", WORDS},
                                              {"Measured", "text", SENTENCE}, {"Status", "status", COLUMN_TEXT},
                                              {"Reason", "reason", SENTENCE}};
static const struct column plan_columns[] = {{"Metric", "name", SENTENCE},
                                             {"Model", "model", WORDS},
                                             {"Plan", "limit", WORDS},
                                             {"Achieved", "text", SENTENCE},
                                             {"Status", "status", COLUMN_TEXT}};
static const struct column validation_columns[] = {
    {"Check", "name", SENTENCE}, {"Status", "status", COLUMN_TEXT}, {"Detail", "reason", SENTENCE}};
static const struct column verdict_columns[] = {{"Part", "part", WORDS},
                                                {"Model", "model", WORDS},
                                                {"Verdict", "verdict", SENTENCE},
                                                {"Because", "reason", SENTENCE}};
#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void items_under(struct document *d, int level, const char *title, const json_t *list) {
  if (json_array_size(list) == 0) return;
  document_heading(d, level, title);
  for (size_t i = 0; i < json_array_size(list); i++) document_item(d, "%s", json_string_value(json_array_get(list, i)));
}

// By audience; the rows come audience by audience within a part.
static void advice_section(const json_t *rows, struct document *d) {
  static const char *const audiences[] = {"production", "research and development"};
  document_heading(d, 2, "Recommendations");
  for (size_t a = 0; a < 2; a++) {
    bool headed = false;
    for (size_t i = 0; i < json_array_size(rows); i++) {
      const json_t *row = json_array_get(rows, i);
      if (strcmp(record_string(row, "audience"), audiences[a]) != 0) continue;
      if (!headed) document_heading(d, 3, a ? "For research and development" : "For production");
      headed = true;
      document_item(d, "%s (%s): %s. %s", record_string(row, "when"), record_string(row, "part"),
                    record_string(row, "model"), record_string(row, "because"));
    }
  }
}

static void return_lines(const json_t *costs, const char *currency, struct document *d) {
  const json_t *returns = json_object_get(costs, "returns");
  for (size_t i = 0; i < json_array_size(returns); i++) {
    const json_t *r = json_array_get(returns, i);
    double yearly = 0, roi, months;
    record_number(r, "yearly", &yearly);
    struct buf b = {0};
    buf_printf(&b, "Return, %s: %.2f %s a year", record_string(r, "name"), yearly, currency);
    if (record_number(r, "roi_percent", &roi)) buf_printf(&b, "; %.1f %% of the investment a year", roi);
    if (record_number(r, "payback_months", &months)) {
      buf_printf(&b, "; paid back in %.1f months (%.2f years)", months, months / 12);
    } else {
      buf_puts(&b, "; never paid back at this rate");
    }
    if (b.data) document_item(d, "%s", b.data);
    buf_free(&b);
  }
}

static void costs_section(const json_t *study, struct document *d) {
  const json_t *costs = record_get(study, "derived.costs"), *lines = json_object_get(costs, "lines");
  const char *currency = record_string(costs, "currency");
  double total = 0, investment = 0, before, after;
  struct table t = {.title = "Costs and return"};
  if (!costs) return;
  document_heading(d, 2, t.title);
  document_text(d, "Prices and counts are the author's; the measured figures of %s and the arithmetic are not.",
                record_string(costs, "model"));
  table_column(&t, COLUMN_TEXT, "Saving");
  table_column(&t, 0, "Amount");
  table_column(&t, SENTENCE, "How");
  for (size_t i = 0; i < json_array_size(lines); i++) {
    const json_t *line = json_array_get(lines, i);
    double amount = 0;
    record_number(line, "amount", &amount);
    table_text(&t, TONE_PLAIN, record_string(line, "what"));
    table_cell(&t, TONE_PLAIN, "%.2f %s", amount, currency);
    table_text(&t, TONE_PLAIN, record_string(line, "how"));
  }
  record_number(costs, "savings_year", &total);
  record_number(costs, "investment", &investment);
  table_text(&t, TONE_PLAIN, "Sum, a year");
  table_cell(&t, TONE_PLAIN, "%.2f %s", total, currency);
  table_cell(&t, TONE_PLAIN, "investment %.2f %s", investment, currency);
  document_table(d, &t);
  return_lines(costs, currency, d);
  if (record_number(costs, "models_per_instance.original", &before) &&
      record_number(costs, "models_per_instance.quantized", &after))
    document_item(d, "Models that fit into one instance's memory: %.0f originals, %.0f quantized.", before, after);
}

static void composite_section(const json_t *study, struct document *d) {
  const json_t *composite = record_get(study, "derived.composite"), *rows = json_object_get(composite, "components");
  const char *verdict = record_string(composite, "verdict");
  double score = 0, weights = 0;
  if (!composite) return;
  struct table t = {.title = "Composite score"};
  record_number(composite, "score", &score);
  record_number(composite, "weights", &weights);
  document_heading(d, 2, t.title);
  document_text(d, "Score: %.1f of 100%s%s.", score, verdict ? ", " : "", verdict ? verdict : "");
  document_text(
      d,
      "score = 100 x sum(weight x clamp((value - zero) / (full - zero), 0, 1)) / sum(weight); the weights and "
      "ends are the author's.");
  static const char *const heads[] = {"Value", "0 points at", "Full at", "Weight", "Points"};
  table_column(&t, COLUMN_TEXT, "Metric");
  for (size_t i = 0; i < COUNT(heads); i++) table_column(&t, 0, heads[i]);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i);
    const struct study_metric *m = study_metric_find(record_string(row, "metric"));
    static const char *const keys[] = {"value", "zero", "full"};
    double x;
    table_text(&t, TONE_PLAIN, m->title);
    for (size_t k = 0; k < 3; k++) {
      char text[64] = "n/a";
      if (record_number(row, keys[k], &x)) study_metric_print(m, x, text, sizeof text);
      table_text(&t, TONE_PLAIN, text);
    }
    record_number(row, "weight", &x);
    table_cell(&t, TONE_PLAIN, "%g", x);
    record_number(row, "points", &x);
    table_cell(&t, TONE_PLAIN, "%.2f", x);
  }
  document_table(d, &t);
}

// A requirement or step: a box, what it is, what shows it.
static void tasks_section(const json_t *study, const char *key, const char *title, struct document *d) {
  const json_t *tasks = json_object_get(json_object_get(study, "derived"), key);
  if (json_array_size(tasks) == 0) return;
  document_heading(d, 2, title);
  for (size_t i = 0; i < json_array_size(tasks); i++) {
    const json_t *task = json_array_get(tasks, i);
    const char *state = record_string(task, "state"), *note = record_string(task, "note");
    struct buf b = {0};
    buf_puts(&b, record_string(task, "text"));
    if (!strcmp(state, "in progress")) buf_puts(&b, " (in progress)");
    if (note && *note) buf_printf(&b, " - %s", note);
    if (b.data) document_task(d, !strcmp(state, "done"), b.data);
    buf_free(&b);
  }
}

static void readiness_section(const json_t *study, struct document *d) {
  document_heading(d, 2, "Readiness");
  items_under(d, 3, "Strengths", record_get(study, "derived.strengths"));
  items_under(d, 3, "Limitations", record_get(study, "derived.limitations"));
  items_under(d, 3, "Best for", record_get(study, "derived.best_for"));
  items_under(d, 3, "Not suitable for", record_get(study, "derived.not_for"));
  const char *diagram = record_string(study, "config.diagram");
  if (!diagram) return;
  struct buf b = {0};
  buf_puts(&b, diagram);
  if (b.len && b.data[b.len - 1] != '\n') buf_puts(&b, "\n");
  document_heading(d, 3, "Architecture");
  document_drawing(d, &b);
}

void sections_decision(const json_t *study, struct document *d) {
  const json_t *derived = json_object_get(study, "derived");
  rows_table(d, "Validation", json_object_get(derived, "validation"), validation_columns, COUNT(validation_columns));
  rows_table(d, "Acceptance limits", json_object_get(derived, "acceptance"), limit_columns, COUNT(limit_columns));
  rows_table(d, "Production targets", json_object_get(derived, "targets"), limit_columns, COUNT(limit_columns));
  rows_table(d, "Plan against achieved", json_object_get(derived, "plan"), plan_columns, COUNT(plan_columns));
  rows_table(d, "Verdict per model", json_object_get(derived, "verdicts"), verdict_columns, COUNT(verdict_columns));
  items_under(d, 2, "Key findings", json_object_get(derived, "findings"));
  advice_section(json_object_get(derived, "advice"), d);
  items_under(d, 2, "Rationale", json_object_get(derived, "rationale"));
  composite_section(study, d);
  costs_section(study, d);
  readiness_section(study, d);
  tasks_section(study, "requirements", "Requirements", d);
}

static void claims_section(const json_t *study, struct document *d) {
  static const struct column columns[] = {{"Claim", "claim", SENTENCE},
                                          {"What the records say", "text", SENTENCE},
                                          {"Needed", "limit", WORDS},
                                          {"Status", "status", COLUMN_TEXT}};
  rows_table(d, "Claims put to the records", record_get(study, "derived.claims"), columns, COUNT(columns));
}

static void conclusion(const json_t *study, struct document *d) {
  const json_t *validation = record_get(study, "derived.validation");
  document_heading(d, 2, "Conclusion");
  for (size_t i = 0; i < json_array_size(validation); i++) {
    const json_t *row = json_array_get(validation, i);
    const char *name = record_string(row, "name");
    if (strncmp(name, "Recommended", 11) != 0) continue;
    document_item(d, "%s: %s. %s", name, record_string(row, "status"), record_string(row, "reason"));
  }
  document_text(d, "Overall: %s.", record_string(study, "verdict"));
}

static void methods(struct document *d) {
  document_heading(d, 2, "How it was measured");
  for (const char *const *method = tables_methods; *method; method++) document_item(d, "%s", *method);
}

void sections_author(const json_t *study, struct document *d) {
  items_under(d, 2, "Implementation steps", record_get(study, "derived.steps"));
  tasks_section(study, "checklist", "Deployment checklist", d);
  tasks_section(study, "next_steps", "Next steps", d);
  tasks_section(study, "roadmap", "Roadmap", d);
  claims_section(study, d);
  items_under(d, 2, "Technical notes", record_get(study, "derived.notes"));
  methods(d);
  conclusion(study, d);
}
