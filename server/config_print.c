// config_print.c - the configuration as YAML: every key of the table with its value, keys to the server hidden.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "config_parts.h"

// In double quotes. What YAML does not take as it is, or folds, is escaped.
static void put_text(struct buf *out, const char *text) {
  size_t len = strlen(text);
  buf_puts(out, "\"");
  for (size_t i = 0; i < len;) {
    const unsigned char *c = (const unsigned char *)text + i;
    size_t n = utf8_sequence_len(c, len - i);
    // U+0080 to U+009F; U+2028, U+2029; U+FEFF, U+FFFE, U+FFFF
    bool control8 = n == 2 && c[0] == 0xC2 && c[1] < 0xA0;
    bool special = n == 3 && ((c[0] == 0xE2 && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9)) ||
                              (c[0] == 0xEF && ((c[1] == 0xBB && c[2] == 0xBF) || (c[1] == 0xBF && c[2] >= 0xBE))));
    if (n == 1 && (*c == '"' || *c == '\\')) {
      buf_printf(out, "\\%c", *c);
    } else if (n == 0 || (n == 1 && (*c < 0x20 || *c == 0x7F))) { // a byte that is no text cannot be written
      buf_printf(out, "\\x%02X", *c);
    } else if (control8) {
      buf_printf(out, "\\x%02X", c[1]);
    } else if (special) {
      buf_printf(out, "\\u%04X", (unsigned)((c[0] & 0x0F) << 12 | (c[1] & 0x3F) << 6 | (c[2] & 0x3F)));
    } else {
      buf_add(out, text + i, n);
    }
    i += n ? n : 1;
  }
  buf_puts(out, "\"");
}

// The shortest digits that give the same number back.
static void put_real(struct buf *out, double x) {
  char text[32];
  for (int digits = 9; digits <= 17; digits++) { // from 9 on no time of ours has an exponent
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  buf_puts(out, text);
}

static void put_listen(struct buf *out, const struct serve_config *c) {
  char address[SERVE_ADDRESS_CAP];
  serve_config_address(c, c->port, address);
  put_text(out, address);
}

static void put_value(struct buf *out, const struct config_key *k, const void *place) {
  const char *text = NULL;
  switch (k->kind) {
    case KEY_SIZE: buf_printf(out, "%zu", *(const size_t *)place / (k->unit ? k->unit : 1)); break;
    case KEY_U32: buf_printf(out, "%u", (unsigned)*(const uint32_t *)place); break;
    case KEY_REAL: put_real(out, *(const double *)place); break;
    case KEY_FLAG: buf_puts(out, *(const bool *)place ? "true" : "false"); break;
    case KEY_MODE: buf_puts(out, config_mode_names[*(const enum rollout_mode *)place]); break;
    case KEY_TEXT:
    case KEY_SCHEME:
    case KEY_ISA:
      text = *(char *const *)place;
      if (text) {
        put_text(out, text);
      } else {
        buf_puts(out, "null");
      }
      break;
    case KEY_LISTEN: put_listen(out, place); break;
    case KEY_API_KEYS:
    case KEY_API_KEY_FILE:
    case KEY_MODELS: break;
  }
}

static void put_indent(struct buf *out, size_t columns) {
  buf_printf(out, "%*s", (int)columns, "");
}

// The lines of the sections that `path` is in and `previous` is not; returns where its last step begins.
static const char *put_sections(struct buf *out, const char *previous, const char *path, size_t *columns) {
  const char *step = path;
  for (const char *dot; (dot = strchr(step, '.')); step = dot + 1) {
    size_t len = (size_t)(dot - path) + 1;
    if (strncmp(previous, path, len) != 0) {
      put_indent(out, *columns);
      buf_printf(out, "%.*s:\n", (int)(dot - step), step);
    }
    *columns += 2;
  }
  return step;
}

// first: what stands before the first line, as wide as `columns`. general: a model's rollout keys are left out where
// they are those of this one; without it each key's meaning stands beside it.
struct page {
  const struct key_scope *scope;
  const void *values;
  size_t columns;
  const char *first;
  const struct rollout_config *general;
};

static bool is_general(const struct page *p, const struct config_key *k, size_t at) {
  if (!p->general || at < p->scope->rollout) return false;
  struct buf own = {0}, general = {0};
  put_value(&own, k, (const char *)p->values + at);
  put_value(&general, k, (const char *)p->general + k->offset);
  bool same = own.data && general.data && !strcmp(own.data, general.data);
  buf_free(&own);
  buf_free(&general);
  return same;
}

static void put_comment(struct buf *out, size_t line, const char *text) {
  enum { COLUMN = 32 };
  size_t used = out->len - line;
  put_indent(out, used < COLUMN ? COLUMN - used : 1);
  buf_printf(out, "# %s", text);
}

static void put_models(struct buf *out, const struct serve_config *c);

static void put_keys(struct buf *out, const struct page *p) {
  const char *previous = "";
  for (size_t i = 0; i < config_key_count(p->scope); i++) {
    size_t at, columns = p->columns;
    const struct config_key *k = config_key_at(p->scope, i, &at);
    if (k->kind == KEY_API_KEY_FILE || is_general(p, k, at)) continue; // the file's keys are among the others
    const char *step = put_sections(out, previous, k->path, &columns);
    previous = k->path;
    size_t line = out->len;
    if (i == 0 && p->first) {
      buf_puts(out, p->first);
    } else {
      put_indent(out, columns);
    }
    buf_printf(out, "%s:", step);
    const struct serve_config *c = p->values; // of the kinds that only the server has
    bool list = k->kind == KEY_API_KEYS || k->kind == KEY_MODELS;
    bool empty = list && !(k->kind == KEY_API_KEYS ? c->api_key_count : c->model_count);
    buf_puts(out, empty ? " []" : list ? "" : " ");
    put_value(out, k, k->kind == KEY_LISTEN ? p->values : (const char *)p->values + at);
    if (!p->general) put_comment(out, line, k->help);
    buf_puts(out, "\n");
    for (size_t n = 0; k->kind == KEY_API_KEYS && n < c->api_key_count; n++) buf_puts(out, "  - \"***\"\n");
    if (k->kind == KEY_MODELS) put_models(out, c);
  }
}

static void put_models(struct buf *out, const struct serve_config *c) {
  for (size_t i = 0; i < c->model_count; i++)
    put_keys(out, &(struct page){&config_model_keys, &c->models[i], 4, "  - ", &c->rollout});
}

void serve_config_print(const struct serve_config *c, struct buf *out) {
  put_keys(out, &(struct page){&config_server_keys, c, 0, NULL, NULL});
}
