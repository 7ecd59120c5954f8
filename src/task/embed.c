// embed.c - see embed.h. Sums are of doubles in the order of the tokens, so that they are the same everywhere.
#include "task/embed.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "base/file.h"
#include "format/format.h"

enum pare_pooling embed_pooling(const char *model) {
  char *dir = model_directory(model), *path = dir ? path_join(dir, "1_Pooling/config.json") : NULL;
  json_t *config = path && file_exists(path) ? json_load_file(path, 0, NULL) : NULL;
  enum pare_pooling pooling = PARE_POOLING_MEAN;
  if (json_is_true(json_object_get(config, "pooling_mode_cls_token"))) pooling = PARE_POOLING_FIRST;
  if (json_is_true(json_object_get(config, "pooling_mode_max_tokens"))) pooling = PARE_POOLING_MAX;
  if (json_is_true(json_object_get(config, "pooling_mode_mean_tokens"))) pooling = PARE_POOLING_MEAN;
  json_decref(config);
  free(path);
  free(dir);
  return pooling;
}

static float pooled(enum pare_pooling pooling, const float *column, size_t tokens, size_t C) {
  if (pooling == PARE_POOLING_FIRST) return column[0];
  double sum = 0;
  float max = column[0];
  for (size_t t = 0; t < tokens; t++) {
    sum += (double)column[t * C];
    max = fmaxf(max, column[t * C]);
  }
  return pooling == PARE_POOLING_MAX ? max : (float)(sum / (double)tokens);
}

void embed_pool(enum pare_pooling pooling, const float *rows, size_t tokens, size_t C, bool raw, float *vector) {
  double square = 0;
  for (size_t c = 0; c < C; c++) {
    vector[c] = pooled(pooling, rows + c, tokens, C);
    square += (double)vector[c] * (double)vector[c];
  }
  if (raw || !(square > 0)) return;
  double length = sqrt(square);
  for (size_t c = 0; c < C; c++) vector[c] = (float)((double)vector[c] / length);
}
