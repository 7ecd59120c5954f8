// calibration.c - see calibration.h.
#include "calibration.h"

#include "base/error.h"
#include "base/file.h"

enum pare_status calibration_options(const struct calibration *c, struct pare_calibrate_options *out,
                                     struct pare_error *err) {
  *out = (struct pare_calibrate_options){.file = c->file, .rows = c->rows, .method = c->method};
  if (c->file && !file_exists(c->file)) return error_set(err, PARE_NOFILE, "no calibration file %s", c->file);
  enum pare_status status = args_real(c->percentile, "percentile", &out->percentile, err);
  if (status == PARE_OK && c->percentile && !(out->percentile >= 50 && out->percentile <= 100))
    return error_set(err, PARE_USAGE, "--percentile: expected 50 to 100, found '%s'", c->percentile);
  return status;
}
