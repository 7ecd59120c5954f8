// document.c - see document.h. Text may come from a study file or from data: it is cleaned and escaped where drawn.
#include "study/document.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report/draw.h"
#include "report/html.h"
#include "report/text_draw.h"

void document_free(struct document *d) {
  for (size_t i = 0; i < d->count; i++) {
    free(d->blocks[i].text);
    table_free(&d->blocks[i].table);
  }
  free(d->blocks);
  *d = (struct document){0};
}

static struct block *add(struct document *d, enum block_kind kind) {
  if (d->failed) return NULL;
  if (d->count == d->cap) {
    size_t cap = d->cap ? 2 * d->cap : 64;
    struct block *grown = realloc(d->blocks, cap * sizeof *grown);
    if (!grown) {
      d->failed = true;
      return NULL;
    }
    d->blocks = grown;
    d->cap = cap;
  }
  struct block *b = &d->blocks[d->count++];
  *b = (struct block){.kind = kind};
  return b;
}

static struct block *add_text(struct document *d, enum block_kind kind, const char *text) {
  struct block *b = add(d, kind);
  if (!b) return NULL;
  b->text = strdup(text);
  d->failed |= !b->text;
  return b->text ? b : NULL;
}

void document_heading(struct document *d, int level, const char *text) {
  char numbered[256];
  snprintf(numbered, sizeof numbered, "%zu. %.200s", d->sections + 1, text);
  d->sections += level == 2;
  struct block *b = add_text(d, BLOCK_HEADING, level == 2 ? numbered : text);
  if (b) b->level = level;
}

static void add_formatted(struct document *d, enum block_kind kind, const char *format, va_list ap) {
  char *text = NULL;
  if (vasprintf(&text, format, ap) < 0) {
    d->failed = true;
    return;
  }
  struct block *b = add(d, kind);
  if (b) {
    b->text = text;
  } else {
    free(text);
  }
}

void document_text(struct document *d, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  add_formatted(d, BLOCK_TEXT, format, ap);
  va_end(ap);
}

void document_item(struct document *d, const char *format, ...) {
  va_list ap;
  va_start(ap, format);
  add_formatted(d, BLOCK_ITEM, format, ap);
  va_end(ap);
}

void document_banner(struct document *d, const char *text) {
  add_text(d, BLOCK_BANNER, text);
}

void document_task(struct document *d, bool done, const char *text) {
  struct block *b = add_text(d, BLOCK_TASK, text);
  if (b) b->done = done;
}

void document_table(struct document *d, struct table *t) {
  d->failed |= t->failed || t->notes.failed;
  struct block *b = table_rows(t) ? add(d, BLOCK_TABLE) : NULL;
  if (b) {
    b->table = *t;
  } else {
    table_free(t);
  }
  *t = (struct table){0};
}

void document_drawing(struct document *d, struct buf *lines) {
  struct block *b = lines->len ? add(d, BLOCK_DRAWING) : NULL;
  if (b) b->text = buf_take(lines);
  d->failed |= b && !b->text;
  buf_free(lines);
}

static bool listed(const struct block *b) {
  return b->kind == BLOCK_ITEM || b->kind == BLOCK_TASK;
}

// ---- Markdown ----

static void markdown_block(const struct block *b, struct buf *out) {
  switch (b->kind) {
    case BLOCK_HEADING:
      buf_add(out, "######", (size_t)b->level);
      buf_puts(out, " ");
      break;
    case BLOCK_BANNER: buf_puts(out, "**"); break;
    case BLOCK_ITEM: buf_puts(out, "- "); break;
    case BLOCK_TASK: buf_puts(out, b->done ? "- [x] " : "- [ ] "); break;
    case BLOCK_TABLE: table_draw_markdown(&b->table, out); return;
    case BLOCK_DRAWING: buf_printf(out, "```\n%s```\n", b->text); return;
    case BLOCK_TEXT: break;
  }
  markdown_escape(b->text, out);
  buf_puts(out, b->kind == BLOCK_BANNER ? "**\n" : "\n");
}

void document_markdown(const struct document *d, struct buf *out) {
  for (size_t i = 0; i < d->count; i++) {
    if (i && !(listed(&d->blocks[i]) && listed(&d->blocks[i - 1]))) buf_puts(out, "\n");
    markdown_block(&d->blocks[i], out);
  }
}

// ---- plain text ----

