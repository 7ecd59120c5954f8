// design.c - see design.h. Rows are read in blocks of a fixed size, one job each, and put together in order.
#include "train/design.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/size.h"

enum { BLOCK = 256 }; // rows of one job

struct block {
  uint32_t *buckets; // of all its rows, one after another; each row's without repeats
  size_t len, cap;
  size_t row_len[BLOCK];
  enum pare_status status;
  struct pare_error err;
};
struct reader {
  const struct pare_text *texts;
  size_t rows;
  const struct ngram_settings *settings;
  uint64_t **seen; // per thread: a bit per bucket, all zero between rows
  struct block *blocks;
};
struct row_reader {
  uint64_t *seen;
  struct block *block;
};

static void take_new(void *context, const uint32_t *buckets, size_t n) {
  const struct row_reader *r = context;
  struct block *b = r->block;
  if (b->status) return;
  if (b->len + n > b->cap) {
    size_t cap = size_max(b->len + n, 2 * b->cap);
    uint32_t *grown = reallocarray(b->buckets, cap, sizeof *grown);
    if (!grown) {
      b->status = error_no_memory(&b->err);
      return;
    }
    b->buckets = grown;
    b->cap = cap;
  }
  for (size_t i = 0; i < n; i++) {
    uint64_t *word = &r->seen[buckets[i] / 64], mark = 1ull << buckets[i] % 64;
    if (*word & mark) continue;
    *word |= mark;
    b->buckets[b->len++] = buckets[i];
  }
}

