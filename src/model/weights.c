// weights.c - see weights.h.
#include "model/weights.h"

#include <float.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

enum { NAME_CAP = 512 };
static const char packed_suffix[] = "_packed"; // int4's values, which have no tensor of the weight's own name

enum part_type part_type_of(enum dtype d, bool *known) {
  *known = true;
  switch (d) {
    case DTYPE_F32: return PART_F32;
    case DTYPE_F16: return PART_F16;
    case DTYPE_BF16: return PART_BF16;
    case DTYPE_I8: return PART_I8;
    case DTYPE_U8: return PART_U8;
    case DTYPE_I16: return PART_I16;
    case DTYPE_I32: return PART_I32;
    case DTYPE_I64: return PART_I64;
    default: *known = false; return PART_F32;
  }
}

enum dtype dtype_of_part(enum part_type t) {
  static const enum dtype types[] = {
      [PART_F32] = DTYPE_F32, [PART_F16] = DTYPE_F16, [PART_BF16] = DTYPE_BF16, [PART_I8] = DTYPE_I8,
      [PART_U8] = DTYPE_U8,   [PART_I16] = DTYPE_I16, [PART_I32] = DTYPE_I32,   [PART_I64] = DTYPE_I64};
  return types[t];
}

bool weights_name(char *out, size_t cap, const char *prefix, const struct arch_row *row, const char *pattern,
                  size_t layer) {
  // Patterns are string constants of the tables, with one %zu when the row is in every layer.
  const char *mark = arch_row_layered(row) ? strstr(pattern, "%zu") : NULL;
  int n =
      mark ? snprintf(out, cap, "%s%.*s%zu%s", row->bare ? "" : prefix, (int)(mark - pattern), pattern, layer, mark + 3)
           : snprintf(out, cap, "%s%s", row->bare ? "" : prefix, pattern);
  return n > 0 && (size_t)n < cap;
}

bool weights_is_linear(const struct arch_row *row, const struct config *c) {
  if (row->role == ROLE_LINEAR || row->role == ROLE_CONV1D) return true;
  return row->tied_output && c->tied && (c->task == ARCH_LANGUAGE_MODEL || c->task == ARCH_SEQ2SEQ);
}

static const struct tensor *find_part(const pare_model *m, const char *name, const char *suffix) {
  char full[NAME_CAP];
  return part_tensor_name(full, sizeof full, name, suffix) ? tensors_find(&m->tensors, full) : NULL;
}

// Shapes agree when their sizes do, dimensions of 1 aside: (N, 1) and (N) are the same scales.
static bool same_shape(const struct part *p, const struct tensor *t) {
  size_t i = 0, j = 0;
  if (p->shape[0] == PACK_ANY) return t->rank == 1;
  while (i < p->rank || j < t->rank) {
    if (i < p->rank && p->shape[i] == 1) {
      i++;
    } else if (j < t->rank && t->shape[j] == 1) {
      j++;
    } else if (i < p->rank && j < t->rank && p->shape[i] == t->shape[j]) {
      i++, j++;
    } else {
      return false;
    }
  }
  return true;
}

static void shape_text(char *out, size_t cap, size_t rank, const size_t *shape) {
  size_t used = (size_t)snprintf(out, cap, "[");
  for (size_t i = 0; i < rank && used < cap; i++)
    used += (size_t)snprintf(out + used, cap - used, i ? ", %zu" : "%zu", shape[i]);
  if (used < cap) snprintf(out + used, cap - used, "]");
}

static enum pare_status wrong_shape(const struct tensor *t, size_t rank, const size_t *shape, struct pare_error *err) {
  char expected[96], found[96];
  shape_text(expected, sizeof expected, rank, shape);
  shape_text(found, sizeof found, t->rank, t->shape);
  return error_set(err, PARE_DATA, "%s: tensor %s: expected shape %s, found %s", t->file, t->name, expected, found);
}

