// save.h - a quantized model as a Hugging Face directory: model.safetensors, config.json, the source's tokenizer files,
// pare.json.
#ifndef PARE_QUANT_SAVE_H
#define PARE_QUANT_SAVE_H

#include "quant/plan.h"

struct json_t;

// What a plan produced, in plan order.
struct result {
  struct stored stored;   // matrices; vectors too, as one row
  double sqnr_db, cosine; // against the source; matrices only
  double zeros;           // share of values that are 0 as stored; matrices only
};

// The tensors of the output file, names and views; *count of them. Freed by tensor_list_free.
struct tensor_list {
  struct tensor *list;
  size_t count;
  char **names;     // owned
  char **documents; // owned: quant_state JSON bytes
};
enum pare_status save_list(const struct plan *p, const struct result *results, struct tensor_list *out,
                           struct pare_error *err);
void tensor_list_free(struct tensor_list *t);

// Copies the files of the source that any form of the model needs: its tokenizer's, generation_config.json.
enum pare_status save_companions(const pare_model *m, const char *dir, struct pare_error *err);
// j as dir/name. Taken: j may be NULL (out of memory), and is released.
enum pare_status save_json(const char *dir, const char *name, struct json_t *j, struct pare_error *err);
// Writes everything but pare.json into dir. A plan without a scheme (plan_keep) keeps config.json as it is.
enum pare_status save_directory(const pare_model *m, const struct plan *p, const struct tensor_list *tensors,
                                const char *dir, struct pare_error *err);

#endif
