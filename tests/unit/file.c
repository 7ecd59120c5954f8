// file.c - base/file.h: what is read, and outputs that appear whole or not at all.
#include <stdarg.h>
#include <stddef.h>
// cmocka.h wants the two above and the two below first.
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

// Each test works in a directory of its own, *state.

static int enter_dir(void **state) {
  struct outdir *d = malloc(sizeof *d);
  if (!d || dir_create_temp(d, NULL) != PARE_OK) return -1;
  *state = d;
  return chdir(d->temp);
}

static int leave_dir(void **state) {
  struct outdir *d = *state;
  char *temp = strdup(d->temp);
  if (!temp || chdir("/") != 0) return -1;
  dir_discard(d);
  int gone = access(temp, F_OK) != 0;
  free(temp);
  free(d);
  return gone ? 0 : -1;
}

static size_t entries(const char *dir) {
  DIR *d = opendir(dir);
  assert_non_null(d);
  size_t n = 0;
  while (readdir(d)) n++;
  closedir(d);
  return n - 2; // "." and ".."
}

static void put(const char *path, const char *text) {
  struct pare_error err = {0};
  if (file_write_all(path, text, strlen(text), &err) != PARE_OK) fail_msg("%s", err.text);
}

static void assert_content(const char *path, const char *text) {
  struct mapping m;
  assert_int_equal(file_map(path, &m, NULL), PARE_OK);
  assert_int_equal(m.len, strlen(text));
  if (m.len) assert_memory_equal(m.data, text, m.len);
  file_unmap(&m);
}

static void file_map_reads_or_says_why(void **state) {
  (void)state;
  struct mapping m;
  struct pare_error err = {0};
  assert_int_equal(file_map("absent", &m, &err), PARE_NOFILE);
  assert_non_null(strstr(err.text, "absent"));
  put("file", "text");
  assert_int_equal(file_map("file/below", &m, &err), PARE_NOFILE);
  assert_int_equal(file_map(".", &m, &err), PARE_DATA);
  assert_non_null(strstr(err.text, "regular"));
  assert_int_equal(mkfifo("fifo", 0600), 0);
  assert_int_equal(file_map("fifo", &m, &err), PARE_DATA); // and does not wait for a writer
  put("empty", "");
  assert_int_equal(file_map("empty", &m, &err), PARE_OK);
  assert_null(m.data);
  file_unmap(&m);
  assert_true(file_exists("file") && !file_exists(".") && !file_exists("absent"));
  assert_true(file_is_dir(".") && !file_is_dir("file") && !file_is_dir("absent"));
}

static void released_pages_still_read_the_same(void **state) {
  (void)state;
  size_t len = 5 * 4096 + 17;
  uint8_t *bytes = malloc(len);
  for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(i * 31);
  assert_int_equal(file_write_all("big", bytes, len, NULL), PARE_OK);
  struct mapping m;
  assert_int_equal(file_map("big", &m, NULL), PARE_OK);
  assert_memory_equal(m.data, bytes, len);
  file_release_pages(m.data + 5, 4);
  file_release_pages(m.data + 5, len - 5);
  file_release_pages(m.data, 0);
  assert_memory_equal(m.data, bytes, len);
  file_unmap(&m);
  free(bytes);
}

static void file_appears_whole(void **state) {
  (void)state;
  mode_t before = umask(0027);
  struct outfile f;
  assert_int_equal(file_create("out", &f, NULL), PARE_OK);
  assert_int_equal(file_write(&f, "half", 4, NULL), PARE_OK);
  assert_false(file_exists("out"));
  assert_int_equal(file_write(&f, " and half", 9, NULL), PARE_OK);
  assert_int_equal(file_commit(&f, NULL), PARE_OK);
  file_discard(&f);
  file_discard(&f);
  umask(before);
  assert_content("out", "half and half");
  struct stat st;
  assert_int_equal(stat("out", &st), 0);
  assert_int_equal(st.st_mode & 07777, 0640);
  put("out", "new");
  assert_content("out", "new");
  assert_int_equal(entries("."), 1);
}

static void discarded_file_leaves_nothing(void **state) {
  (void)state;
  put("out", "old");
  struct outfile f, g;
  assert_int_equal(file_create("out", &f, NULL), PARE_OK);
  assert_int_equal(file_create("out", &g, NULL), PARE_OK); // two writers do not share a temporary name
  assert_string_not_equal(f.temp, g.temp);
  assert_int_equal(file_write(&f, "half", 4, NULL), PARE_OK);
  assert_int_equal(entries("."), 3);
  file_discard(&f);
  file_discard(&g);
  assert_int_equal(entries("."), 1);
  assert_content("out", "old");
  struct outfile zero = {0};
  file_discard(&zero); // must not take descriptor 0 for its own
  assert_true(fcntl(STDIN_FILENO, F_GETFD) != -1);
}

