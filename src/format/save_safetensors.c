// save_safetensors.c - writes the safetensors format (see safetensors.c). The file is a function of its input only:
// tensors by descending element size, then name; metadata in the order given; the header padded with spaces so that
// data starts at a multiple of 64 bytes, hence every tensor at a multiple of its element size.
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "format/safetensors.h"

enum { DATA_ALIGN = 64, LENGTH_BYTES = 8 };

static int compare_order(const void *a, const void *b) {
  const struct tensor *x = *(const struct tensor *const *)a, *y = *(const struct tensor *const *)b;
  size_t xb = dtype_bytes(x->dtype), yb = dtype_bytes(y->dtype);
  if (xb != yb) return xb > yb ? -1 : 1;
  return strcmp(x->name, y->name);
}

static json_t *tensor_entry(const struct tensor *t, size_t begin, size_t end) {
  json_t *shape = json_array();
  for (size_t i = 0; i < t->rank; i++) json_array_append_new(shape, json_integer((json_int_t)t->shape[i]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(t->dtype), "shape", shape, "data_offsets",
                   (json_int_t)begin, (json_int_t)end);
}

// A tensor that would make a file our own reader refuses is a mistake of the calling code.
static enum pare_status check_tensor(const char *path, const struct tensor *t, json_t *header, struct pare_error *err) {
  size_t need;
  const char *what = NULL;
  if (!*t->name || strlen(t->name) > SAFETENSORS_NAME_MAX) what = "its name is empty or too long";
  if (json_object_get(header, t->name)) what = "its name is taken";
  if (t->rank > TENSOR_MAX_RANK)
    what = "it has too many dimensions";
  else if (!tensor_bytes(t->shape, t->rank, t->dtype, &need) || need != t->bytes)
    what = "its size does not fit its shape";
  if (!what) return PARE_OK;
  return error_set(err, PARE_BUG, "cannot write tensor '%.200s' to %s: %s", t->name, path, what);
}

static enum pare_status build_header(const char *path, const struct tensor *const *order, size_t count, json_t *header,
                                     struct pare_error *err) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const struct tensor *t = order[i];
    enum pare_status status = check_tensor(path, t, header, err);
    if (status != PARE_OK) return status;
    size_t begin = at;
    if (!size_add(at, t->bytes, &at)) return error_set(err, PARE_BUG, "%s: the tensors exceed 64-bit sizes", path);
    if (json_object_set_new(header, t->name, tensor_entry(t, begin, at)) != 0) {
      return error_set(err, PARE_BUG, "cannot write tensor '%.200s' to %s: not UTF-8, or out of memory", t->name, path);
    }
  }
  return PARE_OK;
}

// "__metadata__" is set even when empty while names are checked, so that no tensor can take it.
static enum pare_status add_metadata(const char *path, json_t *header, const char *const *meta, size_t meta_count,
                                     struct pare_error *err) {
  json_t *object = json_object();
  for (size_t i = 0; i < meta_count; i++) {
    if (json_object_get(object, meta[2 * i]) ||
        json_object_set_new(object, meta[2 * i], json_string(meta[2 * i + 1])) != 0) {
      json_decref(object);
      return error_set(err, PARE_BUG, "cannot write metadata '%.200s' to %s: given twice, or not UTF-8", meta[2 * i],
                       path);
    }
  }
  if (json_object_set_new(header, "__metadata__", object) != 0) return error_no_memory(err);
  return PARE_OK;
}

// The header's JSON, to be freed by the caller.
static enum pare_status make_header(const char *path, const struct tensor *const *order, size_t count,
                                    const char *const *meta, size_t meta_count, char **out, struct pare_error *err) {
  json_t *header = json_object();
  if (!header) return error_no_memory(err);
  enum pare_status status = add_metadata(path, header, meta, meta_count, err);
  if (status == PARE_OK) status = build_header(path, order, count, header, err);
  if (status == PARE_OK) {
    if (meta_count == 0) json_object_del(header, "__metadata__");
    *out = json_dumps(header, JSON_COMPACT); // jansson keeps the order of insertion
    if (!*out) status = error_no_memory(err);
  }
  json_decref(header);
  return status;
}

// Length of the header as written: padded so that the data starts at a multiple of DATA_ALIGN.
static size_t padded_len(size_t header_len) {
  return size_round_up(LENGTH_BYTES + header_len, DATA_ALIGN) - LENGTH_BYTES;
}

static enum pare_status write_file(const char *path, const char *header, const struct tensor *const *order,
                                   size_t count, struct pare_error *err) {
  static const char spaces[DATA_ALIGN + 1] = "                                                                ";
  size_t header_len = strlen(header), padded = padded_len(header_len);
  if (padded > SAFETENSORS_HEADER_MAX) {
    return error_set(err, PARE_DATA, "cannot write %s: a header of %zu bytes, at most %d allowed", path, padded,
                     SAFETENSORS_HEADER_MAX);
  }
  uint8_t length[LENGTH_BYTES];
  for (int i = 0; i < LENGTH_BYTES; i++) length[i] = (uint8_t)((uint64_t)padded >> (8 * i));
  struct outfile f;
  enum pare_status status = file_create(path, &f, err);
  if (status == PARE_OK) status = file_write(&f, length, sizeof length, err);
  if (status == PARE_OK) status = file_write(&f, header, header_len, err);
  if (status == PARE_OK) status = file_write(&f, spaces, padded - header_len, err);
  for (size_t i = 0; status == PARE_OK && i < count; i++) status = file_write(&f, order[i]->data, order[i]->bytes, err);
  if (status == PARE_OK) status = file_commit(&f, err);
  file_discard(&f);
  return status;
}

// Tensors in file order and the header's JSON, both to be freed by the caller.
static enum pare_status plan_file(const char *path, const struct tensor *list, size_t count, const char *const *meta,
                                  size_t meta_count, const struct tensor ***order, char **header,
                                  struct pare_error *err) {
  *header = NULL;
  *order = calloc(count + 1, sizeof(const struct tensor *)); // + 1: calloc(0) may be NULL
  if (!*order) return error_no_memory(err);
  for (size_t i = 0; i < count; i++) (*order)[i] = &list[i];
  qsort(*order, count, sizeof(const struct tensor *), compare_order);
  return make_header(path, *order, count, meta, meta_count, header, err);
}

enum pare_status safetensors_write(const char *path, const struct tensor *list, size_t count, const char *const *meta,
                                   size_t meta_count, struct pare_error *err) {
  const struct tensor **order;
  char *header;
  enum pare_status status = plan_file(path, list, count, meta, meta_count, &order, &header, err);
  if (status == PARE_OK) status = write_file(path, header, order, count, err);
  free(header);
  free(order);
  return status;
}

enum pare_status safetensors_file_bytes(const struct tensor *list, size_t count, const char *const *meta,
                                        size_t meta_count, size_t *bytes, struct pare_error *err) {
  const struct tensor **order;
  char *header;
  enum pare_status status = plan_file("the output", list, count, meta, meta_count, &order, &header, err);
  if (status == PARE_OK) {
    *bytes = LENGTH_BYTES + padded_len(strlen(header));
    for (size_t i = 0; i < count; i++) *bytes += list[i].bytes;
  }
  free(header);
  free(order);
  return status;
}
