// rouge.h - ROUGE-1, ROUGE-2 and ROUGE-L (Lin, Text Summarization Branches Out, 2004) of an answer against one
// reference, as Google's rouge_score package computes them without a stemmer: text in lower case, every run of other
// characters than a-z and 0-9 a blank, the rest words.
#ifndef PARE_REPORT_ROUGE_H
#define PARE_REPORT_ROUGE_H

#include <stddef.h>

#include "base/error.h"

struct rouge_score {
  double precision, recall, f1; // of the n-grams, or of the longest common subsequence of words; 0 where there are none
};
enum rouge_kind { ROUGE_1, ROUGE_2, ROUGE_L, ROUGE_KINDS };
extern const char *const rouge_names[ROUGE_KINDS]; // "rouge1", "rouge2", "rougeL"

// out: (ROUGE_KINDS). Time: words of one by words of the other. Memory: linear.
enum pare_status rouge_compute(const char *reference, size_t reference_len, const char *answer, size_t answer_len,
                               struct rouge_score *out, struct pare_error *err);

#endif
