// similarity.h - how alike two answers are, as text and as token ids. Pure functions; symmetric unless said otherwise.
#ifndef PARE_REPORT_SIMILARITY_H
#define PARE_REPORT_SIMILARITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct similarity_text {
  const char *bytes;
  size_t len;
};

// 1 - d / max(length), d the edit distance (Levenshtein, 1966: insertions, deletions, substitutions), both in code
// points; 1 for two empty texts. Memory: linear in the lengths.
enum pare_status similarity_char(struct similarity_text a, struct similarity_text b, double *out,
                                 struct pare_error *err);

// Jaccard index of the two sets of ids: shared over all; 1 for two empty ones.
enum pare_status similarity_jaccard(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len, double *out,
                                    struct pare_error *err);

// First position at which the ids differ; where one ends the other's rest differs. SIZE_MAX when they are equal.
size_t similarity_divergence(const uint32_t *a, size_t a_len, const uint32_t *b, size_t b_len);

// What two texts differ in, from least to most: each kind allows for those before it. SPACING: equal once white space
// is left out; CASE: once folded, too; PUNCTUATION: once everything but letters, digits and marks is left out.
enum similarity_difference {
  SIMILARITY_IDENTICAL,
  SIMILARITY_SPACING,
  SIMILARITY_CASE,
  SIMILARITY_PUNCTUATION,
  SIMILARITY_WORDS
};
enum similarity_difference similarity_difference(struct similarity_text a, struct similarity_text b);
const char *similarity_difference_name(enum similarity_difference d); // "identical", "spacing", ...

size_t similarity_length(struct similarity_text t); // in code points

#endif
