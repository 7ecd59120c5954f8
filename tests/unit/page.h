// page.h - what the tests of reports share: records from files, and what a page must and may not hold.
#ifndef PARE_TESTS_PAGE_H
#define PARE_TESTS_PAGE_H

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static inline json_t *load(const char *name) {
  char path[512];
  json_error_t error;
  snprintf(path, sizeof path, TEST_DIR "/unit/data/%s", name);
  json_t *record = json_load_file(path, 0, &error);
  if (!record) fail_msg("%s: %s", name, error.text);
  return record;
}

static inline void has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("missing: %s", part);
}

static inline void has_not(const char *text, const char *part) {
  if (strstr(text, part)) fail_msg("found: %s", part);
}

// Every tag is closed in its turn and no ampersand stands bare: an XML parser would take it.
static inline void well_formed(const char *page) {
  char open[64][24];
  size_t depth = 0;
  for (const char *p = strchr(page, '>') + 1; *p; p++) { // after the doctype
    if (*p == '&') {
      size_t n = strcspn(p, ";");
      if (n > 6) fail_msg("bare ampersand: %.30s", p);
    }
    if (*p != '<') continue;
    bool closing = p[1] == '/';
    const char *name = p + 1 + closing, *end = strchr(p, '>');
    size_t n = strcspn(name, " />\n");
    assert_non_null(end);
    assert_in_range(n, 1, 20);
    if (closing) {
      if (depth == 0 || strncmp(open[depth - 1], name, n) != 0 || open[depth - 1][n]) fail_msg("unbalanced: %.30s", p);
      depth--;
    } else if (end[-1] != '/') {
      assert_true(depth < 64);
      snprintf(open[depth++], sizeof open[0], "%.*s", (int)n, name);
    }
    if (strncmp(p, "<style>", 7) == 0) end = strstr(p, "</style>") - 1;
    p = end;
  }
  assert_int_equal(depth, 0);
}

#endif
