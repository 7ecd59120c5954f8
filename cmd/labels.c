// labels.c - the value of --labels.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command.h"

// Copies one part, up to a comma outside double quotes, without its quotes, to at. *name: where the text after the
// first '=' outside quotes begins, or NULL. Returns the input after the part.
static const char *copy_part(const char *text, char **at, char **phrase) {
  bool quoted = false;
  *phrase = NULL;
  for (; *text && (quoted || *text != ','); text++) {
    if (*text == '"') {
      quoted = !quoted;
    } else if (*text == '=' && !quoted && !*phrase) {
      *(*at)++ = 0;
      *phrase = *at;
    } else {
      *(*at)++ = *text;
    }
  }
  *(*at)++ = 0;
  return text;
}

enum pare_status labels_parse(const char *text, struct labels *out, struct pare_error *err) {
  *out = (struct labels){0};
  size_t most = 1;
  for (const char *p = text; *p; p++) most += *p == ',';
  out->memory = malloc(2 * most * sizeof(char *) + strlen(text) + 1);
  if (!out->memory) return error_no_memory(err);
  out->phrases = out->memory;
  out->names = out->phrases + most;
  char *at = (char *)(out->names + most);
  const char *p = text;
  for (;;) {
    char *name = at, *phrase;
    p = copy_part(p, &at, &phrase);
    if (!*name || (phrase && !*phrase)) {
      labels_free(out);
      return error_set(err, PARE_USAGE, "--labels: expected a,b,c or NAME=phrase,..., found '%s'", text);
    }
    out->names[out->count] = name;
    out->phrases[out->count++] = phrase ? phrase : name;
    if (!*p) return PARE_OK;
    p++;
  }
}

void labels_free(struct labels *l) {
  free(l->memory);
  *l = (struct labels){0};
}
