// sparse.h - weights of which only the values that are not zero are stored.
#ifndef PARE_PACK_SPARSE_H
#define PARE_PACK_SPARSE_H

#include "pack/pack.h"

// Replaces a dense weight (s->owned or not) by the sparse form of the same values when that takes fewer bytes and its
// encoding has one; otherwise s stays as it is.
enum pare_status sparse_if_smaller(struct stored *s, struct pare_error *err);
// out: the same values as a dense f32 weight, to be freed by stored_free, in one pass over s.
enum pare_status sparse_to_f32(const struct stored *s, struct stored *out, struct pare_error *err);
static inline bool sparse_is(const struct stored *s) {
  return s->encoding->dense != NULL;
}
size_t sparse_count(const struct stored *s); // values that are stored
// Calls visit for each of them: output n ascending, then k.
void sparse_each(const struct stored *s, void (*visit)(void *context, size_t n, size_t k, float value), void *context);

#endif
