// study.c - any bytes as a study file, and any JSON as a study's record: refused with a reason, or a report.
#include "study/study.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_file(const uint8_t *data, size_t size) {
  char path[64];
  int fd = memfd_create("study", 0);
  if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  json_t *config;
  struct pare_error err = {0};
  enum pare_status status = study_load(path, &config, &err);
  if ((status == PARE_OK) != (config != NULL)) abort();
  if (status && (status != PARE_DATA || !err.text[0])) abort();
  json_decref(config);
  close(fd);
}

static void render(const uint8_t *data, size_t size) {
  json_t *record = json_loadb((const char *)data, size, 0, NULL);
  for (int form = STUDY_MARKDOWN; record && form <= STUDY_HTML; form++) {
    struct buf out = {0};
    struct pare_error err = {0};
    enum pare_status status = study_report(record, (enum study_form)form, 80, &out, &err);
    if (status == PARE_OK ? !out.len : !err.text[0]) abort();
    buf_free(&out);
  }
  json_decref(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  if (data[0] & 1) {
    load_file(data + 1, size - 1);
  } else {
    render(data + 1, size - 1);
  }
  return 0;
}
