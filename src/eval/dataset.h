// dataset.h - rows of text, pair and label from a data file.
//
// .txt    one text per line; an empty line is an empty text, so answers line up with lines
// .csv    header, RFC 4180: a field in double quotes may hold commas, line breaks and doubled quotes; a quote inside an
// unquoted
//         field is an ordinary character; blank lines are skipped
// .tsv    header, one row per line, no quoting at all (IANA text/tab-separated-values): the public tab-separated sets
// are full of
//         single quotation marks that a CSV reader would take for the start of a field
// .jsonl  one object per line; label is a string or an integer; blank lines are skipped
// "-"     standard input as .txt lines
// CR LF and a leading byte order mark are accepted everywhere; a NUL byte or a byte that is not UTF-8 is refused, and
// so are a row of .csv, .tsv or .jsonl without text and a file without rows.
#ifndef PARE_EVAL_DATASET_H
#define PARE_EVAL_DATASET_H

#include "pare.h"

struct dataset_row {
  const char *text; // NUL-terminated, len bytes
  size_t len;
  const char *pair; // NULL: none
  size_t pair_len;
  const char *label;     // NUL-terminated; NULL: none
  const char *reference; // what an answer in words should be; NULL: none
  size_t reference_len;
  size_t line; // where the row starts in the file, from 1
};

struct pare_dataset {
  char *path;      // as given
  char sha256[65]; // of the bytes read
  char *block;     // those bytes, decoded in place: rows point into it
  struct dataset_row *rows;
  size_t count, cap, limit; // limit SIZE_MAX: none
  size_t labelled;          // rows with a label
  size_t references;        // rows with a reference
  size_t text_bytes;        // of all texts and pairs
};

enum dataset_kind { DATASET_TEXT, DATASET_CSV, DATASET_TSV, DATASET_JSONL };

// See pare_dataset_open. options may be NULL.
enum pare_status dataset_open(const char *path, const struct pare_dataset_options *options, pare_dataset **out,
                              struct pare_error *err);
void dataset_close(pare_dataset *d);
struct pare_text dataset_text(const pare_dataset *d, size_t row);

// The same from memory. block: malloc'd, len bytes and one more that may be written; taken over in every case.
enum pare_status dataset_parse(const char *path, enum dataset_kind kind, char *block, size_t len,
                               const struct pare_dataset_options *options, pare_dataset **out, struct pare_error *err);

#endif
