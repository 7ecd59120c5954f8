// vocab.c - an open-addressing table (linear probing, at most half full) over a pool of strings.
#include "text/vocab.h"

#include <stdlib.h>
#include <string.h>

// FNV's low bits are weak for short strings; a multiply by 2^64 / phi spreads them to the top half.
static uint64_t spread(uint64_t h) {
  h ^= h >> 32;
  return h * 0x9e3779b97f4a7c15u;
}

static uint64_t hash_bytes(const char *p, size_t len) {
  uint64_t h = vocab_hash_start();
  for (size_t i = 0; i < len; i++) h = vocab_hash_add(h, (unsigned char)p[i]);
  return h;
}

static size_t first_slot(const struct vocab *v, uint64_t spread_hash) {
  return (size_t)(spread_hash >> 20) & (v->slot_count - 1);
}

static uint32_t tag_of(uint64_t spread_hash) {
  return (uint32_t)(spread_hash >> 32);
}

static void insert_slot(struct vocab *v, uint64_t spread_hash, uint32_t id) {
  size_t i = first_slot(v, spread_hash);
  while (v->slots[i].id1) i = (i + 1) & (v->slot_count - 1);
  v->slots[i] = (struct vocab_slot){tag_of(spread_hash), id + 1};
}

static bool grow_slots(struct vocab *v) {
  if (v->count * 2 < v->slot_count) return true;
  struct vocab bigger = *v;
  bigger.slot_count = v->slot_count ? v->slot_count * 2 : 64;
  bigger.slots = calloc(bigger.slot_count, sizeof *bigger.slots);
  if (!bigger.slots) return false;
  for (size_t i = 0; i < v->slot_count; i++) {
    if (!v->slots[i].id1) continue;
    uint32_t id = v->slots[i].id1 - 1;
    struct vocab_piece p = v->pieces[id];
    insert_slot(&bigger, spread(hash_bytes(v->bytes + p.offset, p.len)), id);
  }
  free(v->slots);
  *v = bigger;
  return true;
}

static bool grow_pieces(struct vocab *v, uint32_t id) {
  if (id < v->pieces_cap) return true;
  size_t cap = v->pieces_cap ? v->pieces_cap : 256;
  while (cap <= id) cap *= 2;
  struct vocab_piece *p = realloc(v->pieces, cap * sizeof *p);
  if (!p) return false;
  memset(p + v->pieces_cap, 0, (cap - v->pieces_cap) * sizeof *p);
  v->pieces = p;
  v->pieces_cap = cap;
  return true;
}

static bool grow_bytes(struct vocab *v, size_t more) {
  size_t need = v->bytes_len + more;
  if (need <= v->bytes_cap) return true;
  size_t cap = v->bytes_cap ? v->bytes_cap : 4096;
  while (cap < need) cap *= 2;
  char *p = realloc(v->bytes, cap);
  if (!p) return false;
  v->bytes = p;
  v->bytes_cap = cap;
  return true;
}

int64_t vocab_find_hashed(const struct vocab *v, uint64_t h, const char *head, size_t head_len, const char *tail,
                          size_t tail_len) {
  if (!v->slot_count) return -1;
  h = spread(h);
  for (size_t i = first_slot(v, h);; i = (i + 1) & (v->slot_count - 1)) {
    struct vocab_slot s = v->slots[i];
    if (!s.id1) return -1;
    if (s.tag != tag_of(h)) continue;
    struct vocab_piece p = v->pieces[s.id1 - 1];
    if (p.len != head_len + tail_len) continue;
    const char *bytes = v->bytes + p.offset;
    if (head_len && memcmp(bytes, head, head_len) != 0) continue;
    if (tail_len && memcmp(bytes + head_len, tail, tail_len) != 0) continue;
    return (int64_t)s.id1 - 1;
  }
}

int64_t vocab_find(const struct vocab *v, const char *piece, size_t len) {
  return vocab_find_hashed(v, hash_bytes(piece, len), NULL, 0, piece, len);
}

const char *vocab_piece(const struct vocab *v, uint32_t id, size_t *len) {
  if (id >= v->size || !v->pieces[id].offset) return NULL;
  if (len) *len = v->pieces[id].len;
  return v->bytes + v->pieces[id].offset;
}

enum vocab_result vocab_put(struct vocab *v, const char *piece, size_t len, uint32_t id) {
  if (id < v->size && v->pieces[id].offset) return VOCAB_SAME_ID;
  if (vocab_find(v, piece, len) >= 0) return VOCAB_SAME_TEXT;
  if (v->bytes_len + len + 2 > UINT32_MAX) return VOCAB_FULL;
  if (!grow_slots(v) || !grow_pieces(v, id) || !grow_bytes(v, len + 2)) return VOCAB_NO_MEMORY;
  if (v->bytes_len == 0) v->bytes[v->bytes_len++] = 0; // so that no piece has offset 0
  v->pieces[id] = (struct vocab_piece){(uint32_t)v->bytes_len, (uint32_t)len};
  if (len) memcpy(v->bytes + v->bytes_len, piece, len);
  v->bytes[v->bytes_len + len] = 0;
  v->bytes_len += len + 1;
  insert_slot(v, spread(hash_bytes(piece, len)), id);
  v->count++;
  if (id >= v->size) v->size = (size_t)id + 1;
  if (len > v->longest) v->longest = len;
  return VOCAB_OK;
}

enum vocab_result vocab_move(struct vocab *v, const char *piece, size_t len, uint32_t id) {
  int64_t old = vocab_find(v, piece, len);
  if (old < 0 || (id < v->size && v->pieces[id].offset)) return VOCAB_SAME_ID;
  if (!grow_pieces(v, id)) return VOCAB_NO_MEMORY;
  for (size_t i = first_slot(v, spread(hash_bytes(piece, len)));; i = (i + 1) & (v->slot_count - 1)) {
    if (v->slots[i].id1 != (uint32_t)old + 1) continue;
    v->slots[i].id1 = id + 1;
    break;
  }
  v->pieces[id] = v->pieces[old];
  v->pieces[old] = (struct vocab_piece){0, 0};
  if (id >= v->size) v->size = (size_t)id + 1;
  return VOCAB_OK;
}

enum vocab_result vocab_put_again(struct vocab *v, const char *piece, size_t len, uint32_t id) {
  int64_t first = vocab_find(v, piece, len);
  if (first < 0 || (id < v->size && v->pieces[id].offset)) return VOCAB_SAME_ID;
  if (!grow_pieces(v, id)) return VOCAB_NO_MEMORY;
  v->pieces[id] = v->pieces[first];
  if (id >= v->size) v->size = (size_t)id + 1;
  return VOCAB_OK;
}

void vocab_free(struct vocab *v) {
  free(v->bytes);
  free(v->pieces);
  free(v->slots);
  *v = (struct vocab){0};
}
