// rouge.c - see rouge.h. Words become numbers, equal words equal numbers; the rest works on numbers.
#include "report/rouge.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

const char *const rouge_names[ROUGE_KINDS] = {"rouge1", "rouge2", "rougeL"};

// ---- words ----

struct word {
  const char *text;
  size_t len, place; // among the words of both texts
};
struct words {
  char *text; // in lower case, other characters as NUL
  struct word *list;
  size_t count;
};

// The letters and digits of ASCII in lower case; 0 for anything else. Two characters beyond ASCII have an ASCII letter
// as (the beginning of) their lower case, and Python's lower() knows: the Kelvin sign and the dotted capital I.
static char lower(const char *s, size_t left, size_t *used) {
  unsigned char c = (unsigned char)*s;
  *used = 1;
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) return (char)c;
  if (c >= 'A' && c <= 'Z') return (char)(c - 'A' + 'a');
  if (left >= 3 && memcmp(s, "\xE2\x84\xAA", 3) == 0) {
    *used = 3;
    return 'k';
  }
  return 0;
}

// "\xC4\xB0" is i and a combining dot, which ends the word: as two bytes, 'i' and a blank.
static size_t lower_all(const char *s, size_t len, char *out) {
  size_t n = 0, used;
  for (size_t i = 0; i < len; i += used) {
    out[n++] = lower(s + i, len - i, &used);
    if (i + 1 < len && memcmp(s + i, "\xC4\xB0", 2) == 0) out[n - 1] = 'i';
  }
  return n;
}

static enum pare_status split(const char *s, size_t len, size_t first, struct words *out, struct pare_error *err) {
  out->text = calloc(len + 1, 1);
  out->list = calloc(len / 2 + 1, sizeof *out->list); // a word has a byte and, but for the last, a blank
  if (!out->text || !out->list) return error_no_memory(err);
  size_t n = lower_all(s, len, out->text);
  for (size_t i = 0; i < n;) {
    size_t start = i;
    while (i < n && out->text[i]) i++;
    if (i > start) {
      out->list[out->count] = (struct word){out->text + start, i - start, first + out->count};
      out->count++;
    } else {
      i++;
    }
  }
  return PARE_OK;
}

static int by_text(const void *a, const void *b) {
  const struct word *x = a, *y = b;
  int order = memcmp(x->text, y->text, size_min(x->len, y->len));
  return order ? order : (x->len > y->len) - (x->len < y->len);
}

// ids[place] of every word, equal for equal words. Orders list.
static void number_words(struct word *list, size_t n, uint64_t *ids) {
  if (n > 1) qsort(list, n, sizeof *list, by_text);
  uint64_t id = 0;
  for (size_t i = 0; i < n; i++) {
    if (i && by_text(&list[i - 1], &list[i]) != 0) id++;
    ids[list[i].place] = id;
  }
}

// ---- scores ----

static struct rouge_score score(size_t shared, size_t of_reference, size_t of_answer) {
  struct rouge_score s = {(double)shared / (double)size_max(of_answer, 1),
                          (double)shared / (double)size_max(of_reference, 1), 0};
  if (shared) s.f1 = 2 * s.precision * s.recall / (s.precision + s.recall);
  return s;
}

static int by_number(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

// Sorted n-grams of one text; a pair of numbers is one number, since both are below 2^32. Returns how many.
static size_t grams(const uint64_t *ids, size_t n, size_t order, uint64_t *out) {
  size_t count = n >= order ? n - order + 1 : 0;
  for (size_t i = 0; i < count; i++) out[i] = order == 1 ? ids[i] : ids[i] << 32 | ids[i + 1];
  if (count > 1) qsort(out, count, sizeof *out, by_number);
  return count;
}

// Each n-gram counts as often as it stands in both. x, y: scratch of m and n.
static struct rouge_score score_grams(const uint64_t *reference, size_t m, const uint64_t *answer, size_t n,
                                      size_t order, uint64_t *x, uint64_t *y) {
  size_t a = grams(reference, m, order, x), b = grams(answer, n, order, y), shared = 0;
  for (size_t i = 0, j = 0; i < a && j < b;) {
    if (x[i] == y[j]) {
      shared++, i++, j++;
    } else if (x[i] < y[j]) {
      i++;
    } else {
      j++;
    }
  }
  return score(shared, a, b);
}

// Length of the longest common subsequence; row: (n + 1), overwritten.
static size_t common(const uint64_t *a, size_t m, const uint64_t *b, size_t n, uint64_t *row) {
  memset(row, 0, (n + 1) * sizeof *row);
  for (size_t i = 0; i < m; i++) {
    uint64_t diagonal = 0;
    for (size_t j = 0; j < n; j++) {
      uint64_t above = row[j + 1];
      row[j + 1] = a[i] == b[j] ? diagonal + 1 : above > row[j] ? above : row[j];
      diagonal = above;
    }
  }
  return (size_t)row[n];
}

enum pare_status rouge_compute(const char *reference, size_t reference_len, const char *answer, size_t answer_len,
                               struct rouge_score *out, struct pare_error *err) {
  struct words r = {0}, a = {0};
  enum pare_status status = split(reference, reference_len, 0, &r, err);
  if (status == PARE_OK) status = split(answer, answer_len, r.count, &a, err);
  size_t m = r.count, n = a.count, all = m + n;
  struct word *list = calloc(all + 1, sizeof *list);
  uint64_t *ids = calloc(all + 1, sizeof *ids), *scratch = calloc(all + 1, sizeof *scratch);
  if (status == PARE_OK && (!list || !ids || !scratch)) status = error_no_memory(err);
  if (status == PARE_OK) {
    if (m) memcpy(list, r.list, m * sizeof *list);
    if (n) memcpy(list + m, a.list, n * sizeof *list);
    number_words(list, all, ids);
    out[ROUGE_1] = score_grams(ids, m, ids + m, n, 1, scratch, scratch + m);
    out[ROUGE_2] = score_grams(ids, m, ids + m, n, 2, scratch, scratch + m);
    out[ROUGE_L] = score(common(ids, m, ids + m, n, scratch), m, n);
  }
  free(list);
  free(ids);
  free(scratch);
  free(r.text);
  free(r.list);
  free(a.text);
  free(a.list);
  return status;
}
