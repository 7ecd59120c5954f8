// json.c - a record as JSON. Numbers keep all their digits, so what is read back recomputes to the same report.
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

enum pare_status report_json(const json_t *record, bool pretty, struct buf *out, struct pare_error *err) {
  char *text = json_dumps(record, pretty ? JSON_INDENT(2) | JSON_PRESERVE_ORDER : JSON_COMPACT | JSON_PRESERVE_ORDER);
  if (!text) return error_no_memory(err);
  buf_add(out, text, strlen(text));
  buf_puts(out, "\n");
  free(text);
  return out->failed ? error_no_memory(err) : PARE_OK;
}
