// embedded.h - files of server/page/ that are part of the program.
#ifndef PARE_SERVER_EMBEDDED_H
#define PARE_SERVER_EMBEDDED_H

#include <stddef.h>

struct embedded {
  const unsigned char *bytes;
  size_t len;
};
struct embedded embedded_page(void);    // index.html
struct embedded embedded_openapi(void); // openapi.json

#endif