// What a quant_state says must be what is computed: block sizes, code book, and the matrix's own shape (the codes are
// flat).
static enum pare_status check_quant_state(const json_t *state, const struct tensor *t, struct stored *s,
                                          struct pare_error *err) {
  json_int_t block = json_integer_value(json_object_get(state, "blocksize"));
  const char *type = json_string_value(json_object_get(state, "quant_type"));
  if (block != NF4_BLOCK || !type || strcmp(type, "nf4") != 0)
    return error_set(err, PARE_DATA, "%s: tensor %s: expected quant_type nf4 with blocksize 64, found %.20s with %lld",
                     t->file, t->name, type ? type : "none", (long long)block);
  const json_t *shape = json_object_get(state, "shape");
  json_int_t N = json_integer_value(json_array_get(shape, 0)), K = json_integer_value(json_array_get(shape, 1));
  if (json_array_size(shape) != 2 || N < 0 || (size_t)N != s->N || K < 0 || (size_t)K != s->K)
    return error_set(err, PARE_DATA, "%s: tensor %s: expected shape [%zu, %zu], found [%lld, %lld]", t->file, t->name,
                     s->N, s->K, (long long)N, (long long)K);
  if (s->encoding != &encoding_nf4_dq) return PARE_OK;
  json_int_t nested_block = json_integer_value(json_object_get(state, "nested_blocksize"));
  if (nested_block != NF4_NESTED_BLOCK)
    return error_set(err, PARE_DATA, "%s: tensor %s: expected nested_blocksize 256, found %lld", t->file, t->name,
                     (long long)nested_block);
  const json_t *offset = json_object_get(state, "nested_offset");
  s->nested_offset = (float)json_number_value(offset);
  return json_is_number(offset)
             ? PARE_OK
             : error_set(err, PARE_DATA, "%s: tensor %s: nested_offset: expected a number", t->file, t->name);
}

// bitsandbytes keeps what is not a tensor as JSON bytes in a tensor of its own.
static enum pare_status read_quant_state(const pare_model *m, const char *name, struct stored *s,
                                         struct pare_error *err) {
  const struct tensor *t = find_part(m, name, ".quant_state.bitsandbytes__nf4");
  if (!t) return error_set(err, PARE_DATA, "%s: tensor %s.quant_state.bitsandbytes__nf4 is missing", m->path, name);
  json_t *state = json_loadb((const char *)t->data, t->bytes, 0, NULL);
  enum pare_status status = json_is_object(state)
                                ? check_quant_state(state, t, s, err)
                                : error_set(err, PARE_DATA, "%s: tensor %s: expected a JSON object", t->file, t->name);
  json_decref(state);
  // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): the same bits, not the same numbers
  if (!status && memcmp(s->parts[2].data, nf4_codebook, sizeof nf4_codebook) != 0)
    status = error_set(err, PARE_DATA, "%s: tensor %s.quant_map: not the NF4 code book", t->file, name);
  return status;
}

// compressed-tensors writes a zero point beside asymmetric values, and at times zeros beside symmetric ones.
static enum pare_status check_symmetric(const pare_model *m, const char *name, struct pare_error *err) {
  const struct tensor *t = find_part(m, name, "_zero_point");
  for (size_t i = 0; t && i < t->bytes; i++) {
    if (t->data[i])
      return error_set(err, PARE_DATA, "%s: tensor %s: expected zeros (symmetric values), found a zero point", t->file,
                       t->name);
  }
  return PARE_OK;
}

// The threshold a bitsandbytes directory was saved with; ours have its usual one.
static float outlier_threshold(const pare_model *m) {
  const json_t *q = json_object_get(m->config_json, "quantization_config");
  const json_t *threshold = json_object_get(q, "llm_int8_threshold");
  return json_is_number(threshold) ? (float)json_number_value(threshold) : LLM_INT8_THRESHOLD;
}

// What the parts beside an integer weight's values say must be something that is computed.
static enum pare_status check_integer(const pare_model *m, const char *name, struct stored *s, struct pare_error *err) {
  if (s->encoding == &encoding_llm_int8) {
    const struct tensor *format = find_part(m, name, s->parts[2].suffix);
    s->threshold = outlier_threshold(m);
    return format->data[0] == 0 ? PARE_OK
                                : error_set(err, PARE_DATA, "%s: tensor %s: expected 0 (row after row), found %u",
                                            format->file, format->name, format->data[0]);
  }
  if (s->encoding == &encoding_int8_static) {
    float scale = part_f32(&s->parts[2], 0);
    if (!(scale >= FLT_MIN && scale <= FLT_MAX)) {
      const struct tensor *t = find_part(m, name, s->parts[2].suffix);
      return error_set(err, PARE_DATA, "%s: tensor %s: expected a scale above 0, found %g", t->file, t->name,
                       (double)scale);
    }
  } else if (find_part(m, name, "/input_scale")) {
    const struct tensor *t = find_part(m, name, "/input_scale");
    return error_set(err, PARE_DATA,
                     "%s: tensor %s: expected one F32 beside an I8 input_zero_point and a weight_scale per output",
                     t->file, t->name);
  }
  if (find_part(m, name, "_g_idx"))
    return error_set(err, PARE_DATA, "%s: tensor %s_g_idx: groups in another order than the inputs' are not read",
                     m->path, name);
  return check_symmetric(m, name, err);
}

