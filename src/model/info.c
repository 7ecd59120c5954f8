// info.c - see info.h.
#include "model/info.h"

#include <jansson.h>
#include <string.h>

const char *model_task_name(const pare_model *m) {
  static const char *const names[] = {[ARCH_CLASSIFY] = "text-classification",
                                      [ARCH_LANGUAGE_MODEL] = "text-generation",
                                      [ARCH_ENCODE] = "feature-extraction",
                                      [ARCH_SEQ2SEQ] = "text2text-generation"};
  return names[m->config.task];
}

static void add_tensor(void *context, const struct arch_row *row, const struct weight *w) {
  json_t *list = context, *shape = json_array();
  const struct stored *s = &w->stored;
  bool plain = row->k == D_NONE;
  json_array_append_new(shape, json_integer((json_int_t)(plain ? w->N : s->transposed ? w->K : w->N)));
  if (!plain) json_array_append_new(shape, json_integer((json_int_t)(s->transposed ? w->N : w->K)));
  json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:I}", "name", w->name, "shape", shape, "encoding",
                                        s->encoding->name, "bytes", (json_int_t)stored_bytes(s)));
}

static void add_coverage(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  json_t *list = context, *entry = NULL;
  size_t i;
  json_array_foreach(list, i, entry) {
    if (!strcmp(json_string_value(json_object_get(entry, "encoding")), w->stored.encoding->name)) break;
  }
  if (i == json_array_size(list)) {
    entry = json_pack("{s:s, s:i, s:i}", "encoding", w->stored.encoding->name, "tensors", 0, "bytes", 0);
    json_array_append_new(list, entry);
  }
  json_t *tensors = json_object_get(entry, "tensors"), *bytes = json_object_get(entry, "bytes");
  json_integer_set(tensors, json_integer_value(tensors) + 1);
  json_integer_set(bytes, json_integer_value(bytes) + (json_int_t)stored_bytes(&w->stored));
}

json_t *model_coverage(const pare_model *m) {
  json_t *list = json_array();
  model_each_weight(m, add_coverage, list);
  return list;
}

static void count_tensors(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  // Each part is one tensor of the file; nf4 has its quant_state beside them.
  bool nf4 = w->stored.encoding == &encoding_nf4 || w->stored.encoding == &encoding_nf4_dq;
  *(size_t *)context += w->stored.part_count + nf4;
}

json_t *model_info(const pare_model *m) {
  json_t *labels = json_array(), *tensors = json_array();
  for (size_t i = 0; i < m->config.N && m->labels; i++) json_array_append_new(labels, json_string(m->labels[i]));
  model_each_weight(m, add_tensor, tensors);
  struct model_bytes b = model_bytes(m);
  size_t used = m->weights.folded, f32 = 4 * m->parameters;
  model_each_weight(m, count_tensors, &used);
  used += m->ngrams != NULL;
  json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:I, s:o, s:{s:I, s:I, s:I, s:I}, s:o, s:I, s:o}",
                        "name", path_base(m->path), "arch", m->arch->name, "task", model_task_name(m), "path", m->path,
                        "parameters", (json_int_t)m->parameters, "size_bytes", (json_int_t)b.total, "f32_bytes",
                        (json_int_t)f32, "scheme", m->scheme, "max_tokens", (json_int_t)model_max_tokens(m), "labels",
                        labels, "bytes", "embedding", (json_int_t)b.embedding, "linear", (json_int_t)b.linear, "scale",
                        (json_int_t)b.scale, "other", (json_int_t)b.other, "coverage", model_coverage(m),
                        "unused_tensors", (json_int_t)(m->tensors.count - used), "tensors", tensors);
  if (j && m->provenance) {
    json_t *p = json_deep_copy(m->provenance);
    json_object_del(p, "tensors"); // listed above already
    json_object_set_new(j, "provenance", p);
  }
  return j;
}
