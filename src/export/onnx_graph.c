// onnx_graph.c - see onnx_graph.h. The messages of protobuf-c, filled in place: all memory hangs on the graph, so
// freeing it is one walk.
#include "export/onnx_graph.h"

#include <onnx.pb-c.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

struct block {
  struct block *next;
  max_align_t data[];
};

struct onnx_graph {
  Onnx__ModelProto model;
  Onnx__GraphProto graph;
  Onnx__OperatorSetIdProto opset, *opsets[1];
  struct block *blocks;
  size_t node_cap, initializer_cap, input_cap, output_cap;
  bool failed;
};

void *onnx_take(struct onnx_graph *g, size_t bytes) {
  struct block *b = calloc(1, sizeof *b + bytes);
  if (!b) {
    g->failed = true;
    return NULL;
  }
  b->next = g->blocks;
  g->blocks = b;
  return b->data;
}

static char *format_name(struct onnx_graph *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static char *format_name(struct onnx_graph *g, const char *format, ...) {
  char text[256];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  if (n < 0 || (size_t)n >= sizeof text) g->failed = true; // longer than any constant of ours
  char *copy = onnx_take(g, sizeof text);
  return copy ? memcpy(copy, text, sizeof text) : NULL;
}

static char *copy_name(struct onnx_graph *g, const char *name) {
  size_t len = strlen(name) + 1;
  char *copy = onnx_take(g, len);
  return copy ? memcpy(copy, name, len) : NULL;
}

// Room for one more pointer in one of the graph's lists; NULL when out of memory.
static void *grow(struct onnx_graph *g, void *list, size_t count, size_t *cap) {
  if (count < *cap) return list;
  size_t wanted = *cap ? 2 * *cap : 64;
  void *bigger = realloc(list, wanted * sizeof(void *));
  if (!bigger) {
    g->failed = true;
    return NULL;
  }
  *cap = wanted;
  return bigger;
}

// protobuf-c's messages hold char *, which packing only reads.
static char *unwritten(const char *name) {
  return (char *)(uintptr_t)name;
}

struct onnx_graph *onnx_graph_new(const char *name) {
  struct onnx_graph *g = calloc(1, sizeof *g);
  if (!g) return NULL;
  g->model = (Onnx__ModelProto)ONNX__MODEL_PROTO__INIT;
  g->graph = (Onnx__GraphProto)ONNX__GRAPH_PROTO__INIT;
  g->opset = (Onnx__OperatorSetIdProto)ONNX__OPERATOR_SET_ID_PROTO__INIT;
  g->opset.domain = unwritten("");
  g->opset.has_version = 1;
  g->opset.version = ONNX_OPSET;
  g->opsets[0] = &g->opset;
  g->model.has_ir_version = 1;
  g->model.ir_version = ONNX_IR_VERSION;
  g->model.producer_name = unwritten("pare");
  g->model.producer_version = unwritten(PARE_VERSION);
  g->model.n_opset_import = 1;
  g->model.opset_import = g->opsets;
  g->model.graph = &g->graph;
  g->graph.name = copy_name(g, name);
  return g;
}

void onnx_graph_free(struct onnx_graph *g) {
  if (!g) return;
  for (struct block *b = g->blocks, *next; b; b = next) {
    next = b->next;
    free(b);
  }
  free(g->graph.node);
  free(g->graph.initializer);
  free(g->graph.input);
  free(g->graph.output);
  free(g);
}

// ---- inputs and outputs ----

static Onnx__TensorShapeProto *make_shape(struct onnx_graph *g, const struct onnx_dim *dims, size_t rank) {
  Onnx__TensorShapeProto *shape = onnx_take(g, sizeof *shape);
  Onnx__TensorShapeProto__Dimension **list = onnx_take(g, (rank + 1) * sizeof(*list));
  Onnx__TensorShapeProto__Dimension *d = onnx_take(g, (rank + 1) * sizeof *d);
  if (!shape || !list || !d) return NULL;
  *shape = (Onnx__TensorShapeProto)ONNX__TENSOR_SHAPE_PROTO__INIT;
  shape->n_dim = rank;
  shape->dim = list;
  for (size_t i = 0; i < rank; i++) {
    list[i] = &d[i];
    d[i] = (Onnx__TensorShapeProto__Dimension)ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT;
    if (dims[i].name) {
      d[i].dim_param = copy_name(g, dims[i].name);
    } else {
      d[i].has_dim_value = 1;
      d[i].dim_value = (int64_t)dims[i].size;
    }
  }
  return shape;
}

static Onnx__ValueInfoProto *make_info(struct onnx_graph *g, const char *name, enum onnx_type type,
                                       const struct onnx_dim *dims, size_t rank) {
  Onnx__ValueInfoProto *info = onnx_take(g, sizeof *info);
  Onnx__TypeProto *t = onnx_take(g, sizeof *t);
  Onnx__TypeProto__Tensor *tensor = onnx_take(g, sizeof *tensor);
  Onnx__TensorShapeProto *shape = make_shape(g, dims, rank);
  if (!info || !t || !tensor || !shape) return NULL;
  *info = (Onnx__ValueInfoProto)ONNX__VALUE_INFO_PROTO__INIT;
  *t = (Onnx__TypeProto)ONNX__TYPE_PROTO__INIT;
  *tensor = (Onnx__TypeProto__Tensor)ONNX__TYPE_PROTO__TENSOR__INIT;
  info->name = copy_name(g, name);
  info->type = t;
  t->tensor_type = tensor;
  tensor->has_elem_type = 1;
  tensor->elem_type = (int32_t)type;
  tensor->shape = shape;
  return info;
}

const char *onnx_input(struct onnx_graph *g, const char *name, enum onnx_type type, const struct onnx_dim *dims,
                       size_t rank) {
  Onnx__ValueInfoProto *info = make_info(g, name, type, dims, rank);
  Onnx__ValueInfoProto **list = grow(g, g->graph.input, g->graph.n_input, &g->input_cap);
  if (!list) return NULL;
  g->graph.input = list;
  if (!info) return NULL;
  list[g->graph.n_input++] = info;
  return info->name;
}

// The node that computes the value is told to call it `name`; so are those that read it.
void onnx_output(struct onnx_graph *g, const char *value, const char *name, enum onnx_type type,
                 const struct onnx_dim *dims, size_t rank) {
  Onnx__ValueInfoProto *info = make_info(g, name, type, dims, rank);
  Onnx__ValueInfoProto **list = grow(g, g->graph.output, g->graph.n_output, &g->output_cap);
  if (!list) return;
  g->graph.output = list;
  if (!info) return;
  list[g->graph.n_output++] = info;
  for (size_t i = 0; i < g->graph.n_node; i++) {
    Onnx__NodeProto *node = g->graph.node[i];
    for (size_t j = 0; j < node->n_output; j++)
      if (node->output[j] == value) node->output[j] = info->name;
    for (size_t j = 0; j < node->n_input; j++)
      if (node->input[j] == value) node->input[j] = info->name;
  }
}

// ---- constants ----

static const char *find_initializer(const struct onnx_graph *g, const char *name) {
  for (size_t i = 0; i < g->graph.n_initializer; i++)
    if (!strcmp(g->graph.initializer[i]->name, name)) return g->graph.initializer[i]->name;
  return NULL;
}

const char *onnx_initializer(struct onnx_graph *g, const struct onnx_tensor *t) {
  const char *found = find_initializer(g, t->name);
  if (found) return found;
  Onnx__TensorProto *p = onnx_take(g, sizeof *p);
  int64_t *dims = onnx_take(g, (t->rank + 1) * sizeof *dims);
  char *name = copy_name(g, t->name);
  Onnx__TensorProto **list = grow(g, g->graph.initializer, g->graph.n_initializer, &g->initializer_cap);
  if (!list) return NULL;
  g->graph.initializer = list;
  if (!p || !dims || !name) return NULL;
  *p = (Onnx__TensorProto)ONNX__TENSOR_PROTO__INIT;
  for (size_t i = 0; i < t->rank; i++) dims[i] = (int64_t)t->shape[i];
  p->n_dims = t->rank;
  p->dims = dims;
  p->name = name;
  p->has_data_type = 1;
  p->data_type = (int32_t)t->type;
  p->has_raw_data = 1;
  p->raw_data = (ProtobufCBinaryData){.len = t->bytes, .data = (uint8_t *)(uintptr_t)t->data}; // only read
  list[g->graph.n_initializer++] = p;
  return name;
}

static const char *small(struct onnx_graph *g, const char *name, enum onnx_type type, size_t rank, size_t n,
                         const void *data, size_t bytes) {
  if (!name) return NULL;
  void *copy = onnx_take(g, bytes);
  if (!copy) return NULL;
  memcpy(copy, data, bytes);
  return onnx_initializer(g, &(struct onnx_tensor){name, type, rank, {n}, copy, bytes});
}

const char *onnx_i64s(struct onnx_graph *g, const int64_t *x, size_t n) {
  char name[200] = "int64s";
  size_t at = strlen(name);
  for (size_t i = 0; i < n && at < sizeof name; i++)
    at += (size_t)snprintf(name + at, sizeof name - at, "_%lld", (long long)x[i]);
  return small(g, name, ONNX_I64, 1, n, x, n * sizeof *x);
}

const char *onnx_i64(struct onnx_graph *g, int64_t x) {
  return small(g, format_name(g, "int64_%lld", (long long)x), ONNX_I64, 0, 0, &x, sizeof x);
}

const char *onnx_f32(struct onnx_graph *g, float x) {
  return small(g, format_name(g, "float_%.9g", (double)x), ONNX_F32, 0, 0, &x, sizeof x);
}

// ---- nodes ----

const char *onnx_node(struct onnx_graph *g, const char *op, size_t n, const char *const *inputs, size_t outputs) {
  Onnx__NodeProto *node = onnx_take(g, sizeof *node);
  char **in = onnx_take(g, (n + 1) * sizeof(*in)), **out = onnx_take(g, (outputs + 1) * sizeof(*out));
  Onnx__NodeProto **list = grow(g, g->graph.node, g->graph.n_node, &g->node_cap);
  if (!list) return NULL;
  g->graph.node = list;
  if (!node || !in || !out) return NULL;
  *node = (Onnx__NodeProto)ONNX__NODE_PROTO__INIT;
  node->op_type = copy_name(g, op);
  node->name = format_name(g, "%s_%zu", op, g->graph.n_node);
  for (size_t i = 0; i < n; i++) in[i] = unwritten(inputs[i]);
  for (size_t i = 0; i < outputs; i++) out[i] = format_name(g, "%s_%zu.%zu", op, g->graph.n_node, i);
  node->n_input = n;
  node->input = in;
  node->n_output = outputs;
  node->output = out;
  list[g->graph.n_node++] = node;
  return out[0];
}

const char *onnx_result(const struct onnx_graph *g, size_t i) {
  if (!g->graph.n_node) return NULL;
  const Onnx__NodeProto *node = g->graph.node[g->graph.n_node - 1];
  return i < node->n_output ? node->output[i] : NULL;
}

const char *onnx_1(struct onnx_graph *g, const char *op, const char *a) {
  return onnx_node(g, op, 1, &a, 1);
}

const char *onnx_2(struct onnx_graph *g, const char *op, const char *a, const char *b) {
  return onnx_node(g, op, 2, (const char *const[]){a, b}, 1);
}

const char *onnx_3(struct onnx_graph *g, const char *op, const char *a, const char *b, const char *c) {
  return onnx_node(g, op, 3, (const char *const[]){a, b, c}, 1);
}

static Onnx__AttributeProto *add_attribute(struct onnx_graph *g, const char *name,
                                           Onnx__AttributeProto__AttributeType type) {
  if (g->failed || !g->graph.n_node) return NULL;
  Onnx__NodeProto *node = g->graph.node[g->graph.n_node - 1];
  Onnx__AttributeProto *a = onnx_take(g, sizeof *a);
  Onnx__AttributeProto **list = onnx_take(g, (node->n_attribute + 1) * sizeof(*list));
  if (!a || !list) return NULL;
  *a = (Onnx__AttributeProto)ONNX__ATTRIBUTE_PROTO__INIT;
  a->name = copy_name(g, name);
  a->has_type = 1;
  a->type = type;
  if (node->n_attribute) memcpy(list, node->attribute, node->n_attribute * sizeof(*list));
  list[node->n_attribute++] = a;
  node->attribute = list;
  return a;
}

void onnx_set_int(struct onnx_graph *g, const char *name, int64_t x) {
  Onnx__AttributeProto *a = add_attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
  if (!a) return;
  a->has_i = 1;
  a->i = x;
}

void onnx_set_ints(struct onnx_graph *g, const char *name, const int64_t *x, size_t n) {
  Onnx__AttributeProto *a = add_attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
  int64_t *copy = onnx_take(g, (n + 1) * sizeof *copy);
  if (!a || !copy) return;
  memcpy(copy, x, n * sizeof *copy);
  a->n_ints = n;
  a->ints = copy;
}

void onnx_set_float(struct onnx_graph *g, const char *name, float x) {
  Onnx__AttributeProto *a = add_attribute(g, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
  if (!a) return;
  a->has_f = 1;
  a->f = x;
}

// ---- the file ----

enum pare_status onnx_graph_bytes(struct onnx_graph *g, size_t *bytes, struct pare_error *err) {
  if (g->failed) return error_no_memory(err);
  *bytes = onnx__model_proto__get_packed_size(&g->model);
  if (*bytes < (size_t)1 << 31) return PARE_OK;
  return error_set(err, PARE_UNAVAILABLE,
                   "format onnx: the model would be one file of %zu bytes, and a protobuf file must stay below 2 GiB",
                   *bytes);
}

// protobuf-c hands over the file in pieces.
struct sink {
  ProtobufCBuffer base;
  struct outfile file;
  size_t written;
  enum pare_status status;
  struct pare_error *err;
};

static void append(ProtobufCBuffer *buffer, size_t len, const uint8_t *data) {
  struct sink *s = (struct sink *)buffer; // base is its first member
  if (!s->status) s->status = file_write(&s->file, data, len, s->err);
  s->written += len;
}

enum pare_status onnx_graph_write(struct onnx_graph *g, const char *path, struct pare_error *err) {
  size_t bytes = 0;
  enum pare_status s = onnx_graph_bytes(g, &bytes, err);
  if (s) return s;
  struct sink sink = {.base = {.append = append}, .err = err};
  sink.status = file_create(path, &sink.file, err);
  if (!sink.status) onnx__model_proto__pack_to_buffer(&g->model, &sink.base);
  if (!sink.status && sink.written != bytes) sink.status = error_no_memory(err); // it gives up without a word
  if (!sink.status) sink.status = file_commit(&sink.file, err);
  file_discard(&sink.file);
  return sink.status;
}
