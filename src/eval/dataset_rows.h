// dataset_rows.h - shared by the readers of data files; private to dataset*.c.
#ifndef PARE_EVAL_DATASET_ROWS_H
#define PARE_EVAL_DATASET_ROWS_H

#include "eval/dataset.h"

// Names of the columns that are read. pair NULL: another column bears its name; references likewise. Of the names a
// reference may have the first that is there counts.
enum { DATASET_REFERENCE_NAMES = 2 };
struct dataset_columns {
  const char *text, *pair, *label;
  const char *references[DATASET_REFERENCE_NAMES];
  bool label_required, reference_required; // asked for by name
};

// text: [p, p + len) of the block, byte order mark apart; text[len] may be written. Each fills d->rows until d->limit.
enum pare_status dataset_read_csv(pare_dataset *d, char *text, size_t len, char delimiter, bool quoting,
                                  const struct dataset_columns *columns, struct pare_error *err);
enum pare_status dataset_read_jsonl(pare_dataset *d, char *text, size_t len, const struct dataset_columns *columns,
                                    struct pare_error *err);

enum pare_status dataset_add_row(pare_dataset *d, const struct dataset_row *row, struct pare_error *err);

#endif
