// design.h - labelled texts as a sparse matrix of ones: rows are texts, columns the features they have.
#ifndef PARE_TRAIN_DESIGN_H
#define PARE_TRAIN_DESIGN_H

#include "base/pool.h"
#include "pare.h"
#include "text/ngram.h"

struct design {
  size_t rows, columns;
  size_t *row_start;    // (rows + 1)
  uint32_t *row_ids;    // columns of each row, ascending
  size_t *column_start; // (columns + 1)
  uint32_t *column_ids; // rows of each column, ascending
  uint32_t *buckets;    // (columns) the n-gram bucket of each, ascending
  float *length;        // (rows) square root of the row's columns, or 1
};

struct design_options {
  struct ngram_settings ngrams;
  size_t counted;   // columns come from the first so many rows ...
  size_t min_count; // ... and are the buckets that at least so many of them have
  bool unit;        // length is the square root, else 1
};
// texts: (rows). The same whatever the pool. PARE_DATA when a text is not UTF-8 (its row is named), or none has a
// feature. design_free accepts a zeroed struct.
enum pare_status design_build(struct pool *pool, const struct pare_text *texts, size_t rows,
                              const struct design_options *options, struct design *out, struct pare_error *err);
// The columns for which keep is true; rows stay, with their new lengths.
enum pare_status design_select(const struct design *d, const bool *keep, bool unit, struct design *out,
                               struct pare_error *err);
void design_free(struct design *d);

#endif
