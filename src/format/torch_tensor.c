// torch_tensor.c - a tensor as torch pickles it: (storage, offset, size, stride, ...), all counted in elements.
// torch/_utils.py: _rebuild_tensor_v2 and its kin; torch/_tensor.py: _rebuild_from_type_v2 (fastai's subclasses).
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "format/safetensors.h"
#include "format/torch.h"

// Copies of tensors that are not in row-major order may not exceed this many times the file: views of one storage are
// shared, copies are not.
enum { COPY_MAX_RATIO = 4 };

static bool is_utils(const struct pickle_value *type, const char *name) {
  return pickle_is_global(type, "torch._utils", name);
}

bool torch_is_tensor(const struct pickle_value *v) {
  if (!v || v->kind != PICKLE_OBJECT) return false;
  const struct pickle_value *type = v->object->type;
  if (type->kind != PICKLE_GLOBAL) return false;
  if (pickle_is_global(type, "torch._tensor", "_rebuild_from_type_v2")) return true;
  struct pickle_text name = type->global.name;
  static const char start[] = "_rebuild_";
  return pickle_text_is(type->global.module, "torch._utils") && name.len > sizeof start - 1 &&
         memcmp(name.bytes, start, sizeof start - 1) == 0;
}

// Parameters and subclasses are wrappers: goes to the call that makes the tensor itself, *type(*args).
static bool unwrap(const struct pickle_value *v, const struct pickle_value **type, const struct pickle_value **args) {
  enum { MAX_WRAPPERS = 8 };
  for (int i = 0; i < MAX_WRAPPERS && torch_is_tensor(v); i++) {
    *type = v->object->type;
    *args = v->object->args;
    if (is_utils(*type, "_rebuild_parameter") || is_utils(*type, "_rebuild_parameter_with_state")) {
      v = pickle_item(*args, 0);
    } else if (pickle_is_global(*type, "torch._tensor", "_rebuild_from_type_v2")) { // (function, class, args, state)
      *type = pickle_item(*args, 0);
      *args = pickle_item(*args, 2);
      return *type && *args;
    } else {
      return true;
    }
  }
  return false;
}

struct layout {
  size_t offset, rank, shape[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK];
};

static bool read_size(const struct pickle_value *v, size_t *out) {
  int64_t n;
  if (!pickle_int(v, &n) || n < 0) return false;
  *out = (size_t)n;
  return true;
}

static enum pare_status bad(const struct torch_file *f, const char *name, const char *what, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s: tensor %.200s: %s", f->file, name, what);
}

static enum pare_status read_layout(const struct torch_file *f, const struct pickle_value *args, const char *name,
                                    struct layout *out, struct pare_error *err) {
  struct pickle_seq shape = pickle_items(pickle_item(args, 2)), stride = pickle_items(pickle_item(args, 3));
  *out = (struct layout){.rank = 0};
  if (shape.count != stride.count) return bad(f, name, "as many strides as sizes expected", err);
  if (shape.count > TENSOR_MAX_RANK)
    return error_set(err, PARE_DATA, "%s: tensor %.200s: %zu dimensions, at most %d expected", f->file, name,
                     shape.count, TENSOR_MAX_RANK);
  if (!read_size(pickle_item(args, 1), &out->offset)) return bad(f, name, "its offset is not an integer >= 0", err);
  out->rank = shape.count;
  for (size_t i = 0; i < out->rank; i++)
    if (!read_size(shape.items[i], &out->shape[i]) || !read_size(stride.items[i], &out->stride[i]))
      return bad(f, name, "a size or stride is not an integer >= 0", err);
  return PARE_OK;
}

// Every element within the storage; the tensor no larger than it (strides of 0 repeat elements without end).
static enum pare_status check_layout(const struct torch_file *f, const struct layout *l, const struct torch_storage *s,
                                     const char *name, size_t *count, struct pare_error *err) {
  size_t n = 1, last = l->offset;
  bool fits = true, empty = false;
  for (size_t i = 0; i < l->rank; i++) empty |= l->shape[i] == 0;
  *count = 0;
  if (empty) return PARE_OK;
  for (size_t i = 0; fits && i < l->rank; i++) {
    size_t step;
    fits =
        size_mul(n, l->shape[i], &n) && size_mul(l->shape[i] - 1, l->stride[i], &step) && size_add(last, step, &last);
  }
  if (!fits || last >= s->numel)
    return error_set(err, PARE_DATA, "%s: tensor %.200s: its elements lie outside its storage '%.*s' of %zu", f->file,
                     name, (int)size_min(s->key.len, 60), s->key.bytes, s->numel);
  if (n > s->numel) return bad(f, name, "larger than its storage: repeated elements are not read", err);
  *count = n;
  return PARE_OK;
}

