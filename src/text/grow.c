// grow.c - see grow.h. Byte-level pieces are only put one behind another, so after a whole character a text can be
// decoded from there. Other decoders look back (at whether a piece is the first, at spaces before punctuation), and
// their texts are decoded whole.
#include "text/grow.h"

#include <stdlib.h>
#include <string.h>

#include "text/impl.h"

// U+FFFD at the end may stand for a character whose bytes are not all there. Where spaces are closed afterwards
// (clean_up_tokenization_spaces), only runs of the characters its rules are made of can change, so a text is certain up
// to its last other character.
static size_t settled(const struct tokenizer *t, const char *text, size_t len) {
  static const char rule_characters[] = " .?!,'ntmsvre";
  while (len >= 3 && !memcmp(text + len - 3, "\xEF\xBF\xBD", 3)) len -= 3;
  while (t->text_cleanup && len && memchr(rule_characters, text[len - 1], sizeof rule_characters - 1)) len--;
  return len;
}

enum pare_status text_grow(const struct tokenizer *t, const uint32_t *ids, size_t n, struct growing_text *g,
                           struct pare_error *err) {
  char *tail;
  size_t len;
  enum pare_status status = tokenizer_decode(t, ids + g->known_ids, n - g->known_ids, true, &tail, &len, err);
  if (status) return status;
  g->text.len = g->known_size;
  buf_add(&g->text, tail, len);
  free(tail);
  if (g->text.failed) return error_no_memory(err);
  g->settled = settled(t, g->text.data, g->text.len);
  if (t->decoder == DECODE_BYTE_LEVEL && g->settled == g->text.len) {
    g->known_ids = n;
    g->known_size = g->text.len;
  }
  return PARE_OK;
}
