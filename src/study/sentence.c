// sentence.c - see sentence.h.
#include "study/sentence.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/record.h"

enum { REFERENCE_MAX = 200 };

// {part:model:metric} taken apart; missing pieces are NULL. Pieces point into text, a copy of what is in the braces.
struct reference {
  char text[REFERENCE_MAX];
  const char *part, *model, *metric;
};

static bool reference_read(const char *s, size_t len, struct reference *out) {
  *out = (struct reference){.part = NULL};
  if (len == 0 || len >= REFERENCE_MAX) return false;
  memcpy(out->text, s, len);
  char *first = strchr(out->text, ':'), *last = strrchr(out->text, ':');
  out->metric = last ? last + 1 : out->text;
  if (!first) return true;
  out->part = out->text;
  if (last != first) out->model = first + 1;
  *first = *last = 0;
  return true;
}

// Units that make a number a figure about a model.
static bool has_unit(const char *after) {
  static const char *const units[] = {"%",    "×",  "x",    "times",    "ms",       "us",      "KB",    "kB",
                                      "MB",   "GB", "KiB",  "MiB",      "GiB",      "points",  "point", "pp",
                                      "nats", "µs", "fold", "tokens/s", "per cent", "percent", NULL};
  while (*after == ' ' || *after == '-') after++;
  for (size_t i = 0; units[i]; i++) {
    size_t len = strlen(units[i]);
    // A unit of letters is a whole word: "5 xylophones" has none.
    bool letters = isalpha((unsigned char)units[i][0]);
    if (!strncmp(after, units[i], len) && !(letters && isalpha((unsigned char)after[len]))) return true;
  }
  return false;
}

bool sentence_check(const char *text, char *why, size_t size) {
  for (const char *s = text; *s;) {
    if (*s == '{') {
      const char *end = strchr(s, '}');
      struct reference r;
      if (!end || !reference_read(s + 1, (size_t)(end - s - 1), &r)) {
        snprintf(why, size, "expected {metric} or {part:model:metric}, found %.40s", s);
        return false;
      }
      if (!study_metric_find(r.metric)) {
        snprintf(why, size, "expected the name of a metric in braces, found {%.60s}", r.metric);
        return false;
      }
      s = end + 1;
    } else if (isdigit((unsigned char)*s)) {
      const char *start = s;
      while (isdigit((unsigned char)*s) || (*s == '.' && isdigit((unsigned char)s[1])) || *s == ',') s++;
      if (!has_unit(s)) continue;
      snprintf(why, size, "expected a figure from the records, as {metric}; found %.20s", start);
      return false;
    } else {
      s++;
    }
  }
  return true;
}

bool study_view_find(const json_t *study, const char *part, const char *model, struct study_view *out) {
  const json_t *parts = json_object_get(study, "parts"), *found = NULL;
  for (size_t i = 0; !found && i < json_array_size(parts); i++) {
    const json_t *p = json_array_get(parts, i);
    const char *name = record_string(p, "name");
    if (!part || (name && !strcmp(name, part))) found = p;
  }
  const json_t *record = json_object_get(found, "record");
  if (!record) return false;
  if (!model || !strcmp(model, "ship")) model = record_string(found, "ship");
  if (!model) return false;
  size_t at = strcmp(model, "original") ? record_find_model(record, model) : 0;
  if (at >= record_model_count(record)) return false;
  *out = study_view_at(record, at);
  return true;
}

static void fill_one(const json_t *study, const struct reference *r, struct buf *out) {
  const struct study_metric *m = study_metric_find(r->metric);
  struct study_view view;
  struct study_value value;
  const char *reason;
  char text[64];
  if (!m || !study_view_find(study, r->part, r->model, &view) || !study_metric_get(m, &view, &value, &reason)) {
    buf_puts(out, "n/a");
    return;
  }
  study_metric_print(m, value.value, text, sizeof text);
  buf_puts(out, text);
}

void sentence_fill(const json_t *study, const char *text, struct buf *out) {
  while (*text) {
    size_t plain = strcspn(text, "{");
    buf_add(out, text, plain);
    text += plain;
    const char *end = *text ? strchr(text, '}') : NULL;
    if (!end) return;
    struct reference r;
    if (reference_read(text + 1, (size_t)(end - text - 1), &r)) fill_one(study, &r, out);
    text = end + 1;
  }
}
