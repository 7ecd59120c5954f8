// error.h - fill a pare_error. Every fallible function returns the status it set.
#ifndef PARE_BASE_ERROR_H
#define PARE_BASE_ERROR_H

#include "pare_error.h"

// Sets code and formatted text (truncated to fit) and returns code. err may be NULL: only the code is returned.
// Bytes outside printable ASCII that come from a file are replaced by '?' so that a hostile name cannot drive a
// terminal; well-formed UTF-8 is kept.
enum pare_status error_set(struct pare_error *err, enum pare_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Out of memory, said the same way everywhere.
enum pare_status error_no_memory(struct pare_error *err);

#endif
