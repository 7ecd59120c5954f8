// sections.h - the sections of a study's report, each written from the study record into a document.
#ifndef PARE_STUDY_SECTIONS_H
#define PARE_STUDY_SECTIONS_H

#include <jansson.h>

#include "study/document.h"

void sections_head(const json_t *study, struct document *d);     // title, banner, summary, what was tested
void sections_results(const json_t *study, struct document *d);  // per part: tables, insights, bars
void sections_decision(const json_t *study, struct document *d); // validation, targets, plan, costs, score, advice
void sections_author(const json_t *study, struct document *d);   // checklists, roadmap, claims, conclusion

// sections_sheet.c: the metrics of a part as rows, its models as columns; with one candidate, the change as well.
void sections_sheet(const json_t *part, const json_t *metrics, struct document *d);
// Bars of latency, size and confidence or similarity, as fixed-width lines.
void sections_bars(const json_t *part, struct document *d);

#endif
