// source.h - what a MODEL path leads to, whatever it is: a directory of files, one weight file with the others beside
// it, or one file that holds everything (a fastai export).
#ifndef PARE_MODEL_SOURCE_H
#define PARE_MODEL_SOURCE_H

#include "format/format.h"

struct model_source {
  char *path;               // the file or directory of the weights
  char *directory;          // where the model's other files lie (tokenizer, pare.json); NULL: path holds everything
  char *config_file;        // where config was read, for messages
  struct json_t *config;    // config.json, or the same as an export says it; an object
  struct json_t *tokenizer; // the tokenizer's description (fastai_tokenizer.json); NULL: it has files in directory
  struct tensors tensors;   // after model_source_weights
};

// Finds the parts and reads config. Errors name what is missing and where it was expected. model_source_close accepts a
// zeroed struct.
enum pare_status model_source_open(const char *path, struct model_source *out, struct pare_error *err);
enum pare_status model_source_weights(struct model_source *s, struct pare_error *err);
void model_source_close(struct model_source *s);

#endif
