// cache.c - see cache.h. A table of chains by a hash that is seeded anew in every process, and one list in the order of
// use.
#include "cache.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct entry {
  struct entry *chain; // next of the same bucket
  struct entry *newer, *older;
  uint64_t hash;
  size_t key_len, len;
  unsigned char bytes[]; // key, then answer
};

struct cache {
  pthread_mutex_t lock;
  size_t limit, used, buckets; // buckets: a power of two
  uint64_t seed;
  struct entry **table, *newest, *oldest;
};

static void copy(void *to, const void *from, size_t len) {
  if (len) memcpy(to, from, len); // nothing may come without an address
}

static size_t size_of(size_t key_len, size_t len) {
  return sizeof(struct entry) + key_len + len + 16; // 16: what malloc adds
}

struct cache *cache_new(size_t bytes) {
  struct cache *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->limit = bytes;
  c->buckets = 64;
  while (c->buckets < bytes / 512) c->buckets *= 2; // about one bucket for a short question and its answer
  c->table = calloc(c->buckets, sizeof(struct entry *));
  if (!c->table || getrandom(&c->seed, sizeof c->seed, 0) != (ssize_t)sizeof c->seed) {
    free(c->table);
    free(c);
    return NULL;
  }
  pthread_mutex_init(&c->lock, NULL);
  return c;
}

void cache_free(struct cache *c) {
  if (!c) return;
  for (struct entry *e = c->newest, *next; e; e = next) {
    next = e->older;
    free(e);
  }
  pthread_mutex_destroy(&c->lock);
  free(c->table);
  free(c);
}

static uint64_t hash_of(const struct cache *c, const unsigned char *key, size_t len) {
  uint64_t h = c->seed ^ len * 0x9E3779B97F4A7C15u;
  for (; len >= 8; key += 8, len -= 8) {
    uint64_t word;
    memcpy(&word, key, 8);
    h = (h ^ word) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
  }
  for (; len; key++, len--) h = (h ^ *key) * 0x100000001B3u;
  h ^= h >> 29;
  return h * 0xBF58476D1CE4E5B9u;
}

static bool is_of(const struct entry *e, uint64_t hash, const void *key, size_t key_len) {
  return e->hash == hash && e->key_len == key_len && (!key_len || !memcmp(e->bytes, key, key_len));
}

static struct entry **find(struct cache *c, uint64_t hash, const void *key, size_t key_len) {
  struct entry **at = &c->table[hash >> 20 & (c->buckets - 1)];
  while (*at && !is_of(*at, hash, key, key_len)) at = &(*at)->chain;
  return at;
}

static void unlink_entry(struct cache *c, struct entry *e) {
  *(e->newer ? &e->newer->older : &c->newest) = e->older;
  *(e->older ? &e->older->newer : &c->oldest) = e->newer;
}

static void link_newest(struct cache *c, struct entry *e) {
  e->newer = NULL;
  e->older = c->newest;
  *(c->newest ? &c->newest->newer : &c->oldest) = e;
  c->newest = e;
}

bool cache_get(struct cache *c, const void *key, size_t key_len, void *out, size_t cap, size_t *len) {
  uint64_t hash = hash_of(c, key, key_len);
  pthread_mutex_lock(&c->lock);
  struct entry *e = *find(c, hash, key, key_len);
  if (e) {
    *len = e->len;
    copy(out, e->bytes + key_len, e->len < cap ? e->len : cap);
    unlink_entry(c, e);
    link_newest(c, e);
  }
  pthread_mutex_unlock(&c->lock);
  return e != NULL;
}

static void drop(struct cache *c, struct entry **at) {
  struct entry *e = *at;
  *at = e->chain;
  unlink_entry(c, e);
  c->used -= size_of(e->key_len, e->len);
  free(e);
}

void cache_put(struct cache *c, const void *key, size_t key_len, const void *answer, size_t len) {
  size_t size = size_of(key_len, len);
  if (key_len > c->limit || len > c->limit || size > c->limit / 16) return;
  struct entry *e = malloc(sizeof *e + key_len + len);
  if (!e) return;
  uint64_t hash = hash_of(c, key, key_len);
  *e = (struct entry){.hash = hash, .key_len = key_len, .len = len};
  copy(e->bytes, key, key_len);
  copy(e->bytes + key_len, answer, len);
  pthread_mutex_lock(&c->lock);
  struct entry **at = find(c, hash, key, key_len);
  if (*at) drop(c, at);
  while (c->oldest && c->used + size > c->limit)
    drop(c, find(c, c->oldest->hash, c->oldest->bytes, c->oldest->key_len));
  at = &c->table[hash >> 20 & (c->buckets - 1)];
  e->chain = *at;
  *at = e;
  link_newest(c, e);
  c->used += size;
  pthread_mutex_unlock(&c->lock);
}

size_t cache_bytes(struct cache *c) {
  pthread_mutex_lock(&c->lock);
  size_t used = c->used;
  pthread_mutex_unlock(&c->lock);
  return used;
}
