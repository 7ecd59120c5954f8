// bpe.h - byte pair encoding (Sennrich et al. 2016; on bytes: Radford et al. 2019).
#ifndef PARE_TEXT_BPE_H
#define PARE_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/codes.h"
#include "text/vocab.h"

enum { BPE_NO_ID = UINT32_MAX };

struct bpe {
  struct bpe_merge {
    uint64_t pair; // left id << 32 | right id
    uint32_t rank;
    bool used;
  } * merges;         // open addressing, at most half full
  size_t merge_slots; // a power of two
  uint32_t *merged;   // id of the merged piece, by rank
  size_t rank_count, rank_cap;
  uint32_t byte_id[256]; // piece of one byte as byte-level BPE spells it; BPE_NO_ID: none
  bool fuse_unk, ignore_merges;
  bool has_unk;    // a character without a piece becomes unk
  uint32_t unk_id; // BPE_NO_ID: the unknown token itself has no piece
};

// Storage for one word at a time, reused between words. Zero-initialise.
struct bpe_scratch {
  struct bpe_symbol {
    uint32_t id; // BPE_NO_ID: merged into its left neighbour
    uint32_t prev, next;
  } * symbols;
  size_t symbol_cap;
  uint64_t *heap; // rank << 32 | position, smallest first
  size_t heap_len, heap_cap;
  struct buf spelled; // a word as the vocabulary spells it
};
void bpe_scratch_free(struct bpe_scratch *s);

// Adds the merge of two pieces. The last of equal pairs wins, as in Hugging Face. False: out of memory.
bool bpe_add_merge(struct bpe *b, uint32_t left, uint32_t right, uint32_t merged);
void bpe_find_bytes(struct bpe *b, const struct vocab *v); // fills byte_id
void bpe_free(struct bpe *b);

// How byte-level BPE writes a byte: a printable character (U+0021 .. U+0143). Reverse: -1 for other characters.
uint32_t bpe_byte_to_char(uint8_t byte);
int bpe_char_to_byte(uint32_t c);

// Appends the ids of one word (not empty, shorter than 2^31). bytes: each byte is a symbol; otherwise each character
// is. O(n log n). False: out of memory. A character without a piece and without unk is dropped; with unk_id missing,
// *unk_missing is set.
bool bpe_encode(const struct bpe *b, const struct vocab *v, const char *word, size_t len, bool bytes,
                struct bpe_scratch *s, struct codes *out, bool *unk_missing);

#endif
