// clock.h - monotonic time.
#ifndef PARE_BASE_CLOCK_H
#define PARE_BASE_CLOCK_H

#include <stdint.h>

// Nanoseconds on CLOCK_MONOTONIC; only differences mean anything.
uint64_t clock_ns(void);

#endif
