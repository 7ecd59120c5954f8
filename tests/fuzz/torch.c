// torch.c - libFuzzer on files of torch.save, zip archives and the older container: each is refused with a message, or
// every tensor's bytes can be read and have the size that its shape needs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "format/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void require(int ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "broken promise: %s\n", what);
  abort();
}

static void check_tensor(const struct tensor *t) {
  size_t name_len = strlen(t->name), n = dtype_bytes(t->dtype);
  require(name_len > 0 && name_len < 512 && utf8_first_bad(t->name, name_len) == name_len, "a valid name");
  require(t->rank <= TENSOR_MAX_RANK, "a small rank");
  for (size_t i = 0; i < t->rank; i++) n *= t->shape[i];
  require(n == t->bytes, "the size that the shape needs");
  volatile uint8_t sink = 0;
  if (t->bytes) sink ^= t->data[0] ^ t->data[t->bytes - 1];
  (void)sink;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
  struct torch_file f;
  struct tensors t = {0};
  struct pare_error err = {0};
  enum pare_status s = torch_parse(bytes, len, "fuzz", &f, &err);
  if (!s) s = torch_state(&f, f.pickle.root, &t, &err);
  if (s) {
    require(s == PARE_DATA && strncmp(err.text, "fuzz: ", 6) == 0, "a refusal with its reason");
    require(!t.list && t.count == 0, "nothing left behind");
  }
  for (size_t i = 0; i < t.count; i++) {
    check_tensor(&t.list[i]);
    require(i == 0 || strcmp(t.list[i - 1].name, t.list[i].name) < 0, "sorted, distinct names");
  }
  tensors_close(&t);
  torch_close(&f);
  return 0;
}
