// store.c - see store.h.
#include "train/store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rice.h"
#include "format/format.h"
#include "model/features.h"
#include "model/weights.h"
#include "pack/sparse.h"
#include "quant/scheme.h"

enum { MAX_TENSORS = PACK_MAX_PARTS + 2, NAME = 48 };
static const char weight_name[] = "classifier.weight", bias_name[] = "classifier.bias";

// The tensors of a model file, as views.
struct file_list {
  struct tensor tensors[MAX_TENSORS];
  char names[PACK_MAX_PARTS][NAME];
  size_t count;
};

static void add(struct file_list *l, const char *name, enum dtype dtype, const struct part *p) {
  struct tensor t = {.name = name, .file = "", .dtype = dtype, .rank = p->rank, .data = p->data, .bytes = p->bytes};
  memcpy(t.shape, p->shape, sizeof p->shape);
  l->tensors[l->count++] = t;
}

static void list_tensors(const struct stored *weight, const float *bias, const uint8_t *ngrams, size_t ngrams_bytes,
                         struct file_list *out) {
  out->count = 0;
  for (size_t i = 0; i < weight->part_count; i++) {
    snprintf(out->names[i], NAME, "%s%s", weight_name, weight->parts[i].suffix);
    add(out, out->names[i], dtype_of_part(weight->parts[i].type), &weight->parts[i]);
  }
  add(out, bias_name, DTYPE_F32,
      &(struct part){.rank = 1, .shape = {weight->N}, .data = bias, .bytes = weight->N * sizeof(float)});
  add(out, FEATURES_TENSOR, DTYPE_U8,
      &(struct part){.rank = 1, .shape = {ngrams_bytes}, .data = ngrams, .bytes = ngrams_bytes});
}

static enum pare_status encode_buckets(const uint32_t *buckets, size_t n, uint8_t **out, size_t *bytes,
                                       struct pare_error *err) {
  uint64_t *positions = malloc((n + 1) * sizeof *positions);
  if (!positions) return error_no_memory(err);
  for (size_t i = 0; i < n; i++) positions[i] = buckets[i];
  *bytes = rice_encode(positions, n, NULL);
  *out = malloc(*bytes);
  if (*out) rice_encode(positions, n, *out);
  free(positions);
  return *out ? PARE_OK : error_no_memory(err);
}

static const struct encoding *encoding_of(size_t value_bytes) {
  return value_bytes == 1 ? &encoding_int8 : value_bytes == 2 ? &encoding_int16 : &encoding_f32;
}

enum pare_status store_bytes(const uint32_t *buckets, size_t columns, size_t C, const bool *there, size_t value_bytes,
                             size_t *bytes, struct pare_error *err) {
  struct stored s;
  uint8_t *code = NULL;
  size_t code_bytes = 0;
  enum pare_status status = stored_new(encoding_of(value_bytes), C, columns, &s, err);
  if (status) return status;
  for (size_t i = 0; i < C * columns; i++) // what a value is does not matter here, only that it is not zero
    ((uint8_t *)s.owned)[i * value_bytes] = there[i];
  status = sparse_if_smaller(&s, err);
  if (!status) status = encode_buckets(buckets, columns, &code, &code_bytes, err);
  struct file_list list;
  list_tensors(&s, NULL, code, code_bytes, &list);
  if (!status) status = safetensors_file_bytes(list.tensors, list.count, NULL, 0, bytes, err);
  free(code);
  stored_free(&s);
  return status;
}

enum pare_status store_encode(const struct kernels *k, const struct fit *f, unsigned precision,
                              struct store_weights *out, struct pare_error *err) {
  size_t C = f->outputs, V = f->design.columns;
  const struct encoding *e = encoding_of(precision / 8);
  struct stored dense;
  *out = (struct store_weights){.bias = f->w + V * C};
  enum pare_status s = stored_new(&encoding_f32, C, V, &dense, err);
  if (s) return s;
  float *values = dense.owned;
  for (size_t i = 0; i < V * C; i++) values[i % C * V + i / C] = f->w[i];
  const struct method *method = e == &encoding_f32 ? &method_cast : &method_rtn;
  s = method->quantize(k, &dense, e, weight_name, &out->weight, err);
  stored_free(&dense);
  if (!s) s = sparse_if_smaller(&out->weight, err);
  if (!s) s = encode_buckets(f->design.buckets, V, &out->ngrams, &out->ngrams_bytes, err);
  struct file_list list;
  if (!s) {
    list_tensors(&out->weight, out->bias, out->ngrams, out->ngrams_bytes, &list);
    s = safetensors_file_bytes(list.tensors, list.count, NULL, 0, &out->file_bytes, err);
  }
  if (s) store_free(out);
  return s;
}

void store_free(struct store_weights *w) {
  stored_free(&w->weight);
  free(w->ngrams);
  *w = (struct store_weights){0};
}

enum pare_status store_decode(const struct kernels *k, const struct store_weights *w, float *out,
                              struct pare_error *err) {
  struct arena memory;
  struct bag bag;
  const struct stored *s = &w->weight;
  enum pare_status status = arena_init(&memory, nn_bag_bytes(s), err);
  if (status) return status;
  nn_bag_pack(k, s, &memory, &bag);
  memset(out, 0, s->N * s->K * sizeof *out);
  if (bag.dense) memcpy(out, bag.dense, s->N * s->K * sizeof *out);
  for (size_t v = 0; bag.entries && v < bag.V; v++)
    for (uint32_t e = bag.start[v]; e < bag.start[v + 1]; e++)
      out[v * bag.N + bag.entries[e].output] = bag.entries[e].value;
  memcpy(out + s->N * s->K, w->bias, s->N * sizeof *out);
  arena_free(&memory);
  return PARE_OK;
}

enum pare_status store_write(const struct store_weights *w, const struct json_t *config, const char *dir,
                             struct pare_error *err) {
  struct file_list list;
  char *weights = path_join(dir, "model.safetensors"), *file = path_join(dir, "config.json");
  char *text = json_dumps(config, JSON_INDENT(1) | JSON_ENSURE_ASCII);
  enum pare_status s = weights && file && text ? PARE_OK : error_no_memory(err);
  list_tensors(&w->weight, w->bias, w->ngrams, w->ngrams_bytes, &list);
  if (!s) s = safetensors_write(weights, list.tensors, list.count, NULL, 0, err);
  if (!s) s = file_write_all(file, text, strlen(text), err);
  free(weights);
  free(file);
  free(text);
  return s;
}
