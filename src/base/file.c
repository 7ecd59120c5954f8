// file.c - see file.h. Temporary names lie beside their target, so the last step is a rename inside one file system: a
// reader sees the old bytes or the new ones. What a crash may leave is a hidden ".pare-*" file, never a directory.
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- reading ----

enum pare_status file_map(const char *path, struct mapping *out, struct pare_error *err) {
  *out = (struct mapping){0};
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer before fstat can refuse it.
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    enum pare_status code = errno == ENOENT || errno == ENOTDIR ? PARE_NOFILE : PARE_DATA;
    return error_set(err, code, "cannot open %s: %s", path, strerror(errno));
  }
  enum pare_status status = PARE_OK;
  struct stat st;
  if (fstat(fd, &st) != 0) {
    status = error_set(err, PARE_DATA, "cannot read %s: %s", path, strerror(errno));
  } else if (!S_ISREG(st.st_mode)) {
    status = error_set(err, PARE_DATA, "%s is not a regular file", path);
  } else if (st.st_size > 0) {
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      status = error_set(err, PARE_DATA, "cannot map %s: %s", path, strerror(errno));
    } else {
      *out = (struct mapping){p, (size_t)st.st_size};
    }
  }
  close(fd);
  return status;
}

void file_unmap(struct mapping *m) {
  if (m->data) munmap((void *)(uintptr_t)m->data, m->len);
  *m = (struct mapping){0};
}

enum pare_status file_map_memory(size_t len, struct mapping *out, uint8_t **to, struct pare_error *err) {
  *out = (struct mapping){0};
  *to = NULL;
  if (len == 0) return PARE_OK;
  // MAP_SHARED: MADV_DONTNEED then drops only our view of the pages; a private page's bytes would be gone.
  void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return error_set(err, PARE_BUG, "out of memory: cannot map %zu bytes", len);
  *out = (struct mapping){p, len};
  *to = p;
  return PARE_OK;
}

void file_release_pages(const void *p, size_t len) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  // Inwards to whole pages: a page shared with a neighbour stays.
  uintptr_t begin = ((uintptr_t)p + page - 1) / page * page, end = ((uintptr_t)p + len) / page * page;
  if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

bool file_exists(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool file_is_dir(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *path_join(const char *dir, const char *name) {
  size_t len = strlen(dir) + strlen(name) + 2;
  char *p = malloc(len);
  if (p) snprintf(p, len, "%s/%s", dir, name);
  return p;
}

const char *path_base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

static bool sha256_hex(const void *data, size_t len, char out[65]) {
  static const char digits[] = "0123456789abcdef";
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned sum_len = 0;
  out[0] = 0; // no hash equals the empty string, so a failure cannot pass for a match
  if (EVP_Digest(data, len, sum, &sum_len, EVP_sha256(), NULL) != 1 || sum_len != 32) return false;
  for (size_t i = 0; i < 32; i++) {
    out[2 * i] = digits[sum[i] >> 4];
    out[2 * i + 1] = digits[sum[i] & 15];
  }
  out[64] = 0;
  return true;
}

void bytes_sha256(const void *data, size_t len, char out[65]) {
  sha256_hex(data, len, out);
}

enum pare_status file_sha256(const char *path, char out[65], struct pare_error *err) {
  struct mapping m;
  out[0] = 0;
  enum pare_status status = file_map(path, &m, err);
  if (status != PARE_OK) return status;
  if (!sha256_hex(m.data, m.len, out)) status = error_set(err, PARE_BUG, "cannot compute the SHA-256 of %s", path);
  file_unmap(&m);
  return status;
}

// ---- names of outputs ----

// The place an output really goes: symbolic links to something that exists are followed, so the link stays and its
// target is replaced; trailing slashes are dropped. NULL when out of memory.
static char *target_path(const char *path) {
  char *p = realpath(path, NULL);
  if (p) return p;
  p = strdup(path);
  if (!p) return NULL;
  for (size_t len = strlen(p); len > 1 && p[len - 1] == '/'; len--) p[len - 1] = 0;
  return p;
}

// "dir of path/.pare-<random>". The name's length does not depend on path's, so it fits wherever path does.
static char *temp_path(const char *path) {
  uint64_t random = 0;
  // A short read or an early-boot refusal only costs uniqueness; O_EXCL and mkdir catch a clash and the caller retries.
  if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) random ^= (uint64_t)getpid();
  size_t dir_len = (size_t)(path_base(path) - path), len = dir_len + 32;
  char *p = malloc(len);
  if (p) snprintf(p, len, "%.*s.pare-%016llx", (int)dir_len, path, (unsigned long long)random);
  return p;
}

static char *parent_path(const char *path) {
  size_t dir_len = (size_t)(path_base(path) - path);
  return dir_len ? strndup(path, dir_len) : strdup(".");
}

// Makes a rename inside dir durable. Some file systems cannot sync a directory; the rename itself has still happened.
static void sync_dir(const char *dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

static void sync_parent(const char *path) {
  char *dir = parent_path(path);
  if (dir) sync_dir(dir);
  free(dir);
}

enum { NAME_TRIES = 16 }; // 64 random bits: a second try is already unheard of

// ---- an output file ----

static void outfile_clear(struct outfile *f) {
  free(f->path);
  free(f->temp);
  *f = (struct outfile){.fd = -1};
}

enum pare_status file_create(const char *path, struct outfile *out, struct pare_error *err) {
  *out = (struct outfile){.fd = -1};
  struct stat st;
  // Renaming over a directory fails late, and over a device would replace it.
  if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
    return error_set(err, PARE_IO, "cannot write %s: it exists and is not a regular file", path);
  }
  if (!*path || path[strlen(path) - 1] == '/') return error_set(err, PARE_IO, "cannot write '%s': no file name", path);
  char *target = target_path(path);
  if (!target) return error_no_memory(err);
  for (int i = 0; i < NAME_TRIES; i++) {
    char *temp = temp_path(target);
    if (!temp) {
      free(target);
      return error_no_memory(err);
    }
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0) {
      *out = (struct outfile){.fd = fd, .path = target, .temp = temp};
      return PARE_OK;
    }
    free(temp);
    if (errno != EEXIST) break;
  }
  free(target);
  return error_set(err, PARE_IO, "cannot write %s: %s", path, strerror(errno));
}

