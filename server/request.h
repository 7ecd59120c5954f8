// request.h - one HTTP request from its first header to its last byte, between libmicrohttpd, an exchange and a job.
#ifndef PARE_SERVER_REQUEST_H
#define PARE_SERVER_REQUEST_H

#include <microhttpd.h>

#include "scheduler.h"
#include "state.h"
#include "watch.h"

// What all requests share.
struct http_shared {
  struct server *server;
  struct watch *watch;
  atomic_size_t active;     // requests between their header and their end
  atomic_size_t body_bytes; // of bodies that are held, beyond what each may always have
  atomic_uint_fast64_t ids;
  // Who asked last, and when it was not the one who had asked before.
  _Atomic(const struct watched *) last;
  atomic_uint_fast64_t other_ns;
};

enum MHD_Result request_access(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                               const char *version, const char *upload, size_t *upload_size, void **context);
void request_completed(void *cls, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code);

#endif
