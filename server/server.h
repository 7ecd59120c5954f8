// server.h - the whole server: opens the models, listens, answers until SIGTERM or SIGINT, drains, returns. SIGHUP
// calls reload->load and takes over what changed.
#ifndef PARE_SERVER_SERVER_H
#define PARE_SERVER_SERVER_H

#include "config.h"

struct server_reload {
  enum pare_status (*load)(void *context, struct serve_config *out, struct pare_error *err);
  void *context;
};
enum pare_status server_run(const struct serve_config *config, const struct server_reload *reload,
                            struct pare_error *err);

#endif
