// json_text.c - see json_text.h.
#include "json_text.h"

#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

json_t *json_text(const char *text) {
  size_t left = strlen(text), good = utf8_first_bad(text, left);
  if (good == left) return json_stringn_nocheck(text, left);
  struct buf out = {0};
  while (left) {
    if (good) buf_add(&out, text, good);
    text += good;
    left -= good;
    if (left) {
      buf_printf(&out, "%%%02X", (unsigned)(unsigned char)*text++);
      left--;
    }
    good = utf8_first_bad(text, left);
  }
  json_t *value = out.failed ? NULL : json_stringn_nocheck(out.data, out.len);
  buf_free(&out);
  return value;
}
