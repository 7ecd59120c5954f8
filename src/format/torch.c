// torch.c - opens torch files and finds storages in them: see torch.h. Formats: torch/serialization.py (_save,
// _legacy_save and their loaders).
#include "format/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static const char pickle_name[] = "/data.pkl";

// What torch.save wrote first until 1.6: protocol 2, then the number 0x1950a86a20f9469cfc6c.
static const uint8_t legacy_magic[] = {0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19};

static bool is_zip(const uint8_t *bytes, size_t len) {
  return len >= 4 && memcmp(bytes, "PK\3\4", 4) == 0;
}

bool torch_sniff(const uint8_t *bytes, size_t len) {
  // Any other binary pickle is taken for one as well, so that its refusal says what it is.
  return is_zip(bytes, len) || (len >= 2 && bytes[0] == 0x80 && bytes[1] <= 5);
}

// ---- the zip container ----

// The archive's one folder: where data.pkl lies.
static enum pare_status find_prefix(struct torch_file *f, struct archive_entry **pkl, struct pare_error *err) {
  size_t end_len = sizeof pickle_name - 1;
  *pkl = NULL;
  for (size_t i = 0; i < f->zip.count; i++) {
    struct archive_entry *e = &f->zip.entries[i];
    size_t len = strlen(e->name);
    if (len <= end_len || strcmp(e->name + len - end_len, pickle_name) != 0) continue;
    if (strchr(e->name, '/') != e->name + len - end_len) continue; // deeper
    if (*pkl) return error_set(err, PARE_DATA, "%s: two entries are a data.pkl", f->file);
    *pkl = e;
    if (!(f->prefix = strndup(e->name, len - end_len))) return error_no_memory(err);
  }
  if (*pkl) return PARE_OK;
  return error_set(err, PARE_DATA, "%s: a zip archive without NAME/data.pkl: not written by torch.save", f->file);
}

// PREFIX/folder + key; NULL when there is no such entry, as for any key longer than the name of one.
static struct archive_entry *find_entry(const struct torch_file *f, const char *folder, struct pickle_text key) {
  char name[1200];
  int n = snprintf(name, sizeof name, "%s/%s%.*s", f->prefix, folder, (int)size_min(key.len, sizeof name), key.bytes);
  return n > 0 && (size_t)n < sizeof name ? archive_find(&f->zip, name) : NULL;
}

static enum pare_status check_byte_order(struct torch_file *f, struct pare_error *err) {
  struct archive_entry *e = find_entry(f, "byteorder", (struct pickle_text){"", 0});
  if (!e) return PARE_OK; // before torch 2.1: the machine's, and those were little-endian
  enum pare_status s = archive_content(&f->zip, e, err);
  if (!s && (e->size != 6 || memcmp(e->content, "little", 6) != 0))
    s = error_set(err, PARE_DATA, "%s: byte order little expected, found %.*s", f->file, (int)size_min(e->size, 20),
                  (const char *)e->content);
  return s;
}

static enum pare_status parse_zip(const uint8_t *bytes, size_t len, struct torch_file *f, struct pare_error *err) {
  struct archive_entry *pkl;
  enum pare_status s = archive_open(bytes, len, f->file, &f->zip, err);
  if (!s) s = find_prefix(f, &pkl, err);
  if (!s) s = check_byte_order(f, err);
  if (!s) s = archive_content(&f->zip, pkl, err);
  if (!s) s = archive_check(&f->zip, pkl, err);
  if (!s) s = pickle_parse(pkl->content, pkl->size, f->file, &f->pickle, err);
  return s;
}

// ---- both ----

// A plain pickle, or no pickle at all: what stops the pickle machine says which, and names what the pickle would call.
static enum pare_status not_torch(const uint8_t *bytes, size_t len, struct torch_file *f, struct pare_error *err) {
  struct pare_error why = {0};
  enum pare_status s = pickle_parse(bytes, len, "", &f->pickle, &why);
  if (s == PARE_OK) return error_set(err, PARE_DATA, "%s: a pickle, but not written by torch.save", f->file);
  if (s != PARE_DATA) return error_set(err, s, "%s: %s", f->file, why.text);
  return error_set( // its text starts with ": ", the file's name being empty
      err, PARE_DATA, "%s: not written by torch.save: %s", f->file, why.text + 2);
}

enum pare_status torch_parse(const uint8_t *bytes, size_t len, const char *file, struct torch_file *out,
                             struct pare_error *err) {
  *out = (struct torch_file){.bytes = len};
  enum pare_status s = PARE_OK;
  if (!(out->file = strdup(file))) {
    s = error_no_memory(err);
  } else if (is_zip(bytes, len)) {
    s = parse_zip(bytes, len, out, err);
  } else if (len >= sizeof legacy_magic && memcmp(bytes, legacy_magic, sizeof legacy_magic) == 0) {
    s = torch_parse_legacy(bytes, len, out, err);
  } else {
    s = not_torch(bytes, len, out, err);
  }
  if (s) torch_close(out);
  return s;
}

void torch_close(struct torch_file *f) {
  pickle_free(&f->pickle);
  archive_close(&f->zip);
  free(f->prefix);
  free(f->file);
  free(f->storages);
  for (size_t i = 0; i < f->made_count; i++) file_unmap(&f->made[i]);
  free(f->made);
  *f = (struct torch_file){0};
}

