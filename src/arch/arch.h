// arch.h - an architecture is a table first: tensor names, shapes in config symbols, roles. The same rows load and
// check a file, size memory, list what may be quantized, print info, and make test models. Below the table, a
// straight-line forward pass.
#ifndef PARE_ARCH_ARCH_H
#define PARE_ARCH_ARCH_H

#include "nn/kvcache.h"
#include "nn/nn.h"

struct json_t; // jansson

enum {
  ARCH_MAX_K = 65536,          // int8 sums stay exact in 32 bits: 255 * 128 * 2^16 < 2^31
  ARCH_MAX_HEAD = 8,           // layers of a classifier's head, where its depth is configured
  TRANSFORMER_PASS_ROWS = 384, // pass_rows of transformers: 32 texts through DistilBERT are 3 % faster than in one pass
};

enum arch_task { ARCH_CLASSIFY, ARCH_LANGUAGE_MODEL, ARCH_ENCODE, ARCH_SEQ2SEQ };

// What config.json says, in one struct for all architectures. Every field is checked by the architecture's read
// function; a variant that is not implemented is refused there by name.
struct config {
  enum arch_task task;
  size_t V, C, L, H, F, P; // vocabulary, width, layers, heads, inner width of the MLP, positions
  size_t Y;                // token types (BERT), else 0
  size_t N;                // labels, else 0
  size_t EL, EH, EF;       // encoder-decoders: the encoder's layers, heads and inner width; L, H, F: the decoder's
  size_t bptt, window;     // AWD-LSTM: tokens of a chunk, most tokens pooled (0: all)
  size_t head_count;       // AWD-LSTM: layers of the head, else 0
  size_t head[ARCH_MAX_HEAD + 1]; // widths around them: what is pooled, ..., N
  float eps;                      // layer norm
  enum act act;
  bool tied;                            // output layer = token embedding
  bool scale_attn, scale_attn_by_layer; // GPT-2 variants
  bool multi_label;                     // problem_type multi_label_classification
  bool regression;                      // problem_type regression
  bool scale_embedding;                 // encoder-decoders: embedding rows times sqrt(C)
  int64_t pad_id;                       // -1: none
  uint32_t start_id;                    // encoder-decoders: what the decoder reads first
  uint32_t end_id;                      // encoder-decoder classifiers: the id whose last row decides
  bool unit;                            // linear classifiers: a text's features have length 1 together
};

// The last five differ from layer to layer: an AWD-LSTM's first layer reads C, its last one gives C, those between are
// F wide; D_GATES is four times a layer's output. D_P2: P positions after two rows that are not used.
enum dim {
  D_NONE,
  D_V,
  D_C,
  D_3C,
  D_F,
  D_P,
  D_Y,
  D_N,
  D_EF,
  D_P2,
  D_CELL_IN,
  D_CELL_OUT,
  D_GATES,
  D_HEAD_IN,
  D_HEAD_OUT,
};
// CONV1D: a linear stored (in, out). BAG: a linear whose input is a set of features, each there or not.
enum role { ROLE_EMBEDDING, ROLE_LINEAR, ROLE_CONV1D, ROLE_NORM, ROLE_BIAS, ROLE_BAG };

struct arch_row {
  const char *name;  // "%zu" stands for the layer (of the head, in rows of one); the architecture's prefix goes before
                     // it unless bare
  const char *alias; // an older name of the same tensor, or NULL
  const char *copy;  // where the file may hold it a second time (a tied matrix): read when both names are missing
  enum role role;
  enum dim n, k; // (N, K) = (outputs, inputs) or (rows, width); k = D_NONE for vectors
  bool per_layer, bare;
  bool per_head_layer; // as per_layer, over the layers of the head
  bool encoder;        // a layer of an encoder-decoder's encoder: there are EL of these
  bool optional;       // may be missing from the file: fold decides what that means
  bool head;           // only for `task`; otherwise every task has it
  enum arch_task task;
  bool untied;      // exists only when the config does not tie the output layer to the embedding
  bool tied_output; // an embedding that a tied language model also multiplies by
};

