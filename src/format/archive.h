// archive.h - zip archives in memory: a sorted list of entries with a view of each; private to format/.
// Entries are never written to disk, so what their names say of folders means nothing.
#ifndef PARE_FORMAT_ARCHIVE_H
#define PARE_FORMAT_ARCHIVE_H

#include "base/file.h"

struct archive_entry {
  char *name;
  size_t packed, size;    // bytes in the file, bytes of the content
  uint32_t crc;           // of the content
  bool deflated;          // else stored
  const uint8_t *raw;     // (packed) in the archive
  const uint8_t *content; // (size): raw when stored; NULL until archive_content
};

struct archive {
  const char *file; // for messages; the caller's
  struct archive_entry *entries;
  size_t count, archive_bytes;
  struct mapping *inflated; // owned: contents of deflated entries
  size_t inflated_count, inflated_bytes;
};

// Reads the list of entries. An entry that is encrypted, neither stored nor deflated, named twice, or that does not lie
// in the file whole refuses the archive (PARE_DATA). archive_close accepts a zeroed struct.
enum pare_status archive_open(const uint8_t *bytes, size_t len, const char *file, struct archive *out,
                              struct pare_error *err);
void archive_close(struct archive *a);
struct archive_entry *archive_find(const struct archive *a, const char *name); // NULL when absent

// Fills e->content: a view of the archive when stored; else decompressed once and its CRC-32 checked. What all deflated
// entries together may grow to is bounded.
enum pare_status archive_content(struct archive *a, struct archive_entry *e, struct pare_error *err);
// The CRC-32 of a stored entry as well: for the small ones that everything hangs on.
enum pare_status archive_check(const struct archive *a, const struct archive_entry *e, struct pare_error *err);

#endif
