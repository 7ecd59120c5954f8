// file.h - read-only mappings, and outputs that appear whole or not at all.
#ifndef PARE_BASE_FILE_H
#define PARE_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct mapping {
  const uint8_t *data; // NULL when len == 0
  size_t len;
};

// Maps path read-only. PARE_NOFILE when it does not exist, PARE_DATA when it is not a regular file or cannot be read.
enum pare_status file_map(const char *path, struct mapping *out, struct pare_error *err);
void file_unmap(struct mapping *m);
// A mapping of len zero bytes that belongs to no file, for what has to be computed from one; *to is writable. Like a
// file's, its bytes outlive file_release_pages. Freed by file_unmap.
enum pare_status file_map_memory(size_t len, struct mapping *out, uint8_t **to, struct pare_error *err);
// Tells the kernel that [p, p + len) of a mapping will not be read again soon; whole pages inside are given back.
void file_release_pages(const void *p, size_t len);

bool file_exists(const char *path); // a regular file
bool file_is_dir(const char *path);

// An output file that appears by rename: written to a temporary name beside path, synced, renamed by file_commit.
// file_discard removes it (also safe after commit or on a zeroed struct).
struct outfile {
  int fd; // -1 when closed
  char *path, *temp;
};
enum pare_status file_create(const char *path, struct outfile *out, struct pare_error *err);
enum pare_status file_write(struct outfile *f, const void *data, size_t len, struct pare_error *err);
enum pare_status file_commit(struct outfile *f, struct pare_error *err);
void file_discard(struct outfile *f);

// Create, write, commit in one go.
enum pare_status file_write_all(const char *path, const void *data, size_t len, struct pare_error *err);

// An output directory that appears by rename. dir_create makes a fresh temporary directory beside path (its name in
// out->temp, to be filled by the caller); dir_commit puts it at path, atomically exchanging it with an earlier
// directory there, which is then removed; dir_discard removes the temporary directory and all in it. Refuses
// (PARE_USAGE) a path that exists and holds no file `marker`: it is not ours to replace. Until commit or discard a
// small process of our own waits beside this one: when this one ends without either, however it ends (Ctrl-C, a kill,
// no memory left), the other removes the temporary directory.
struct outdir {
  char *path, *temp;
  bool replaces;
  pid_t guardian; // 0: none
  int guard;      // our end of the line to it
};
enum pare_status dir_create(const char *path, const char *marker, struct outdir *out, struct pare_error *err);
enum pare_status dir_commit(struct outdir *d, struct pare_error *err);
void dir_discard(struct outdir *d);
// A temporary directory of its own under $TMPDIR (or /tmp); commit does not apply, dir_discard removes it.
enum pare_status dir_create_temp(struct outdir *out, struct pare_error *err);

// dir + "/" + name, to be freed by the caller; NULL when out of memory.
char *path_join(const char *dir, const char *name);
// The part after the last '/', or the whole.
const char *path_base(const char *path);

// Lower-case hexadecimal SHA-256 of a file's bytes (out: 65 chars with the NUL).
enum pare_status file_sha256(const char *path, char out[65], struct pare_error *err);
void bytes_sha256(const void *data, size_t len, char out[65]);

#endif
