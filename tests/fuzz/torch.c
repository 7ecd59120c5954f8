// torch.c - libFuzzer on files of torch.save, zip archives and the older container: each is refused with a message, or
// every tensor's bytes can be read and have the size that its shape needs.
#include "promises.h"

#include "format/torch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

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
