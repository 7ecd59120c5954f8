// dtype.c - element types by safetensors' names.
#include "format/format.h"
#include "format/safetensors.h"

#include <string.h>

static const struct {
  const char *name;
  size_t bytes;
} types[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", 4}, [DTYPE_F16] = {"F16", 2},   [DTYPE_BF16] = {"BF16", 2}, [DTYPE_I8] = {"I8", 1},
    [DTYPE_U8] = {"U8", 1},   [DTYPE_I16] = {"I16", 2},   [DTYPE_I32] = {"I32", 4},   [DTYPE_I64] = {"I64", 8},
    [DTYPE_F64] = {"F64", 8}, [DTYPE_BOOL] = {"BOOL", 1},
};

size_t dtype_bytes(enum dtype d) {
  return types[d].bytes;
}

const char *dtype_name(enum dtype d) {
  return types[d].name;
}

bool dtype_parse(const char *name, enum dtype *out) {
  for (size_t i = 0; i < DTYPE_COUNT; i++) {
    if (strcmp(types[i].name, name) != 0) continue;
    *out = (enum dtype)i;
    return true;
  }
  return false;
}
