// serve_config.c - any bytes as a server's configuration: refused with file and reason, or a configuration that is
// printed as one that loads to the same.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "promises.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum pare_status find(void *context, const char *name, char **path, struct pare_error *err) {
  (void)context;
  (void)err;
  *path = strdup(name);
  return *path ? PARE_OK : PARE_BUG;
}

static enum pare_status load(const void *data, size_t size, struct serve_config *out) {
  char path[64];
  int fd = memfd_create("config", 0);
  require(fd >= 0 && write(fd, data, size) == (ssize_t)size, "a file");
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  struct pare_error err = {0};
  enum pare_status status = serve_config_load(path, NULL, &(struct serve_paths){.find = find}, out, &err);
  require(status == PARE_OK || status == PARE_DATA || status == PARE_NOFILE, "a file's mistake");
  require(status == PARE_OK || !strncmp(err.text, path, strlen(path)), "the file in the message");
  close(fd);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct serve_config c, again;
  if (load(data, size, &c)) return 0;
  require(c.model_count > 0 && c.host, "a configuration");
  struct buf first = {0}, second = {0};
  // A key is printed as ***, which is refused.
  bool writable = !c.api_key_count;
  serve_config_print(&c, &first);
  serve_config_free(&c);
  if (writable) {
    require(load(first.data, first.len, &again) == PARE_OK, "what is printed loads");
    serve_config_print(&again, &second);
    serve_config_free(&again);
    require(first.len == second.len && !memcmp(first.data, second.data, first.len),
            "what is printed loads to the same");
  }
  buf_free(&first);
  buf_free(&second);
  return 0;
}
