// process.h - what changes a row of scores before a token is chosen from it, by the rules transformers applies, in its
// order: repetition penalty, repeated n-grams, n-grams of the text, minimum length, forced first and last ids,
// suppressed ids. Greedy search and draws give it logits, beam search log-probabilities.
#ifndef PARE_TASK_PROCESS_H
#define PARE_TASK_PROCESS_H

#include "task/generation_config.h"
#include "task/sample.h"

struct process {
  const struct generation_config *config;
  size_t prompt_len;       // ids before the first new one
  size_t max_len, min_len; // of all ids
  const uint32_t *source;  // an encoder-decoder's text
  size_t source_len;
};
// row (V): scores of the id that follows ids (len). An id that may not come gets -infinity.
void process_row(const struct process *p, const uint32_t *ids, size_t len, float *row, size_t V,
                 struct sampler_scratch *scratch);

#endif
