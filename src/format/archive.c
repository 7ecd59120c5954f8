// archive.c - see archive.h. minizip walks the central directory and holds each local header against it; contents are
// then taken from the mapping itself, so that stored tensors cost no copy.
#include "format/archive.h"

#include <stdlib.h>
#include <string.h>
#include <unzip.h>
#include <zlib.h>

#include "base/size.h"

enum { NAME_MAX_BYTES = 1023, MAX_ENTRIES = 1 << 20 };
// Deflate makes at most 1032 bytes of one (zlib's technical details): more is a lie about the size.
enum { DEFLATE_MAX_RATIO = 1032 };
// Nobody compresses weights for less than a few per cent: an archive that grows more than this is a bomb.
enum { GROWTH_MAX = 64, GROWTH_FREE = 64 << 20 };

// ---- minizip reads the bytes in memory as a file ----

struct cursor {
  const uint8_t *bytes;
  size_t len, at;
};

static voidpf ZCALLBACK cursor_open(voidpf opaque, const void *name, int mode) {
  (void)name;
  (void)mode;
  return opaque;
}

static uLong ZCALLBACK cursor_read(voidpf opaque, voidpf stream, void *to, uLong size) {
  (void)opaque;
  struct cursor *c = stream;
  size_t n = size_min((size_t)size, c->len - c->at);
  if (n) memcpy(to, c->bytes + c->at, n);
  c->at += n;
  return (uLong)n;
}

static ZPOS64_T ZCALLBACK cursor_tell(voidpf opaque, voidpf stream) {
  (void)opaque;
  return ((const struct cursor *)stream)->at;
}

static long ZCALLBACK cursor_seek(voidpf opaque, voidpf stream, ZPOS64_T offset, int origin) {
  (void)opaque;
  struct cursor *c = stream;
  size_t from = origin == ZLIB_FILEFUNC_SEEK_CUR ? c->at : origin == ZLIB_FILEFUNC_SEEK_END ? c->len : 0, to;
  if (!size_add(from, (size_t)offset, &to) || to > c->len) return -1;
  c->at = to;
  return 0;
}

static int ZCALLBACK cursor_done(voidpf opaque, voidpf stream) {
  (void)opaque;
  (void)stream;
  return 0;
}

// ---- the list ----

static enum pare_status bad_entry(const struct archive *a, const char *name, const char *what, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s: zip entry '%.100s': %s", a->file, name, what);
}

static enum pare_status read_entry(struct archive *a, unzFile zip, const struct cursor *c, struct pare_error *err) {
  unz_file_info64 info;
  char name[NAME_MAX_BYTES + 1];
  if (unzGetCurrentFileInfo64(zip, &info, name, sizeof name - 1, NULL, 0, NULL, 0) != UNZ_OK)
    return error_set(err, PARE_DATA, "%s: the zip directory is damaged at entry %zu", a->file, a->count);
  if (info.size_filename > NAME_MAX_BYTES)
    return error_set(err, PARE_DATA, "%s: a zip entry's name has %lu bytes, at most %d are read", a->file,
                     info.size_filename, NAME_MAX_BYTES);
  name[info.size_filename] = 0;
  if (info.flag & 1) return bad_entry(a, name, "it is encrypted", err);
  if (info.compression_method != 0 && info.compression_method != Z_DEFLATED)
    return bad_entry(a, name, "stored or deflated expected, found another compression", err);
  int method;
  if (unzOpenCurrentFile2(zip, &method, NULL, 1) != UNZ_OK)
    return bad_entry(a, name, "its own header does not agree with the zip directory; truncated?", err);
  size_t begin = (size_t)unzGetCurrentFileZStreamPos64(zip);
  unzCloseCurrentFile(zip);
  struct archive_entry e = {.packed = (size_t)info.compressed_size,
                            .size = (size_t)info.uncompressed_size,
                            .crc = (uint32_t)info.crc,
                            .deflated = info.compression_method == Z_DEFLATED};
  if (begin > c->len || e.packed > c->len - begin) return bad_entry(a, name, "it does not lie in the file", err);
  if (!e.deflated && e.packed != e.size) return bad_entry(a, name, "a stored entry has two sizes", err);
  if (e.deflated && e.size / DEFLATE_MAX_RATIO > e.packed)
    return bad_entry(a, name, "no compressed entry is that much smaller than its content", err);
  e.raw = c->bytes + begin;
  if (!e.deflated) e.content = e.raw;
  if (!(e.name = strdup(name))) return error_no_memory(err);
  a->entries[a->count++] = e;
  return PARE_OK;
}

