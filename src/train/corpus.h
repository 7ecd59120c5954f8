// corpus.h - labelled files as texts and class numbers, with the rows that are held out.
#ifndef PARE_TRAIN_CORPUS_H
#define PARE_TRAIN_CORPUS_H

#include "pare.h"

struct pare_dataset;

struct corpus {
  struct pare_dataset *data, *valid; // owned; valid NULL: rows of data are held out
  char **labels;                     // (label_count) views into data, in order of their bytes
  size_t label_count;
  size_t rows, learnt; // all rows; the first `learnt` are learnt from, the others checked
  struct pare_text *texts;
  uint32_t *label;
};
// PARE_DATA names the row without a label, or with one that the data learnt from does not have. corpus_close accepts a
// zeroed struct.
enum pare_status corpus_open(const char *path, const struct pare_train_options *o, struct corpus *out,
                             struct pare_error *err);
void corpus_close(struct corpus *c);

#endif