static void full_disk_leaves_nothing(void **state) {
  (void)state;
  put("out", "old");
  struct rlimit before, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 4096;
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  char big[8192] = {0};
  struct pare_error err = {0};
  enum pare_status status = file_write_all("out", big, sizeof big, &err);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handler);
  assert_int_equal(status, PARE_IO);
  assert_non_null(strstr(err.text, "out"));
  assert_content("out", "old");
  assert_int_equal(entries("."), 1);
}

static void file_outputs_refuse_odd_targets(void **state) {
  (void)state;
  struct pare_error err = {0};
  assert_int_equal(mkdir("dir", 0755), 0);
  assert_int_equal(mkfifo("fifo", 0600), 0);
  static const char *const targets[] = {"dir", "dir/", "fifo", "absent/out", "", "new/", "/dev/null"};
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    if (file_write_all(targets[i], "x", 1, &err) != PARE_IO) fail_msg("'%s' is written", targets[i]);
    assert_non_null(strstr(err.text, targets[i]));
  }
  assert_int_equal(entries("."), 2);
}

static void commit_over_a_new_directory_leaves_nothing(void **state) {
  (void)state;
  struct outfile f;
  struct pare_error err = {0};
  assert_int_equal(file_create("out", &f, NULL), PARE_OK);
  assert_int_equal(mkdir("out", 0755), 0);
  assert_int_equal(file_commit(&f, &err), PARE_IO);
  assert_int_equal(entries("."), 1);
  file_discard(&f);
}

static void output_through_a_link_keeps_the_link(void **state) {
  (void)state;
  assert_int_equal(mkdir("disk", 0755), 0);
  put("disk/real", "old");
  assert_int_equal(symlink("disk/real", "link"), 0);
  put("link", "new");
  assert_content("disk/real", "new");
  struct stat st;
  assert_int_equal(lstat("link", &st), 0);
  assert_true(S_ISLNK(st.st_mode));
}

static void sha256_of_known_texts(void **state) {
  (void)state;
  // FIPS 180-2, appendix B.1; and the empty text.
  static const char abc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  static const char empty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  char sum[65];
  bytes_sha256("abc", 3, sum);
  assert_string_equal(sum, abc);
  bytes_sha256(NULL, 0, sum);
  assert_string_equal(sum, empty);
  put("abc", "abc");
  put("empty", "");
  assert_int_equal(file_sha256("abc", sum, NULL), PARE_OK);
  assert_string_equal(sum, abc);
  assert_int_equal(file_sha256("empty", sum, NULL), PARE_OK);
  assert_string_equal(sum, empty);
  assert_int_equal(file_sha256("absent", sum, NULL), PARE_NOFILE);
  assert_string_equal(sum, "");
}

static void path_parts(void **state) {
  (void)state;
  char *p = path_join("a/b", "c");
  assert_string_equal(p, "a/b/c");
  free(p);
  assert_string_equal(path_base("a/b"), "b");
  assert_string_equal(path_base("b"), "b");
  assert_string_equal(path_base("a/"), "");
}

// ---- output directories ----

static void put_in(const struct outdir *d, const char *name, const char *text) {
  char *path = path_join(d->temp, name);
  put(path, text);
  free(path);
}

static void dir_appears_whole(void **state) {
  (void)state;
  struct outdir d;
  assert_int_equal(dir_create("out/", "pare.json", &d, NULL), PARE_OK);
  put_in(&d, "pare.json", "{}");
  put_in(&d, "weights", "w");
  assert_false(file_is_dir("out"));
  assert_int_equal(dir_commit(&d, NULL), PARE_OK);
  dir_discard(&d);
  assert_content("out/weights", "w");
  assert_int_equal(entries("out"), 2);
  assert_int_equal(entries("."), 1);
}

static void dir_replaces_its_own(void **state) {
  (void)state;
  struct outdir d;
  put("bystander", "untouched");
  assert_int_equal(mkdir("elsewhere", 0755), 0);
  put("elsewhere/file", "untouched");
  assert_int_equal(mkdir("out", 0755) | mkdir("out/sub", 0755) | mkdir("out/sub/deep", 0755), 0);
  put("out/pare.json", "old");
  put("out/sub/deep/old", "old");
  // Links out of the old directory are removed, not followed.
  assert_int_equal(symlink("../../elsewhere", "out/sub/link"), 0);
  assert_int_equal(symlink("../bystander", "out/link"), 0);
  assert_int_equal(dir_create("out", "pare.json", &d, NULL), PARE_OK);
  assert_true(d.replaces);
  put_in(&d, "pare.json", "new");
  assert_content("out/pare.json", "old");
  assert_int_equal(dir_commit(&d, NULL), PARE_OK);
  assert_content("out/pare.json", "new");
  assert_int_equal(entries("out"), 1);
  assert_content("bystander", "untouched");
  assert_content("elsewhere/file", "untouched");
  assert_int_equal(entries("."), 3);
}

