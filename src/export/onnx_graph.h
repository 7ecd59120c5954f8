// onnx_graph.h - an ONNX graph built node by node, then written as one protobuf file. A value is its name: every
// function that adds a node gives back the name of what it computes. Running out of memory is remembered and reported
// once, at the end; until then NULL is a value too.
#ifndef PARE_EXPORT_ONNX_GRAPH_H
#define PARE_EXPORT_ONNX_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { ONNX_OPSET = 17, ONNX_IR_VERSION = 8 }; // the first opset with LayerNormalization; onnxruntime 1.12 and later

// Element types, numbered as the format does (TensorProto.DataType).
enum onnx_type {
  ONNX_F32 = 1,
  ONNX_U8 = 2,
  ONNX_I8 = 3,
  ONNX_I32 = 6,
  ONNX_I64 = 7,
  ONNX_BOOL = 9,
  ONNX_F16 = 10,
  ONNX_BF16 = 16
};

struct onnx_dim {
  const char *name; // a size that only a run knows; NULL: `size`
  size_t size;
};

struct onnx_graph;
struct onnx_graph *onnx_graph_new(const char *name); // NULL when out of memory
void onnx_graph_free(struct onnx_graph *g);          // accepts NULL

// Memory that lives as long as the graph, zeroed; NULL when there is none.
void *onnx_take(struct onnx_graph *g, size_t bytes);

// An input of the model; dims are copied.
const char *onnx_input(struct onnx_graph *g, const char *name, enum onnx_type type, const struct onnx_dim *dims,
                       size_t rank);
// Makes `value`, a node's result, an output of the model under `name`.
void onnx_output(struct onnx_graph *g, const char *value, const char *name, enum onnx_type type,
                 const struct onnx_dim *dims, size_t rank);

// A constant. data is borrowed until the graph is written or freed; shape (rank <= 4) is copied. The name of one that
// is there already gives that one.
struct onnx_tensor {
  const char *name;
  enum onnx_type type;
  size_t rank, shape[4];
  const void *data;
  size_t bytes;
};
const char *onnx_initializer(struct onnx_graph *g, const struct onnx_tensor *t);
// Small constants, named by their value and kept once: a list, a scalar, a scalar.
const char *onnx_i64s(struct onnx_graph *g, const int64_t *x, size_t n);
const char *onnx_i64(struct onnx_graph *g, int64_t x);
const char *onnx_f32(struct onnx_graph *g, float x);

// A node with n inputs ("": not given) and `outputs` results; result i is onnx_result(g, i) until the next node.
// Returns the first.
const char *onnx_node(struct onnx_graph *g, const char *op, size_t n, const char *const *inputs, size_t outputs);
const char *onnx_result(const struct onnx_graph *g, size_t i);
const char *onnx_1(struct onnx_graph *g, const char *op, const char *a);
const char *onnx_2(struct onnx_graph *g, const char *op, const char *a, const char *b);
const char *onnx_3(struct onnx_graph *g, const char *op, const char *a, const char *b, const char *c);
// Attributes of the last node.
void onnx_set_int(struct onnx_graph *g, const char *name, int64_t x);
void onnx_set_ints(struct onnx_graph *g, const char *name, const int64_t *x, size_t n);
void onnx_set_float(struct onnx_graph *g, const char *name, float x);

// Bytes of the file. PARE_BUG when building ran out of memory; PARE_UNAVAILABLE for 2 GiB or more, which protobuf
// cannot hold in one file.
enum pare_status onnx_graph_bytes(struct onnx_graph *g, size_t *bytes, struct pare_error *err);
// Writes the model to path, by rename. The same graph gives the same bytes.
enum pare_status onnx_graph_write(struct onnx_graph *g, const char *path, struct pare_error *err);

#endif