// ---- storages ----

static bool storage_dtype(const struct pickle_value *type, enum dtype *out) {
  static const struct {
    const char *name;
    enum dtype dtype;
  } types[] = {{"FloatStorage", DTYPE_F32},  {"HalfStorage", DTYPE_F16}, {"BFloat16Storage", DTYPE_BF16},
               {"DoubleStorage", DTYPE_F64}, {"LongStorage", DTYPE_I64}, {"IntStorage", DTYPE_I32},
               {"ShortStorage", DTYPE_I16},  {"CharStorage", DTYPE_I8},  {"ByteStorage", DTYPE_U8},
               {"BoolStorage", DTYPE_BOOL}};
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    if (!pickle_is_global(type, "torch", types[i].name) && !pickle_is_global(type, "torch.cuda", types[i].name))
      continue;
    *out = types[i].dtype;
    return true;
  }
  return false;
}

// ("storage", type, key, device, number of elements[, view]): the device does not matter here.
enum pare_status torch_reference(const struct torch_file *f, const struct pickle_value *v, const char *tensor,
                                 struct torch_reference *out, struct pare_error *err) {
  const struct pickle_value *id = v && v->kind == PICKLE_PERSISTENT ? v->id : NULL;
  const struct pickle_value *type = pickle_item(id, 1), *key = pickle_item(id, 2), *view = pickle_item(id, 5);
  int64_t numel;
  if (!pickle_is_str(pickle_item(id, 0), "storage") || !key || key->kind != PICKLE_STR || !type ||
      type->kind != PICKLE_GLOBAL || !pickle_int(pickle_item(id, 4), &numel) || numel < 0)
    return error_set(err, PARE_DATA, "%s: tensor %.200s: its storage is not (\"storage\", type, key, device, elements)",
                     f->file, tensor);
  if (view && view->kind != PICKLE_NONE)
    return error_set(err, PARE_DATA, "%s: storage '%.*s' is a view of another, which only torch before 0.4 wrote",
                     f->file, (int)size_min(key->text.len, 60), key->text.bytes);
  if (!storage_dtype(type, &out->dtype))
    return error_set(err, PARE_DATA,
                     "%s: tensor %.200s: %.*s found: floats (16, 32, 64 bits), integers or bool expected", f->file,
                     tensor, (int)size_min(type->global.name.len, 60), type->global.name.bytes);
  out->key = key->text;
  out->numel = (size_t)numel;
  return PARE_OK;
}

static int compare_keys(struct pickle_text a, struct pickle_text b) {
  int c = memcmp(a.bytes, b.bytes, size_min(a.len, b.len));
  return c ? c : (a.len > b.len) - (a.len < b.len);
}

int torch_compare_storages(const void *a, const void *b) {
  const struct torch_storage *x = a, *y = b;
  return compare_keys(x->key, y->key);
}

static enum pare_status find_in_zip(struct torch_file *f, const struct torch_reference *r, struct torch_storage *out,
                                    struct pare_error *err) {
  size_t need;
  int key_len = (int)size_min(r->key.len, 100);
  struct archive_entry *e = find_entry(f, "data/", r->key);
  if (!e) return error_set(err, PARE_DATA, "%s: storage '%.*s' is not in the archive", f->file, key_len, r->key.bytes);
  if (!size_mul(r->numel, dtype_bytes(r->dtype), &need) || need != e->size)
    return error_set(err, PARE_DATA, "%s: storage '%.*s': %zu elements of %s expected, found %zu bytes", f->file,
                     key_len, r->key.bytes, r->numel, dtype_name(r->dtype), e->size);
  enum pare_status s = archive_content(&f->zip, e, err);
  out->data = e->content;
  return s;
}

enum pare_status torch_find_storage(struct torch_file *f, const struct torch_reference *r, struct torch_storage *out,
                                    struct pare_error *err) {
  *out = (struct torch_storage){.key = r->key, .dtype = r->dtype, .numel = r->numel};
  if (f->prefix) return find_in_zip(f, r, out, err);
  const struct torch_storage *s =
      f->storage_count ? bsearch(out, f->storages, f->storage_count, sizeof *out, torch_compare_storages) : NULL;
  if (!s || !s->data || s->dtype != r->dtype || s->numel != r->numel)
    return error_set(err, PARE_DATA, "%s: storage '%.*s' is not in the file with %zu elements of %s", f->file,
                     (int)size_min(r->key.len, 60), r->key.bytes, r->numel, dtype_name(r->dtype));
  out->data = s->data;
  return PARE_OK;
}

enum pare_status torch_hand_over(struct torch_file *f, struct mapping *file, struct tensors *t,
                                 struct pare_error *err) {
  size_t n = 1 + f->zip.inflated_count + f->made_count;
  if (!(t->maps = calloc(n, sizeof *t->maps))) return error_no_memory(err);
  t->maps[t->map_count++] = *file;
  for (size_t i = 0; i < f->zip.inflated_count; i++) t->maps[t->map_count++] = f->zip.inflated[i];
  for (size_t i = 0; i < f->made_count; i++) t->maps[t->map_count++] = f->made[i];
  *file = (struct mapping){0};
  f->zip.inflated_count = f->made_count = 0;
  t->file_bytes = f->bytes;
  return PARE_OK;
}
