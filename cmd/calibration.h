// calibration.h - the options that say which texts a scheme with fixed activation ranges watches: quantize and compare.
#ifndef PARE_CMD_CALIBRATION_H
#define PARE_CMD_CALIBRATION_H

#include "command.h"

struct calibration {
  const char *file, *method, *percentile;
  size_t rows;
};
#define CALIBRATE_HELP "texts for schemes that watch activations (int8-static)"
#define CALIBRATE_ROWS_HELP "its first N rows (512)"
#define CALIBRATE_METHOD_HELP "range of an input: minmax (the extremes) or percentile"
#define PERCENTILE_HELP "per cent of the values that percentile keeps (99.99)"

enum pare_status calibration_options(const struct calibration *c, struct pare_calibrate_options *out,
                                     struct pare_error *err);

#endif
