// sampling.h - the options that say how tokens are drawn, as `pare generate`, `eval` and `compare` take them.
#ifndef PARE_CMD_SAMPLING_H
#define PARE_CMD_SAMPLING_H

#include "args.h"

struct sampling {
  const char *temperature, *top_p, *min_p;
  size_t top_k;
  uint64_t seed;
  struct args_list stop;
};

// Sets these fields of out. PARE_USAGE for what is no number, and for a choice of draws at temperature 0.
enum pare_status sampling_options(const struct sampling *s, struct pare_generate_options *out, struct pare_error *err);
// The same of --repetition-penalty, which beams take too; NULL: not given.
enum pare_status sampling_repetition(const char *text, struct pare_generate_options *out, struct pare_error *err);

#endif
