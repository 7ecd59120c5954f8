// safetensors.c - reads the safetensors format (huggingface/safetensors, README "Format"):
//   u64 little-endian header length N, N bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...},
//   then the data. Offsets count from the start of the data.
// As the safetensors library does, data with holes, overlaps or a rest is refused: every byte has exactly one meaning,
// and a file cannot hide a second one. Extra keys in a tensor's entry are ignored, also as there.
#include "format/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { LENGTH_BYTES = 8 };
static const char metadata_key[] = "__metadata__";

bool tensor_bytes(const size_t *shape, size_t rank, enum dtype dtype, size_t *out) {
  size_t n = dtype_bytes(dtype);
  for (size_t i = 0; i < rank; i++) {
    if (!size_mul(n, shape[i], &n)) return false;
  }
  *out = n;
  return true;
}

int tensor_compare(const void *a, const void *b) {
  const struct tensor *x = a, *y = b;
  return strcmp(x->name, y->name);
}

// What one file's parse carries along.
struct parse {
  const char *file;
  const uint8_t *data; // behind the header
  size_t data_len;
  char *next; // free part of the strings block
  struct pare_error *err;
};

static char *keep_string(struct parse *p, const char *s) {
  size_t len = strlen(s) + 1;
  char *kept = memcpy(p->next, s, len);
  p->next += len;
  return kept;
}

// ---- header ----

static enum pare_status load_header(const uint8_t *bytes, size_t len, struct parse *p, json_t **root) {
  if (len < LENGTH_BYTES) {
    return error_set(p->err, PARE_DATA, "%s: %zu bytes, too short for the 8-byte header length of safetensors", p->file,
                     len);
  }
  uint64_t header_len = size_read_le(bytes, LENGTH_BYTES);
  if (header_len > SAFETENSORS_HEADER_MAX) {
    return error_set(p->err, PARE_DATA, "%s: byte 0: header length %llu, at most %d expected; not a safetensors file?",
                     p->file, (unsigned long long)header_len, SAFETENSORS_HEADER_MAX);
  }
  if (header_len > len - LENGTH_BYTES) {
    return error_set(p->err, PARE_DATA, "%s: byte 0: header length %llu, but only %zu bytes follow; truncated?",
                     p->file, (unsigned long long)header_len, len - LENGTH_BYTES);
  }
  const char *json = (const char *)bytes + LENGTH_BYTES;
  if (header_len == 0 || json[0] != '{') {
    return error_set(p->err, PARE_DATA, "%s: byte 8: the header is not a JSON object: '{' expected", p->file);
  }
  json_error_t why;
  *root = json_loadb(json, (size_t)header_len, JSON_REJECT_DUPLICATES, &why);
  if (!*root) {
    return error_set(p->err, PARE_DATA, "%s: byte %lld: bad JSON in the header: %s", p->file,
                     (long long)why.position + LENGTH_BYTES, why.text);
  }
  p->data = bytes + LENGTH_BYTES + header_len;
  p->data_len = len - LENGTH_BYTES - (size_t)header_len;
  return PARE_OK;
}

// ---- one tensor ----

static enum pare_status bad_tensor(struct parse *p, const char *name, const char *what) {
  return error_set(p->err, PARE_DATA, "%s: tensor '%.200s': %s", p->file, name, what);
}

static bool to_size(const json_t *value, size_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (size_t)json_integer_value(value); // json_int_t is 64 bits signed: a non-negative one fits
  return true;
}

static enum pare_status read_dtype(struct parse *p, const json_t *entry, struct tensor *t) {
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  if (!dtype) return bad_tensor(p, t->name, "no dtype: a string expected");
  if (dtype_parse(dtype, &t->dtype)) return PARE_OK;
  return error_set(p->err, PARE_DATA,
                   "%s: tensor '%.200s': dtype '%.40s' found; "
                   "F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL expected",
                   p->file, t->name, dtype);
}

