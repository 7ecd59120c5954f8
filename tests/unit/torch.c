// torch.c - hostile files of torch.save: zip archives with absurd sizes, names and headers, storages and layouts that
// leave the file, state dicts without end, the legacy container cut and bent. Nothing crashes, nothing is written, and
// each refusal says why. Well-formed files are in golden/torch.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/file.h"
#include "format/torch.h"

static volatile size_t bytes_seen;

// ---- archives ----

struct entry {
  const char *name, *bytes;
  size_t len;
  bool deflate;
};

static bool zip64; // the archives made say their sizes and places in ZIP64's fields

static void put(struct buf *b, uint64_t v, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    char c = i < 8 ? (char)(v >> 8 * i) : 0;
    buf_add(b, &c, 1);
  }
}

// What the two headers of an entry have in common, from the version to the length of extra fields.
static void put_fields(struct buf *b, const struct entry *e, size_t packed, bool large) {
  put(b, 20, 2), put(b, 0, 2), put(b, e->deflate ? 8 : 0, 2), put(b, 0, 4);
  put(b, crc32(0, (const Bytef *)e->bytes, (uInt)e->len), 4), put(b, large ? UINT32_MAX : packed, 4);
  put(b, large ? UINT32_MAX : e->len, 4), put(b, strlen(e->name), 2), put(b, large ? 28 : 0, 2);
}

static size_t put_content(struct buf *b, const struct entry *e) {
  if (!e->deflate) {
    buf_add(b, e->bytes, e->len);
    return e->len;
  }
  uLong cap = compressBound((uLong)e->len) + 64;
  Bytef *to = malloc(cap);
  z_stream z = {
      .next_in = (Bytef *)(uintptr_t)e->bytes, .avail_in = (uInt)e->len, .next_out = to, .avail_out = (uInt)cap};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  size_t len = cap - z.avail_out;
  deflateEnd(&z);
  buf_add(b, (const char *)to, len);
  free(to);
  return len;
}

// The bytes of a zip archive; to be freed.
static char *archive(const struct entry *entries, size_t n, size_t *len) {
  struct buf b = {0}, directory = {0};
  for (size_t i = 0; i < n; i++) {
    const struct entry *e = &entries[i];
    struct buf content = {0};
    size_t begin = b.len, packed = put_content(&content, e);
    buf_puts(&b, "PK\3\4"), put_fields(&b, e, packed, false), buf_puts(&b, e->name);
    buf_add(&b, content.data, content.len);
    buf_puts(&directory, "PK\1\2"), put(&directory, 20, 2), put_fields(&directory, e, packed, zip64);
    put(&directory, 0, 10), put(&directory, zip64 ? UINT32_MAX : begin, 4), buf_puts(&directory, e->name);
    if (zip64) put(&directory, 1, 2), put(&directory, 24, 2), put(&directory, e->len, 8);
    if (zip64) put(&directory, packed, 8), put(&directory, begin, 8);
    buf_free(&content);
  }
  size_t begin = b.len;
  buf_add(&b, directory.data, directory.len);
  size_t end = b.len;
  if (zip64) {
    buf_puts(&b, "PK\6\6"), put(&b, 44, 8), put(&b, 0, 12), put(&b, n, 8), put(&b, n, 8);
    put(&b, directory.len, 8), put(&b, begin, 8), buf_puts(&b, "PK\6\7"), put(&b, 0, 4), put(&b, end, 8), put(&b, 1, 4);
  }
  buf_puts(&b, "PK\5\6"), put(&b, 0, 4), put(&b, n, 2), put(&b, n, 2);
  put(&b, zip64 ? UINT32_MAX : directory.len, 4), put(&b, zip64 ? UINT32_MAX : begin, 4);
  put(&b, 0, 2);
  buf_free(&directory);
  *len = b.len;
  return buf_take(&b);
}

// Opens these bytes as torch file and state dict.
static enum pare_status open_bytes(const char *bytes, size_t len, struct tensors *t, struct pare_error *err) {
  struct torch_file f;
  uint8_t *exact = malloc(len ? len : 1);
  memcpy(exact, bytes, len);
  *t = (struct tensors){0};
  enum pare_status s = torch_parse(exact, len, "t.pt", &f, err);
  if (!s) {
    s = torch_state(&f, f.pickle.root, t, err);
    for (size_t i = 0; i < t->count; i++)
      for (size_t k = 0; k < t->list[i].bytes; k++) bytes_seen += t->list[i].data[k]; // reads every one
    torch_close(&f);
  }
  free(exact);
  return s;
}

