// routes.h - which handler a method and a path lead to.
#ifndef PARE_SERVER_ROUTES_H
#define PARE_SERVER_ROUTES_H

#include "exchange.h"

struct route_list {
  const struct route *routes;
  const size_t *count;
};
// Every address of the server.
extern const struct route_list all_routes[];
extern const size_t all_route_lists;

// The first pattern that the path matches decides, whatever its method. HEAD counts as GET. NULL: `allowed` names the
// methods that the path has, separated by ", ", and is empty when there is no such path. params: to be freed with
// free(); NULL entries where the pattern has none.
const struct route *route_find(const struct route_list *lists, size_t count, const char *method, const char *path,
                               char *params[EXCHANGE_PARAMS], char allowed[64]);

#endif
