// quantize_files.h - quantizing an edited golden directory into "out" below it, and what must hold after every failure.
#ifndef PARE_TESTS_QUANTIZE_FILES_H
#define PARE_TESTS_QUANTIZE_FILES_H

#include "model_files.h"

#include "quantize_any.h"

// Entries of dir whose names begin with a dot: temporary ones that were left behind.
static inline size_t hidden_entries(const char *dir) {
  size_t n = 0;
  DIR *d = opendir(dir);
  for (struct dirent *e; (e = readdir(d));)
    n += e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(d);
  return n;
}

// Writes the directory, quantizes it, returns the record.
static inline json_t *quantize_into(pare_engine *engine, struct model_files *f,
                                    const struct pare_quantize_options *options) {
  struct pare_error err = {0};
  char *out = path_join(f->dir.temp, "out");
  json_t *record = NULL;
  files_write(f);
  must(quantize_any(engine, f->dir.temp, out, options, &record, &err), &err);
  assert_int_equal(hidden_entries(f->dir.temp), 0);
  free(out);
  return record;
}

// The same, refused: with no record, nothing left behind, and an output that did not exist still does not.
static inline void quantize_refused(pare_engine *engine, struct model_files *f,
                                    const struct pare_quantize_options *options, enum pare_status expected,
                                    const char *const *needles) {
  struct pare_error err = {0};
  char *out = path_join(f->dir.temp, "out");
  bool existed = file_is_dir(out);
  json_t *record = (json_t *)f;
  files_write(f);
  enum pare_status s = quantize_model(engine, f->dir.temp, out, options, &record, &err);
  if (s != expected) fail_msg("%s: expected status %d, found %d: %s", options->scheme, expected, s, s ? err.text : "");
  assert_null(record);
  for (size_t i = 0; needles[i]; i++)
    if (!strstr(err.text, needles[i])) fail_msg("the message does not hold \"%s\": %s", needles[i], err.text);
  assert_int_equal(hidden_entries(f->dir.temp), 0);
  assert_int_equal(file_is_dir(out), existed);
  free(out);
}

#endif
