// api_record.h - what is behind pare_record: a JSON tree and which command it came from.
#ifndef PARE_API_RECORD_H
#define PARE_API_RECORD_H

#include <jansson.h>

#include "pare.h"

enum record_kind {
  RECORD_INFO,
  RECORD_SCHEMES,
  RECORD_MODELS,
  RECORD_QUANTIZE,
  RECORD_COMPARE,
  RECORD_EVAL,
  RECORD_BENCH,
  RECORD_PERPLEXITY,
  RECORD_STUDY,
  RECORD_TRAIN
};

struct pare_record {
  enum record_kind kind;
  json_t *tree; // owned
};

// Takes tree over (also on failure). tree NULL means it could not be built: out of memory.
enum pare_status record_new(enum record_kind kind, json_t *tree, pare_record **out, struct pare_error *err);
// What a job returned, as a pare_* call returns it: its tree becomes a record when the job was done (OK, REFUSED or
// INCONCLUSIVE). The status of making the record counts only then.
enum pare_status record_wrap(enum record_kind kind, enum pare_status status, json_t *tree, pare_record **out,
                             struct pare_error *err);

#endif
