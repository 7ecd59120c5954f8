// linear.c - any bytes as a code of positions, as a list of features, and as a text of n-grams: read to its end or
// refused, positions ascending and below the limit, rows below their number. The first four bytes choose the settings.
#include "base/rice.h"
#include "pack/sparse.h"
#include "text/ngram.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_code(const uint8_t *code, size_t len, uint64_t limit) {
  struct rice_reader r;
  if (!rice_open(&r, code, len)) return;
  uint64_t last = 0, position;
  for (size_t n = 0; rice_next(&r, limit, &position); n++) {
    if (position >= limit || (n && position <= last)) abort();
    last = position;
  }
  rice_at_end(&r);
}

static void count_entry(void *context, size_t n, size_t k, float value) {
  const struct stored *s = context;
  (void)value;
  if (n >= s->N || k >= s->K) abort();
}

static void read_sparse(const uint8_t *code, size_t len, size_t values) {
  static const int8_t zeros[256];
  static const float scale[8];
  struct stored s = {.encoding = &encoding_sparse_int8, .N = 8, .K = 31};
  s.part_count = s.encoding->layout(s.N, s.K, s.parts);
  s.parts[0].data = zeros;
  s.parts[0].bytes = values;
  s.parts[1].data = code;
  s.parts[1].bytes = len;
  s.parts[2].data = scale;
  if (!s.encoding->check(&s)) sparse_each(&s, count_entry, &s);
}

static void read_text(const struct ngram_settings *s, const uint8_t *code, size_t len, size_t rows) {
  struct ngrams g;
  struct pare_error err = {0};
  if (ngrams_init(&g, s, code, len, rows, "fuzz", &err)) return;
  uint64_t seen[8] = {0};
  uint32_t ids[100];
  struct ngram_rows r = {.ngrams = &g, .seen = seen, .ids = ids, .cap = 100};
  enum pare_status status = ngram_rows_add(&r, (struct text_span){(const char *)code, len}, &err);
  if (status && status != PARE_DATA) abort();
  ngram_rows_end(&r);
  for (size_t i = 0; i < r.len; i++)
    if (ids[i] >= rows) abort();
  for (size_t i = 0; i < 8; i++)
    if (seen[i]) abort();
  ngrams_free(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 4) return 0;
  struct ngram_settings s = {.lowercase = data[0] & 1,
                             .word_min = 1,
                             .word_max = data[1] % 9,
                             .char_min = 1,
                             .char_max = data[2] % 9,
                             .bits = 8 + data[0] % 5,
                             .seed = data[3]};
  uint8_t *bytes = malloc(size > 4 ? size - 4 : 1); // as long as it is said to be: sanitizers see one byte more
  if (!bytes) return 0;
  memcpy(bytes, data + 4, size - 4);
  read_code(bytes, size - 4, 1u << data[3] % 31);
  read_sparse(bytes, size - 4, data[1]);
  if (!ngram_settings_problem(&s)) read_text(&s, bytes, size - 4, data[2]);
  free(bytes);
  return 0;
}
