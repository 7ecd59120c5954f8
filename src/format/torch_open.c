// torch_open.c - a file of torch.save as tensors, with what a fastai export says besides.
#include <jansson.h>

#include "format/fastai.h"
#include "format/safetensors.h"
#include "format/torch.h"

enum pare_status torch_read(struct mapping *m, const char *path, bool describe, struct torch_contents *out,
                            struct pare_error *err) {
  struct torch_file f;
  *out = (struct torch_contents){.config = NULL};
  enum pare_status s = torch_parse(m->data, m->len, path, &f, err);
  if (s) return s;
  if (describe && fastai_is_export(f.pickle.root)) {
    s = fastai_config(f.pickle.root, path, &out->config, err);
    if (!s) s = fastai_tokenizer(f.pickle.root, path, &out->tokenizer, err);
  }
  if (!s) s = torch_state(&f, f.pickle.root, &out->tensors, err);
  if (!s) s = torch_hand_over(&f, m, &out->tensors, err);
  torch_close(&f);
  if (s) {
    tensors_close(&out->tensors);
    json_decref(out->config);
    json_decref(out->tokenizer);
    *out = (struct torch_contents){.config = NULL};
  }
  return s;
}

enum pare_status torch_open(const char *path, struct torch_contents *out, struct pare_error *err) {
  struct mapping m;
  *out = (struct torch_contents){.config = NULL};
  enum pare_status s = file_map(path, &m, err);
  if (!s) s = torch_read(&m, path, true, out, err);
  file_unmap(&m);
  return s;
}
