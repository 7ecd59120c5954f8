// error.c - the one place that writes error text.
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

enum pare_status error_set(struct pare_error *err, enum pare_status code, const char *format, ...) {
  if (!err) return code;
  err->code = code;
  va_list ap;
  va_start(ap, format);
  vsnprintf(err->text, sizeof err->text, format, ap);
  va_end(ap);
  size_t len = strlen(err->text);
  for (size_t i = 0; i < len;) {
    size_t n = utf8_sequence_len((const unsigned char *)err->text + i, len - i);
    const unsigned char *c = (const unsigned char *)err->text + i;
    bool control = n == 1 && (c[0] < 0x20 || c[0] == 0x7f);
    bool control8 = n == 2 && c[0] == 0xC2 && c[1] < 0xA0; // U+0080 to U+009F: terminals take U+009B for ESC [
    if (control8) err->text[i + 1] = '?';
    if (n == 0 || control || control8) {
      err->text[i] = '?';
      n = 1;
    }
    i += n;
  }
  return code;
}

enum pare_status error_no_memory(struct pare_error *err) {
  return error_set(err, PARE_BUG, "out of memory");
}
