// vocab.h - pieces and their ids, both ways.
#ifndef PARE_TEXT_VOCAB_H
#define PARE_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VOCAB_MAX_ID = 1 << 24 }; // ids are below; real vocabularies end near 2^18

// Zero-initialise; vocab_free at the end. Ids may have holes.
struct vocab {
  char *bytes; // pieces, each NUL-terminated
  size_t bytes_len, bytes_cap;
  struct vocab_piece {
    uint32_t offset, len;  // offset 0: no such id (a piece never starts there)
  } * pieces;              // by id
  size_t size, pieces_cap; // highest id + 1
  struct vocab_slot {
    uint32_t tag, id1; // high half of the hash; id + 1, 0 when empty
  } * slots;
  size_t slot_count; // a power of two
  size_t count;      // pieces
  size_t longest;    // bytes
};

enum vocab_result { VOCAB_OK, VOCAB_SAME_ID, VOCAB_SAME_TEXT, VOCAB_FULL, VOCAB_NO_MEMORY };
// SAME_ID: id has another piece; SAME_TEXT: the piece has another id; FULL: 4 GiB of text. Nothing changed then.
// id < VOCAB_MAX_ID.
enum vocab_result vocab_put(struct vocab *v, const char *piece, size_t len, uint32_t id);
// Moves an existing piece to another free id (its old id becomes a hole).
enum vocab_result vocab_move(struct vocab *v, const char *piece, size_t len, uint32_t id);
// Gives a free id the text of an existing piece, which is still found under its own id only.
enum vocab_result vocab_put_again(struct vocab *v, const char *piece, size_t len, uint32_t id);
void vocab_free(struct vocab *v);

int64_t vocab_find(const struct vocab *v, const char *piece, size_t len); // -1: none
const char *vocab_piece(const struct vocab *v, uint32_t id, size_t *len); // NULL: none; len may be NULL

// The hash is a running one, so that a caller trying many lengths hashes each byte once.
static inline uint64_t vocab_hash_start(void) {
  return 0xcbf29ce484222325u; // FNV-1a
}
static inline uint64_t vocab_hash_add(uint64_t h, unsigned char c) {
  return (h ^ c) * 0x100000001b3u;
}
// The piece head + tail, whose bytes hash to h.
int64_t vocab_find_hashed(const struct vocab *v, uint64_t h, const char *head, size_t head_len, const char *tail,
                          size_t tail_len);

#endif