struct sequences {           // a ragged batch
  const uint32_t *ids;       // (rows)
  const uint8_t *types;      // (rows) or NULL
  const uint32_t *positions; // (rows)
  const size_t *offsets;     // (B + 1)
  size_t B, rows;
  struct kvcache *cache; // decoders: the rows continue these streams; NULL: every sequence is a whole text
  const size_t *slots;   // (B) stream of each sequence, with cache
  bool last_only;        // language models: logits of each sequence's last row only, (B, V)
  // Encoder-decoders: the rows are the decoder's, and sequence b answers text b of `source` or, once encoded, the text
  // in slot memory_slots[b] of `memory`.
  const struct sequences *source;
  struct kvcache *memory;
  const size_t *memory_slots;
};

struct weights {
  struct weight *global; // one per table row that is not per layer (others unused)
  struct weight *layers; // (arch_layers, rows of the table)
  size_t row_count;
  size_t folded; // tensors of the file that fold took in, less those it made
};
static inline const struct weight *weight_at(const struct weights *w, size_t row) {
  return &w->global[row];
}
static inline const struct weight *weight_in(const struct weights *w, size_t layer, size_t row) {
  return &w->layers[layer * w->row_count + row];
}

struct arch {
  const char *name;            // "gpt2": config.json's model_type
  const char *const *prefixes; // NULL-terminated, tried in order: {"transformer.", "", NULL}
  const struct arch_row *rows;
  size_t row_count;
  // config.json (an object; file is its path, for messages) -> config. A variant that is not implemented is refused by
  // name.
  enum pare_status (*read_config)(const struct json_t *json, const char *file, struct config *out,
                                  struct pare_error *err);
  // Rows of logits: (B, N) for classifiers, (rows, V) for language models and encoder-decoders, (rows, C) hidden states
  // for encoders.
  void (*forward)(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                  float *out);
  // Scratch forward takes from ctx->arena for a batch of `rows` tokens in at most B sequences, the longest `longest`
  // tokens.
  size_t (*scratch_bytes)(const struct kernels *k, const struct config *c, size_t rows, size_t B, size_t longest,
                          size_t threads);
  bool decoder; // forward takes a cache
  bool ours;    // no other quantization tool opens it, so nothing is written in their formats
  // After the rows were found in a file: folds weights into others, which then own their values. NULL: nothing to fold.
  enum pare_status (*fold)(const struct kernels *k, const struct config *c, struct weights *w, const char *file,
                           struct pare_error *err);
  // Encoder-decoders, else NULL. Reads the texts s and leaves every decoder layer's cross-attention keys and values in
  // slots s->slots of memory, which are empty before. Scratch as forward's.
  void (*encode)(struct nn_ctx *ctx, const struct config *c, const struct weights *w, const struct sequences *s,
                 struct kvcache *memory);
  // Most rows a pass gains from: beyond it activations leave the near caches. One longer sequence is a pass of its own.
  // 0: the more the better.
  size_t pass_rows;
  bool bag; // a text is a set of n-grams (the file's tensor "ngrams" lists them), and may be empty
};

const struct arch *const *archs_all(size_t *count);
const struct arch *arch_find(const char *model_type); // NULL: unknown

// (N, K) of a row in a layer under a config; K = 1 for vectors.
void arch_row_shape(const struct arch_row *row, const struct config *c, size_t layer, size_t *n, size_t *k);
// Which rows a model of this config has, and in how many layers (1: the row is global).
bool arch_row_used(const struct arch_row *row, const struct config *c);
size_t arch_row_layers(const struct arch_row *row, const struct config *c);
static inline bool arch_row_layered(const struct arch_row *row) {
  return row->per_layer || row->per_head_layer;
}
size_t arch_layers(const struct config *c); // most layers of any row

#endif