enum pare_status file_write(struct outfile *f, const void *data, size_t len, struct pare_error *err) {
  const uint8_t *p = data;
  while (len > 0) {
    ssize_t n = write(f->fd, p, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return error_set(err, PARE_IO, "cannot write %s: %s", f->path, strerror(n < 0 ? errno : ENOSPC));
    p += n;
    len -= (size_t)n;
  }
  return PARE_OK;
}

enum pare_status file_commit(struct outfile *f, struct pare_error *err) {
  bool ok = fsync(f->fd) == 0;
  int why = ok ? 0 : errno;
  if (close(f->fd) != 0 && ok) {
    ok = false;
    why = errno;
  }
  f->fd = -1;
  if (ok && rename(f->temp, f->path) != 0) {
    ok = false;
    why = errno;
  }
  if (!ok) {
    error_set(err, PARE_IO, "cannot write %s: %s", f->path, strerror(why));
    file_discard(f);
    return PARE_IO;
  }
  sync_parent(f->path);
  outfile_clear(f);
  return PARE_OK;
}

void file_discard(struct outfile *f) {
  if (!f->temp) return; // zeroed, committed or discarded: fd means nothing then
  if (f->fd >= 0) close(f->fd);
  unlink(f->temp);
  outfile_clear(f);
}

enum pare_status file_write_all(const char *path, const void *data, size_t len, struct pare_error *err) {
  struct outfile f;
  enum pare_status status = file_create(path, &f, err);
  if (status == PARE_OK) status = file_write(&f, data, len, err);
  if (status == PARE_OK) status = file_commit(&f, err);
  file_discard(&f);
  return status;
}

// ---- removing a directory ----

// Removes name in directory at, and what is below. Each level is opened relative to its parent and with O_NOFOLLOW, so
// a symbolic link, even one swapped in meanwhile, is unlinked and never entered. false with errno at the first failure.
static bool remove_tree(int at, const char *name) {
  if (unlinkat(at, name, 0) == 0 || errno == ENOENT) return true;
  if (errno != EISDIR && errno != EPERM) return false; // EPERM: what POSIX says for a directory
  int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  DIR *dir = fdopendir(fd);
  if (!dir) {
    close(fd);
    return false;
  }
  bool ok = true;
  for (struct dirent *entry; ok && (entry = readdir(dir));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    ok = remove_tree(fd, entry->d_name);
  }
  int why = errno;
  closedir(dir);
  errno = why;
  return ok && unlinkat(at, name, AT_REMOVEDIR) == 0;
}

// ---- the guardian of a temporary directory ----

static _Noreturn void guard(int line, const char *dir) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  setsid(); // what ends a whole terminal or process group must not end the guardian with it
  for (int fd = 0; fd <= 2; fd++) close(fd); // a reader of our output waits for the program, not for its guardian
  char done;
  if (read(line, &done, 1) == 0) remove_tree(AT_FDCWD, dir); // the line closed without a word
  _exit(0);
}

