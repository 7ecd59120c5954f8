// bpe.c - start from single bytes (or characters) and merge, again and again, the adjacent pair of lowest rank, the
// leftmost first among equals. A heap of candidate pairs makes a word of n symbols O(n log n). Entries go stale when a
// neighbour merges; one is skipped when its pair no longer yields the piece it promised (the rule of Hugging Face's
// library, followed here to the letter because two pairs may yield the same piece at different ranks).
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

enum { NONE = UINT32_MAX }; // no neighbour

uint32_t bpe_byte_to_char(uint8_t byte) {
  if ((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE) return byte;
  if (byte <= 0x20) return 0x100u + byte;       // the 33 bytes before '!'
  if (byte == 0xAD) return 0x143;               // the last: soft hyphen
  return 0x100u + 33 + (uint32_t)(byte - 0x7F); // 0x7F .. 0xA0: 34 bytes
}

int bpe_char_to_byte(uint32_t c) {
  if ((c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xFF && c != 0xAD)) return (int)c;
  if (c < 0x100 || c > 0x143) return -1;
  if (c == 0x143) return 0xAD;
  return c <= 0x120 ? (int)(c - 0x100) : (int)(c - 0x121 + 0x7F);
}

void bpe_find_bytes(struct bpe *b, const struct vocab *v) {
  for (unsigned i = 0; i < 256; i++) {
    char text[4];
    size_t len = unicode_write(bpe_byte_to_char((uint8_t)i), text);
    int64_t id = vocab_find(v, text, len);
    b->byte_id[i] = id < 0 ? BPE_NO_ID : (uint32_t)id;
  }
}

static size_t first_slot(const struct bpe *b, uint64_t pair) {
  return (size_t)((pair * 0x9e3779b97f4a7c15u) >> 24) & (b->merge_slots - 1);
}

// The slot of pair, or the empty one where it would go.
static struct bpe_merge *find_slot(const struct bpe *b, uint64_t pair) {
  size_t i = first_slot(b, pair);
  while (b->merges[i].used && b->merges[i].pair != pair) i = (i + 1) & (b->merge_slots - 1);
  return &b->merges[i];
}

static bool grow_merges(struct bpe *b) {
  if (b->rank_count * 2 < b->merge_slots) return true;
  struct bpe bigger = *b;
  bigger.merge_slots = b->merge_slots ? b->merge_slots * 2 : 64;
  bigger.merges = calloc(bigger.merge_slots, sizeof *bigger.merges);
  if (!bigger.merges) return false;
  for (size_t i = 0; i < b->merge_slots; i++) {
    if (b->merges[i].used) *find_slot(&bigger, b->merges[i].pair) = b->merges[i];
  }
  free(b->merges);
  *b = bigger;
  return true;
}

bool bpe_add_merge(struct bpe *b, uint32_t left, uint32_t right, uint32_t merged) {
  if (!grow_merges(b)) return false;
  if (b->rank_count == b->rank_cap) {
    size_t cap = b->rank_cap ? b->rank_cap * 2 : 1024;
    uint32_t *p = realloc(b->merged, cap * sizeof *p);
    if (!p) return false;
    b->merged = p;
    b->rank_cap = cap;
  }
  uint64_t pair = (uint64_t)left << 32 | right;
  *find_slot(b, pair) = (struct bpe_merge){pair, (uint32_t)b->rank_count, true};
  b->merged[b->rank_count++] = merged;
  return true;
}

void bpe_free(struct bpe *b) {
  free(b->merges);
  free(b->merged);
  *b = (struct bpe){0};
}

void bpe_scratch_free(struct bpe_scratch *s) {
  free(s->symbols);
  free(s->heap);
  buf_free(&s->spelled);
  *s = (struct bpe_scratch){0};
}

// BPE_NO_ID: the two do not merge.
static uint32_t pair_rank(const struct bpe *b, uint32_t left, uint32_t right) {
  if (!b->merge_slots) return BPE_NO_ID;
  const struct bpe_merge *m = find_slot(b, (uint64_t)left << 32 | right);
  return m->used ? m->rank : BPE_NO_ID;
}

static bool heap_push(struct bpe_scratch *s, uint32_t rank, uint32_t position) {
  if (s->heap_len == s->heap_cap) {
    size_t cap = s->heap_cap ? s->heap_cap * 2 : 64;
    uint64_t *p = realloc(s->heap, cap * sizeof *p);
    if (!p) return false;
    s->heap = p;
    s->heap_cap = cap;
  }
  uint64_t value = (uint64_t)rank << 32 | position;
  size_t i = s->heap_len++;
  while (i > 0 && s->heap[(i - 1) / 2] > value) {
    s->heap[i] = s->heap[(i - 1) / 2];
    i = (i - 1) / 2;
  }
  s->heap[i] = value;
  return true;
}

static uint64_t heap_pop(struct bpe_scratch *s) {
  uint64_t top = s->heap[0], value = s->heap[--s->heap_len];
  size_t i = 0;
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= s->heap_len) break;
    if (child + 1 < s->heap_len && s->heap[child + 1] < s->heap[child]) child++;
    if (s->heap[child] >= value) break;
    s->heap[i] = s->heap[child];
    i = child;
  }
  s->heap[i] = value;
  return top;
}

