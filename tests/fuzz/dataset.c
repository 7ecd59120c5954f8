// dataset.c - any bytes as a data file: refused with a reason, or rows that lie inside the block. The first byte
// chooses the format, the second a row limit.
#include "eval/dataset.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  enum dataset_kind kind = (enum dataset_kind)(data[0] % 4);
  struct pare_dataset_options options = {.limit = data[1], .label_column = data[0] & 4 ? "y" : NULL};
  size_t len = size - 2;
  char *block = malloc(len + 1);
  if (!block) return 0;
  memcpy(block, data + 2, len);
  pare_dataset *d;
  struct pare_error err = {0};
  enum pare_status status = dataset_parse("fuzz", kind, block, len, &options, &d, &err);
  if ((status == PARE_OK) != (d != NULL)) abort();
  if (status != PARE_OK && (status != PARE_DATA || !err.text[0])) abort();
  size_t bytes = 0;
  for (size_t i = 0; d && i < d->count; i++) {
    const struct dataset_row *r = &d->rows[i];
    if (r->text < d->block || r->text + r->len > d->block + len) abort();
    if (r->text[r->len] != 0 || (r->pair && r->pair[r->pair_len] != 0)) abort();
    if (r->label && (r->label < d->block || r->label + strlen(r->label) > d->block + len)) abort();
    bytes += r->len + r->pair_len;
  }
  if (d && bytes > len) abort();
  dataset_close(d);
  return 0;
}
