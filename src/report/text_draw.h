// text_draw.h - text for a terminal: measured in columns, safe to print whatever it says.
#ifndef PARE_REPORT_TEXT_DRAW_H
#define PARE_REPORT_TEXT_DRAW_H

#include <stddef.h>

#include "base/buf.h"
#include "base/size.h"

// Columns that len bytes of UTF-8 take: wide characters 2, combining ones 0.
size_t text_columns(const char *s, size_t len);
// Adds s with control and bidirectional characters as spaces, cut to max >= 1 columns with "…". Returns the columns
// added.
size_t text_add_clean(struct buf *out, const char *s, size_t len, size_t max);
// Adds s broken into lines of width columns, from the second line on indented; ends in a newline unless s is empty.
void text_add_wrapped(struct buf *out, const char *s, size_t width, size_t indent);
void text_add_repeat(struct buf *out, const char *s, size_t count);

#endif
