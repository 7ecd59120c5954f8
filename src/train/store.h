// store.h - a fit as a model file: encodings, sizes, the directory.
#ifndef PARE_TRAIN_STORE_H
#define PARE_TRAIN_STORE_H

#include "pack/pack.h"
#include "train/fit.h"

struct json_t;

// The weight file of columns features (their buckets) and C outputs, in bytes. there: (C, columns) which weights are
// not zero; each takes value_bytes, and the sparse form is counted where it is smaller.
enum pare_status store_bytes(const uint32_t *buckets, size_t columns, size_t C, const bool *there, size_t value_bytes,
                             size_t *bytes, struct pare_error *err);

// A fit's weights at 32, 16 or 8 bits, dense or sparse, whichever is smaller.
struct store_weights {
  struct stored weight;
  uint8_t *ngrams; // code of the buckets
  size_t ngrams_bytes;
  const float *bias; // of the fit
  size_t file_bytes;
};
enum pare_status store_encode(const struct kernels *k, const struct fit *f, unsigned precision,
                              struct store_weights *out, struct pare_error *err);
void store_free(struct store_weights *w); // accepts a zeroed struct
// The weights as they were stored, (columns, C) and the bias: what the file computes with.
enum pare_status store_decode(const struct kernels *k, const struct store_weights *w, float *out,
                              struct pare_error *err);

// Writes config.json and model.safetensors into dir.
enum pare_status store_write(const struct store_weights *w, const struct json_t *config, const char *dir,
                             struct pare_error *err);

#endif