static void rule(const char *mark, size_t width, struct buf *out) {
  text_add_repeat(out, mark, width);
  buf_puts(out, "\n");
}

static void plain_heading(const struct block *b, size_t width, struct buf *out) {
  if (b->level <= 2) rule("=", width, out);
  text_add_wrapped(out, b->text, width, 0);
  rule(b->level <= 2 ? "=" : "-", width, out);
}

static void plain_block(const struct block *b, size_t width, struct buf *out) {
  switch (b->kind) {
    case BLOCK_HEADING: plain_heading(b, width, out); return;
    case BLOCK_TABLE: table_draw_text(&b->table, width, false, out); return;
    case BLOCK_DRAWING: buf_puts(out, b->text); return;
    case BLOCK_ITEM: buf_puts(out, "  • "); break;
    case BLOCK_TASK: buf_puts(out, b->done ? "  [x] " : "  [ ] "); break;
    case BLOCK_BANNER: buf_puts(out, ">> "); break;
    case BLOCK_TEXT: break;
  }
  size_t indent = b->kind == BLOCK_TASK ? 6 : b->kind == BLOCK_ITEM ? 4 : 0;
  struct buf lines = {0};
  text_add_wrapped(&lines, b->text, width - 6, indent);
  if (lines.data) buf_puts(out, lines.data);
  out->failed |= lines.failed;
  buf_free(&lines);
}

void document_plain(const struct document *d, size_t width, struct buf *out) {
  for (size_t i = 0; i < d->count; i++) {
    if (i && !(listed(&d->blocks[i]) && listed(&d->blocks[i - 1]))) buf_puts(out, "\n");
    plain_block(&d->blocks[i], width, out);
  }
  buf_puts(out, "\n");
  rule("=", width, out);
  buf_puts(out, "REPORT END\n");
  rule("=", width, out);
}

// ---- page ----

// Line by line: an escaped line break is a space.
static void drawing_lines(const char *text, struct buf *out) {
  while (*text) {
    size_t len = strcspn(text, "\n");
    struct buf line = {0};
    buf_add(&line, text, len);
    if (line.data) html_escape(line.data, out);
    buf_puts(out, "\n");
    out->failed |= line.failed;
    buf_free(&line);
    text += len + (text[len] == '\n');
  }
}

// The colour of what the banner says first.
static const char *banner_class(const char *text) {
  return !strncmp(text, "PASS", 4) ? "pass" : !strncmp(text, "FAIL", 4) ? "fail" : "unsure";
}

static void html_block(const struct block *b, struct buf *out) {
  switch (b->kind) {
    case BLOCK_TABLE: table_draw_html(&b->table, out); return;
    case BLOCK_DRAWING:
      buf_puts(out, "<pre class=\"scroll\" tabindex=\"0\">");
      drawing_lines(b->text, out);
      buf_puts(out, "</pre>\n");
      return;
    case BLOCK_HEADING: buf_printf(out, "<h%d>", b->level); break;
    case BLOCK_BANNER:
      buf_printf(out, "<section class=\"verdict %s\" aria-label=\"Verdict\"><p><b>", banner_class(b->text));
      break;
    case BLOCK_ITEM: buf_puts(out, "<li>"); break;
    case BLOCK_TASK: buf_printf(out, "<li>%s ", b->done ? "☑" : "☐"); break;
    case BLOCK_TEXT: buf_puts(out, "<p>"); break;
  }
  html_isolated(b->text, out);
  switch (b->kind) {
    case BLOCK_HEADING: buf_printf(out, "</h%d>\n", b->level); break;
    case BLOCK_BANNER: buf_puts(out, "</b></p></section>\n"); break;
    case BLOCK_ITEM:
    case BLOCK_TASK: buf_puts(out, "</li>\n"); break;
    default: buf_puts(out, "</p>\n"); break;
  }
}

void document_html(const struct document *d, struct buf *out) {
  const char *title = d->count ? d->blocks[0].text : "";
  html_open(title ? title : "", out);
  buf_puts(out, "<main>\n");
  bool in_list = false;
  for (size_t i = 0; i < d->count; i++) {
    bool item = listed(&d->blocks[i]);
    if (item && !in_list) buf_puts(out, "<ul>\n");
    if (!item && in_list) buf_puts(out, "</ul>\n");
    in_list = item;
    html_block(&d->blocks[i], out);
  }
  if (in_list) buf_puts(out, "</ul>\n");
  buf_puts(out, "</main></body></html>\n");
}
