// draw.h - text from data, made safe for Markdown.
#ifndef PARE_REPORT_DRAW_H
#define PARE_REPORT_DRAW_H

#include "base/buf.h"

// Neither opens a tag nor ends a cell, and holds no control or bidirectional characters.
void markdown_escape(const char *text, struct buf *out);

#endif