static void refuses_entries(const struct entry *entries, size_t n, const char *words) {
  size_t len;
  struct tensors t;
  struct pare_error err = {0};
  char *bytes = archive(entries, n, &len);
  enum pare_status s = open_bytes(bytes, len, &t, &err);
  if (s != PARE_DATA || !strstr(err.text, words)) fail_msg("status %d, '%s' expected in: %s", s, words, err.text);
  assert_null(t.list);
  free(bytes);
}

// ---- pickles of one tensor, "w" ----

#define STORAGE(numel)                   \
  "(U\7storagectorch\nFloatStorage\nU\1" \
  "0U\3cpuK" numel "tQ"
// {"w": _rebuild_tensor_v2(storage of numel floats, offset, sizes, strides, False, OrderedDict())}
#define TENSOR(numel, offset, sizes, strides)                                         \
  "ctorch._utils\n_rebuild_tensor_v2\n(" STORAGE(numel) offset "(" sizes "t(" strides \
                                                               "tI00\nccollections\n" \
                                                               "OrderedDict\n)RtR"
#define DICT(tensor) "\x80\x02}U\1w" tensor "s."
static const char sixteen[16] = "0123456789abcdef"; // four floats

#define WITH(pickle)                                     \
  {                                                      \
    {"a/data.pkl", pickle, sizeof(pickle) - 1, false}, { \
      "a/data/0", sixteen, 16, false                     \
    }                                                    \
  }

static void one_tensor_in(void) {
  static const struct entry stored[] = WITH(DICT(TENSOR("\4", "K\0", "K\2K\2", "K\2K\1")));
  size_t len;
  struct tensors t;
  struct pare_error err = {0};
  char *bytes = archive(stored, 2, &len);
  if (open_bytes(bytes, len, &t, &err)) fail_msg("%s", err.text);
  assert_int_equal(t.count, 1);
  assert_string_equal(t.list[0].name, "w");
  assert_int_equal(t.list[0].rank, 2);
  assert_int_equal(t.list[0].bytes, 16);
  tensors_close(&t);
  // Cut anywhere: the directory at the end is missing.
  for (size_t n = 0; n < len; n++)
    if (open_bytes(bytes, n, &t, &err) != PARE_DATA) fail_msg("cut to %zu of %zu bytes", n, len);
  // Any one byte changed: refused, or the change does not matter; never a crash.
  for (size_t i = 0; i < len; i++) {
    for (int bit = 0; bit < 8; bit += 3) {
      bytes[i] ^= (char)(1 << bit);
      open_bytes(bytes, len, &t, &err);
      tensors_close(&t);
      bytes[i] ^= (char)(1 << bit);
    }
  }
  free(bytes);
}

static void one_tensor(void **state) {
  (void)state;
  one_tensor_in();
  zip64 = true;
  one_tensor_in();
  zip64 = false;
}

