// recommend.h - what report_recommend writes and report_lint compares with.
#ifndef PARE_REPORT_RECOMMEND_H
#define PARE_REPORT_RECOMMEND_H

#include <jansson.h>

#include "report/report.h"

// The recommendations a record supports, as a new array (NULL when out of memory). Only reads the record.
json_t *recommend_build(const json_t *record);

#endif
