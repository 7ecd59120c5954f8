// sections.c - head and results of a study's report; see sections.h.
#include "study/sections.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "report/record.h"
#include "report/report.h"
#include "report/tables.h"
#include "study/study.h"

static const char *text_at(const json_t *node, const char *path) {
  const char *text = record_string(node, path);
  return text ? text : "?";
}

static void items(struct document *d, const json_t *list) {
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *text = json_string_value(json_array_get(list, i));
    if (text) document_item(d, "%s", text);
  }
}

static const char *banner_of(const char *verdict) {
  if (verdict && !strcmp(verdict, "PASS")) return "PASS: every limit is met";
  if (verdict && !strcmp(verdict, "FAIL")) return "FAIL: a limit is not met";
  return "INCONCLUSIVE: the samples cannot decide every limit";
}

// What the numbers recommend for each part, in one line.
static void recommend_line(const json_t *study, struct document *d) {
  const json_t *advice = record_get(study, "derived.advice");
  for (size_t i = 0; i < json_array_size(advice); i++) {
    const json_t *a = json_array_get(advice, i);
    const char *when = record_string(a, "when");
    if (!when || strcmp(when, "Otherwise") != 0) continue;
    document_text(d, "Recommendation for %s: %s.", text_at(a, "part"), text_at(a, "model"));
  }
}

static void machine_line(const json_t *study, struct document *d) {
  const json_t *record = record_get(study, "parts.0.record");
  double memory = 0;
  size_t threads = 0;
  record_number(record, "machine.memory_bytes", &memory);
  record_count(record, "machine.threads", &threads);
  document_text(d, "Device: CPU (%s), %s, %zu threads, %.1f GB of memory. pare %s.", text_at(record, "machine.cpu"),
                text_at(record, "machine.isa"), threads, memory / 1e9, text_at(study, "pare_version"));
}

static void review_line(const json_t *study, struct document *d) {
  const char *created = record_string(study, "created");
  size_t days = 0;
  struct tm day = {0};
  char text[32];
  if (!created || !record_count(study, "config.review_days", &days) || days > 3650) return;
  if (!strptime(created, "%Y-%m-%d", &day)) return;
  day.tm_mday += (int)days;
  day.tm_hour = 12;
  time_t t = timegm(&day);
  struct tm then;
  if (t == (time_t)-1 || !gmtime_r(&t, &then) || !strftime(text, sizeof text, "%Y-%m-%d", &then)) return;
  document_text(d, "Next review: %s.", text);
}

static void configuration_rows(const json_t *part, const json_t *config, struct table *t) {
  const json_t *r = json_object_get(part, "record");
  double parameters = 0;
  size_t n = 0, labelled = 0, train = 0, runs = 0;
  const char *name = record_string(part, "name"), *gate = record_string(r, "gate.file");
  record_number(r, "parameters", &parameters);
  record_count(r, "dataset.n", &n);
  record_count(r, "dataset.labelled", &labelled);
  record_count(record_model(r, 0), "latency_ms.n", &runs);
  struct {
    const char *key;
    char value[400];
  } rows[] = {{"Model", ""}, {"Task", ""}, {"Data", ""}, {"Candidates", ""}, {"Latency", ""}, {"Gate", ""}};
  snprintf(rows[0].value, sizeof rows[0].value, "%.200s (%.60s, %.0f parameters)", text_at(config, "model"),
           text_at(r, "arch"), parameters);
  size_t classes = json_array_size(json_object_get(r, "labels"));
  int len = snprintf(rows[1].value, sizeof rows[1].value, "%s", text_at(r, "task"));
  if (classes) snprintf(rows[1].value + len, sizeof rows[1].value - (size_t)len, ", %zu classes", classes);
  len = snprintf(rows[2].value, sizeof rows[2].value, "%.200s: %zu texts, %zu of them labelled",
                 text_at(r, "dataset.path"), n, labelled);
  if (record_count(config, "train_samples", &train))
    snprintf(rows[2].value + len, sizeof rows[2].value - (size_t)len, "; trained on %zu (the author's figure)", train);
  struct buf names = {0};
  for (size_t i = 1; i < record_model_count(r); i++)
    buf_printf(&names, "%s%s", i > 1 ? ", " : "", record_model_name(record_model(r, i)));
  snprintf(rows[3].value, sizeof rows[3].value, "%.300s; shipped: %.60s", names.data ? names.data : "",
           text_at(part, "ship"));
  buf_free(&names);
  snprintf(rows[4].value, sizeof rows[4].value, "%zu timed runs per model, %zu in all, models in turns", runs,
           runs * record_model_count(r));
  snprintf(rows[5].value, sizeof rows[5].value, "%.200s", gate ? gate : "none");
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    table_text(t, TONE_PLAIN, name);
    table_text(t, TONE_PLAIN, rows[i].key);
    table_text(t, TONE_PLAIN, rows[i].value);
  }
}

