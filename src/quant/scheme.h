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

// A listed name, or one with what is done to the values first: "int8+prune=0.3" sets three tenths of a linear layer's
// weights, those of smallest magnitude, to zero.
struct scheme_choice {
  const struct scheme *scheme;
  double prune; // share in (0, 1); 0: nothing is pruned
};
enum pare_status scheme_parse(const char *name, struct scheme_choice *out, struct pare_error *err);
void scheme_name(const struct scheme_choice *c, char *out, size_t cap); // written one way, whatever the user wrote

// How values are chosen: f32 source rows -> a stored weight of encoding e, allocated here. name is the tensor's, for
// messages.
struct method {
  const char *name;
  enum pare_status (*quantize)(const struct kernels *k, const struct stored *source, const struct encoding *e,
                               const char *name, struct stored *out, struct pare_error *err);
};
extern const struct method method_cast, method_rtn;

#endif
