// embed.h - one vector for a text, from an encoder's rows of it.
#ifndef PARE_TASK_EMBED_H
#define PARE_TASK_EMBED_H

#include "model/model.h"
#include "pare_serving.h"

// What 1_Pooling/config.json beside the model at path says (Reimers, Gurevych 2019; the file sentence-transformers
// writes); the mean without one, or without a method we know.
enum pare_pooling embed_pooling(const char *path);
// rows: (tokens, C), tokens >= 1. vector: (C), of length 1 unless raw. A vector of zeroes stays as it is.
void embed_pool(enum pare_pooling pooling, const float *rows, size_t tokens, size_t C, bool raw, float *vector);

#endif
