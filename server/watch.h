// watch.h - what libmicrohttpd does not do for its connections: absolute deadlines for a request's header and body (a
// byte now and then buys no time), and noticing that a client left while its request is being worked on.
#ifndef PARE_SERVER_WATCH_H
#define PARE_SERVER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pare_error.h"

struct watch;   // a thread
struct watched; // one connection

enum watch_phase { WATCH_HEADER, WATCH_BODY, WATCH_IDLE, WATCH_WORK, WATCH_PHASES };

struct watch_limits {
  uint32_t ms[WATCH_PHASES]; // how long each may last; 0: for ever
};
enum pare_status watch_open(const struct watch_limits *limits, struct watch **out, struct pare_error *err);
void watch_close(struct watch *w); // every connection was removed before; accepts NULL
size_t watch_connections(const struct watch *w);

// A connection on descriptor fd begins, in WATCH_HEADER. NULL: no memory.
struct watched *watch_add(struct watch *w, int fd);
// Before fd is closed. Accepts NULL.
void watch_remove(struct watch *w, struct watched *c);
// The connection enters a phase; one that outlasts its time has its socket shut down, which its owner notices.
// WATCH_WORK has no deadline here: `left` is called, from the watching thread, when the client leaves, at most once,
// and never again after the next watch_enter has returned. gone: it closed both directions; otherwise it only stopped
// sending.
void watch_enter(struct watch *w, struct watched *c, enum watch_phase phase, void (*left)(void *context, bool gone),
                 void *context);

#endif
