// model.h - format + config + architecture table -> checked weights, ready to compute.
#ifndef PARE_MODEL_MODEL_H
#define PARE_MODEL_MODEL_H

#include "arch/arch.h"
#include "format/format.h"
#include "model/source.h"
#include "pare.h"
#include "text/tokenizer.h"

struct json_t;

struct pare_engine {
  const struct kernels *kernels;
  struct pool *pool;
  bool detached; // its models keep nothing in their files
};

struct pare_model {
  char *path;
  struct model_source source; // but for its tensors and config, which are taken over below
  const struct kernels *kernels;
  struct pool *pool;
  bool detached;
  const struct arch *arch;
  struct config config;
  char **labels; // (config.N) names from id2label
  struct weights weights;
  struct tensors tensors;      // the mapped files
  struct arena memory;         // packed weights and vectors
  const struct tensor *ngrams; // linear classifiers: the list of features, or NULL
  struct tokenizer *tokenizer; // NULL when the directory has none: then only ids work
  struct json_t *config_json;  // config.json as read, or as an export says it
  struct json_t *provenance;   // pare.json, or NULL
  char scheme[64];
  size_t parameters; // weights of the architecture, tied ones counted once
  double load_ms;    // weights only
  double tokenizer_ms, self_test_ms;
};

enum pare_status model_open(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err);
// Weights as stored only: nothing is packed, so it can be read and quantized but not run.
enum pare_status model_open_stored(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err);
// Configuration and labels only: what kind of model it is, neither weights nor tokenizer.
enum pare_status model_open_kind(pare_engine *engine, const char *path, pare_model **out, struct pare_error *err);
void model_close(pare_model *m);
// The directory of a model given as a directory or as a weight file in it; to be freed by the caller.
char *model_directory(const char *path);

size_t model_max_tokens(const pare_model *m);
// Calls visit for every weight of the model, in table order (globals, then layer by layer).
void model_each_weight(const pare_model *m,
                       void (*visit)(void *context, const struct arch_row *row, const struct weight *w), void *context);

// Bytes of the weight files by kind, headers under `other`.
struct model_bytes {
  size_t embedding, linear, scale, other, total;
};
struct model_bytes model_bytes(const pare_model *m);

// The ids of text (and pair) as this model takes them: special tokens added, cut to max_tokens (0: the longest it
// takes). only_first: cut the first text alone (a zero-shot premise). GPT-2 given an empty text gets its end-of-text
// token.
enum pare_status model_tokenize(const pare_model *m, const struct pare_text *text, size_t max_tokens, bool only_first,
                                struct encoded *out, struct pare_error *err);

#endif
