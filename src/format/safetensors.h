// safetensors.h - shared by the readers, the writer and the sharded index; private to format/.
#ifndef PARE_FORMAT_SAFETENSORS_H
#define PARE_FORMAT_SAFETENSORS_H

#include "format/format.h"

// The header is refused beyond this, as the safetensors library does: it is parsed whole before anything is checked.
enum { SAFETENSORS_HEADER_MAX = 100 * 1000 * 1000, SAFETENSORS_NAME_MAX = 511 };

bool dtype_parse(const char *name, enum dtype *out); // false when the name is none of ours

// Memory for the strings of a struct tensors: a list of blocks, so that shards are joined without copying.
struct strings {
  struct strings *next;
  char bytes[];
};

// product(shape) * dtype_bytes; false on overflow.
bool tensor_bytes(const size_t *shape, size_t rank, enum dtype dtype, size_t *out);

// By name, for qsort and bsearch over struct tensor.
int tensor_compare(const void *a, const void *b);

// All shards named by a model.safetensors.index.json or pytorch_model.bin.index.json, each mapped and parsed once.
enum pare_status index_open(const char *path, struct tensors *out, struct pare_error *err);

// One file of weights, safetensors or torch by its first bytes. On failure out is empty.
enum pare_status weights_open(const char *path, struct tensors *out, struct pare_error *err);
// A safetensors file that is mapped: on success out takes m over.
enum pare_status safetensors_open(struct mapping *m, const char *path, struct tensors *out, struct pare_error *err);

#endif