static enum pare_status read_shape(struct parse *p, const json_t *entry, struct tensor *t) {
  const json_t *shape = json_object_get(entry, "shape");
  if (!json_is_array(shape)) return bad_tensor(p, t->name, "no shape: a list of sizes expected");
  t->rank = json_array_size(shape);
  if (t->rank > TENSOR_MAX_RANK) {
    return error_set(p->err, PARE_DATA, "%s: tensor '%.200s': %zu dimensions, at most %d expected", p->file, t->name,
                     t->rank, TENSOR_MAX_RANK);
  }
  for (size_t i = 0; i < t->rank; i++) {
    if (!to_size(json_array_get(shape, i), &t->shape[i])) {
      return bad_tensor(p, t->name, "shape holds something other than integers >= 0");
    }
  }
  if (!tensor_bytes(t->shape, t->rank, t->dtype, &t->bytes)) {
    return bad_tensor(p, t->name, "the product of its shape does not fit 64 bits");
  }
  return PARE_OK;
}

static enum pare_status read_offsets(struct parse *p, const json_t *entry, struct tensor *t) {
  const json_t *offsets = json_object_get(entry, "data_offsets");
  size_t begin, end;
  if (!json_is_array(offsets) || json_array_size(offsets) != 2 || !to_size(json_array_get(offsets, 0), &begin) ||
      !to_size(json_array_get(offsets, 1), &end)) {
    return bad_tensor(p, t->name, "data_offsets: two integers >= 0 expected");
  }
  if (begin > end || end > p->data_len) {
    return error_set(p->err, PARE_DATA,
                     "%s: tensor '%.200s': data_offsets [%zu, %zu] do not lie in order within the %zu bytes of data",
                     p->file, t->name, begin, end, p->data_len);
  }
  if (end - begin != t->bytes) {
    return error_set(p->err, PARE_DATA, "%s: tensor '%.200s': data_offsets span %zu bytes, shape and dtype need %zu",
                     p->file, t->name, end - begin, t->bytes);
  }
  t->data = p->data + begin;
  return PARE_OK;
}

static enum pare_status read_tensor(struct parse *p, const char *name, const json_t *entry, struct tensor *t) {
  size_t len = strlen(name);
  // jansson has refused ill-formed UTF-8 and NUL in names.
  if (len == 0) return error_set(p->err, PARE_DATA, "%s: a tensor with an empty name", p->file);
  if (len > SAFETENSORS_NAME_MAX) {
    return error_set(p->err, PARE_DATA, "%s: tensor '%.60s...': a name of %zu bytes, at most %d expected", p->file,
                     name, len, SAFETENSORS_NAME_MAX);
  }
  *t = (struct tensor){.name = keep_string(p, name)};
  if (!json_is_object(entry)) return bad_tensor(p, name, "an object with dtype, shape and data_offsets expected");
  enum pare_status status = read_dtype(p, entry, t);
  if (status == PARE_OK) status = read_shape(p, entry, t);
  if (status == PARE_OK) status = read_offsets(p, entry, t);
  return status;
}

// ---- the whole ----

static enum pare_status read_metadata(struct parse *p, json_t *metadata, struct tensors *out) {
  if (!metadata) return PARE_OK;
  if (!json_is_object(metadata)) {
    return error_set(p->err, PARE_DATA, "%s: %s: an object of strings expected", p->file, metadata_key);
  }
  size_t count = json_object_size(metadata);
  if (count == 0) return PARE_OK;
  out->meta = calloc(count, 2 * sizeof *out->meta);
  if (!out->meta) return error_no_memory(p->err);
  const char *key;
  json_t *value;
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value)) {
      return error_set(p->err, PARE_DATA, "%s: %s: '%.200s' is not a string", p->file, metadata_key, key);
    }
    out->meta[2 * out->meta_count] = keep_string(p, key);
    out->meta[2 * out->meta_count + 1] = keep_string(p, json_string_value(value));
    out->meta_count++;
  }
  return PARE_OK;
}

