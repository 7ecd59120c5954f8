// format.h - model files as named tensors. Bytes become views; nothing is copied, converted or executed.
#ifndef PARE_FORMAT_FORMAT_H
#define PARE_FORMAT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/file.h"

enum dtype {
  DTYPE_F32,
  DTYPE_F16,
  DTYPE_BF16,
  DTYPE_I8,
  DTYPE_U8,
  DTYPE_I16,
  DTYPE_I32,
  DTYPE_I64,
  DTYPE_F64,
  DTYPE_BOOL,
  DTYPE_COUNT
};
enum { TENSOR_MAX_RANK = 4 };

size_t dtype_bytes(enum dtype d);
const char *dtype_name(enum dtype d); // safetensors' spelling: "F32", ...

struct tensor {
  const char *name; // NUL-terminated, valid UTF-8
  enum dtype dtype;
  size_t rank, shape[TENSOR_MAX_RANK]; // rank 0: a scalar
  const uint8_t *data;                 // little-endian, row-major, any alignment
  size_t bytes;                        // product(shape) * dtype_bytes, checked
  const char *file;                    // where it came from, for messages
};

// The tensors of one model: one file, or all shards of an index. Sorted by name.
struct tensors {
  struct tensor *list;
  size_t count;
  char **meta; // 2 * meta_count strings: key, value, from __metadata__ of the first file
  size_t meta_count;
  size_t file_bytes;    // all weight files together, headers included
  struct mapping *maps; // owned
  size_t map_count;
  void *strings; // owned: names
};

// path: a .safetensors file, a file of torch.save (by its first bytes, whatever its name: see torch.h), an index.json
// of several, or a directory that holds model.safetensors, its index, pytorch_model.bin or its index, in that order.
// Errors name the file and the tensor or byte offset. tensors_close accepts a zeroed struct.
enum pare_status tensors_open(const char *path, struct tensors *out, struct pare_error *err);
// What tensors_open would refuse a file for by its name and first bytes alone: PARE_UNAVAILABLE for the containers
// other tools write, PARE_DATA for what is no container of weights. For callers that look elsewhere first.
enum pare_status tensors_check_path(const char *path, struct pare_error *err);
// A file of torch.save, which may say more than its weights: a fastai export (Learner.export) holds its
// hyper-parameters and labels, as a config.json would say them, and its tokenizer (fastai.h). Both are NULL for a plain
// state dict, and to be freed by json_decref.
struct torch_contents {
  struct tensors tensors;
  struct json_t *config, *tokenizer;
};
enum pare_status torch_open(const char *path, struct torch_contents *out, struct pare_error *err);
bool tensors_is_torch(const char *path); // a file that begins or is named as torch.save's are
void tensors_close(struct tensors *t);
const struct tensor *tensors_find(const struct tensors *t, const char *name); // NULL when absent

// One safetensors file already in memory (the fuzz target). out->list refers into bytes, which must outlive it.
enum pare_status safetensors_parse(const uint8_t *bytes, size_t len, const char *file, struct tensors *out,
                                   struct pare_error *err);

// Writes count tensors (their data read through the views) with string metadata (2 * meta_count strings) to path, by
// rename. Order in the file: by descending dtype size then name, as the safetensors library does, so offsets stay
// aligned. Data starts at a multiple of 64 bytes in the file. Same input, same bytes.
enum pare_status safetensors_write(const char *path, const struct tensor *list, size_t count, const char *const *meta,
                                   size_t meta_count, struct pare_error *err);

// The size of the file safetensors_write would make.
enum pare_status safetensors_file_bytes(const struct tensor *list, size_t count, const char *const *meta,
                                        size_t meta_count, size_t *bytes, struct pare_error *err);

// A JSON file parsed with limits (size <= 512 MiB, depth bounded by jansson, duplicate keys refused); error names file,
// line.
struct json_t;
enum pare_status json_file_load(const char *path, struct json_t **out, struct pare_error *err);

#endif
