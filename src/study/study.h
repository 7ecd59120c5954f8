// study.h - one document over several comparisons. A study file (YAML) says what to compare and what its author wants
// to know: limits, a plan, prices, a checklist. The records answer, and every sentence about a model follows from them.
//
// A study record: {kind: "study", pare_version, created, command, file, config, parts[{name, record, samples}],
// derived, verdict}. config is the study file as read; each part's record is a comparison's; derived is computed from
// those alone (study_derive), so that a linter can do it again.
#ifndef PARE_STUDY_STUDY_H
#define PARE_STUDY_STUDY_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"

// Reads and checks a study file. PARE_NOFILE, or PARE_DATA naming file, line, key, what was expected and what was
// found. The caller owns *out, the config.
enum pare_status study_load(const char *path, json_t **out, struct pare_error *err);

// The same checks on a config that comes from a record; file is named in messages.
enum pare_status study_check(const json_t *config, const char *file, struct pare_error *err);

// record with config and parts -> record.derived and record.verdict. Returns PARE_OK, PARE_REFUSED or
// PARE_INCONCLUSIVE for PASS, FAIL and INCONCLUSIVE, PARE_DATA for a model or part that the comparisons do not have.
enum pare_status study_derive(json_t *record, struct pare_error *err);

// PARE_BUG when a part's record, or what was derived, disagrees with what is computed anew.
enum pare_status study_lint(const json_t *record, struct pare_error *err);

enum study_form { STUDY_MARKDOWN, STUDY_PLAIN, STUDY_HTML };
enum { STUDY_WIDTH = 100 };
// Lints, then appends the report to out. width: columns of the plain form, 0: STUDY_WIDTH.
enum pare_status study_report(const json_t *record, enum study_form form, size_t width, struct buf *out,
                              struct pare_error *err);

#endif
