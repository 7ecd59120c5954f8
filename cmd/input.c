// input.c - texts from arguments, a file or standard input.
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "command.h"

static enum pare_status from_words(const struct input_source *from, struct inputs *out, struct pare_error *err) {
  if (from->pair && from->count != 1) {
    return error_set(err, PARE_USAGE, "--pair goes with one TEXT, found %zu", from->count);
  }
  out->texts = calloc(from->count, sizeof *out->texts);
  if (!out->texts) return error_no_memory(err);
  out->count = from->count;
  for (size_t i = 0; i < from->count; i++) {
    size_t len = strlen(from->words[i]), bad = utf8_first_bad(from->words[i], len);
    if (bad < len)
      return error_set(err, PARE_DATA, "TEXT %zu: expected UTF-8, found another byte at offset %zu", i + 1, bad);
    out->texts[i] = (struct pare_text){
        .text = from->words[i], .len = len, .pair = from->pair, .pair_len = from->pair ? strlen(from->pair) : 0};
  }
  return PARE_OK;
}

static enum pare_status from_data(const struct input_source *from, struct inputs *out, struct pare_error *err) {
  struct pare_dataset_options options = {.text_column = from->text_column};
  enum pare_status status = pare_dataset_open(from->file ? from->file : "-", &options, &out->data, err);
  if (status != PARE_OK) return status;
  out->count = pare_dataset_rows(out->data);
  out->texts = calloc(out->count, sizeof *out->texts);
  if (!out->texts) return error_no_memory(err);
  for (size_t i = 0; i < out->count; i++) out->texts[i] = pare_dataset_text(out->data, i);
  return PARE_OK;
}

enum pare_status inputs_read(const struct input_source *from, struct inputs *out, struct pare_error *err) {
  *out = (struct inputs){0};
  bool standard_input = from->count == 1 && strcmp(from->words[0], "-") == 0;
  if (from->file && from->count) return error_set(err, PARE_USAGE, "expected TEXT or --input, found both");
  if (!from->file && !from->count) {
    return error_set(err, PARE_USAGE, "expected TEXT, --input FILE or - for the lines of standard input, found none");
  }
  if (from->text_column && !from->file) return error_set(err, PARE_USAGE, "--text-column goes with --input FILE");
  if (!from->file && !standard_input) return from_words(from, out, err);
  if (from->pair) return error_set(err, PARE_USAGE, "--pair goes with a TEXT argument; rows of a file bring their own");
  return from_data(from, out, err);
}

void inputs_free(struct inputs *in) {
  free(in->texts);
  pare_dataset_close(in->data);
  *in = (struct inputs){0};
}
