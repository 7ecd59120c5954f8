// pack.h - encodings: how a weight matrix (N outputs, K inputs) is stored, and how it is multiplied.
//
// A weight has two forms. Stored: the named parts as a file holds them, row-major (N, K); quantizers make it, writers
// save it, embeddings read rows of it. Packed: panels across outputs in the order one kernel table wants; linear layers
// multiply it. One file per encoding; encodings.c is the list.
#ifndef PARE_PACK_PACK_H
#define PARE_PACK_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "kernel/kernel.h"

enum { PACK_MAX_PARTS = 6, PACK_MAX_RANK = 2 };
#define PACK_ANY SIZE_MAX // as the one dimension of a part: as long as the file has it
enum part_type { PART_F32, PART_F16, PART_BF16, PART_I8, PART_U8, PART_I16, PART_I32, PART_I64 };
size_t part_type_bytes(enum part_type t);

struct encoding;

// One piece of a stored weight. suffix is added to the tensor's name in a file: "" for the values, "_scale", ".absmax"
// ... A suffix that begins with '/' takes the place of ".weight": "/SCB" of "a.weight" is "a.SCB". See
// part_tensor_name.
struct part {
  const char *suffix;
  enum part_type type;
  size_t rank, shape[PACK_MAX_RANK];
  const void *data; // may be unaligned when it points into a file
  size_t bytes;
};

struct stored {
  const struct encoding *encoding;
  size_t N, K;
  bool transposed; // values lie as (K, N): GPT-2's Conv1D read from the source file. Only plain float encodings.
  struct part parts[PACK_MAX_PARTS];
  size_t part_count;
  float nested_offset; // nf4-dq: added to every decoded absmax
  float threshold;     // llm-int8: columns of activations that reach it are not quantized; 0: none reaches it
  void *owned;         // freed by stored_free; NULL when the parts point into a file
};
void stored_free(struct stored *s); // accepts a zeroed struct

// How a weight wants its input: as it is, quantized, or rounded.
enum activation_kind {
  ACTIVATION_NONE,
  ACTIVATION_TOKEN,   // u8, range and zero point from the row itself
  ACTIVATION_STATIC,  // u8, scale and zero point given
  ACTIVATION_OUTLIER, // s8, scale from the row itself; a text's columns that reach the limit are left out
  ACTIVATION_BF16     // rounded, for gemm_bf16
};
struct activation {
  enum activation_kind kind;
  float scale;   // STATIC
  int32_t zero;  // STATIC: 0 .. 255
  float limit;   // OUTLIER: the least magnitude that is an outlier, or with `outliers` off the least f16 cannot hold
  bool outliers; // OUTLIER
};

struct packed {
  const struct encoding *encoding;
  size_t N, K;
  size_t panel_bytes, panels; // panel p holds outputs [p * nr, (p + 1) * nr)
  const uint8_t *data;
  const float *scale; // int8, int16: (panels * nr), 0 beyond N
  const int32_t *sum; // int8: (panels * nr)
  size_t block;       // nf4: weights per magnitude along k
  struct activation input;
};
// Bytes a value of the input takes in the form the weight wants; 0: none but f32.
static inline size_t packed_input_bytes(const struct packed *w) {
  return w->input.kind == ACTIVATION_NONE ? 0 : w->input.kind == ACTIVATION_BF16 ? 2 : 1;
}

struct encoding {
  const char *name; // "f32", "int8", "nf4" ...
  bool integer;     // activations are quantized to u8, and gemm_i8 or gemm_i4 runs
  // Shape of each part for an (N, K) weight: fills parts (data NULL) and returns their number. What a reader expects to
  // find.
  size_t (*layout)(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]);
  // Stored row n as f32 (K). Exact: the values the encoding stands for.
  void (*row)(const struct kernels *k, const struct stored *s, size_t n, float *out);
  // Bytes of memory pack() takes from the arena.
  size_t (*packed_bytes)(const struct kernels *k, size_t N, size_t K);
  // Takes that memory and says what lies where: all of *out but the bytes, which pack_panels writes.
  void (*pack)(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out);
  // Writes panels [first, end), each wholly and nothing else: threads share a weight's panels.
  void (*pack_panels)(const struct kernels *k, const struct stored *s, const struct packed *w, size_t first,
                      size_t end);
  // Float encodings: rows k0 .. k0 + kn of panel p as (kn, nr) f32. NULL: a kernel reads the panel as it is.
  void (*unpack_panel)(const struct kernels *k, const struct packed *w, size_t panel, size_t k0, size_t kn, float *out);
  // Row n (one output's K weights) of the packed form as f32: a tied embedding reads it so that one copy serves both.
  void (*packed_row)(const struct kernels *k, const struct packed *w, size_t n, float *out);
  // What is wrong with the contents of parts that are not mere numbers (positions, a shape), or NULL.
  const char *(*check)(const struct stored *s);
  const struct encoding *dense; // sparse encodings: the one whose values these are. They are read, never multiplied
};

const struct encoding *const *encodings_all(size_t *count);
extern const struct encoding encoding_f32, encoding_f16, encoding_bf16, encoding_int16, encoding_int8,
    encoding_int8_tensor, encoding_int8_static, encoding_llm_int8, encoding_int4, encoding_nf4, encoding_nf4_dq,
    encoding_sparse_f32, encoding_sparse_f16, encoding_sparse_int16, encoding_sparse_int8;

// The tensor that holds a part of weight `name`; false when it does not fit in cap bytes.
bool part_tensor_name(char *out, size_t cap, const char *name, const char *suffix);
// Columns of an int8 panel as f32 (count, i8_nr): what their weights stand for.
void int8_panel_columns(const struct kernels *k, const struct packed *w, size_t panel, const uint32_t *columns,
                        size_t count, float *out);

// Allocates the parts of an (N, K) weight in one block (s->owned), zeroed.
enum pare_status stored_new(const struct encoding *e, size_t N, size_t K, struct stored *out, struct pare_error *err);
size_t stored_bytes(const struct stored *s); // all parts
// Packs the whole weight: memory and panels.
void stored_pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out);
// Row n as f32, whatever the encoding and orientation.
void stored_row(const struct kernels *k, const struct stored *s, size_t n, float *out);
// For pack_panels. The first byte of panel p:
uint8_t *packed_panel(const struct packed *w, size_t p);
// Panel p as (words of a row, outputs), from the rows of values cut into words of 1, 2 or 4 bytes; what is left at the
// end of a row is left out. Outputs past N are 0, to the panel's end.
void packed_panel_words(const struct kernels *k, const struct stored *s, const struct packed *w, size_t p, size_t word);
// Value i of a part of 32-bit floats that may lie unaligned in a file.
float part_f32(const struct part *p, size_t i);

#define LLM_INT8_THRESHOLD 6.0f // bitsandbytes' and the paper's
enum { NF4_BLOCK = 64, NF4_NESTED_BLOCK = 256 };
extern const float nf4_codebook[16];
// bitsandbytes' 8-bit dynamic map (signed, 7 exponent bits at most), ascending; codes of a double-quantized absmax
// index it.
void nf4_nested_map(float map[256]);
// Decoded absmax of block b.
float nf4_absmax(const struct stored *s, size_t b);

uint16_t f16_from_f32(float x); // round to nearest even, as IEEE 754
float f16_to_f32(uint16_t h);
uint16_t bf16_from_f32(float x); // round to nearest even
float bf16_to_f32(uint16_t h);

#endif