// Without one (no process or descriptor to be had) the work goes on: only an untimely end would leave something.
static void guard_start(struct outdir *d) {
  int line[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line) != 0) return;
  pid_t pid = fork();
  if (pid == 0) {
    close(line[0]);
    guard(line[1], d->temp);
  }
  close(line[1]);
  if (pid < 0) {
    close(line[0]);
    return;
  }
  d->guardian = pid;
  d->guard = line[0];
}

static void guard_end(struct outdir *d) {
  if (d->guardian <= 0) return;
  send(d->guard, "", 1, MSG_NOSIGNAL);
  close(d->guard);
  while (waitpid(d->guardian, NULL, 0) < 0 && errno == EINTR) {
  }
}

// ---- an output directory ----

static void outdir_clear(struct outdir *d) {
  guard_end(d);
  free(d->path);
  free(d->temp);
  *d = (struct outdir){0};
}

// mkdir under a fresh name beside target; NULL with errno set.
static char *make_temp_dir(const char *target, mode_t mode) {
  for (int i = 0; i < NAME_TRIES; i++) {
    char *temp = temp_path(target);
    if (!temp) return NULL;
    if (mkdir(temp, mode) == 0) return temp;
    free(temp);
    if (errno != EEXIST) break;
  }
  return NULL;
}

enum pare_status dir_create(const char *path, const char *marker, struct outdir *out, struct pare_error *err) {
  *out = (struct outdir){0};
  if (!*path) return error_set(err, PARE_USAGE, "the output directory's name is empty");
  char *target = target_path(path);
  if (!target) return error_no_memory(err);
  struct stat st;
  bool exists = lstat(target, &st) == 0;
  if (exists) {
    char *mark = path_join(target, marker);
    bool ours = mark && S_ISDIR(st.st_mode) && file_exists(mark);
    free(mark);
    if (!ours) {
      free(target);
      return error_set(err, PARE_USAGE, "%s exists and holds no %s: not replaced; choose another name", path, marker);
    }
  }
  char *temp = make_temp_dir(target, 0755);
  if (!temp) {
    free(target);
    return error_set(err, PARE_IO, "cannot create %s: %s", path, strerror(errno));
  }
  *out = (struct outdir){.path = target, .temp = temp, .replaces = exists};
  guard_start(out);
  return PARE_OK;
}

// For file systems without RENAME_EXCHANGE: the old directory steps aside first, so for a moment path does not exist.
// On success temp names the old directory, as after an exchange. false with errno, and the old directory back in place.
static bool swap_in_two_steps(struct outdir *d) {
  char *aside = temp_path(d->path);
  if (!aside || rename(d->path, aside) != 0) {
    free(aside);
    return false;
  }
  if (rename(d->temp, d->path) != 0) {
    int why = errno;
    rename(aside, d->path);
    free(aside);
    errno = why;
    return false;
  }
  free(d->temp);
  d->temp = aside;
  return true;
}

static bool rename_dir(struct outdir *d) {
  unsigned flags = d->replaces ? RENAME_EXCHANGE : RENAME_NOREPLACE;
  if (renameat2(AT_FDCWD, d->temp, AT_FDCWD, d->path, flags) == 0) return true;
  if (errno != ENOSYS && errno != EINVAL) return false;
  // rename itself refuses a directory that is not empty.
  return d->replaces ? swap_in_two_steps(d) : rename(d->temp, d->path) == 0;
}

enum pare_status dir_commit(struct outdir *d, struct pare_error *err) {
  sync_dir(d->temp);
  if (!rename_dir(d)) {
    error_set(err, PARE_IO, "cannot put the output at %s: %s", d->path, strerror(errno));
    dir_discard(d);
    return PARE_IO;
  }
  sync_parent(d->path);
  enum pare_status status = PARE_OK;
  if (d->replaces && !remove_tree(AT_FDCWD, d->temp)) {
    status = error_set(err, PARE_IO, "%s is written, but the earlier one, now %s, cannot be removed: %s", d->path,
                       d->temp, strerror(errno));
  }
  outdir_clear(d);
  return status;
}

void dir_discard(struct outdir *d) {
  if (d->temp) remove_tree(AT_FDCWD, d->temp);
  outdir_clear(d);
}

enum pare_status dir_create_temp(struct outdir *out, struct pare_error *err) {
  *out = (struct outdir){0};
  const char *root = secure_getenv("TMPDIR");
  if (!root || !*root) root = "/tmp";
  char *target = path_join(root, "pare");
  if (!target) return error_no_memory(err);
  out->temp = make_temp_dir(target, 0700);
  free(target);
  if (!out->temp) return error_set(err, PARE_IO, "cannot create a directory in %s: %s", root, strerror(errno));
  guard_start(out);
  return PARE_OK;
}
