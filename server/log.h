// log.h - JSON lines on a descriptor, written by a thread of its own so that nobody waits for it.
#ifndef PARE_SERVER_LOG_H
#define PARE_SERVER_LOG_H

#include <jansson.h>

#include "pare_error.h"

struct log;
// fd: not closed. NULL: no memory.
struct log *log_open(int fd);
void log_close(struct log *l); // after everything is written; accepts NULL
// {"time", "level", "event", ...fields}. fields: taken over, or NULL. From any thread. What cannot be written in time
// is dropped, and how much was is said in the next line.
void log_event(struct log *l, const char *level, const char *event, json_t *fields);
// A line that was put together by the caller, without the newline: for those that come by the thousand.
void log_line(struct log *l, const char *line, size_t len);
// RFC 3339 with milliseconds, UTC.
enum { LOG_TIME = 25 };
void log_time(char out[LOG_TIME]);

#endif
