// study_run.h - carries out a study file: one comparison per part, then what follows from them.
#ifndef PARE_EVAL_STUDY_RUN_H
#define PARE_EVAL_STUDY_RUN_H

#include "eval/compare.h"

// See pare_study. *record: a study record; set on PARE_OK, PARE_REFUSED and PARE_INCONCLUSIVE.
enum pare_status study_run(pare_engine *engine, const char *path, const struct pare_study_options *options,
                           compare_checker *check, compare_quantizer *quantize, json_t **record,
                           struct pare_error *err);

#endif
