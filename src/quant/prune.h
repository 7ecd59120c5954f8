// prune.h - magnitude pruning, unstructured: the values of smallest magnitude become zero, tensor by tensor, before
// anything is quantized (Han et al. 2015, "Learning both weights and connections", section 3; without retraining).
#ifndef PARE_QUANT_PRUNE_H
#define PARE_QUANT_PRUNE_H

#include "pack/pack.h"

// Of x (n) the round(share * n) values of smallest magnitude become +0; share in [0, 1]. Among equal magnitudes the
// ones that come first go first, so the answer is the same everywhere. A NaN counts as the largest. Takes 512 KiB;
// time linear in n.
enum pare_status prune_values(float *x, size_t n, double share, struct pare_error *err);

// A copy of a plain float matrix in f32, pruned, in the source's own orientation. Freed by stored_free.
enum pare_status prune_matrix(const struct kernels *k, const struct stored *source, double share, struct stored *out,
                              struct pare_error *err);

#endif
