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
    bool control = n == 1 && ((unsigned char)err->text[i] < 0x20 || err->text[i] == 0x7f);
    if (n == 0 || control) {
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
