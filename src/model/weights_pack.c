// weights_pack.c - from stored weights to packed ones, on all threads: every linear weight is cut into runs of panels,
// and the mapped pages of each run are given back as soon as it is packed.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/size.h"
#include "model/weights.h"

// What one job packs, about: few enough to claim, enough for all threads, and little beside a model.
enum { PIECE_BYTES = 1 << 19 };

struct pack_item {
  struct weight *w;
  bool linear, bag;
  bool copied;          // rows that are looked up, out of the file
  struct arena arena;   // this weight's slice of the model's memory
  atomic_size_t undone; // pieces of it
};
// Panels [first, end) of a linear weight; the whole of another.
struct pack_piece {
  struct pack_item *item;
  size_t first, end;
};
struct pack_jobs {
  const struct kernels *k;
  const struct pack_piece *pieces;
};

// No more than the mapped files, so it does not overflow.
static size_t parts_need(const struct stored *s) {
  size_t need = 0;
  for (size_t i = 0; i < s->part_count; i++) need += arena_need(s->parts[i].bytes);
  return need;
}

static size_t pack_need(const struct kernels *k, const struct pack_item *item) {
  const struct weight *w = item->w;
  if (item->copied) return parts_need(&w->stored);
  if (item->bag) return nn_bag_bytes(&w->stored);
  if (w->K == 1 && !item->linear) return arena_need(w->N * sizeof(float));
  return item->linear ? w->stored.encoding->packed_bytes(k, w->N, w->K) : 0;
}

static size_t list_items(pare_model *m, struct pack_item *items) {
  size_t rows = m->arch->row_count, n = 0;
  for (size_t i = 0; i < rows; i++) {
    const struct arch_row *row = &m->arch->rows[i];
    for (size_t l = 0; l < arch_row_layers(row, &m->config); l++) {
      struct weight *w = arch_row_layered(row) ? &m->weights.layers[l * rows + i] : &m->weights.global[i];
      if (!w->present) continue;
      items[n].w = w;
      items[n].linear = weights_is_linear(row, &m->config);
      items[n].bag = row->role == ROLE_BAG;
      items[n].copied = m->detached && w->K > 1 && !items[n].linear && !items[n].bag && !w->stored.owned;
      n++;
    }
  }
  return n;
}

static size_t panels_in_piece(const struct packed *w) {
  return size_max(1, PIECE_BYTES / size_max(1, w->panel_bytes));
}

static size_t piece_count(const struct pack_item *item) {
  return item->linear ? size_ceil_div(item->w->packed.panels, panels_in_piece(&item->w->packed)) : 1;
}

static size_t cut(struct pack_item *item, struct pack_piece *pieces) {
  size_t n = piece_count(item), panels = panels_in_piece(&item->w->packed);
  for (size_t i = 0; i < n; i++)
    pieces[i] = (struct pack_piece){item, i * panels, size_min((i + 1) * panels, item->w->packed.panels)};
  atomic_init(&item->undone, n);
  return n;
}

// The rows of a part lie together, but for a transposed weight's, of which every panel takes some of each.
static void release_rows(const struct stored *s, size_t n0, size_t n1) {
  for (size_t i = 0; i < s->part_count && !s->owned; i++) {
    size_t row_bytes = s->parts[i].bytes / s->N;
    file_release_pages((const uint8_t *)s->parts[i].data + n0 * row_bytes, (n1 - n0) * row_bytes);
  }
}

static void release_all(const struct stored *s) {
  for (size_t i = 0; i < s->part_count && !s->owned; i++) file_release_pages(s->parts[i].data, s->parts[i].bytes);
}

static void pack_linear(const struct kernels *k, const struct pack_piece *piece) {
  const struct packed *w = &piece->item->w->packed;
  const struct stored *s = &piece->item->w->stored;
  size_t nr = s->encoding->integer ? k->i8_nr : k->f32_nr;
  s->encoding->pack_panels(k, s, w, piece->first, piece->end);
  if (atomic_fetch_sub(&piece->item->undone, 1) == 1) {
    release_all(s); // also the pages that two runs share
  } else if (!s->transposed) {
    release_rows(s, piece->first * nr, size_min(piece->end * nr, s->N));
  }
}

// The parts of a weight point into memory afterwards.
static void copy_parts(struct stored *s, struct arena *a) {
  for (size_t i = 0; i < s->part_count; i++) {
    const void *in_file = s->parts[i].data;
    void *copy = arena_take(a, s->parts[i].bytes);
    memcpy(copy, in_file, s->parts[i].bytes);
    file_release_pages(in_file, s->parts[i].bytes);
    s->parts[i].data = copy;
  }
}

static void pack_piece(void *context, size_t job, size_t thread) {
  (void)thread;
  const struct pack_jobs *j = context;
  struct pack_item *item = j->pieces[job].item;
  struct weight *w = item->w;
  if (item->bag) {
    nn_bag_pack(j->k, &w->stored, &item->arena, &w->bag);
  } else if (item->linear) {
    pack_linear(j->k, &j->pieces[job]);
  } else if (item->copied) {
    copy_parts(&w->stored, &item->arena);
  } else if (item->arena.size) {
    float *v = arena_take(&item->arena, w->N * sizeof(float));
    stored_row(j->k, &w->stored, 0, v);
    w->vector = v;
  }
}

static enum pare_status pack_items(pare_model *m, struct pack_item *items, size_t n, struct pare_error *err) {
  size_t total = 0, at = 0, pieces = 0;
  for (size_t i = 0; i < n; i++) total += pack_need(m->kernels, &items[i]);
  enum pare_status s = arena_init(&m->memory, total, err);
  if (s) return s;
  for (size_t i = 0; i < n; i++) {
    struct weight *w = items[i].w;
    items[i].arena = (struct arena){.base = m->memory.base + at, .size = pack_need(m->kernels, &items[i])};
    at += items[i].arena.size;
    if (items[i].linear) w->stored.encoding->pack(m->kernels, &w->stored, &items[i].arena, &w->packed);
    pieces += piece_count(&items[i]);
  }
  m->memory.used = at;
  struct pack_piece *list = calloc(size_max(1, pieces), sizeof *list);
  if (!list) return error_no_memory(err);
  for (size_t i = 0, k = 0; i < n; i++) k += cut(&items[i], list + k);
  pool_run(m->pool, pack_piece, &(struct pack_jobs){m->kernels, list}, pieces);
  free(list);
  return PARE_OK;
}

enum pare_status weights_pack(pare_model *m, struct pare_error *err) {
  struct pack_item *items = calloc(m->arch->row_count * (arch_layers(&m->config) + 1), sizeof *items);
  if (!items) return error_no_memory(err);
  enum pare_status s = pack_items(m, items, list_items(m, items), err);
  free(items);
  return s;
}
