// json_text.h - text of any origin as a JSON string, which must be UTF-8.
#ifndef PARE_SERVER_JSON_TEXT_H
#define PARE_SERVER_JSON_TEXT_H

#include <jansson.h>

// Bytes that are not UTF-8 are written %XX, as they stand in an address. NULL: no memory.
json_t *json_text(const char *text);

#endif
