// archs.c - the list of architectures, and what their tables have in common.
#include <string.h>

#include "arch/arch.h"
#include "base/size.h"

extern const struct arch arch_gpt2, arch_bert, arch_distilbert, arch_awd_lstm, arch_bart, arch_linear;

const struct arch *const *archs_all(size_t *count) {
  static const struct arch *const all[] = {&arch_gpt2,     &arch_bert, &arch_distilbert,
                                           &arch_awd_lstm, &arch_bart, &arch_linear};
  *count = sizeof all / sizeof all[0];
  return all;
}

const struct arch *arch_find(const char *model_type) {
  size_t n;
  const struct arch *const *all = archs_all(&n);
  for (size_t i = 0; i < n; i++)
    if (!strcmp(all[i]->name, model_type)) return all[i];
  return NULL;
}

static size_t cell_out(const struct config *c, size_t layer) {
  return layer + 1 == c->L ? c->C : c->F;
}

static size_t dim_size(enum dim d, const struct config *c, size_t layer) {
  switch (d) {
    case D_NONE: return 1;
    case D_V: return c->V;
    case D_C: return c->C;
    case D_3C: return 3 * c->C;
    case D_F: return c->F;
    case D_P: return c->P;
    case D_Y: return c->Y;
    case D_N: return c->N;
    case D_CELL_IN: return layer ? c->F : c->C;
    case D_CELL_OUT: return cell_out(c, layer);
    case D_GATES: return 4 * cell_out(c, layer);
    case D_HEAD_IN: return c->head[layer];
    case D_HEAD_OUT: return c->head[layer + 1];
    case D_EF: return c->EF;
    case D_P2: return c->P + 2;
  }
  return 0;
}

void arch_row_shape(const struct arch_row *row, const struct config *c, size_t layer, size_t *n, size_t *k) {
  *n = dim_size(row->n, c, layer);
  *k = dim_size(row->k, c, layer);
}

bool arch_row_used(const struct arch_row *row, const struct config *c) {
  if (row->head && row->task != c->task) return false;
  return !(row->untied && c->tied);
}

size_t arch_row_layers(const struct arch_row *row, const struct config *c) {
  if (row->per_layer) return row->encoder ? c->EL : c->L;
  return row->per_head_layer ? c->head_count : 1;
}

size_t arch_layers(const struct config *c) {
  return size_max(size_max(c->L, c->EL), c->head_count);
}
