// json_file.c - JSON files by jansson, with a size limit and messages that name the place.
#include <jansson.h>

#include "format/format.h"

static const size_t max_bytes = (size_t)512 << 20;

enum pare_status json_file_load(const char *path, struct json_t **out, struct pare_error *err) {
  *out = NULL;
  struct mapping m;
  enum pare_status status = file_map(path, &m, err);
  if (status != PARE_OK) return status;
  if (m.len > max_bytes) {
    status = error_set(err, PARE_DATA, "%s: %zu bytes of JSON; at most %zu are read", path, m.len, max_bytes);
  } else {
    json_error_t why;
    // An empty file has no mapping; jansson wants a pointer to say so itself.
    *out = json_loadb(m.data ? (const char *)m.data : "", m.len, JSON_REJECT_DUPLICATES, &why);
    if (!*out) status = error_set(err, PARE_DATA, "%s: line %d column %d: %s", path, why.line, why.column, why.text);
  }
  file_unmap(&m);
  return status;
}
