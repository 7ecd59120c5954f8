// similarity.c - see similarity.h.
#include "report/similarity.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/size.h"

// The code point at *at, which moves on; a byte that is not UTF-8 stands for itself, above all code points.
static uint32_t next(struct similarity_text t, size_t *at) {
  utf8proc_int32_t c;
  utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)t.bytes + *at, (utf8proc_ssize_t)(t.len - *at), &c);
  if (n <= 0) return 0x110000u + (unsigned char)t.bytes[(*at)++];
  *at += (size_t)n;
  return (uint32_t)c;
}

size_t similarity_length(struct similarity_text t) {
  size_t count = 0;
  for (size_t at = 0; at < t.len; count++) next(t, &at);
  return count;
}

// ---- edit distance ----

static size_t decode(struct similarity_text t, uint32_t *out) {
  size_t count = 0;
  for (size_t at = 0; at < t.len;) out[count++] = next(t, &at);
  return count;
}

// Row by row over b, the row of distances to the beginnings of a: row[j] = distance(a[..j], b[..i]). (a_len + 1) cells.
static size_t distance(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len, size_t *row) {
  for (size_t j = 0; j <= a_len; j++) row[j] = j;
  for (size_t i = 0; i < b_len; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < a_len; j++) {
      size_t substitute = diagonal + (a[j] != b[i]), add = size_min(row[j], row[j + 1]) + 1;
      diagonal = row[j + 1];
      row[j + 1] = size_min(substitute, add);
    }
  }
  return row[a_len];
}

enum pare_status similarity_char(struct similarity_text a, struct similarity_text b, double *out,
                                 struct pare_error *err) {
  uint32_t *x = calloc(a.len + 1, sizeof *x), *y = calloc(b.len + 1, sizeof *y);
  size_t *row = calloc(a.len + 1, sizeof *row);
  enum pare_status status = x && y && row ? PARE_OK : error_no_memory(err);
  if (status == PARE_OK) {
    size_t m = decode(a, x), n = decode(b, y), longer = size_max(m, n), start = 0;
    // What both begin and end with costs nothing in any best alignment.
    while (start < m && start < n && x[start] == y[start]) start++;
    while (m > start && n > start && x[m - 1] == y[n - 1]) m--, n--;
    size_t d = distance(x + start, m - start, y + start, n - start, row);
    *out = longer ? 1 - (double)d / (double)longer : 1;
  }
  free(x);
  free(y);
  free(row);
  return status;
}

// ---- ids ----

static int by_id(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

// Sorted, each id once.
static size_t make_set(uint32_t *ids, size_t n) {
  size_t count = 0;
  if (n > 1) qsort(ids, n, sizeof *ids, by_id);
  for (size_t i = 0; i < n; i++) {
    if (count == 0 || ids[i] != ids[count - 1]) ids[count++] = ids[i];
  }
  return count;
}

enum pare_status similarity_jaccard(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len, double *out,
                                    struct pare_error *err) {
  uint32_t *x = calloc(a_len + 1, sizeof *x), *y = calloc(b_len + 1, sizeof *y);
  enum pare_status status = x && y ? PARE_OK : error_no_memory(err);
  if (status == PARE_OK) {
    if (a_len) memcpy(x, a, a_len * sizeof *a);
    if (b_len) memcpy(y, b, b_len * sizeof *b);
    size_t m = make_set(x, a_len), n = make_set(y, b_len), shared = 0;
    for (size_t i = 0, j = 0; i < m && j < n;) {
      shared += x[i] == y[j];
      if (x[i] <= y[j]) {
        j += x[i] == y[j];
        i++;
      } else {
        j++;
      }
    }
    *out = m + n ? (double)shared / (double)(m + n - shared) : 1;
  }
  free(x);
  free(y);
  return status;
}

size_t similarity_divergence(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len) {
  size_t i = 0;
  while (i < a_len && i < b_len && a[i] == b[i]) i++;
  return i == a_len && i == b_len ? SIZE_MAX : i;
}

// ---- kinds of difference ----

static bool is_space(uint32_t c) {
  if (c >= 0x09 && c <= 0x0d) return true;
  utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
  return k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

// Letters, marks and digits make words.
static bool is_word(uint32_t c) {
  utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
  return c > 0x10ffff || (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_NO);
}

// The next code point that counts at this level, or -1 at the end.
static int64_t next_counted(struct similarity_text t, size_t *at, enum similarity_difference level) {
  while (*at < t.len) {
    uint32_t c = next(t, at);
    bool text = c <= 0x10ffff;
    if (text && level >= SIMILARITY_SPACING && is_space(c)) continue;
    if (text && level >= SIMILARITY_PUNCTUATION && !is_word(c)) continue;
    return text && level >= SIMILARITY_CASE ? utf8proc_tolower((utf8proc_int32_t)c) : (int64_t)c;
  }
  return -1;
}

static bool equal_at(struct similarity_text a, struct similarity_text b, enum similarity_difference level) {
  for (size_t i = 0, j = 0;;) {
    int64_t x = next_counted(a, &i, level), y = next_counted(b, &j, level);
    if (x != y) return false;
    if (x < 0) return true;
  }
}

enum similarity_difference similarity_difference(struct similarity_text a, struct similarity_text b) {
  int level = SIMILARITY_IDENTICAL;
  while (level < SIMILARITY_WORDS && !equal_at(a, b, (enum similarity_difference)level)) level++;
  return (enum similarity_difference)level;
}

const char *similarity_difference_name(enum similarity_difference d) {
  static const char *const names[] = {"identical", "spacing", "case", "punctuation", "words"};
  return names[d];
}