static int compare_entries(const void *a, const void *b) {
  const struct archive_entry *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static enum pare_status read_entries(struct archive *a, unzFile zip, const struct cursor *c, struct pare_error *err) {
  unz_global_info64 info;
  if (unzGetGlobalInfo64(zip, &info) != UNZ_OK || info.number_entry > MAX_ENTRIES)
    return error_set(err, PARE_DATA, "%s: a zip directory with at most %d entries expected", a->file, MAX_ENTRIES);
  if (info.number_entry == 0) return PARE_OK;
  size_t n = (size_t)info.number_entry;
  a->entries = calloc(n, sizeof *a->entries);
  if (!a->entries) return error_no_memory(err);
  int found = unzGoToFirstFile(zip);
  for (; found == UNZ_OK && a->count < n; found = unzGoToNextFile(zip)) {
    enum pare_status s = read_entry(a, zip, c, err);
    if (s) return s;
  }
  if (a->count != n || found != UNZ_END_OF_LIST_OF_FILE)
    return error_set(err, PARE_DATA, "%s: the zip directory is damaged at entry %zu", a->file, a->count);
  qsort(a->entries, n, sizeof *a->entries, compare_entries);
  for (size_t i = 1; i < n; i++)
    if (!strcmp(a->entries[i - 1].name, a->entries[i].name))
      return bad_entry(a, a->entries[i].name, "it is there twice", err);
  return PARE_OK;
}

enum pare_status archive_open(const uint8_t *bytes, size_t len, const char *file, struct archive *out,
                              struct pare_error *err) {
  *out = (struct archive){.file = file, .archive_bytes = len};
  struct cursor c = {bytes, len, 0};
  zlib_filefunc64_def io = {.zopen64_file = cursor_open,
                            .zread_file = cursor_read,
                            .ztell64_file = cursor_tell,
                            .zseek64_file = cursor_seek,
                            .zclose_file = cursor_done,
                            .zerror_file = cursor_done,
                            .opaque = &c};
  unzFile zip = unzOpen2_64(file, &io);
  if (!zip) return error_set(err, PARE_DATA, "%s: a zip archive without its directory; truncated?", file);
  enum pare_status s = read_entries(out, zip, &c, err);
  unzClose(zip);
  if (s) archive_close(out);
  return s;
}

void archive_close(struct archive *a) {
  for (size_t i = 0; i < a->count; i++) free(a->entries[i].name);
  free(a->entries);
  for (size_t i = 0; i < a->inflated_count; i++) file_unmap(&a->inflated[i]);
  free(a->inflated);
  *a = (struct archive){0};
}

struct archive_entry *archive_find(const struct archive *a, const char *name) {
  struct archive_entry key = {.name = (char *)(uintptr_t)name};
  return a->count ? bsearch(&key, a->entries, a->count, sizeof key, compare_entries) : NULL;
}

// ---- contents ----

static uint32_t crc_of(const uint8_t *bytes, size_t len) {
  return (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, len);
}

enum pare_status archive_check(const struct archive *a, const struct archive_entry *e, struct pare_error *err) {
  if (crc_of(e->content, e->size) == e->crc) return PARE_OK;
  return bad_entry(a, e->name, "its content does not have the CRC-32 that the zip directory gives: damaged", err);
}

// All of e into to (size bytes); false unless it is exactly that long.
static bool inflate_all(const struct archive_entry *e, uint8_t *to) {
  z_stream z = {.next_in = (Bytef *)(uintptr_t)e->raw};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return false;
  size_t in = 0, out = 0;
  int state = Z_OK;
  while (state == Z_OK) { // avail_* are 32 bits
    uInt give = (uInt)size_min(e->packed - in, 1 << 30), room = (uInt)size_min(e->size - out, 1 << 30);
    z.avail_in = give;
    z.avail_out = room;
    z.next_out = to + out;
    state = inflate(&z, Z_NO_FLUSH);
    in += give - z.avail_in;
    out += room - z.avail_out;
    if (state == Z_OK && give == z.avail_in && room == z.avail_out) break; // no step forward: too short
  }
  inflateEnd(&z);
  return state == Z_STREAM_END && out == e->size;
}

enum pare_status archive_content(struct archive *a, struct archive_entry *e, struct pare_error *err) {
  if (e->content || e->size == 0) return PARE_OK;
  size_t total, bound;
  if (!size_add(a->inflated_bytes, e->size, &total) || !size_mul(a->archive_bytes, GROWTH_MAX, &bound) ||
      total > size_max(bound, GROWTH_FREE))
    return bad_entry(a, e->name, "the archive's contents are too large for its size", err);
  struct mapping *list = realloc(a->inflated, (a->inflated_count + 1) * sizeof *list);
  if (!list) return error_no_memory(err);
  a->inflated = list;
  uint8_t *to;
  enum pare_status s = file_map_memory(e->size, &list[a->inflated_count], &to, err);
  if (s) return s;
  a->inflated_count++;
  a->inflated_bytes = total;
  if (!inflate_all(e, to)) return bad_entry(a, e->name, "its compressed content is damaged", err);
  e->content = to;
  return archive_check(a, e, err);
}
