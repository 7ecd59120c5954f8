// http.h - the HTTP side: libmicrohttpd's daemon, its connections and their requests, limits, keys, answers and
// streams. It knows routes and jobs, but no protocol and no model.
#ifndef PARE_SERVER_HTTP_H
#define PARE_SERVER_HTTP_H

#include "scheduler.h"
#include "state.h"

// The scheduler's way back to whoever waits for a job.
extern const struct scheduler_hooks http_hooks;

// Listens where the configuration says, answering nobody yet; *port is the one it got. PARE_UNAVAILABLE names the
// address and why.
enum pare_status http_listen(const struct serve_config *config, int *fd, uint16_t *port, struct pare_error *err);
// Answers on fd, which is the daemon's from now on.
enum pare_status http_open(struct server *server, int fd, struct http **out, struct pare_error *err);
// Answers what is under way and what comes on its heels, for at most ms; new connections are still taken for a moment.
void http_drain(struct http *h, uint32_t ms);
// Waits, for at most ms, until what has been answered is sent.
void http_flush(struct http *h, uint32_t ms);
// Ends every connection. The scheduler must have been closed before; accepts NULL.
void http_close(struct http *h);
size_t http_connections(const struct http *h);

#endif
