// corpus.c - see corpus.h.
#include "train/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/rng.h"
#include "base/size.h"
#include "eval/dataset.h"

enum { HELD_OUT_SHARE = 10, HELD_OUT_MOST = 10000 };

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum pare_status list_labels(struct corpus *c, struct pare_error *err) {
  const pare_dataset *d = c->data;
  c->labels = malloc((d->count + 1) * sizeof *c->labels);
  if (!c->labels) return error_no_memory(err);
  for (size_t i = 0; i < d->count; i++) {
    if (!d->rows[i].label) return error_set(err, PARE_DATA, "%s line %zu: expected a label", d->path, d->rows[i].line);
    c->labels[i] = (char *)(uintptr_t)d->rows[i].label;
  }
  qsort(c->labels, d->count, sizeof *c->labels, by_name);
  for (size_t i = 0; i < d->count; i++)
    if (!i || strcmp(c->labels[i], c->labels[c->label_count - 1]) != 0) c->labels[c->label_count++] = c->labels[i];
  if (c->label_count < 2)
    return error_set(err, PARE_DATA, "%s: expected at least two labels, found \"%.60s\" alone", d->path, c->labels[0]);
  if (c->label_count > 65536)
    return error_set(err, PARE_DATA, "%s: %zu labels: at most 65536 expected", d->path, c->label_count);
  return PARE_OK;
}

static enum pare_status add_row(struct corpus *c, const pare_dataset *d, size_t row, struct pare_error *err) {
  const char *name = d->rows[row].label;
  char *const *found = name ? bsearch(&name, c->labels, c->label_count, sizeof *c->labels, by_name) : NULL;
  if (!found)
    return error_set(err, PARE_DATA, "%s line %zu: expected a label of the data learnt from, found \"%.60s\"", d->path,
                     d->rows[row].line, name ? name : "");
  c->texts[c->rows] = dataset_text(d, row);
  c->label[c->rows++] = (uint32_t)(found - c->labels);
  return PARE_OK;
}

static enum pare_status fill(struct corpus *c, uint64_t seed, struct pare_error *err) {
  size_t n = c->data->count, more = c->valid ? c->valid->count : 0;
  size_t *order = malloc((n + 1) * sizeof *order);
  c->texts = malloc((n + more + 1) * sizeof *c->texts);
  c->label = malloc((n + more + 1) * sizeof *c->label);
  enum pare_status s = order && c->texts && c->label ? PARE_OK : error_no_memory(err);
  struct rng rng;
  rng_seed(&rng, seed);
  for (size_t i = 0; !s && i < n; i++) order[i] = i;
  for (size_t i = n; !s && !c->valid && i > 1; i--) {
    size_t k = rng_below(&rng, i), t = order[k];
    order[k] = order[i - 1];
    order[i - 1] = t;
  }
  for (size_t i = 0; !s && i < n; i++) s = add_row(c, c->data, order[i], err);
  for (size_t i = 0; !s && i < more; i++) s = add_row(c, c->valid, i, err);
  c->learnt = c->valid ? n : n - size_min(n / HELD_OUT_SHARE, HELD_OUT_MOST);
  free(order);
  return s;
}

enum pare_status corpus_open(const char *path, const struct pare_train_options *o, struct corpus *out,
                             struct pare_error *err) {
  struct pare_dataset_options columns = o->data;
  if (!columns.label_column) columns.label_column = "label"; // so that a file without one is refused by that name
  *out = (struct corpus){0};
  enum pare_status s = dataset_open(path, &columns, &out->data, err);
  if (!s && o->valid) s = dataset_open(o->valid, &columns, &out->valid, err);
  if (!s) s = list_labels(out, err);
  if (!s) s = fill(out, o->seed, err);
  if (s) corpus_close(out);
  return s;
}

void corpus_close(struct corpus *c) {
  dataset_close(c->data);
  dataset_close(c->valid);
  free(c->labels);
  free(c->texts);
  free(c->label);
  *c = (struct corpus){0};
}
