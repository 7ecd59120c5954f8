// wordpiece.c - at each position one pass forward notes the hash of every prefix that could be a piece; the prefixes
// are then looked up from the longest down, so no byte is hashed twice for one position.
#include "text/wordpiece.h"

#include "base/size.h"
#include "text/unicode.h"

static size_t count_chars(const char *p, size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++) count += ((unsigned char)p[i] & 0xC0) != 0x80;
  return count;
}

// The longest piece at p: its id and length. -1: none. scratch holds triples: end, hash high, hash low.
static int64_t longest_piece(const struct wordpiece *w, const struct vocab *v, const char *p, size_t len, bool first,
                             struct codes *scratch, size_t *piece_len) {
  size_t prefix_len = first ? 0 : w->prefix_len;
  if (v->longest < prefix_len) return -1;
  size_t limit = size_min(len, v->longest - prefix_len);
  uint64_t h = first ? vocab_hash_start() : w->prefix_hash;
  scratch->len = 0;
  for (size_t i = 0; i < limit;) {
    h = vocab_hash_add(h, (unsigned char)p[i++]);
    while (i < limit && ((unsigned char)p[i] & 0xC0) == 0x80) h = vocab_hash_add(h, (unsigned char)p[i++]);
    if (i < len && ((unsigned char)p[i] & 0xC0) == 0x80) break; // cut by the limit inside a character
    scratch->data[scratch->len++] = (uint32_t)i;
    scratch->data[scratch->len++] = (uint32_t)(h >> 32);
    scratch->data[scratch->len++] = (uint32_t)h;
  }
  while (scratch->len) {
    scratch->len -= 3;
    const uint32_t *t = scratch->data + scratch->len;
    int64_t id = vocab_find_hashed(v, (uint64_t)t[1] << 32 | t[2], w->prefix, prefix_len, p, t[0]);
    if (id < 0) continue;
    *piece_len = t[0];
    return id;
  }
  return -1;
}

enum wordpiece_result wordpiece_encode(const struct wordpiece *w, const struct vocab *v, const char *word, size_t len,
                                       struct codes *scratch, struct codes *out) {
  size_t start = out->len;
  bool known = count_chars(word, len) <= w->max_chars;
  scratch->len = 0;
  if (known && !codes_reserve(scratch, 3 * size_min(len, v->longest))) return WORDPIECE_NO_MEMORY;
  for (size_t i = 0; known && i < len;) {
    size_t n = 0;
    int64_t id = longest_piece(w, v, word + i, len - i, i == 0, scratch, &n);
    known = id >= 0;
    if (known && !codes_push(out, (uint32_t)id)) return WORDPIECE_NO_MEMORY;
    i += n;
  }
  if (known) return WORDPIECE_OK;
  out->len = start;
  if (w->unk_id == WORDPIECE_NO_ID) return WORDPIECE_NO_UNK;
  return codes_push(out, w->unk_id) ? WORDPIECE_OK : WORDPIECE_NO_MEMORY;
}
