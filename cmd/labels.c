// labels.c - the value of --labels.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "command.h"

// Copies to *at what stands before a comma or, when asked for, a '=' outside double quotes: without the quotes, and
// without the spaces around it that are not quoted. Returns the input at what ended it, or NULL when a quote is open.
static const char *copy_word(const char *text, bool ends_at_equals, char **at) {
  bool quoted = false;
  text += strspn(text, " ");
  char *end = *at; // behind the last byte that stays
  for (; *text && (quoted || (*text != ',' && !(ends_at_equals && *text == '='))); text++) {
    if (*text == '"') {
      quoted = !quoted;
    } else {
      *(*at)++ = *text;
    }
    if (quoted || *text != ' ') end = *at;
  }
  *at = end;
  *(*at)++ = 0;
  return quoted ? NULL : text;
}

static enum pare_status refuse(const char *text, struct labels *out, struct pare_error *err) {
  labels_free(out);
  return error_set(err, PARE_USAGE, "--labels: expected a,b,c or NAME=phrase,..., found '%s'", text);
}

enum pare_status labels_parse(const char *text, struct labels *out, struct pare_error *err) {
  *out = (struct labels){0};
  size_t most = 1;
  for (const char *p = text; *p; p++) most += *p == ',';
  out->memory = calloc(2 * most * sizeof(char *) + strlen(text) + 1, 1);
  if (!out->memory) return error_no_memory(err);
  out->phrases = out->memory;
  out->names = out->phrases + most;
  char *at = (char *)(out->names + most);
  const char *p = text;
  for (;; p++) {
    char *name = at, *phrase = at;
    p = copy_word(p, true, &at);
    if (p && *p == '=') {
      phrase = at;
      p = copy_word(p + 1, false, &at);
    }
    if (!p || !*name || !*phrase) return refuse(text, out, err);
    for (size_t i = 0; i < out->count; i++) {
      if (strcmp(out->names[i], name) != 0) continue;
      error_set(err, PARE_USAGE, "--labels: expected every label once, found '%s' again", name);
      labels_free(out);
      return PARE_USAGE;
    }
    out->names[out->count] = name;
    out->phrases[out->count++] = phrase;
    if (!*p) return PARE_OK;
  }
}

enum pare_status labels_check_template(const char *labels, const char *template_text, struct pare_error *err) {
  if (labels || !template_text) return PARE_OK;
  return error_set(err, PARE_USAGE, "--template goes with --labels: it is the sentence they are put into");
}

void labels_free(struct labels *l) {
  free(l->memory);
  *l = (struct labels){0};
}