static bool is_row_major(const struct layout *l) {
  size_t expected = 1;
  for (size_t i = l->rank; i > 0; i--) {
    if (l->shape[i - 1] == 1) continue; // its stride is never taken
    if (l->stride[i - 1] != expected) return false;
    expected *= l->shape[i - 1]; // at most the storage's size: checked
  }
  return true;
}

static void copy_elements(const struct layout *l, const uint8_t *from, size_t element, size_t count, uint8_t *to) {
  size_t at[TENSOR_MAX_RANK] = {0}, place = l->offset;
  for (size_t n = 0; n < count; n++) {
    memcpy(to + n * element, from + place * element, element);
    for (size_t i = l->rank; i > 0; i--) { // the next index, last dimension first
      place += l->stride[i - 1];
      if (++at[i - 1] < l->shape[i - 1]) break;
      place -= l->stride[i - 1] * l->shape[i - 1];
      at[i - 1] = 0;
    }
  }
}

static enum pare_status lay_out(struct torch_file *f, const struct layout *l, const struct torch_storage *s,
                                size_t count, const char *name, const uint8_t **out, struct pare_error *err) {
  size_t element = dtype_bytes(s->dtype), bytes = count * element, total, bound;
  if (!size_mul(f->bytes, COPY_MAX_RATIO, &bound) || !size_add(f->made_bytes, bytes, &total) ||
      total > size_max(bound, f->zip.inflated_bytes))
    return bad(f, name, "too many tensors of the file are not in row-major order", err);
  struct mapping *list = realloc(f->made, (f->made_count + 1) * sizeof *list);
  if (!list) return error_no_memory(err);
  f->made = list;
  uint8_t *to;
  enum pare_status status = file_map_memory(bytes, &list[f->made_count], &to, err);
  if (status) return status;
  f->made_count++;
  f->made_bytes = total;
  copy_elements(l, s->data, element, count, to);
  *out = to;
  return PARE_OK;
}

enum pare_status torch_tensor(struct torch_file *f, const struct pickle_value *v, const char *name, struct tensor *out,
                              struct pare_error *err) {
  const struct pickle_value *type, *args;
  if (!unwrap(v, &type, &args)) return bad(f, name, "not a tensor as torch writes it", err);
  if (!is_utils(type, "_rebuild_tensor_v2") && !is_utils(type, "_rebuild_tensor"))
    return error_set(err, PARE_DATA, "%s: tensor %.200s: %.*s: expected a dense tensor", f->file, name,
                     type->kind == PICKLE_GLOBAL ? (int)size_min(type->global.name.len, 60) : 0,
                     type->kind == PICKLE_GLOBAL ? type->global.name.bytes : "");
  struct torch_reference reference;
  struct torch_storage storage;
  struct layout layout;
  size_t count;
  enum pare_status s = torch_reference(f, pickle_item(args, 0), name, &reference, err);
  if (!s) s = torch_find_storage(f, &reference, &storage, err);
  if (!s) s = read_layout(f, args, name, &layout, err);
  if (!s) s = check_layout(f, &layout, &storage, name, &count, err);
  if (s) return s;
  *out = (struct tensor){.name = name, .dtype = storage.dtype, .rank = layout.rank, .file = f->file};
  memcpy(out->shape, layout.shape, sizeof out->shape);
  out->bytes = count * dtype_bytes(storage.dtype); // at most the storage's
  if (count == 0) return PARE_OK;
  if (!is_row_major(&layout)) return lay_out(f, &layout, &storage, count, name, &out->data, err);
  out->data = storage.data + layout.offset * dtype_bytes(storage.dtype);
  return PARE_OK;
}
