// weights.h - the architecture's table against a file's tensors: which encoding each weight is stored in, shapes
// checked, linear weights packed.
#ifndef PARE_MODEL_WEIGHTS_H
#define PARE_MODEL_WEIGHTS_H

#include "model/model.h"

// Fills m->weights (views into m->tensors), m->parameters. Errors name the tensor, expected and found.
enum pare_status weights_resolve(pare_model *m, struct pare_error *err);
// Allocates m->memory and packs; mapped pages that were packed are given back.
enum pare_status weights_pack(pare_model *m, struct pare_error *err);
void weights_free(pare_model *m);

// name = prefix + row's name with the layer number; false when it does not fit.
bool weights_name(char *out, size_t cap, const char *prefix, const struct arch_row *row, const char *pattern,
                  size_t layer);
// True for rows that linear layers multiply by.
bool weights_is_linear(const struct arch_row *row, const struct config *c);
enum part_type part_type_of(enum dtype d, bool *known);
enum dtype dtype_of_part(enum part_type t);

#endif