static void dir_behind_a_link_is_replaced_there(void **state) {
  (void)state;
  struct outdir d;
  assert_int_equal(mkdir("disk", 0755) | mkdir("disk/out", 0755) | symlink("disk/out", "link"), 0);
  put("disk/out/pare.json", "old");
  assert_int_equal(dir_create("link", "pare.json", &d, NULL), PARE_OK);
  put_in(&d, "pare.json", "new");
  assert_int_equal(dir_commit(&d, NULL), PARE_OK);
  assert_content("disk/out/pare.json", "new");
  struct stat st;
  assert_int_equal(lstat("link", &st), 0);
  assert_true(S_ISLNK(st.st_mode));
  assert_int_equal(entries("disk"), 1);
}

static void dir_refuses_what_is_not_ours(void **state) {
  (void)state;
  assert_int_equal(mkdir("photos", 0755) | mkdir("empty", 0755) | mkdir("odd", 0755) | mkdir("odd/pare.json", 0755), 0);
  put("photos/cat", "meow");
  put("file", "x");
  assert_int_equal(symlink("photos", "link"), 0);
  static const char *const targets[] = {"photos", "photos/", "empty", "odd", "file", "link", ".", "/"};
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    struct outdir d;
    struct pare_error err = {0};
    if (dir_create(targets[i], "pare.json", &d, &err) != PARE_USAGE) fail_msg("'%s' would be replaced", targets[i]);
    assert_non_null(strstr(err.text, targets[i]));
    assert_non_null(strstr(err.text, "pare.json"));
    assert_null(d.temp);
  }
  assert_content("photos/cat", "meow");
  assert_int_equal(entries("."), 5);
  struct outdir d;
  assert_int_equal(dir_create("absent/out", "pare.json", &d, NULL), PARE_IO);
  assert_int_equal(dir_create("", "pare.json", &d, NULL), PARE_USAGE);
}

static void discarded_dir_leaves_nothing(void **state) {
  (void)state;
  struct outdir d;
  assert_int_equal(mkdir("out", 0755), 0);
  put("out/pare.json", "old");
  assert_int_equal(dir_create("out", "pare.json", &d, NULL), PARE_OK);
  put_in(&d, "weights", "half");
  dir_discard(&d);
  dir_discard(&d);
  assert_content("out/pare.json", "old");
  assert_int_equal(entries("."), 1);
}

// A process that is killed between create and commit: both directories it had open go.
static void dir_goes_with_a_killed_process(void **state) {
  (void)state;
  pid_t pid = fork();
  if (pid == 0) {
    struct outdir d, inner;
    char path[128];
    if (dir_create("out", "marker", &d, NULL) != PARE_OK) _exit(1);
    snprintf(path, sizeof path, "%s/model", d.temp);
    if (dir_create(path, "marker", &inner, NULL) != PARE_OK) _exit(1);
    snprintf(path, sizeof path, "%s/weights", inner.temp);
    if (file_write_all(path, "bytes", 5, NULL) != PARE_OK) _exit(1);
    raise(SIGKILL);
  }
  int how;
  assert_int_equal(waitpid(pid, &how, 0), pid);
  assert_true(WIFSIGNALED(how));
  for (int i = 0; i < 1000 && entries(".") > 0; i++) usleep(10000);
  assert_int_equal(entries("."), 0);
}

static void dir_does_not_take_a_name_that_appeared_meanwhile(void **state) {
  (void)state;
  struct outdir d;
  struct pare_error err = {0};
  assert_int_equal(dir_create("out", "pare.json", &d, NULL), PARE_OK);
  put_in(&d, "pare.json", "ours");
  assert_int_equal(mkdir("out", 0755), 0);
  put("out/other", "theirs");
  assert_int_equal(dir_commit(&d, &err), PARE_IO);
  assert_content("out/other", "theirs");
  assert_int_equal(entries("."), 1);
  // Not even when it is empty.
  assert_int_equal(dir_create("out2", "pare.json", &d, NULL), PARE_OK);
  assert_int_equal(mkdir("out2", 0755), 0);
  assert_int_equal(dir_commit(&d, &err), PARE_IO);
  assert_int_equal(entries("out2"), 0);
  assert_int_equal(entries("."), 2);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, enter_dir, leave_dir)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(path_parts),
      FILE_TEST(file_map_reads_or_says_why),
      FILE_TEST(released_pages_still_read_the_same),
      FILE_TEST(file_appears_whole),
      FILE_TEST(discarded_file_leaves_nothing),
      FILE_TEST(full_disk_leaves_nothing),
      FILE_TEST(file_outputs_refuse_odd_targets),
      FILE_TEST(commit_over_a_new_directory_leaves_nothing),
      FILE_TEST(output_through_a_link_keeps_the_link),
      FILE_TEST(sha256_of_known_texts),
      FILE_TEST(dir_appears_whole),
      FILE_TEST(dir_replaces_its_own),
      FILE_TEST(dir_behind_a_link_is_replaced_there),
      FILE_TEST(dir_refuses_what_is_not_ours),
      FILE_TEST(discarded_dir_leaves_nothing),
      FILE_TEST(dir_goes_with_a_killed_process),
      FILE_TEST(dir_does_not_take_a_name_that_appeared_meanwhile),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
