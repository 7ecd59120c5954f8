// html.h - HTML character references ("&lt;", "&#39;") become characters, as Python's html.unescape has them.
#ifndef PARE_TEXT_HTML_H
#define PARE_TEXT_HTML_H

#include "text/codes.h"

// Replaces them in place (a reference is never shorter than what it stands for), once, from left to right. Cannot fail.
void html_unescape(struct codes *text);

// ---- html_data.c ----

extern const struct html_entity {
  const char *name;  // "lt;"; a few also without the semicolon
  uint32_t chars[2]; // the second is 0 when there is one
} html_entities[];   // in the order of their bytes
extern const size_t html_entity_count;
extern const struct html_number { // numeric references that mean another character
  uint32_t number, meant;
} html_numbers[];
extern const size_t html_number_count;
extern const struct html_nothing { // numeric references that mean nothing at all
  uint32_t first, last;
} html_nothing[];
extern const size_t html_nothing_count;

#endif
