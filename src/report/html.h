// html.h - pieces of the page: escaping and style. The page is well-formed XML, so that any parser can check it.
#ifndef PARE_REPORT_HTML_H
#define PARE_REPORT_HTML_H

#include <stddef.h>

#include "base/buf.h"

extern const char html_style[]; // the page's CSS

// A page up to and with <body>.
void html_open(const char *title, struct buf *out);

// Text from data, for element content and double-quoted attributes. What XML has no place for becomes a space.
void html_escape(const char *s, struct buf *out);
// The same in its own <bdi>: its direction does not leak into what stands beside it.
void html_isolated(const char *s, struct buf *out);

#endif
