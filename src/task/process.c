// process.c - see process.h.
#include "task/process.h"

#include <math.h>
#include <string.h>

static void ban(const struct id_list *list, float *row) {
  for (size_t i = 0; i < list->count; i++) row[list->ids[i]] = -INFINITY;
}

// Bans the id that followed, anywhere in `seen`, the n - 1 ids that ids now ends with.
static void ban_repeats(size_t n, const uint32_t *seen, size_t seen_len, const uint32_t *ids, size_t len, float *row,
                        size_t V) {
  if (!n || len + 1 < n || seen_len < n) return;
  const uint32_t *prefix = ids + (len + 1 - n);
  for (size_t i = 0; i + n <= seen_len; i++)
    if (!memcmp(seen + i, prefix, (n - 1) * sizeof *ids) && seen[i + n - 1] < V) row[seen[i + n - 1]] = -INFINITY;
}

static void force(const uint32_t *ids, size_t count, float *row, size_t V) {
  for (size_t i = 0; i < V; i++) row[i] = -INFINITY;
  for (size_t i = 0; i < count; i++) row[ids[i]] = 0;
}

void process_row(const struct process *p, const uint32_t *ids, size_t len, float *row, size_t V,
                 struct sampler_scratch *scratch) {
  const struct generation_config *c = p->config;
  sample_penalize(row, V, ids, len, c->repetition_penalty, scratch);
  ban_repeats(c->no_repeat_ngram, ids, len, ids, len, row, V);
  ban_repeats(c->encoder_no_repeat_ngram, p->source, p->source_len, ids, len, row, V);
  if (len < p->min_len) ban(&c->eos, row);
  if (c->forced_bos >= 0 && len == 1) force(&(uint32_t){(uint32_t)c->forced_bos}, 1, row, V);
  if (c->forced_eos.count && len + 1 == p->max_len) force(c->forced_eos.ids, c->forced_eos.count, row, V);
  ban(&c->suppress, row);
  bool forced_first = p->prompt_len == 1 && c->forced_bos >= 0;
  if (len == p->prompt_len + forced_first) ban(&c->begin_suppress, row);
}
