// torch_legacy.c - the container of torch.save before 1.6, and of _use_new_zipfile_serialization=False: five pickles
// one after another (magic number, protocol 1001, a description of the machine, the object, the keys of its storages),
// then each storage: its number of elements (64 bits), its elements. How wide an element is only the object's
// references say.
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "format/torch.h"

struct reader {
  struct torch_file *f;
  const uint8_t *at;
  size_t left;
  struct pare_error *err;
};

static enum pare_status next_pickle(struct reader *r, struct pickle *out) {
  enum pare_status s = pickle_parse(r->at, r->left, r->f->file, out, r->err);
  if (s) return s;
  r->at += out->used;
  r->left -= out->used;
  return PARE_OK;
}

// Magic number (known already), protocol and machine.
static enum pare_status read_preamble(struct reader *r) {
  enum { MAGIC, PROTOCOL, MACHINE };
  for (int part = MAGIC; part <= MACHINE; part++) {
    struct pickle p;
    int64_t version = 0;
    enum pare_status s = next_pickle(r, &p);
    if (s) return s;
    if (part == PROTOCOL && (!pickle_int(p.root, &version) || version != 1001))
      s = error_set(r->err, PARE_DATA, "%s: protocol 1001 expected, found %lld", r->f->file, (long long)version);
    if (part == MACHINE) {
      const struct pickle_value *little = pickle_get(p.root, "little_endian");
      if (!little || little->kind != PICKLE_BOOL || !little->truth)
        s = error_set(r->err, PARE_DATA, "%s: written on a machine that is not little-endian", r->f->file);
    }
    pickle_free(&p);
    if (s) return s;
  }
  return PARE_OK;
}

// What the object says of its storages, one line per key.
static enum pare_status list_storages(struct reader *r) {
  struct torch_file *f = r->f;
  struct pickle_seq all = f->pickle.persistent;
  f->storages = calloc(all.count + 1, sizeof *f->storages);
  if (!f->storages) return error_no_memory(r->err);
  for (size_t i = 0; i < all.count; i++) {
    struct torch_reference ref;
    enum pare_status s = torch_reference(f, all.items[i], "?", &ref, r->err);
    if (s) return s;
    f->storages[f->storage_count++] = (struct torch_storage){.key = ref.key, .dtype = ref.dtype, .numel = ref.numel};
  }
  qsort(f->storages, f->storage_count, sizeof *f->storages, torch_compare_storages);
  size_t kept = 0;
  for (size_t i = 0; i < f->storage_count; i++) {
    const struct torch_storage *a = &f->storages[i], *b = kept ? &f->storages[kept - 1] : NULL;
    if (!b || torch_compare_storages(a, b) != 0) {
      f->storages[kept++] = *a;
    } else if (a->dtype != b->dtype || a->numel != b->numel) {
      return error_set(r->err, PARE_DATA, "%s: storage '%.*s' is described in two ways", f->file,
                       (int)size_min(a->key.len, 60), a->key.bytes);
    }
  }
  f->storage_count = kept;
  return PARE_OK;
}

static enum pare_status read_storage(struct reader *r, const struct pickle_value *key) {
  struct torch_file *f = r->f;
  if (!key || key->kind != PICKLE_STR)
    return error_set(r->err, PARE_DATA, "%s: the list of storages holds something that is no key", f->file);
  struct torch_storage wanted = {.key = key->text};
  struct torch_storage *s =
      f->storage_count ? bsearch(&wanted, f->storages, f->storage_count, sizeof wanted, torch_compare_storages) : NULL;
  int key_len = (int)size_min(key->text.len, 60);
  if (!s || s->data)
    return error_set(r->err, PARE_DATA, "%s: storage '%.*s' %s", f->file, key_len, key->text.bytes,
                     s ? "is listed twice" : "is listed, but no tensor refers to it");
  uint64_t numel = r->left < 8 ? 0 : size_read_le(r->at, 8);
  size_t bytes = 0;
  if (r->left < 8 || numel != s->numel || !size_mul(s->numel, dtype_bytes(s->dtype), &bytes) || bytes > r->left - 8)
    return error_set(r->err, PARE_DATA,
                     "%s: storage '%.*s': %zu elements of %s expected, %zu bytes are left; truncated?", f->file,
                     key_len, key->text.bytes, s->numel, dtype_name(s->dtype), r->left);
  s->data = r->at + 8;
  r->at += 8 + bytes;
  r->left -= 8 + bytes;
  return PARE_OK;
}

enum pare_status torch_parse_legacy(const uint8_t *bytes, size_t len, struct torch_file *f, struct pare_error *err) {
  struct reader r = {f, bytes, len, err};
  struct pickle keys = {0};
  enum pare_status s = read_preamble(&r);
  if (!s) s = next_pickle(&r, &f->pickle);
  if (!s) s = list_storages(&r);
  if (!s) s = next_pickle(&r, &keys);
  if (!s && keys.root->kind != PICKLE_LIST)
    s = error_set(err, PARE_DATA, "%s: the list of storages expected after the object", f->file);
  for (size_t i = 0; !s && i < keys.root->seq.count; i++) s = read_storage(&r, keys.root->seq.items[i]);
  pickle_free(&keys);
  return s;
}
