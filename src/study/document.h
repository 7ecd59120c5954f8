// document.h - a document as a list of blocks, drawn as Markdown, as plain text with ruled sections, or as a page.
#ifndef PARE_STUDY_DOCUMENT_H
#define PARE_STUDY_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "report/table.h"

enum block_kind { BLOCK_HEADING, BLOCK_TEXT, BLOCK_BANNER, BLOCK_ITEM, BLOCK_TASK, BLOCK_TABLE, BLOCK_DRAWING };

struct block {
  enum block_kind kind;
  int level;  // of a heading: 1 is the title
  bool done;  // of a task
  char *text; // all but tables
  struct table table;
};

// Zero-initialise; document_free. A failed allocation sets failed and drops what follows.
struct document {
  struct block *blocks;
  size_t count, cap;
  size_t sections; // numbered so far
  bool failed;
};
void document_free(struct document *d);

// level 1: the title; 2: a section, numbered; 3: below it.
void document_heading(struct document *d, int level, const char *text);
void document_text(struct document *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void document_banner(struct document *d, const char *text); // the one line that must be seen
void document_item(struct document *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void document_task(struct document *d, bool done, const char *text); // a box, checked or open
void document_table(struct document *d, struct table *t);            // takes t over; one without rows is dropped
void document_drawing(struct document *d, struct buf *lines);        // fixed-width lines; takes them over

void document_markdown(const struct document *d, struct buf *out);
void document_plain(const struct document *d, size_t width, struct buf *out); // ends in "REPORT END"
void document_html(const struct document *d, struct buf *out);

#endif
