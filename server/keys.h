// keys.h - who may ask: API keys.
#ifndef PARE_SERVER_KEYS_H
#define PARE_SERVER_KEYS_H

#include "config.h"

// True when no key is configured, or one of them was given: Authorization: Bearer KEY, Authorization: Basic with KEY as
// the password (a browser asks for it), or X-Api-Key: KEY. Headers may be NULL. Takes as long for a wrong key as for
// another of its length.
bool keys_allow(const struct serve_config *c, const char *authorization, const char *x_api_key);

#endif
