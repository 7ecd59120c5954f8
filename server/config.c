// config.c - see config.h.
#include "config.h"

#include <stdlib.h>

void serve_config_free(struct serve_config *c) {
  for (size_t i = 0; i < c->api_key_count; i++) free(c->api_keys[i]);
  for (size_t i = 0; i < c->model_count; i++) {
    free(c->models[i].name);
    free(c->models[i].path);
    free(c->models[i].quantized);
    free(c->models[i].scheme);
  }
  free(c->api_keys);
  free(c->models);
  free(c->host);
  free(c->isa);
  *c = (struct serve_config){0};
}
