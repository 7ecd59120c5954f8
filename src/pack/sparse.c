// sparse.c - a matrix of which only the values that are not zero are stored, in row-major order, with their positions
// n * K + k as a Golomb-Rice code (base/rice.h): "sparse-f32", "-f16", "-int16" and "-int8". The values are those of
// the dense encoding of that name, whose scale per output the integer ones keep.
#include "pack/sparse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rice.h"
#include "base/size.h"

enum { VALUES, INDEX, SCALE };

static size_t layout_of(enum part_type type, bool scaled, size_t N, struct part parts[PACK_MAX_PARTS]) {
  parts[VALUES] = (struct part){.suffix = "", .type = type, .rank = 1, .shape = {PACK_ANY}};
  parts[INDEX] = (struct part){.suffix = "_index", .type = PART_U8, .rank = 1, .shape = {PACK_ANY}};
  if (!scaled) return 2;
  parts[SCALE] = (struct part){.suffix = "_scale", .type = PART_F32, .rank = 2, .shape = {N, 1}, .bytes = N * 4};
  return 3;
}
static size_t layout_f32(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  (void)K;
  return layout_of(PART_F32, false, N, parts);
}
static size_t layout_f16(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  (void)K;
  return layout_of(PART_F16, false, N, parts);
}
static size_t layout_int16(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  (void)K;
  return layout_of(PART_I16, true, N, parts);
}
static size_t layout_int8(size_t N, size_t K, struct part parts[PACK_MAX_PARTS]) {
  (void)K;
  return layout_of(PART_I8, true, N, parts);
}

static float value_at(const struct stored *s, size_t i, size_t n) {
  const uint8_t *p = s->parts[VALUES].data;
  int16_t w;
  uint16_t h;
  switch (s->parts[VALUES].type) {
    case PART_F16: memcpy(&h, p + 2 * i, 2); return f16_to_f32(h);
    case PART_I16: memcpy(&w, p + 2 * i, 2); return (float)w * part_f32(&s->parts[SCALE], n);
    case PART_I8: return (float)(int8_t)p[i] * part_f32(&s->parts[SCALE], n);
    default: return part_f32(&s->parts[VALUES], i);
  }
}

size_t sparse_count(const struct stored *s) {
  return s->parts[VALUES].bytes / part_type_bytes(s->parts[VALUES].type);
}

void sparse_each(const struct stored *s, void (*visit)(void *context, size_t n, size_t k, float value), void *context) {
  struct rice_reader r;
  uint64_t position, total = (uint64_t)s->N * s->K;
  if (!rice_open(&r, s->parts[INDEX].data, s->parts[INDEX].bytes)) return;
  // As many as there are values: the zeros that fill the last byte can read as one position more.
  for (size_t i = 0, count = sparse_count(s); i < count && rice_next(&r, total, &position); i++) {
    size_t n = position / s->K;
    visit(context, n, position % s->K, value_at(s, i, n));
  }
}

struct one_row {
  size_t n;
  float *out;
};
static void put_in_row(void *context, size_t n, size_t k, float value) {
  const struct one_row *r = context;
  if (n == r->n) r->out[k] = value;
}

// Reads the positions from the start: for a look at single rows only. nn/bag.c takes them all in one pass.
static void row(const struct kernels *kernels, const struct stored *s, size_t n, float *out) {
  (void)kernels;
  memset(out, 0, s->K * sizeof *out);
  sparse_each(s, put_in_row, &(struct one_row){n, out});
}

static void put_dense(void *context, size_t n, size_t k, float value) {
  const struct stored *dense = context;
  memcpy((uint8_t *)dense->owned + (n * dense->K + k) * sizeof value, &value, sizeof value);
}

enum pare_status sparse_to_f32(const struct stored *s, struct stored *out, struct pare_error *err) {
  enum pare_status status = stored_new(&encoding_f32, s->N, s->K, out, err);
  if (!status) sparse_each(s, put_dense, out);
  return status;
}

static const char *check(const struct stored *s) {
  struct rice_reader r;
  uint64_t position, total;
  if (__builtin_mul_overflow(s->N, s->K, &total)) return "the matrix is too large";
  if (!rice_open(&r, s->parts[INDEX].data, s->parts[INDEX].bytes)) return "the positions are no code of positions";
  for (size_t i = 0, n = sparse_count(s); i < n; i++)
    if (!rice_next(&r, total, &position)) return "expected a position inside the matrix for every value";
  return rice_at_end(&r) ? NULL : "there are more positions than values";
}

