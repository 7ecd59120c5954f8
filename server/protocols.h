// protocols.h - the addresses each protocol answers.
#ifndef PARE_SERVER_PROTOCOLS_H
#define PARE_SERVER_PROTOCOLS_H

#include "exchange.h"

extern const struct route system_routes[]; // /metrics, the page, the OpenAPI document
extern const size_t system_route_count;

#endif
