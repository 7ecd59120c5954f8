// server.c - see server.h.
#include "server.h"

#include "base/error.h"

enum pare_status server_run(const struct serve_config *config, const struct server_reload *reload,
                            struct pare_error *err) {
  (void)config;
  (void)reload;
  return error_set(err, PARE_UNAVAILABLE, "serve is not built yet");
}
