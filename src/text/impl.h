// impl.h - what a loaded tokenizer is. Private to text/.
#ifndef PARE_TEXT_IMPL_H
#define PARE_TEXT_IMPL_H

#include "text/added.h"
#include "text/bpe.h"
#include "text/fastai.h"
#include "text/ngram.h"
#include "text/normalize.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/vocab.h"
#include "text/wordpiece.h"

enum { MAX_NORMALIZERS = 16, MAX_PRETOKENIZERS = 8, MAX_TEMPLATE = 64 };

enum special_role { ROLE_BOS, ROLE_EOS, ROLE_UNK, ROLE_SEP, ROLE_PAD, ROLE_CLS, ROLE_MASK, ROLE_COUNT };

// What the post-processor writes, in order: a text's ids, or one special token.
struct template {
  struct template_part {
    enum { PART_FIRST, PART_SECOND, PART_SPECIAL } what;
    uint8_t type;
    uint32_t id; // SPECIAL
  } parts[MAX_TEMPLATE];
  size_t count, specials;
};

enum decoder_kind { DECODE_NONE, DECODE_BYTE_LEVEL, DECODE_WORDPIECE };

struct tokenizer {
  enum { MODEL_BPE, MODEL_WORDPIECE, MODEL_FASTAI, MODEL_NGRAMS } model;
  struct ngrams ngrams; // of MODEL_NGRAMS: then nothing but this and max_length counts
  struct vocab vocab;   // of the model
  struct bpe bpe;
  struct wordpiece wordpiece;
  struct fastai *fastai; // what comes before its vocabulary: not the components below
  struct normalizer normalizers[MAX_NORMALIZERS];
  size_t normalizer_count;
  struct pretokenizer pretokenizers[MAX_PRETOKENIZERS]; // BYTE_LEVEL only last
  size_t pretokenizer_count;
  struct added added;
  struct template single, pair;
  enum decoder_kind decoder;
  char *decoder_prefix; // WORDPIECE
  bool decoder_cleanup; // WORDPIECE: per piece
  bool text_cleanup;    // clean_up_tokenization_spaces: the whole text; never for BPE
  bool truncate_left;
  size_t max_length;
  int64_t roles[ROLE_COUNT]; // -1: none
};

// The model sees bytes, spelled as characters (byte-level BPE).
static inline bool tokenizer_is_byte_level(const struct tokenizer *t) {
  return t->pretokenizer_count && t->pretokenizers[t->pretokenizer_count - 1].kind == PRETOKENIZE_BYTE_LEVEL;
}

// False: full.
bool template_add(struct template *t, struct template_part part);

#endif
