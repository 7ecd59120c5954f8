// encodings.c - the list of encodings, and what all of them share.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "pack/pack.h"

size_t part_type_bytes(enum part_type t) {
  switch (t) {
    case PART_I64: return 8;
    case PART_F32:
    case PART_I32: return 4;
    case PART_F16:
    case PART_BF16:
    case PART_I16: return 2;
    case PART_I8:
    case PART_U8: return 1;
  }
  return 0;
}

const struct encoding *const *encodings_all(size_t *count) {
  // A reader takes the first whose parts it finds: the sparse ones have all the parts of a dense one, and an index;
  // int8-static has all of int8's.
  static const struct encoding *const all[] = {
      &encoding_sparse_f32,  &encoding_sparse_f16, &encoding_sparse_int16, &encoding_sparse_int8, &encoding_f32,
      &encoding_f16,         &encoding_bf16,       &encoding_int16,        &encoding_int8_static, &encoding_int8,
      &encoding_int8_tensor, &encoding_llm_int8,   &encoding_int4,         &encoding_nf4,         &encoding_nf4_dq};
  *count = sizeof all / sizeof all[0];
  return all;
}

enum pare_status stored_new(const struct encoding *e, size_t N, size_t K, struct stored *out, struct pare_error *err) {
  *out = (struct stored){.encoding = e, .N = N, .K = K};
  out->part_count = e->layout(N, K, out->parts);
  size_t total = 0;
  for (size_t i = 0; i < out->part_count; i++) total += size_round_up(out->parts[i].bytes, 64);
  out->owned = calloc(1, total ? total : 1);
  if (!out->owned) return error_no_memory(err);
  uint8_t *p = out->owned;
  for (size_t i = 0; i < out->part_count; i++) {
    out->parts[i].data = p;
    p += size_round_up(out->parts[i].bytes, 64);
  }
  return PARE_OK;
}

void stored_free(struct stored *s) {
  free(s->owned);
  *s = (struct stored){0};
}

size_t stored_bytes(const struct stored *s) {
  size_t total = 0;
  for (size_t i = 0; i < s->part_count; i++) total += s->parts[i].bytes;
  return total;
}

void stored_pack(const struct kernels *k, const struct stored *s, struct arena *a, struct packed *out) {
  s->encoding->pack(k, s, a, out);
  s->encoding->pack_panels(k, s, out, 0, out->panels);
}

uint8_t *packed_panel(const struct packed *w, size_t p) {
  return (uint8_t *)(uintptr_t)w->data + p * w->panel_bytes; // const for those who multiply it
}

void packed_panel_words(const struct kernels *k, const struct stored *s, const struct packed *w, size_t p,
                        size_t word) {
  size_t nr = s->encoding->integer ? k->i8_nr : k->f32_nr, rows = size_min(nr, s->N - p * nr);
  size_t row_bytes = s->K * part_type_bytes(s->parts[0].type);
  uint8_t *panel = packed_panel(w, p);
  if (rows < nr) memset(panel, 0, w->panel_bytes);
  struct transpose t = {.size = word,
                        .rows = rows,
                        .columns = row_bytes / word,
                        .src = (const uint8_t *)s->parts[0].data + p * nr * row_bytes,
                        .src_stride = row_bytes,
                        .dst = panel,
                        .dst_stride = nr * word};
  k->transpose(&t);
}

void stored_row(const struct kernels *k, const struct stored *s, size_t n, float *out) {
  s->encoding->row(k, s, n, out);
}

bool part_tensor_name(char *out, size_t cap, const char *name, const char *suffix) {
  static const char ending[] = ".weight";
  size_t len = strlen(name), cut = strlen(ending);
  bool own = suffix[0] == '/';
  if (own && len > cut && strcmp(name + len - cut, ending) == 0) len -= cut;
  int n = snprintf(out, cap, "%.*s%s%s", (int)len, name, own ? "." : "", suffix + own);
  return n > 0 && (size_t)n < cap;
}

float part_f32(const struct part *p, size_t i) {
  float x;
  memcpy(&x, (const uint8_t *)p->data + 4 * i, 4);
  return x;
}
