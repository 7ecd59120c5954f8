// cache.h - answers by the exact question, the least recently used one going first. Safe from any thread.
#ifndef PARE_SERVER_CACHE_H
#define PARE_SERVER_CACHE_H

#include <stdbool.h>
#include <stddef.h>

struct cache;
// Keys, answers and what holds them take up to `bytes`. NULL: no memory.
struct cache *cache_new(size_t bytes);
void cache_free(struct cache *c); // accepts NULL
// Copies the answer's first `cap` bytes to out and sets *len to all its bytes. False: not there.
bool cache_get(struct cache *c, const void *key, size_t key_len, void *out, size_t cap, size_t *len);
// An answer too large for a sixteenth of the cache is not kept.
void cache_put(struct cache *c, const void *key, size_t key_len, const void *answer, size_t len);
size_t cache_bytes(struct cache *c);

#endif
