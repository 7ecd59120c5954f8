// promises.h - what the fuzz targets of weight files hold every tensor to.
#ifndef PARE_TESTS_FUZZ_PROMISES_H
#define PARE_TESTS_FUZZ_PROMISES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "format/format.h"

static inline void require(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken promise: %s\n", what);
  abort();
}

// Its name, its size, and that its first and last byte can be read.
static inline void check_tensor(const struct tensor *t) {
  size_t name_len = strlen(t->name), n = dtype_bytes(t->dtype);
  require(name_len > 0 && name_len < 512 && utf8_first_bad(t->name, name_len) == name_len, "a valid name");
  require(t->rank <= TENSOR_MAX_RANK, "a small rank");
  for (size_t i = 0; i < t->rank; i++) n *= t->shape[i];
  require(n == t->bytes, "the size that the shape needs");
  volatile uint8_t sink = 0;
  if (t->bytes) sink ^= t->data[0] ^ t->data[t->bytes - 1];
  (void)sink;
}

#endif
