// kept.c - see kept.h.
#include "arch/kept.h"

#include <string.h>

size_t kept_bytes(size_t B) {
  return 2 * arena_need(B * sizeof(size_t)) + arena_need((B + 1) * sizeof(size_t));
}

struct kept kept_first(struct nn_ctx *ctx, const struct sequences *s) {
  struct kept k = {.B = s->B,
                   .row = arena_take(ctx->arena, s->B * sizeof(size_t)),
                   .at = arena_take(ctx->arena, s->B * sizeof(size_t)),
                   .offsets = arena_take(ctx->arena, (s->B + 1) * sizeof(size_t))};
  for (size_t b = 0; b < s->B; b++) {
    k.row[b] = s->offsets[b];
    k.at[b] = 0;
    k.offsets[b] = b;
  }
  k.offsets[s->B] = s->B;
  return k;
}

void kept_move(struct kept *k, size_t b, size_t at) {
  k->row[b] += at - k->at[b];
  k->at[b] = at;
}

// In place: row b of the result lies at or before row[b] >= b of the source, so nothing is overwritten unread.
void kept_gather(const struct kept *k, const float *x, size_t ld, size_t C, float *y) {
  for (size_t b = 0; b < k->B; b++) memmove(y + b * C, x + k->row[b] * ld, C * sizeof(float));
}

bool kept_may_cut(const struct weights *w, size_t layer) {
  for (size_t i = 0; i < w->row_count; i++)
    if (weight_in(w, layer, i)->packed.input.kind == ACTIVATION_OUTLIER) return false;
  return true;
}
