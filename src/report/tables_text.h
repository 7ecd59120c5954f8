// tables_text.h - what the summary says of models that write text, where it speaks of accuracy for classifiers.
#ifndef PARE_REPORT_TABLES_TEXT_H
#define PARE_REPORT_TABLES_TEXT_H

#include <jansson.h>

#include "report/table.h"

void text_columns_brief(const json_t *record, struct table *t);
void text_cells_brief(const json_t *record, size_t i, struct table *t);

#endif
