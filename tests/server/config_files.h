// config_files.h - configurations in a temporary folder, loaded as the program does. To be included after cmocka.h.
#ifndef PARE_TESTS_SERVER_CONFIG_FILES_H
#define PARE_TESTS_SERVER_CONFIG_FILES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "config.h"
#include "config_parts.h"

static struct outdir dir;
static char *file;

static inline int group_setup(void **state) {
  (void)state;
  struct pare_error err;
  if (dir_create_temp(&dir, &err)) return 1;
  file = path_join(dir.temp, "pare.yaml");
  return !file;
}

static inline int group_teardown(void **state) {
  (void)state;
  free(file);
  dir_discard(&dir);
  return 0;
}

static inline void put_bytes(const char *name, const void *bytes, size_t len) {
  char *path = path_join(dir.temp, name);
  struct pare_error err;
  if (file_write_all(path, bytes, len, &err)) fail_msg("%s", err.text);
  free(path);
}

// Every name is found, but "absent".
static inline enum pare_status find(void *context, const char *name, char **path, struct pare_error *err) {
  (void)context;
  if (!strcmp(name, "absent")) return error_set(err, PARE_NOFILE, "no model 'absent'");
  *path = name[0] == '/' ? strdup(name) : path_join("/shipped", name);
  return *path ? PARE_OK : error_no_memory(err);
}

static inline enum pare_status load_with(const char *text, const struct serve_flags *flags, struct serve_config *out,
                                         struct pare_error *err) {
  put_bytes("pare.yaml", text, strlen(text));
  *err = (struct pare_error){0};
  enum pare_status status = serve_config_load(file, flags, &(struct serve_paths){.find = find}, out, err);
  assert_int_equal(status, err->code);
  if (status) assert_null(out->models); // nothing is left to free
  return status;
}

static inline void loads(const char *text, struct serve_config *out) {
  struct pare_error err;
  if (load_with(text, NULL, out, &err)) fail_msg("%s\n%s", text, err.text);
}

// The message is that of a line of the file: "FILE:LINE: rest".
static inline void refused(const char *text, int line, const char *rest) {
  struct serve_config c;
  struct pare_error err;
  if (load_with(text, NULL, &c, &err) != PARE_DATA) fail_msg("not refused: %s (%s)", text, err.text);
  char expected[900];
  snprintf(expected, sizeof expected, "%s:%d: %s", file, line, rest);
  if (strncmp(err.text, expected, strlen(expected)) != 0) fail_msg("expected %s\nfound %s", expected, err.text);
}

static inline char *printed(const struct serve_config *c) {
  struct buf out = {0};
  serve_config_print(c, &out);
  char *text = buf_take(&out);
  assert_non_null(text);
  return text;
}

#endif
