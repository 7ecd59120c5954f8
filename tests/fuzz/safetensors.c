// safetensors.c - libFuzzer on the safetensors reader: it refuses with a message, or every view lies inside the input.
#include "promises.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_file(const uint8_t *bytes, size_t len) {
  struct tensors t;
  struct pare_error err = {0};
  enum pare_status status = safetensors_parse(bytes, len, "fuzz", &t, &err);
  if (status != PARE_OK) {
    require(status == PARE_DATA && err.code == status && strncmp(err.text, "fuzz: ", 6) == 0,
            "a refusal with its reason");
    require(!t.list && !t.meta && !t.strings && t.count == 0, "nothing left behind");
    return;
  }
  size_t covered = 0;
  for (size_t i = 0; i < t.count; i++) {
    const struct tensor *one = &t.list[i];
    require(one->data >= bytes && one->bytes <= len && one->data <= bytes + len - one->bytes, "data inside the file");
    check_tensor(one);
    covered += t.list[i].bytes;
    require(i == 0 || strcmp(t.list[i - 1].name, t.list[i].name) < 0, "sorted, distinct names");
    require(tensors_find(&t, t.list[i].name) == &t.list[i], "each tensor is found");
  }
  require(covered < len, "no byte counted twice");
  for (size_t i = 0; i < 2 * t.meta_count; i++) require(t.meta[i] != NULL, "whole metadata");
  tensors_close(&t);
}

// The input as a file; and, since a random length word is nearly always wrong, with its part before the first NUL as
// the header and the rest as the data.
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  check_file(bytes, len);
  const uint8_t *end = len ? memchr(bytes, 0, len) : NULL;
  size_t header_len = end ? (size_t)(end - bytes) : len;
  uint8_t *file = malloc(8 + len);
  if (!file) return 0;
  for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)header_len >> (8 * i));
  if (len) memcpy(file + 8, bytes, len);
  check_file(file, 8 + len);
  free(file);
  return 0;
}