// Bytes for every string kept from this header: the sum of parts of a file of at most 100 MB, so no overflow.
static size_t strings_need(const char *file, json_t *root) {
  size_t need = strlen(file) + 1;
  const char *key;
  json_t *value;
  json_object_foreach(root, key, value) need += strlen(key) + 1;
  json_object_foreach(json_object_get(root, metadata_key), key, value) {
    need += strlen(key) + 1 + json_string_length(value) + 1;
  }
  return need;
}

// By place, empty tensors before the one that starts where they stand.
static int compare_place(const void *a, const void *b) {
  const struct tensor *x = a, *y = b;
  if (x->data != y->data) return x->data < y->data ? -1 : 1;
  return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

// Sorts out->list by place and checks that the tensors tile the data.
static enum pare_status check_places(struct parse *p, struct tensors *out) {
  if (out->count) qsort(out->list, out->count, sizeof *out->list, compare_place);
  size_t at = 0;
  for (size_t i = 0; i < out->count; i++) {
    const struct tensor *t = &out->list[i];
    size_t begin = (size_t)(t->data - p->data);
    if (begin != at) {
      return error_set(p->err, PARE_DATA, "%s: tensor '%.200s': data begins at offset %zu, %zu expected: %s", p->file,
                       t->name, begin, at, begin < at ? "tensors overlap" : "bytes that belong to no tensor");
    }
    at += t->bytes;
  }
  if (at != p->data_len) {
    return error_set(p->err, PARE_DATA, "%s: %zu bytes of data, but the tensors end at %zu", p->file, p->data_len, at);
  }
  return PARE_OK;
}

static enum pare_status read_header(struct parse *p, json_t *root, struct tensors *out) {
  json_t *metadata = json_object_get(root, metadata_key);
  size_t count = json_object_size(root) - (metadata ? 1 : 0);
  struct strings *block = malloc(sizeof *block + strings_need(p->file, root));
  if (!block) return error_no_memory(p->err);
  block->next = NULL;
  out->strings = block;
  p->next = block->bytes;
  const char *file = keep_string(p, p->file);
  enum pare_status status = read_metadata(p, metadata, out);
  if (status != PARE_OK || count == 0) return status == PARE_OK ? check_places(p, out) : status;
  out->list = calloc(count, sizeof *out->list);
  if (!out->list) return error_no_memory(p->err);
  const char *name;
  json_t *entry;
  json_object_foreach(root, name, entry) {
    if (entry == metadata) continue;
    struct tensor *t = &out->list[out->count++];
    status = read_tensor(p, name, entry, t);
    if (status != PARE_OK) return status;
    t->file = file;
  }
  status = check_places(p, out);
  if (status == PARE_OK) qsort(out->list, out->count, sizeof *out->list, tensor_compare);
  return status;
}

enum pare_status safetensors_parse(const uint8_t *bytes, size_t len, const char *file, struct tensors *out,
                                   struct pare_error *err) {
  *out = (struct tensors){0};
  struct parse p = {.file = file, .err = err};
  json_t *root = NULL;
  enum pare_status status = load_header(bytes, len, &p, &root);
  if (status == PARE_OK) status = read_header(&p, root, out);
  json_decref(root);
  if (status != PARE_OK) {
    tensors_close(out);
    return status;
  }
  out->file_bytes = len;
  return PARE_OK;
}

enum pare_status safetensors_open(struct mapping *m, const char *path, struct tensors *out, struct pare_error *err) {
  enum pare_status status = safetensors_parse(m->data, m->len, path, out, err);
  if (status != PARE_OK) return status;
  out->maps = malloc(sizeof *out->maps);
  if (!out->maps) {
    tensors_close(out);
    return error_no_memory(err);
  }
  out->maps[0] = *m;
  out->map_count = 1;
  *m = (struct mapping){0};
  return PARE_OK;
}
