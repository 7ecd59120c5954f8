// sampling.c - see sampling.h.
#include "sampling.h"

#include "base/error.h"
#include "generation.h"

enum pare_status sampling_options(const struct sampling *s, struct pare_generate_options *out, struct pare_error *err) {
  out->top_k = s->top_k;
  out->seed = s->seed;
  out->stop = s->stop.items;
  out->stop_count = s->stop.count;
  enum pare_status status = args_real(s->temperature, "temperature", &out->temperature, err);
  if (status == PARE_OK) status = args_real(s->top_p, "top-p", &out->top_p, err);
  if (status == PARE_OK) status = args_real(s->min_p, "min-p", &out->min_p, err);
  if (status != PARE_OK) return status;
  // Choosing how to draw is asking to draw.
  bool draws = out->top_k || out->top_p > 0 || out->min_p > 0;
  if (draws && !s->temperature) out->temperature = 1;
  if (draws && out->temperature == 0)
    return error_set(err, PARE_USAGE, "--top-k, --top-p and --min-p need a temperature above 0");
  return PARE_OK;
}

enum pare_status sampling_repetition(const char *text, struct pare_generate_options *out, struct pare_error *err) {
  enum pare_status status = args_real(text, "repetition-penalty", &out->repetition_penalty, err);
  if (status != PARE_OK || !text || out->repetition_penalty > 0) return status;
  return error_set(err, PARE_USAGE, "--repetition-penalty: expected a number above 0, found %s", text);
}
