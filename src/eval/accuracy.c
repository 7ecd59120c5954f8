// accuracy.c - see accuracy.h.
#include "eval/accuracy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/error.h"

// ---- labels ----

static int find_label(const char *label, const char *const *names, size_t classes) {
  for (size_t i = 0; i < classes; i++) {
    if (strcmp(label, names[i]) == 0) return (int)i;
  }
  for (size_t i = 0; i < classes; i++) {
    if (strcasecmp(label, names[i]) == 0) return (int)i;
  }
  char *end;
  errno = 0;
  unsigned long index = strtoul(label, &end, 10);
  bool number = label[0] >= '0' && label[0] <= '9' && !*end && !errno;
  return number && index < classes ? (int)index : -1;
}

static enum pare_status unknown_label(const pare_dataset *d, const struct dataset_row *row, const char *const *names,
                                      size_t classes, struct pare_error *err) {
  struct buf list = {0};
  for (size_t i = 0; i < classes && list.len < 300; i++) buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
  error_set(err, PARE_DATA, "%s line %zu: found the label '%.80s', expected one of %s", d->path, row->line, row->label,
            list.data ? list.data : "");
  buf_free(&list);
  return PARE_DATA;
}

enum pare_status accuracy_map_labels(const pare_dataset *d, const char *const *names, size_t classes, int *label,
                                     struct pare_error *err) {
  for (size_t i = 0; i < d->count; i++) {
    const struct dataset_row *row = &d->rows[i];
    label[i] = row->label ? find_label(row->label, names, classes) : -1;
    if (row->label && label[i] < 0) return unknown_label(d, row, names, classes, err);
  }
  return PARE_OK;
}

// ---- answers ----

int accuracy_argmax(const float *scores, size_t classes) {
  size_t best = 0;
  for (size_t i = 1; i < classes; i++) best = scores[i] > scores[best] ? i : best;
  return (int)best;
}