static void sample_list(const json_t *part, struct document *d) {
  const json_t *samples = json_object_get(part, "samples");
  for (size_t i = 0; i < json_array_size(samples); i++) {
    const json_t *s = json_array_get(samples, i);
    const char *label = record_string(s, "label"), *text = record_string(s, "text");
    document_item(d, "Sample %zu%s%s: %s", i + 1, label ? ", " : "", label ? label : "", text ? text : "");
  }
}

static void configuration(const json_t *study, struct document *d) {
  const json_t *parts = json_object_get(study, "parts"), *configs = record_get(study, "config.parts");
  struct table t = {.title = "Test configuration"};
  document_heading(d, 2, "Test configuration");
  table_column(&t, COLUMN_TEXT | COLUMN_USER, "Part");
  table_column(&t, COLUMN_TEXT, "What");
  table_column(&t, COLUMN_TEXT | COLUMN_WRAP | COLUMN_USER, "Value");
  for (size_t i = 0; i < json_array_size(parts); i++)
    configuration_rows(json_array_get(parts, i), json_array_get(configs, i), &t);
  document_table(d, &t);
  machine_line(study, d);
  for (size_t i = 0; i < json_array_size(parts); i++) sample_list(json_array_get(parts, i), d);
}

void sections_head(const json_t *study, struct document *d) {
  const char *title = record_string(study, "config.title"), *subject = record_string(study, "config.subject");
  const char *created = record_string(study, "created");
  document_heading(d, 1, title ? title : "Study");
  if (subject) document_text(d, "%s", subject);
  if (created) document_text(d, "Date: %.10s. Status: measured; every figure below follows from the records.", created);
  document_banner(d, banner_of(record_string(study, "verdict")));
  recommend_line(study, d);
  review_line(study, d);
  document_heading(d, 2, "Executive summary");
  items(d, record_get(study, "derived.summary"));
  configuration(study, d);
}

static void part_table(const json_t *record, void (*build)(const json_t *, struct table *), struct document *d) {
  struct table t = {0};
  build(record, &t);
  if (table_rows(&t)) document_heading(d, 3, t.title);
  document_table(d, &t);
}

static void part_results(const json_t *study, const json_t *part, const json_t *config, struct document *d) {
  static void (*const builders[])(const json_t *, struct table *) = {
      tables_size,  tables_accuracy, tables_agreement, tables_likeness, tables_perplexity,
      tables_rouge, tables_speed,    tables_coverage,  tables_examples, tables_side_by_side};
  const json_t *record = json_object_get(part, "record");
  const char *title = record_string(part, "title"), *name = record_string(part, "name");
  char heading[200];
  snprintf(heading, sizeof heading, "Results: %.150s", title ? title : name);
  document_heading(d, 2, heading);
  sections_sheet(part, json_object_get(config, "sheet"), d);
  items(d, json_object_get(record_get(study, "derived.insights"), name));
  sections_bars(part, d);
  for (size_t i = 0; i < sizeof builders / sizeof builders[0]; i++) part_table(record, builders[i], d);
}

void sections_results(const json_t *study, struct document *d) {
  const json_t *parts = json_object_get(study, "parts"), *configs = record_get(study, "config.parts");
  for (size_t i = 0; i < json_array_size(parts); i++)
    part_results(study, json_array_get(parts, i), json_array_get(configs, i), d);
}

enum pare_status study_report(const json_t *study, enum study_form form, size_t width, struct buf *out,
                              struct pare_error *err) {
  enum pare_status status = study_lint(study, err);
  if (status) return status;
  struct document d = {0};
  sections_head(study, &d);
  sections_results(study, &d);
  sections_decision(study, &d);
  sections_author(study, &d);
  switch (form) {
    case STUDY_MARKDOWN: document_markdown(&d, out); break;
    case STUDY_PLAIN: document_plain(&d, width ? width : STUDY_WIDTH, out); break;
    case STUDY_HTML: document_html(&d, out); break;
  }
  bool failed = d.failed || out->failed;
  document_free(&d);
  return failed ? error_no_memory(err) : PARE_OK;
}
