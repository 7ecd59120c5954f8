// scheme.h - the list of schemes users name: each pairs an encoding (how values are stored) with a method (how they are
// chosen).
#ifndef PARE_QUANT_SCHEME_H
#define PARE_QUANT_SCHEME_H

#include "pack/pack.h"

struct method;

struct scheme {
  const char *name;
  const struct encoding *encoding; // NULL: named by the contract, not built yet
  const struct method *method;
  double bits_per_weight; // scales and magnitudes included, for wide matrices
  const char *encoding_name, *method_name;
  const char *formats; // names that --format takes, separated by spaces
  bool calibrated;
};

const struct scheme *schemes_all(size_t *count);
// PARE_USAGE for a name that is not listed (listing those that are), PARE_UNAVAILABLE for one that is not built yet.
enum pare_status scheme_find(const char *name, const struct scheme **out, struct pare_error *err);

// How values are chosen: f32 source rows -> a stored weight of encoding e, allocated here. name is the tensor's, for
// messages.
struct method {
  const char *name;
  enum pare_status (*quantize)(const struct kernels *k, const struct stored *source, const struct encoding *e,
                               const char *name, struct stored *out, struct pare_error *err);
};
extern const struct method method_cast, method_rtn;

#endif
