// tables.h - the tables of a report, each built from a record; text, Markdown and HTML draw the same ones.
#ifndef PARE_REPORT_TABLES_H
#define PARE_REPORT_TABLES_H

#include <jansson.h>

#include "report/table.h"

// Each fills a zeroed table; one without rows is left out of the report.
void tables_summary(const json_t *record, struct table *t); // one line per model: what matters most
void tables_size(const json_t *record, struct table *t);
void tables_accuracy(const json_t *record, struct table *t);
void tables_agreement(const json_t *record, struct table *t);  // answers, confidence, divergence
void tables_likeness(const json_t *record, struct table *t);   // of texts written, to the original's
void tables_perplexity(const json_t *record, struct table *t); // of the data's texts
void tables_rouge(const json_t *record, struct table *t);      // texts written against references
void tables_side_by_side(const json_t *record, struct table *t);
void tables_speed(const json_t *record, struct table *t);
void tables_classes(const json_t *record, struct table *t);  // F1 per class and model
void tables_coverage(const json_t *record, struct table *t); // which encodings hold how much
void tables_recommendations(const json_t *record, struct table *t);
void tables_gate(const json_t *record, struct table *t);
void tables_gate_brief(const json_t *record, struct table *t); // for a terminal
void tables_examples(const json_t *record, struct table *t);   // disagreements
void tables_context(const json_t *record, struct table *t);    // data, machine, provenance: key and value

// Sentences on how the numbers were made; NULL-terminated.
extern const char *const tables_methods[];

// One line: what was compared, and on what. Appends to out.
void tables_headline(const json_t *record, struct buf *out);

#endif