const struct encoding encoding_sparse_f32 = {
    .name = "sparse-f32", .layout = layout_f32, .row = row, .check = check, .dense = &encoding_f32};
const struct encoding encoding_sparse_f16 = {
    .name = "sparse-f16", .layout = layout_f16, .row = row, .check = check, .dense = &encoding_f16};
const struct encoding encoding_sparse_int16 = {
    .name = "sparse-int16", .layout = layout_int16, .row = row, .check = check, .dense = &encoding_int16};
const struct encoding encoding_sparse_int8 = {
    .name = "sparse-int8", .layout = layout_int8, .row = row, .check = check, .dense = &encoding_int8};

static const struct encoding *sparse_of(const struct encoding *dense) {
  size_t count;
  const struct encoding *const *all = encodings_all(&count);
  for (size_t i = 0; i < count; i++)
    if (all[i]->dense == dense) return all[i];
  return NULL;
}

static bool is_zero(const uint8_t *value, size_t bytes, bool floats) {
  uint8_t any = 0;
  for (size_t i = 0; i < bytes; i++) any |= i + 1 == bytes && floats ? value[i] & 0x7f : value[i]; // -0 is zero
  return !any;
}

// What is kept of a dense weight's values, and their code.
struct kept {
  uint64_t *positions;
  size_t count, index_bytes;
};
static enum pare_status find_kept(const struct stored *dense, bool floats, struct kept *out, struct pare_error *err) {
  size_t total = dense->N * dense->K, bytes = part_type_bytes(dense->parts[0].type);
  const uint8_t *values = dense->parts[0].data;
  *out = (struct kept){.positions = malloc((total ? total : 1) * sizeof(uint64_t))};
  if (!out->positions) return error_no_memory(err);
  for (size_t i = 0; i < total; i++)
    if (!is_zero(values + i * bytes, bytes, floats)) out->positions[out->count++] = i;
  out->index_bytes = rice_encode(out->positions, out->count, NULL);
  return PARE_OK;
}

static enum pare_status make(const struct stored *dense, const struct encoding *e, const struct kept *kept,
                             struct stored *out, struct pare_error *err) {
  size_t width = part_type_bytes(dense->parts[0].type), value_bytes = kept->count * width;
  size_t scale_bytes = dense->part_count > 1 ? dense->parts[1].bytes : 0;
  size_t scale_at = size_round_up(value_bytes, 64), index_at = scale_at + size_round_up(scale_bytes, 64);
  *out = (struct stored){.encoding = e, .N = dense->N, .K = dense->K};
  out->part_count = e->layout(dense->N, dense->K, out->parts);
  uint8_t *p = out->owned = calloc(1, index_at + kept->index_bytes);
  if (!p) return error_no_memory(err);
  const uint8_t *from = dense->parts[0].data;
  for (size_t i = 0; i < kept->count; i++) memcpy(p + i * width, from + kept->positions[i] * width, width);
  rice_encode(kept->positions, kept->count, p + index_at);
  out->parts[VALUES].data = p;
  out->parts[VALUES].shape[0] = kept->count;
  out->parts[VALUES].bytes = value_bytes;
  out->parts[INDEX].data = p + index_at;
  out->parts[INDEX].shape[0] = out->parts[INDEX].bytes = kept->index_bytes;
  if (scale_bytes) memcpy(p + scale_at, dense->parts[1].data, scale_bytes);
  if (out->part_count > SCALE) out->parts[SCALE].data = p + scale_at;
  return PARE_OK;
}

enum pare_status sparse_if_smaller(struct stored *s, struct pare_error *err) {
  enum { HEADER = 64 }; // what a second tensor takes in a file's header
  const struct encoding *e = sparse_of(s->encoding);
  if (!e || s->transposed) return PARE_OK;
  bool floats = s->parts[0].type == PART_F32 || s->parts[0].type == PART_F16;
  struct kept kept;
  struct stored sparse = {0};
  enum pare_status status = find_kept(s, floats, &kept, err);
  size_t width = part_type_bytes(s->parts[0].type);
  if (!status && kept.count * width + kept.index_bytes + HEADER < s->parts[0].bytes) {
    status = make(s, e, &kept, &sparse, err);
    if (!status) {
      stored_free(s);
      *s = sparse;
    }
  }
  free(kept.positions);
  return status;
}
