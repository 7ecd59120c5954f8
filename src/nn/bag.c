// bag.c - a linear layer whose input is a set of features: y = sum of their rows. No multiplication, no activations to
// quantize; whatever the encoding, rows are widened to f32 once, when the model is opened.
#include <math.h>
#include <string.h>

#include "nn/nn.h"
#include "pack/sparse.h"

// Rows of fewer outputs than a vector gain nothing from being sparse, and neither do those more than a quarter full.
static bool keeps_entries(const struct stored *s) {
  enum { LANES = 16 };
  return sparse_is(s) && s->N >= LANES && s->N <= UINT32_MAX && sparse_count(s) < UINT32_MAX &&
         sparse_count(s) / s->K < s->N / 4;
}

size_t nn_bag_bytes(const struct stored *s) {
  if (keeps_entries(s)) return arena_need((s->K + 1) * 4) + arena_need(sparse_count(s) * sizeof(struct bag_entry));
  return arena_need(s->N * s->K * sizeof(float)) + arena_need(s->K * sizeof(float));
}

static void count_entry(void *context, size_t n, size_t k, float value) {
  (void)n;
  (void)value;
  ((uint32_t *)context)[k + 1]++;
}

struct fill {
  uint32_t *start; // [k + 1]: where the next entry of feature k goes
  struct bag_entry *entries;
};
static void put_entry(void *context, size_t n, size_t k, float value) {
  const struct fill *f = context;
  f->entries[f->start[k]++] = (struct bag_entry){value, (uint32_t)n};
}

static void pack_entries(const struct stored *s, struct arena *a, struct bag *out) {
  uint32_t *start = arena_take(a, (s->K + 1) * sizeof *start);
  struct bag_entry *entries = arena_take(a, sparse_count(s) * sizeof *entries);
  memset(start, 0, (s->K + 1) * sizeof *start);
  sparse_each(s, count_entry, start);
  for (size_t k = 0; k < s->K; k++) start[k + 1] += start[k];
  sparse_each(s, put_entry, &(struct fill){start, entries}); // moves every start to the next feature's
  for (size_t k = s->K; k > 0; k--) start[k] = start[k - 1];
  start[0] = 0;
  *out = (struct bag){.entries = entries, .start = start, .V = s->K, .N = s->N};
}

static void put_value(void *context, size_t n, size_t k, float value) {
  const struct bag *b = context;
  ((float *)(uintptr_t)b->dense)[k * b->N + n] = value; // our own rows, still being filled
}

void nn_bag_pack(const struct kernels *k, const struct stored *s, struct arena *a, struct bag *out) {
  if (keeps_entries(s)) {
    pack_entries(s, a, out);
    return;
  }
  float *rows = arena_take(a, s->N * s->K * sizeof(float)), *one = arena_take(a, s->K * sizeof(float));
  *out = (struct bag){.dense = rows, .V = s->K, .N = s->N};
  if (sparse_is(s)) { // all in one pass; row by row, each would read the positions from the start
    memset(rows, 0, s->N * s->K * sizeof(float));
    sparse_each(s, put_value, out);
    return;
  }
  for (size_t n = 0; n < s->N; n++) {
    stored_row(k, s, n, one);
    for (size_t v = 0; v < s->K; v++) rows[v * s->N + n] = one[v];
  }
}

bool nn_bag_finite(const struct bag *b) {
  size_t n = b->dense ? b->V * b->N : b->start[b->V];
  for (size_t i = 0; i < n; i++)
    if (!isfinite(b->dense ? b->dense[i] : b->entries[i].value)) return false;
  return true;
}

static void add_entries(const struct bag *b, const uint32_t *ids, size_t n, float *y) {
  for (size_t i = 0; i < n; i++) {
    if (i + 1 < n) __builtin_prefetch(&b->entries[b->start[ids[i + 1]]]);
    for (uint32_t e = b->start[ids[i]]; e < b->start[ids[i] + 1]; e++) y[b->entries[e].output] += b->entries[e].value;
  }
}

void nn_bag(struct nn_ctx *ctx, const struct bag *b, const uint32_t *ids, size_t n, float *y) {
  size_t N = b->N;
  memset(y, 0, N * sizeof *y);
  if (b->entries) {
    add_entries(b, ids, n, y);
  } else if (N == 1) {
    for (size_t i = 0; i < n; i++) y[0] += b->dense[ids[i]];
  } else {
    for (size_t i = 0; i < n; i++) ctx->kernels->add(y, b->dense + ids[i] * N, N);
  }
  ctx->counters.operations += n * N;
  ctx->counters.weight_bytes += n * N * sizeof(float);
}
