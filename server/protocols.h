// protocols.h - the routes of each protocol. Where two patterns match, the one that comes first in its table answers.
#ifndef PARE_SERVER_PROTOCOLS_H
#define PARE_SERVER_PROTOCOLS_H

#include "exchange.h"

extern const struct route oip_routes[]; // Open Inference Protocol v2 and what Triton adds to it
extern const size_t oip_route_count;

#endif
