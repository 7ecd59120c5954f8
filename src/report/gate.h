// gate.h - may the smaller model ship? A gate file (YAML or JSON) of limits, decided on a record with intervals.
#ifndef PARE_REPORT_GATE_H
#define PARE_REPORT_GATE_H

#include <jansson.h>

#include "base/error.h"

// Reads a gate file into a flat object {key: number or string}, checked: PARE_NOFILE, or PARE_DATA naming file, line,
// key, what was expected and what was found. The caller owns *out.
enum pare_status gate_load(const char *path, json_t **out, struct pare_error *err);

// Decides every limit of the file for every candidate (or the one that `model` names) and sets record.gate =
// {verdict, file, ci, model, checks[{name, model, value, interval, n, threshold, status, reason}], models[{name,
// verdict}]}. Verdict: FAIL if a check fails, else INCONCLUSIVE if one is, else PASS. Returns PARE_OK, PARE_REFUSED or
// PARE_INCONCLUSIVE for these, or an error (record.gate then untouched).
enum pare_status gate_apply(json_t *record, const char *path, struct pare_error *err);
// The same with limits from gate_load; file is only named in the record.
enum pare_status gate_decide(json_t *record, const json_t *gate, const char *file, struct pare_error *err);

#endif
