// torch.h - files written by torch.save: a pickle of an object, and the storages that its tensors are views of. Two
// containers are read: the zip archive of torch 1.6 and later, and the sequence of pickles of the versions before.
#ifndef PARE_FORMAT_TORCH_H
#define PARE_FORMAT_TORCH_H

#include "format/archive.h"
#include "format/format.h"
#include "format/pickle.h"

struct torch_storage {
  struct pickle_text key;
  enum dtype dtype;
  const uint8_t *data;
  size_t numel;
};

struct torch_file {
  char *file;                     // owned: its name, for messages
  struct pickle pickle;           // pickle.root: the object saved
  struct archive zip;             // zip container; entries PREFIX/data/KEY
  char *prefix;                   // owned
  struct torch_storage *storages; // legacy container, sorted by key
  size_t storage_count, bytes;
  struct mapping *made; // owned: tensors that had to be laid out anew
  size_t made_count, made_bytes;
};

bool torch_sniff(const uint8_t *bytes, size_t len); // it begins as one of the two

// bytes must outlive out; file is copied. PARE_DATA for anything but a whole torch file. torch_close accepts a zeroed
// struct.
enum pare_status torch_parse(const uint8_t *bytes, size_t len, const char *file, struct torch_file *out,
                             struct pare_error *err);
void torch_close(struct torch_file *f);

// True for what torch pickles a tensor or parameter as, also for kinds that torch_tensor refuses.
bool torch_is_tensor(const struct pickle_value *v);
// A view of the tensor's storage; when its elements do not lie in row-major order there, a copy in that order, owned by
// f. name is kept, not copied. Errors name it: offsets, sizes and strides that leave the storage, sparse, quantized and
// complex tensors, more than TENSOR_MAX_RANK dimensions.
enum pare_status torch_tensor(struct torch_file *f, const struct pickle_value *v, const char *name, struct tensor *out,
                              struct pare_error *err);

// All tensors of v, sorted by name, as Module.state_dict() names them. v: a state dict; a module with its parameters,
// buffers and modules; a fastai Learner; or a dict that holds one of them as "model", "state_dict" or
// "model_state_dict". Values that are no tensors are left out. out->maps stays empty: see torch_hand_over.
// tensors_close frees a partial result.
enum pare_status torch_state(struct torch_file *f, const struct pickle_value *v, struct tensors *out,
                             struct pare_error *err);
// Moves file (what f was parsed from) and the memory of f's tensors to t, so that t outlives f.
enum pare_status torch_hand_over(struct torch_file *f, struct mapping *file, struct tensors *t, struct pare_error *err);

// A file of torch.save that is mapped: on success out takes m over. describe: with config and tokenizer of an export.
enum pare_status torch_read(struct mapping *m, const char *path, bool describe, struct torch_contents *out,
                            struct pare_error *err);

// The legacy container, by torch_parse.
enum pare_status torch_parse_legacy(const uint8_t *bytes, size_t len, struct torch_file *out, struct pare_error *err);
// What a persistent id says of its storage. tensor: whose it is, for messages.
struct torch_reference {
  struct pickle_text key;
  enum dtype dtype;
  size_t numel;
};
enum pare_status torch_reference(const struct torch_file *f, const struct pickle_value *v, const char *tensor,
                                 struct torch_reference *out, struct pare_error *err);
int torch_compare_storages(const void *a, const void *b); // by key
enum pare_status torch_find_storage(struct torch_file *f, const struct torch_reference *r, struct torch_storage *out,
                                    struct pare_error *err);

#endif
