// archive.c - see archive.h. The format: PKWARE's APPNOTE, sections 4.3 and 4.5.3 (ZIP64). Our own reader, since the
// libraries at hand do not say where in the file a stored entry lies (libzip), or lose their way beyond 4 GiB (minizip
// 1.1), and tensors are to be views of the mapping. zlib inflates and checks.
#include "format/archive.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/size.h"

enum { NAME_MAX_BYTES = 1023, MAX_ENTRIES = 1 << 20 };
// Deflate makes at most 1032 bytes of one (zlib's technical details): more is a lie about the size.
enum { DEFLATE_MAX_RATIO = 1032 };
// Nobody compresses weights for less than a few per cent: an archive that grows more than this is a bomb.
enum { GROWTH_MAX = 64, GROWTH_FREE = 64 << 20 };

// ---- the list ----

static enum pare_status bad_entry(const struct archive *a, const char *name, const char *what, struct pare_error *err) {
  return error_set(err, PARE_DATA, "%s: zip entry '%.100s': %s", a->file, name, what);
}

// Where the list of entries lies: [begin, begin + len) of the file, count entries.
struct directory {
  uint64_t begin, len, count;
};

// The record at the file's end, its fields' places: 8 entries, 12 length, 16 begin of the directory, 20 comment length.
// With ZIP64 a locator stands before it, which leads to a record of the same with 64-bit fields.
static bool find_directory(const uint8_t *bytes, size_t len, struct directory *out) {
  enum { END = 22, COMMENT_MAX = 65535, LOCATOR = 20, END64 = 56 };
  if (len < END) return false;
  size_t at = len - END, last = at > COMMENT_MAX ? at - COMMENT_MAX : 0;
  while (memcmp(bytes + at, "PK\5\6", 4) != 0 || size_read_le(bytes + at + 20, 2) != len - END - at) {
    if (at-- == last) return false;
  }
  const uint8_t *end = bytes + at;
  *out = (struct directory){size_read_le(end + 16, 4), size_read_le(end + 12, 4), size_read_le(end + 10, 2)};
  if (at >= LOCATOR && memcmp(end - LOCATOR, "PK\6\7", 4) == 0) {
    uint64_t place = size_read_le(end - LOCATOR + 8, 8);
    if (place > at - LOCATOR || at - LOCATOR - place < END64 || memcmp(bytes + place, "PK\6\6", 4) != 0) return false;
    at = (size_t)place;
    *out = (struct directory){size_read_le(bytes + at + 48, 8), size_read_le(bytes + at + 40, 8),
                              size_read_le(bytes + at + 32, 8)};
  }
  return out->begin <= at && out->len <= at - out->begin;
}

// ZIP64: what does not fit 32 bits is saturated there and stands in an extra field (id 1), in this order.
static bool read_zip64(const uint8_t *extra, size_t len, uint64_t *size, uint64_t *packed, uint64_t *offset) {
  uint64_t *const fields[] = {size, packed, offset};
  while (len >= 4) {
    size_t id = (size_t)size_read_le(extra, 2), n = (size_t)size_read_le(extra + 2, 2), at = 4;
    if (n > len - 4) return false;
    for (size_t i = 0; id == 1 && i < 3; i++) {
      if (*fields[i] != UINT32_MAX) continue;
      if (at + 8 > n + 4) return false;
      *fields[i] = size_read_le(extra + at, 8);
      at += 8;
    }
    extra += n + 4;
    len -= n + 4;
  }
  return true;
}

// Where the content of the entry whose own header is at offset begins; 0 when that header is not there, or of another.
static uint64_t content_begin(const uint8_t *bytes, uint64_t limit, uint64_t offset, const char *name, size_t name_len,
                              uint64_t method) {
  enum { HEADER = 30 }; // 8 method, 26 length of the name, 28 of extra fields
  if (offset > limit || limit - offset < HEADER + name_len) return 0;
  const uint8_t *h = bytes + offset;
  if (memcmp(h, "PK\3\4", 4) != 0 || size_read_le(h + 8, 2) != method || size_read_le(h + 26, 2) != name_len ||
      memcmp(h + HEADER, name, name_len) != 0)
    return 0;
  return offset + HEADER + name_len + size_read_le(h + 28, 2);
}