// Tries to read weight `name` of shape (N, K) as encoding e. *matched says whether its parts are there with the right
// types; only then can the shapes be wrong.
static enum pare_status try_encoding(const pare_model *m, const struct encoding *e, const char *name, size_t N,
                                     size_t K, bool conv1d, struct stored *out, bool *matched, struct pare_error *err) {
  struct stored s = {.encoding = e, .N = N, .K = K};
  const struct tensor *found[PACK_MAX_PARTS];
  s.part_count = e->layout(N, K, s.parts);
  *matched = false;
  for (size_t i = 0; i < s.part_count; i++) {
    found[i] = find_part(m, name, s.parts[i].suffix);
    if (!found[i] || found[i]->dtype != dtype_of_part(s.parts[i].type)) return PARE_OK;
  }
  bool per_channel = e == &encoding_int8 || e == &encoding_int8_static;
  if (per_channel && K * N > 0 && found[1]->bytes == 4 && N > 1) return PARE_OK; // one scale: int8-tensor
  *matched = true;
  if (conv1d && s.part_count == 1) {
    s.transposed = true;
    s.parts[0].shape[0] = K;
    s.parts[0].shape[1] = N;
  }
  for (size_t i = 0; i < s.part_count; i++) {
    if (!same_shape(&s.parts[i], found[i])) return wrong_shape(found[i], s.parts[i].rank, s.parts[i].shape, err);
    s.parts[i].data = found[i]->data;
    if (s.parts[i].shape[0] != PACK_ANY) continue;
    s.parts[i].shape[0] = found[i]->shape[0];
    s.parts[i].bytes = found[i]->bytes;
  }
  *out = s;
  if (e == &encoding_nf4 || e == &encoding_nf4_dq) return read_quant_state(m, name, out, err);
  const char *problem = e->check ? e->check(out) : NULL;
  if (problem) return error_set(err, PARE_DATA, "%s: tensor %s: %s", found[0]->file, name, problem);
  return e->integer ? check_integer(m, name, out, err) : PARE_OK;
}

static enum pare_status resolve_matrix(const pare_model *m, const struct arch_row *row, struct weight *w,
                                       struct pare_error *err) {
  size_t count;
  const struct encoding *const *all = encodings_all(&count);
  for (size_t i = 0; i < count; i++) {
    bool matched;
    enum pare_status s =
        try_encoding(m, all[i], w->name, w->N, w->K, row->role == ROLE_CONV1D, &w->stored, &matched, err);
    if (!s && matched && all[i]->dense && row->role != ROLE_BAG)
      return error_set(err, PARE_DATA, "%s: tensor %s: a sparse matrix: expected a dense one here",
                       tensors_find(&m->tensors, w->name)->file, w->name);
    if (s || matched) return s;
  }
  const struct tensor *t = tensors_find(&m->tensors, w->name);
  if (!t) t = find_part(m, w->name, packed_suffix);
  return error_set(err, PARE_DATA,
                   "%s: tensor %s: expected floats, or quantized values with their scales; found %s alone", t->file,
                   t->name, dtype_name(t->dtype));
}

static enum pare_status resolve_vector(const pare_model *m, struct weight *w, struct pare_error *err) {
  const struct tensor *t = tensors_find(&m->tensors, w->name);
  struct part p = {.suffix = "", .rank = 1, .shape = {w->N}};
  bool known;
  p.type = part_type_of(t->dtype, &known);
  if (!known || p.type > PART_BF16)
    return error_set(err, PARE_DATA, "%s: tensor %s: expected F32, F16 or BF16, found %s", t->file, w->name,
                     dtype_name(t->dtype));
  if (!same_shape(&p, t)) return wrong_shape(t, 1, p.shape, err);
  if (t->rank == 2) { // (1, N): kept, so that it is written as it came
    p.rank = t->rank;
    memcpy(p.shape, t->shape, 2 * sizeof *p.shape);
  }
  const struct encoding *const floats[] = {&encoding_f32, &encoding_f16, &encoding_bf16};
  w->stored = (struct stored){.encoding = floats[p.type], .N = 1, .K = w->N, .part_count = 1};
  p.data = t->data;
  p.bytes = t->bytes;
  w->stored.parts[0] = p;
  return PARE_OK;
}

