// nearest.h - the name that a mistyped word most likely meant.
#ifndef PARE_BASE_NEAREST_H
#define PARE_BASE_NEAREST_H

#include <stddef.h>

// The entry nearest to word by edit distance, or NULL when none is near. name(list, i) gives entry i.
const char *nearest_name(const char *word, const void *list, size_t count,
                         const char *(*name)(const void *list, size_t i));

#endif
