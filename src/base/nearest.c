// nearest.c - see nearest.h.
#include "base/nearest.h"

#include <string.h>

// Levenshtein distance; words longer than the row are far from everything.
static size_t edit_distance(const char *a, const char *b) {
  enum { LONGEST = 64 };
  size_t n = strlen(b), row[LONGEST + 1];
  if (n > LONGEST || strlen(a) > LONGEST) return LONGEST;
  for (size_t j = 0; j <= n; j++) row[j] = j;
  for (size_t i = 0; a[i]; i++) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < n; j++) {
      size_t change = diagonal + (a[i] != b[j]), add = row[j] + 1, drop = row[j + 1] + 1;
      diagonal = row[j + 1];
      row[j + 1] = change < add ? change : add;
      if (drop < row[j + 1]) row[j + 1] = drop;
    }
  }
  return row[n];
}

const char *nearest_name(const char *word, const void *list, size_t count, const char *(*name)(const void *, size_t)) {
  const char *best = NULL;
  size_t best_distance = strlen(word) / 3 + 2; // nearer than this: "schems", "--bacth"
  for (size_t i = 0; i < count; i++) {
    size_t distance = edit_distance(word, name(list, i));
    if (distance >= best_distance) continue;
    best = name(list, i);
    best_distance = distance;
  }
  return best;
}
