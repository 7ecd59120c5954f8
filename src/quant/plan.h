// plan.h - which tensor gets which scheme: the rules that users can see with --dry-run.
#ifndef PARE_QUANT_PLAN_H
#define PARE_QUANT_PLAN_H

#include "model/model.h"
#include "quant/scheme.h"

struct plan_item {
  const struct arch_row *row;
  const struct weight *weight;
  const struct scheme *scheme;   // of matrices; NULL: a norm or bias, written as `vector`
  double prune;                  // share of weights set to zero first; 0: none
  const struct encoding *vector; // float type of a norm or bias in the output
};
struct plan {
  struct plan_item *items;
  size_t count;
  const struct scheme *scheme; // the one asked for; NULL when nothing is quantized
  char name[64];               // as users write it, pruning included; or the source's own
  bool portable;               // as opened by the other tool: plain tensors all F16
  const struct tensor *ngrams; // copied as it is, or NULL
  const char *method_name;     // quantization_config.quant_method; NULL: a plain float model
};

// Rules: --keep first (REGEX=SCHEME on tensor names, first match; when portable, f16 or the scheme itself, which then
// still yields to what follows); then, when portable, what the other tool cannot hold is f16: embeddings, output heads
// under nf4 and llm-int8, all of GPT-2's Conv1D under int8 and int4, and rows of no whole groups under int4; else the
// scheme, for every matrix. Tables that are only
// looked up have no input to calibrate: int8-static leaves them int8. Pruning is for linear layers' own weights.
enum pare_status plan_make(const pare_model *m, const struct pare_quantize_options *options, struct plan *out,
                           struct pare_error *err);
// Every weight as the source stores it: items' schemes are NULL for vectors only, else the first scheme of the
// encoding.
enum pare_status plan_keep(const pare_model *m, struct plan *out, struct pare_error *err);
void plan_free(struct plan *p);
bool plan_calibrates(const struct plan *p); // some tensor's scheme wants the range of its input

#endif