static void layouts_that_leave_the_storage(void **state) {
  (void)state;
#define LONG1_MAX "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"
  static const struct {
    struct entry entries[2];
    const char *words;
  } rows[] = {
      {WITH(DICT(TENSOR("\4", "K\0", "K\5", "K\1"))), "outside its storage"},
      {WITH(DICT(TENSOR("\4", "K\1", "K\2K\2", "K\2K\1"))), "outside its storage"},
      {WITH(DICT(TENSOR("\4", "K\4", "", ""))), "outside its storage"},
      {WITH(DICT(TENSOR("\4", LONG1_MAX, "K\2", "K\1"))), "outside its storage"},
      {WITH(DICT(TENSOR("\4", "K\0", "K\2K\2", LONG1_MAX "K\1"))), "outside its storage"},
      {WITH(DICT(TENSOR("\4", "K\0", LONG1_MAX LONG1_MAX, LONG1_MAX LONG1_MAX))), "outside its storage"},
      {WITH(DICT(TENSOR("\4", "K\0", LONG1_MAX "K\4", "K\0K\1"))), "outside its storage"}, // the product wraps
      {WITH(DICT(TENSOR("\4", "K\0", "K\5", "K\0"))), "larger than its storage"},
      {WITH(DICT(TENSOR("\4", "J\xff\xff\xff\xff", "K\1", "K\1"))), "offset"},
      {WITH(DICT(TENSOR("\4", "K\0", "J\xff\xff\xff\xff", "K\1"))), "size or stride"},
      {WITH(DICT(TENSOR("\4", "K\0", "K\4", "J\xff\xff\xff\xff"))), "size or stride"},
      {WITH(DICT(TENSOR("\4", "K\0", "K\4", ""))), "as many strides"},
      {WITH(DICT(TENSOR("\4", "K\0", "K\1K\1K\1K\1K\1", "K\1K\1K\1K\1K\1"))), "5 dimensions"},
      {WITH(DICT(TENSOR("\5", "K\0", "K\4", "K\1"))), "5 elements of F32 expected, found 16 bytes"},
      {WITH(DICT(TENSOR("\3", "K\0", "K\3", "K\1"))), "3 elements of F32 expected, found 16 bytes"},
      {WITH(DICT("ctorch._utils\n_rebuild_qtensor\n)R")), "_rebuild_qtensor"},
      {WITH(DICT("ctorch._utils\n_rebuild_parameter\n)R")), "not a tensor"},
      {WITH(DICT("ctorch._utils\n_rebuild_tensor_v2\n)R")), "its storage is not"},
      {WITH(DICT("ctorch._utils\n_rebuild_tensor_v2\n(K\1K\2t\x81")), "its storage is not"},
      {WITH("\x80\x02}U\0" TENSOR("\4", "K\0", "K\4", "K\1") "s."), "name is empty"},
      {WITH("\x80\x02}U\2a\xff" TENSOR("\4", "K\0", "K\4", "K\1") "s."), "UTF-8"},
      {WITH("\x80\x02}U\3a\0b" TENSOR("\4", "K\0", "K\4", "K\1") "s."), "UTF-8"},
      {WITH("\x80\x02}(U\1w" TENSOR("\4", "K\0", "K\4", "K\1") "U\1w" TENSOR("\4", "K\0", "K\2", "K\1") "u."), "twice"},
      {WITH("\x80\x02}."), "no weights"},
      {WITH("\x80\x02}U\1wK\1s."), "no weights"},
      {WITH("\x80\x02}q\0U\5modelh\0s."), "no weights"}, // a checkpoint within itself
      {WITH("\x80\x02"
            "cos\nsystem\nU\1x\x85R."),
       "os.system"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refuses_entries(rows[i].entries, 2, rows[i].words);
}

static void overlapping_views_are_fine(void **state) {
  (void)state;
  static const char pickle[] = "\x80\x02}(U\1a" TENSOR("\4", "K\0", "K\3", "K\1") "U\1b" TENSOR(
      "\4", "K\1", "K\3", "K\1") "U\1c" TENSOR("\4", "K\1", "K\2", "K\2") "u.";
  static const struct entry entries[] = WITH(pickle);
  size_t len;
  struct torch_file f;
  struct tensors t;
  struct pare_error err = {0};
  char *bytes = archive(entries, 2, &len);
  if (torch_parse((const uint8_t *)bytes, len, "t", &f, &err)) fail_msg("%s", err.text);
  if (torch_state(&f, f.pickle.root, &t, &err)) fail_msg("%s", err.text);
  assert_memory_equal(tensors_find(&t, "a")->data, sixteen, 12);
  assert_ptr_equal(tensors_find(&t, "b")->data, tensors_find(&t, "a")->data + 4); // views, not copies
  assert_memory_equal(tensors_find(&t, "c")->data, "4567cdef", 8);                // every other one: copied
  tensors_close(&t);
  torch_close(&f);
  free(bytes);
}

// ---- archives that are no torch files, or pretend to be ----

static void archives_that_lie(void **state) {
  (void)state;
  static const char ok[] = DICT(TENSOR("\4", "K\0", "K\4", "K\1"));
  const struct entry pkl = {"a/data.pkl", ok, sizeof ok - 1, false}, data = {"a/data/0", sixteen, 16, false};
  refuses_entries(&data, 1, "without NAME/data.pkl");
  refuses_entries(&pkl, 1, "is not in the archive");
  refuses_entries((struct entry[]){{"data.pkl", ok, sizeof ok - 1, false}, data}, 2, "without NAME/data.pkl");
  refuses_entries((struct entry[]){{"../data.pkl", ok, sizeof ok - 1, false}, data}, 2, "is not in the archive");
  refuses_entries((struct entry[]){{"a/b/data.pkl", ok, sizeof ok - 1, false}, data}, 2, "without NAME/data.pkl");
  refuses_entries((struct entry[]){pkl, {"b/data.pkl", ok, sizeof ok - 1, false}, data}, 3, "two entries");
  refuses_entries((struct entry[]){pkl, data, data}, 3, "twice");
  refuses_entries((struct entry[]){pkl, data, {"a/byteorder", "big", 3, false}}, 3, "byte order");
  refuses_entries((struct entry[]){pkl, {"a/data/0", sixteen, 12, false}}, 2, "found 12 bytes");
  refuses_entries((struct entry[]){{"a/data.pkl", "N", 1, false}, data}, 2, "truncated");
  // Names that lead elsewhere are never followed: such an entry is ignored, and nothing appears.
  const struct entry slip[] = {
      pkl, data, {"../../../../../../tmp/pare-slip", "x", 1, false}, {"/etc/x", "x", 1, false}};
  size_t len;
  struct tensors t;
  struct pare_error err = {0};
  char *bytes = archive(slip, 4, &len);
  if (open_bytes(bytes, len, &t, &err)) fail_msg("%s", err.text);
  tensors_close(&t);
  assert_int_not_equal(access("/tmp/pare-slip", F_OK), 0);
  free(bytes);
}

// Puts v (n bytes, little-endian) at offset `at` of the directory's entry for name.
static void patch_directory(char *bytes, size_t len, const char *name, size_t at, uint64_t v, size_t n) {
  for (size_t i = 0; i + 46 + strlen(name) <= len; i++) {
    if (memcmp(bytes + i, "PK\1\2", 4) != 0 || memcmp(bytes + i + 46, name, strlen(name)) != 0) continue;
    for (size_t k = 0; k < n; k++) bytes[i + at + k] = (char)(v >> 8 * k);
    return;
  }
  fail_msg("no entry %s", name);
}

static void sizes_that_lie(void **state) {
  (void)state;
  enum { FLAGS = 8, METHOD = 10, CRC = 16, PACKED = 20, SIZE = 24, OFFSET = 42 };
  static const char ok[] = DICT(TENSOR("\4", "K\0", "K\4", "K\1"));
  static const struct {
    const char *name;
    size_t at;
    uint64_t value;
    size_t n;
    const char *words;
  } rows[] = {
      {"a/data/0", SIZE, 0xfffffff0, 4, "two sizes"},
      {"a/data/0", PACKED, 0xfffffff0, 4, "does not lie"},
      {"a/data/0", OFFSET, 0xfffffff0, 4, "does not agree"},
      {"a/data/0", OFFSET, 1, 4, "does not agree"},
      {"a/data/0", METHOD, 12, 2, "another compression"},
      {"a/data/0", FLAGS, 1, 2, "encrypted"},
      {"a/data.pkl", CRC, 1, 4, "CRC-32"},
      {"a/data/0", METHOD, 8, 2, "does not agree"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const struct entry entries[] = {{"a/data.pkl", ok, sizeof ok - 1, false}, {"a/data/0", sixteen, 16, false}};
    size_t len;
    struct tensors t;
    struct pare_error err = {0};
    char *bytes = archive(entries, 2, &len);
    patch_directory(bytes, len, rows[i].name, rows[i].at, rows[i].value, rows[i].n);
    enum pare_status s = open_bytes(bytes, len, &t, &err);
    if (s != PARE_DATA || !strstr(err.text, rows[i].words)) fail_msg("row %zu: status %d: %s", i, s, err.text);
    free(bytes);
  }
}

static void compressed_entries(void **state) {
  (void)state;
  static const char ok[] = DICT(TENSOR("\4", "K\0", "K\4", "K\1"));
  const struct entry packed[] = {{"a/data.pkl", ok, sizeof ok - 1, true}, {"a/data/0", sixteen, 16, true}};
  size_t len;
  struct tensors t;
  struct pare_error err = {0};
  char *bytes = archive(packed, 2, &len);
  if (open_bytes(bytes, len, &t, &err)) fail_msg("%s", err.text);
  tensors_close(&t);
  for (size_t i = 30; i < len; i++) { // damaged anywhere: refused or harmless
    bytes[i] ^= 0x55;
    open_bytes(bytes, len, &t, &err);
    tensors_close(&t);
    bytes[i] ^= 0x55;
  }
  free(bytes);
  // A bomb: 80 MB of zeros in 80 kB.
  enum { ZEROS = 80 << 20 };
  char *zeros = calloc(1, ZEROS);
  static const char large[] =
      "\x80\x02}U\1wctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nFloatStorage\nU\1"
      "0U\3cpuJ\0\0\x40\x01tQK\0(K\4t(K\1tI00\nNtRs.";
  const struct entry bomb[] = {{"a/data.pkl", large, sizeof large - 1, false}, {"a/data/0", zeros, ZEROS, true}};
  refuses_entries(bomb, 2, "too large");
  free(zeros);
}

// ---- state dicts without end ----

static void a_module_tree_without_end(void **state) {
  (void)state;
  // Each module holds the one before it twice: 2^60 paths.
  static const char first[] = "ctorch.nn\nM\n)\x81}(U\x0b_parameters}U\x08_modules}ub";
  static const char next[] =
      "q\1"
      "0ctorch.nn\nM\n)\x81}(U\x0b_parameters}U\x08_modules}(U\1ah\1U\1bh\1uub";
  struct buf b = {0};
  buf_puts(&b, first);
  for (int i = 0; i < 60; i++) buf_puts(&b, next);
  buf_puts(&b, ".");
  struct pickle p;
  struct pare_error err = {0};
  assert_int_equal(pickle_parse((const uint8_t *)b.data, b.len, "t", &p, &err), PARE_OK);
  struct torch_file f = {.file = (char *)(uintptr_t) "t"};
  struct tensors t;
  assert_int_equal(torch_state(&f, p.root, &t, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "more than"));
  pickle_free(&p);
  buf_free(&b);
}

// Two lists of 9000 names, each looked up in the other: a file of 60 kB, 81 million comparisons.
static void names_looked_up_without_end(void **state) {
  (void)state;
  enum { MANY = 9000 };
  struct buf b = {0};
  buf_puts(&b,
           "ctorch._utils\n_rebuild_tensor_v2\n)Rq\1"
           "0U\1bq\2"
           "0U\1cq\3"
           "0ctorch.nn\nM\n)\x81}(U\x0b_parameters}U\x08_modules}U\x08_buffers}(");
  for (int i = 0; i < MANY; i++) buf_puts(&b, "h\2h\1");
  buf_puts(&b, "uU\x1b_non_persistent_buffers_set](");
  for (int i = 0; i < MANY; i++) buf_puts(&b, "h\3");
  buf_puts(&b, "eub.");
  struct pickle p;
  struct pare_error err = {0};
  if (pickle_parse((const uint8_t *)b.data, b.len, "t", &p, &err)) fail_msg("%s", err.text);
  struct torch_file f = {.file = (char *)(uintptr_t) "t"};
  struct tensors t;
  assert_int_equal(torch_state(&f, p.root, &t, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "spell out more than"));
  pickle_free(&p);
  buf_free(&b);
}

// ---- the legacy container ----

static void legacy_files_cut_and_bent(void **state) {
  (void)state;
  struct mapping m;
  struct pare_error err = {0};
  struct tensors t;
  assert_int_equal(file_map(TEST_DIR "/golden/data/torch/dtypes_legacy.pt", &m, &err), PARE_OK);
  assert_int_equal(open_bytes((const char *)m.data, m.len, &t, &err), PARE_OK);
  tensors_close(&t);
  for (size_t n = 0; n < m.len; n += n < 100 ? 1 : 7)
    assert_int_equal(open_bytes((const char *)m.data, n, &t, &err), PARE_DATA);
  char *bent = malloc(m.len);
  memcpy(bent, m.data, m.len);
  for (size_t i = 14; i < m.len; i++) {
    bent[i] ^= (char)(1 << i % 8);
    open_bytes(bent, m.len, &t, &err);
    tensors_close(&t);
    bent[i] = (char)m.data[i];
  }
  bent[19] ^= 1; // protocol 1001
  assert_int_equal(open_bytes(bent, m.len, &t, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "protocol 1001"));
  free(bent);
  file_unmap(&m);
  static const char other[] = "\x80\x02]."; // a pickle, but not torch's
  assert_int_equal(open_bytes(other, sizeof other - 1, &t, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "a pickle, but not written by torch.save"));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(one_tensor),
                                     cmocka_unit_test(layouts_that_leave_the_storage),
                                     cmocka_unit_test(overlapping_views_are_fine),
                                     cmocka_unit_test(archives_that_lie),
                                     cmocka_unit_test(sizes_that_lie),
                                     cmocka_unit_test(compressed_entries),
                                     cmocka_unit_test(a_module_tree_without_end),
                                     cmocka_unit_test(names_looked_up_without_end),
                                     cmocka_unit_test(legacy_files_cut_and_bent)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
