// charts.h - the pictures of the page, each drawn from a record. A chart without data adds nothing.
#ifndef PARE_REPORT_CHARTS_H
#define PARE_REPORT_CHARTS_H

#include <jansson.h>

#include "base/buf.h"

void chart_size(const json_t *record, struct buf *out);      // stacked bars: embedding, linear, scales, other
void chart_accuracy(const json_t *record, struct buf *out);  // dots with 95 % intervals
void chart_delta(const json_t *record, struct buf *out);     // accuracy differences with 95 % intervals
void chart_latency(const json_t *record, struct buf *out);   // every run, with box and median
void chart_classes(const json_t *record, struct buf *out);   // F1 per class, a mark per model
void chart_confusion(const json_t *record, struct buf *out); // a heat map with counts per model

#endif
