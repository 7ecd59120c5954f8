// output.c - how answers are printed.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "command.h"

size_t output_width(void) {
  struct winsize size;
  bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40;
  return known ? size.ws_col : 100;
}

bool output_failed(void) {
  return ferror(stdout) != 0;
}

void output_json_string(const char *text, size_t len) {
  putchar('"');
  for (size_t i = 0; i < len;) {
    unsigned char c = (unsigned char)text[i];
    size_t n = utf8_sequence_len((const unsigned char *)text + i, len - i);
    if (n == 0) {
      fputs("\xEF\xBF\xBD", stdout);
    } else if (c == '"' || c == '\\') {
      printf("\\%c", c);
    } else if (c == '\n') {
      fputs("\\n", stdout);
    } else if (c < 0x20) {
      printf("\\u%04x", c);
    } else {
      fwrite(text + i, 1, n, stdout);
    }
    i += n ? n : 1;
  }
  putchar('"');
}

void output_json_floats(const float *x, size_t n) {
  putchar('[');
  for (size_t i = 0; i < n; i++) {
    if (i) putchar(',');
    if (isfinite(x[i])) {
      printf("%.9g", (double)x[i]);
    } else {
      fputs("null", stdout);
    }
  }
  putchar(']');
}

// Counts code points as columns: wide characters make a ragged table, never a wrong one.
void output_cell(const char *text, size_t len, size_t columns) {
  size_t total = 0, shown = 0, i = 0;
  for (size_t j = 0; j < len; j++) total += ((unsigned char)text[j] & 0xC0) != 0x80;
  size_t room = total <= columns ? columns : columns - 3;
  while (i < len && shown < room) {
    size_t run = 0; // of characters that need no look at each
    while (i + run < len && shown + run < room && text[i + run] >= 0x20 && text[i + run] < 0x7f) run++;
    if (run) {
      fwrite(text + i, 1, run, stdout);
      i += run;
      shown += run;
      continue;
    }
    size_t n = utf8_sequence_len((const unsigned char *)text + i, len - i);
    bool plain = n > 1 || (n == 1 && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
    if (plain) {
      fwrite(text + i, 1, n, stdout);
    } else {
      putchar(n ? ' ' : '?');
    }
    i += n ? n : 1;
    shown++;
  }
  if (total > columns) {
    fputs("...", stdout);
    shown += 3;
  }
  printf("%*s", (int)(columns - shown), "");
}

enum pare_status output_record(const pare_record *record, const struct args_common *common, struct pare_error *err) {
  struct pare_render_options options = {.width = output_width(), .color = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
  char *text = NULL;
  enum pare_status status =
      pare_record_render(record, common->json ? PARE_JSON_LINES : PARE_TEXT, &options, &text, err);
  if (status == PARE_OK) fputs(text, stdout);
  free(text);
  return status;
}

enum pare_status output_file(const pare_record *record, enum pare_format format, const char *path,
                             struct pare_error *err) {
  if (!path) return PARE_OK;
  char *text = NULL;
  enum pare_status status = pare_record_render(record, format, NULL, &text, err);
  if (status == PARE_OK) status = file_write_all(path, text, strlen(text), err);
  free(text);
  return status;
}

enum pare_status output_probe(const char *path, struct pare_error *err) {
  if (!path) return PARE_OK;
  struct outfile file;
  enum pare_status status = file_create(path, &file, err);
  if (status == PARE_OK) file_discard(&file);
  return status;
}