static bool push_pair(const struct bpe *b, struct bpe_scratch *s, uint32_t left) {
  uint32_t right = s->symbols[left].next;
  if (right == NONE) return true;
  uint32_t rank = pair_rank(b, s->symbols[left].id, s->symbols[right].id);
  return rank == BPE_NO_ID || heap_push(s, rank, left);
}

static bool merge_all(const struct bpe *b, struct bpe_scratch *s, size_t count) {
  struct bpe_symbol *sym = s->symbols;
  for (size_t i = 0; i < count; i++) {
    sym[i].prev = i ? (uint32_t)i - 1 : NONE;
    sym[i].next = i + 1 < count ? (uint32_t)i + 1 : NONE;
  }
  s->heap_len = 0;
  for (size_t i = 0; i + 1 < count; i++) {
    if (!push_pair(b, s, (uint32_t)i)) return false;
  }
  while (s->heap_len) {
    uint64_t top = heap_pop(s);
    uint32_t left = (uint32_t)top, promised = b->merged[top >> 32];
    if (sym[left].id == BPE_NO_ID || sym[left].next == NONE) continue;
    uint32_t right = sym[left].next;
    uint32_t rank = pair_rank(b, sym[left].id, sym[right].id);
    if (rank == BPE_NO_ID || b->merged[rank] != promised) continue;
    sym[left].id = promised;
    sym[left].next = sym[right].next;
    sym[right].id = BPE_NO_ID;
    if (sym[left].next != NONE) sym[sym[left].next].prev = left;
    if (sym[left].prev != NONE && !push_pair(b, s, sym[left].prev)) return false;
    if (!push_pair(b, s, left)) return false;
  }
  return true;
}

// Fills s->symbols with the pieces of single symbols; returns how many.
static size_t split_symbols(const struct bpe *b, const struct vocab *v, const char *word, size_t len, bool bytes,
                            struct bpe_scratch *s, bool *unk_missing) {
  size_t count = 0;
  bool after_unk = false; // the last symbol is an unknown one, which fuse_unk extends
  for (size_t i = 0, step = 1; i < len; i += step) {
    uint32_t id;
    if (bytes) {
      id = b->byte_id[(uint8_t)word[i]];
    } else {
      unicode_read(word + i, &step);
      int64_t found = vocab_find(v, word + i, step);
      id = found < 0 ? BPE_NO_ID : (uint32_t)found;
    }
    bool unknown = id == BPE_NO_ID;
    if (unknown && !b->has_unk) continue;
    if (unknown && b->unk_id == BPE_NO_ID) {
      *unk_missing = true;
      continue;
    }
    if (unknown && after_unk && b->fuse_unk) continue;
    s->symbols[count++].id = unknown ? b->unk_id : id;
    after_unk = unknown;
  }
  return count;
}

static bool grow_symbols(struct bpe_scratch *s, size_t len) {
  if (len <= s->symbol_cap) return true;
  size_t cap = s->symbol_cap ? s->symbol_cap : 64;
  while (cap < len) cap *= 2;
  struct bpe_symbol *p = realloc(s->symbols, cap * sizeof *p);
  if (!p) return false;
  s->symbols = p;
  s->symbol_cap = cap;
  return true;
}

// The whole word as one piece, spelled as the vocabulary spells it; -1: none.
static int64_t find_whole(const struct vocab *v, const char *word, size_t len, bool bytes, struct buf *spelled) {
  if (len > v->longest) return -1; // spelling only lengthens it
  if (!bytes) return vocab_find(v, word, len);
  spelled->len = 0;
  for (size_t i = 0; i < len; i++) {
    char text[4];
    buf_add(spelled, text, unicode_write(bpe_byte_to_char((uint8_t)word[i]), text));
  }
  return spelled->failed ? -1 : vocab_find(v, spelled->data, spelled->len);
}

bool bpe_encode(const struct bpe *b, const struct vocab *v, const char *word, size_t len, bool bytes,
                struct bpe_scratch *s, struct codes *out, bool *unk_missing) {
  if (b->ignore_merges) {
    int64_t id = find_whole(v, word, len, bytes, &s->spelled);
    if (s->spelled.failed) return false;
    if (id >= 0) return codes_push(out, (uint32_t)id);
  }
  if (!grow_symbols(s, len)) return false;
  size_t count = split_symbols(b, v, word, len, bytes, s, unk_missing);
  if (count == 0) return true;
  if (!merge_all(b, s, count) || !codes_reserve(out, count)) return false;
  for (size_t i = 0; i < count; i++) {
    if (s->symbols[i].id != BPE_NO_ID) out->data[out->len++] = s->symbols[i].id;
  }
  return true;
}