// A tensor by the table's own name, its alias, or where its copy lies, into buffer; NULL when the file has none of
// them.
static const struct tensor *find_name(const pare_model *m, const char *prefix, const struct arch_row *row, size_t layer,
                                      char *buffer) {
  const char *patterns[3] = {row->name, row->alias, row->copy};
  for (int i = 0; i < 3; i++) {
    if (!patterns[i] || !weights_name(buffer, NAME_CAP, prefix, row, patterns[i], layer)) continue;
    const struct tensor *t = tensors_find(&m->tensors, buffer);
    if (!t && row->k != D_NONE) t = find_part(m, buffer, packed_suffix);
    if (t) return t;
  }
  return NULL;
}

static enum pare_status resolve_row(pare_model *m, const char *prefix, size_t index, size_t layer, struct weight *w,
                                    struct pare_error *err) {
  const struct arch_row *row = &m->arch->rows[index];
  if (!arch_row_used(row, &m->config)) return PARE_OK;
  char buffer[NAME_CAP];
  const struct tensor *t = find_name(m, prefix, row, layer, buffer);
  arch_row_shape(row, &m->config, layer, &w->N, &w->K);
  if (!t && row->optional) return PARE_OK;
  if (!t) {
    weights_name(buffer, sizeof buffer, prefix, row, row->name, layer);
    return error_set(err, PARE_DATA, "%s: missing tensor %s (%zu x %zu)", m->path, buffer, w->N, w->K);
  }
  bool plain = !strcmp(t->name, buffer);
  w->own_name = plain ? NULL : strdup(buffer);
  w->name = plain ? t->name : w->own_name;
  if (!w->name) return error_no_memory(err);
  w->present = true;
  return row->k == D_NONE ? resolve_vector(m, w, err) : resolve_matrix(m, row, w, err);
}

// The prefix under which the first table row is found; the first prefix when none is, so that the message is the usual
// name.
static const char *choose_prefix(const pare_model *m) {
  char buffer[NAME_CAP];
  for (size_t i = 0; m->arch->prefixes[i]; i++)
    if (find_name(m, m->arch->prefixes[i], &m->arch->rows[0], 0, buffer)) return m->arch->prefixes[i];
  return m->arch->prefixes[0];
}

static void count_parameters(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  *(size_t *)context += w->N * w->K;
}

enum pare_status weights_resolve(pare_model *m, struct pare_error *err) {
  size_t rows = m->arch->row_count;
  m->weights.row_count = rows;
  m->weights.global = calloc(rows, sizeof(struct weight));
  m->weights.layers = calloc(rows * arch_layers(&m->config), sizeof(struct weight));
  if (!m->weights.global || !m->weights.layers) return error_no_memory(err);
  const char *prefix = choose_prefix(m);
  for (size_t i = 0; i < rows; i++) {
    const struct arch_row *row = &m->arch->rows[i];
    for (size_t l = 0; l < arch_row_layers(row, &m->config); l++) {
      struct weight *w = arch_row_layered(row) ? &m->weights.layers[l * rows + i] : &m->weights.global[i];
      enum pare_status s = resolve_row(m, prefix, i, l, w, err);
      if (s) return s;
    }
  }
  enum pare_status s = m->arch->fold ? m->arch->fold(m->kernels, &m->config, &m->weights, m->path, err) : PARE_OK;
  if (!s) model_each_weight(m, count_parameters, &m->parameters);
  return s;
}

static void weight_free(struct weight *w) {
  stored_free(&w->stored); // folded weights own their values
  free(w->own_name);
}

void weights_free(pare_model *m) {
  size_t rows = m->weights.row_count;
  for (size_t i = 0; m->weights.global && i < rows; i++) weight_free(&m->weights.global[i]);
  for (size_t i = 0; m->weights.layers && i < rows * arch_layers(&m->config); i++) weight_free(&m->weights.layers[i]);
  free(m->weights.global);
  free(m->weights.layers);
  arena_free(&m->memory);
}