static void read_block(void *context, size_t job, size_t thread) {
  const struct reader *r = context;
  struct row_reader one = {r->seen[thread], &r->blocks[job]};
  struct ngram_sink sink;
  sink.take = take_new;
  sink.context = &one;
  struct block *b = one.block;
  for (size_t i = job * BLOCK; i < size_min(r->rows, (job + 1) * BLOCK) && !b->status; i++) {
    size_t from = b->len;
    struct pare_error why;
    const struct pare_text *t = &r->texts[i];
    enum pare_status s = ngram_extract(r->settings, (struct text_span){t->text, t->len}, &sink, &why);
    if (!s && t->pair) s = ngram_extract(r->settings, (struct text_span){t->pair, t->pair_len}, &sink, &why);
    if (s && !b->status) b->status = error_set(&b->err, s, "row %zu: %s", i + 1, why.text);
    for (size_t k = from; k < b->len; k++) one.seen[b->buckets[k] / 64] = 0;
    b->row_len[i % BLOCK] = b->len - from;
  }
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

// Column numbers of the buckets that enough rows have; UINT32_MAX for the others.
static enum pare_status number_columns(const struct reader *r, size_t blocks, const struct design_options *o,
                                       uint32_t **column_of, struct design *out, struct pare_error *err) {
  size_t buckets = (size_t)1 << o->ngrams.bits;
  uint32_t *count = *column_of = calloc(buckets, sizeof *count);
  if (!count) return error_no_memory(err);
  for (size_t b = 0; b < blocks; b++) {
    const uint32_t *p = r->blocks[b].buckets;
    for (size_t i = 0; i < size_min(BLOCK, r->rows - b * BLOCK); p += r->blocks[b].row_len[i++])
      for (size_t k = 0; b * BLOCK + i < o->counted && k < r->blocks[b].row_len[i]; k++) count[p[k]]++;
  }
  for (size_t i = 0; i < buckets; i++) out->columns += count[i] > 0 && count[i] >= o->min_count;
  if (!out->columns)
    return error_set(err, PARE_DATA, "no n-gram is in %zu texts or more (min-count): there is nothing to learn from",
                     o->min_count);
  out->buckets = malloc(out->columns * sizeof *out->buckets);
  if (!out->buckets) return error_no_memory(err);
  uint32_t n = 0;
  for (size_t i = 0; i < buckets; i++) {
    bool kept = count[i] > 0 && count[i] >= o->min_count;
    if (kept) out->buckets[n] = (uint32_t)i;
    count[i] = kept ? n++ : UINT32_MAX;
  }
  return PARE_OK;
}

static enum pare_status fill_rows(const struct reader *r, size_t blocks, const uint32_t *column_of, struct design *out,
                                  struct pare_error *err) {
  size_t total = 0, at = 0;
  for (size_t b = 0; b < blocks; b++) total += r->blocks[b].len;
  out->row_start = calloc(out->rows + 1, sizeof *out->row_start);
  out->row_ids = malloc((total + 1) * sizeof *out->row_ids);
  if (!out->row_start || !out->row_ids) return error_no_memory(err);
  for (size_t b = 0; b < blocks; b++) {
    const uint32_t *p = r->blocks[b].buckets;
    for (size_t i = 0; i < size_min(BLOCK, r->rows - b * BLOCK); p += r->blocks[b].row_len[i++]) {
      size_t from = at;
      for (size_t k = 0; k < r->blocks[b].row_len[i]; k++)
        if (column_of[p[k]] != UINT32_MAX) out->row_ids[at++] = column_of[p[k]];
      qsort(out->row_ids + from, at - from, sizeof *out->row_ids, by_value);
      out->row_start[b * BLOCK + i + 1] = at;
    }
  }
  return PARE_OK;
}

// Columns and lengths from the rows.
static enum pare_status finish(struct design *d, bool unit, struct pare_error *err) {
  size_t total = d->row_start[d->rows];
  d->column_start = calloc(d->columns + 2, sizeof *d->column_start);
  d->column_ids = malloc((total + 1) * sizeof *d->column_ids);
  d->length = malloc((d->rows + 1) * sizeof *d->length);
  if (!d->column_start || !d->column_ids || !d->length) return error_no_memory(err);
  size_t *next = d->column_start + 1; // next[c] moves from the start of column c to its end
  for (size_t i = 0; i < total; i++) next[d->row_ids[i] + 1]++;
  for (size_t c = 1; c <= d->columns; c++) next[c] += next[c - 1];
  for (size_t r = 0; r < d->rows; r++) {
    for (size_t i = d->row_start[r]; i < d->row_start[r + 1]; i++) d->column_ids[next[d->row_ids[i]]++] = (uint32_t)r;
    size_t n = d->row_start[r + 1] - d->row_start[r];
    d->length[r] = unit && n ? sqrtf((float)n) : 1;
  }
  return PARE_OK;
}

enum pare_status design_build(struct pool *pool, const struct pare_text *texts, size_t rows,
                              const struct design_options *options, struct design *out, struct pare_error *err) {
  size_t blocks = size_ceil_div(rows, BLOCK), threads = pool_threads(pool);
  struct reader r = {.texts = texts, .rows = rows, .settings = &options->ngrams};
  uint32_t *column_of = NULL;
  *out = (struct design){.rows = rows};
  r.seen = calloc(threads, sizeof *r.seen);
  r.blocks = calloc(blocks + 1, sizeof *r.blocks);
  enum pare_status s = r.seen && r.blocks && rows < UINT32_MAX ? PARE_OK : error_no_memory(err);
  for (size_t t = 0; !s && t < threads; t++)
    if (!(r.seen[t] = calloc(((size_t)1 << options->ngrams.bits) / 64, 8))) s = error_no_memory(err);
  if (!s) pool_run(pool, read_block, &r, blocks);
  for (size_t b = 0; !s && b < blocks; b++)
    if (r.blocks[b].status) s = error_set(err, r.blocks[b].status, "%s", r.blocks[b].err.text);
  if (!s) s = number_columns(&r, blocks, options, &column_of, out, err);
  if (!s) s = fill_rows(&r, blocks, column_of, out, err);
  if (!s) s = finish(out, options->unit, err);
  for (size_t t = 0; r.seen && t < threads; t++) free(r.seen[t]);
  for (size_t b = 0; r.blocks && b < blocks; b++) free(r.blocks[b].buckets);
  free(r.seen);
  free(r.blocks);
  free(column_of);
  if (s) design_free(out);
  return s;
}

enum pare_status design_select(const struct design *d, const bool *keep, bool unit, struct design *out,
                               struct pare_error *err) {
  *out = (struct design){.rows = d->rows};
  uint32_t *column_of = malloc((d->columns + 1) * sizeof *column_of);
  out->buckets = malloc((d->columns + 1) * sizeof *out->buckets);
  out->row_start = calloc(d->rows + 1, sizeof *out->row_start);
  out->row_ids = malloc((d->row_start[d->rows] + 1) * sizeof *out->row_ids);
  bool got = column_of && out->buckets && out->row_start && out->row_ids;
  enum pare_status s = got ? PARE_OK : error_no_memory(err);
  for (size_t c = 0; !s && c < d->columns; c++) {
    if (!keep[c]) continue;
    out->buckets[out->columns] = d->buckets[c];
    column_of[c] = (uint32_t)out->columns++;
  }
  size_t at = 0;
  for (size_t r = 0; !s && r < d->rows; r++) {
    for (size_t i = d->row_start[r]; i < d->row_start[r + 1]; i++)
      if (keep[d->row_ids[i]]) out->row_ids[at++] = column_of[d->row_ids[i]];
    out->row_start[r + 1] = at;
  }
  if (!s) s = finish(out, unit, err);
  free(column_of);
  if (s) design_free(out);
  return s;
}

void design_free(struct design *d) {
  free(d->row_start);
  free(d->row_ids);
  free(d->column_start);
  free(d->column_ids);
  free(d->buckets);
  free(d->length);
  *d = (struct design){0};
}