// The directory's entry at p: 8 flags, 10 method, 16 CRC-32, 20 and 24 sizes, 28, 30 and 32 lengths of name, extra
// fields and comment, 42 the place of its own header; then name, extra fields, comment. limit: where the directory
// begins.
static enum pare_status read_entry(struct archive *a, const uint8_t *bytes, uint64_t limit, const uint8_t *p,
                                   struct pare_error *err) {
  enum { HEADER = 46 };
  char name[NAME_MAX_BYTES + 1];
  size_t name_len = (size_t)size_read_le(p + 28, 2), extra_len = (size_t)size_read_le(p + 30, 2);
  uint64_t flags = size_read_le(p + 8, 2), method = size_read_le(p + 10, 2), packed = size_read_le(p + 20, 4),
           size = size_read_le(p + 24, 4), offset = size_read_le(p + 42, 4);
  if (name_len == 0 || name_len > NAME_MAX_BYTES || memchr(p + HEADER, 0, name_len))
    return error_set(err, PARE_DATA, "%s: zip entry %zu: a name of 1 to %d bytes expected", a->file, a->count,
                     NAME_MAX_BYTES);
  memcpy(name, p + HEADER, name_len);
  name[name_len] = 0;
  if (flags & 1) return bad_entry(a, name, "it is encrypted", err);
  if (method != 0 && method != Z_DEFLATED)
    return bad_entry(a, name, "stored or deflated expected, found another compression", err);
  if (!read_zip64(p + HEADER + name_len, extra_len, &size, &packed, &offset))
    return bad_entry(a, name, "its ZIP64 field is damaged", err);
  uint64_t begin = content_begin(bytes, limit, offset, name, name_len, method);
  if (!begin) return bad_entry(a, name, "its own header does not agree with the zip directory; truncated?", err);
  if (begin > limit || packed > limit - begin) return bad_entry(a, name, "it does not lie in the file", err);
  struct archive_entry e = {.packed = (size_t)packed,
                            .size = (size_t)size,
                            .crc = (uint32_t)size_read_le(p + 16, 4),
                            .deflated = method == Z_DEFLATED,
                            .raw = bytes + begin};
  if (!e.deflated && e.packed != e.size) return bad_entry(a, name, "a stored entry has two sizes", err);
  if (e.deflated && e.size / DEFLATE_MAX_RATIO > e.packed)
    return bad_entry(a, name, "no compressed entry is that much smaller than its content", err);
  if (!e.deflated) e.content = e.raw;
  if (!(e.name = strdup(name))) return error_no_memory(err);
  a->entries[a->count++] = e;
  return PARE_OK;
}

static int compare_entries(const void *a, const void *b) {
  const struct archive_entry *x = a, *y = b;
  return strcmp(x->name, y->name);
}

static enum pare_status read_entries(struct archive *a, const uint8_t *bytes, const struct directory *d,
                                     struct pare_error *err) {
  enum { HEADER = 46 };
  if (d->count > MAX_ENTRIES || d->count > d->len / HEADER)
    return error_set(err, PARE_DATA, "%s: a zip directory of %llu entries in %llu bytes", a->file,
                     (unsigned long long)d->count, (unsigned long long)d->len);
  size_t n = (size_t)d->count, left = (size_t)d->len;
  if (!(a->entries = calloc(n + 1, sizeof *a->entries))) return error_no_memory(err);
  const uint8_t *p = bytes + d->begin;
  for (size_t i = 0; i < n; i++) {
    size_t len = left < HEADER
                     ? 0
                     : HEADER + (size_t)(size_read_le(p + 28, 2) + size_read_le(p + 30, 2) + size_read_le(p + 32, 2));
    if (left < HEADER || len > left || memcmp(p, "PK\1\2", 4) != 0)
      return error_set(err, PARE_DATA, "%s: the zip directory is damaged at entry %zu", a->file, i);
    enum pare_status s = read_entry(a, bytes, d->begin, p, err);
    if (s) return s;
    p += len;
    left -= len;
  }
  qsort(a->entries, n, sizeof *a->entries, compare_entries);
  for (size_t i = 1; i < n; i++)
    if (!strcmp(a->entries[i - 1].name, a->entries[i].name))
      return bad_entry(a, a->entries[i].name, "it is there twice", err);
  return PARE_OK;
}

enum pare_status archive_open(const uint8_t *bytes, size_t len, const char *file, struct archive *out,
                              struct pare_error *err) {
  struct directory d;
  *out = (struct archive){.file = file, .archive_bytes = len};
  if (!find_directory(bytes, len, &d))
    return error_set(err, PARE_DATA, "%s: a zip archive without its directory; truncated?", file);
  enum pare_status s = read_entries(out, bytes, &d, err);
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
