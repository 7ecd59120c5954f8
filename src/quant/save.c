// save.c - see save.h. Tensor names are the source's; parts of a quantized weight add their suffix ("_scale", ".absmax"
// ...).
#include "quant/save.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/weights.h"

static const char *const copied[] = {"tokenizer.json",
                                     "tokenizer_config.json",
                                     "vocab.json",
                                     "merges.txt",
                                     "vocab.txt",
                                     "added_tokens.json",
                                     "special_tokens_map.json",
                                     "generation_config.json",
                                     "fastai_tokenizer.json"};

// What bitsandbytes keeps beside the tensors (its QuantState.as_dict), as the JSON text it writes.
static char *quant_state(const struct result *r) {
  const struct stored *s = &r->stored;
  json_t *j = json_pack("{s:s, s:i, s:s, s:[I, I]}", "quant_type", "nf4", "blocksize", NF4_BLOCK, "dtype", "float32",
                        "shape", (json_int_t)s->N, (json_int_t)s->K);
  if (j && s->encoding == &encoding_nf4_dq) {
    json_object_set_new(j, "nested_blocksize", json_integer(NF4_NESTED_BLOCK));
    json_object_set_new(j, "nested_dtype", json_string("float32"));
    json_object_set_new(j, "nested_offset", json_real((double)s->nested_offset));
  }
  char *text = j ? json_dumps(j, JSON_REAL_PRECISION(17)) : NULL;
  json_decref(j);
  return text;
}

static enum pare_status add_tensor(struct tensor_list *t, const char *name, const char *suffix, struct tensor tensor,
                                   struct pare_error *err) {
  size_t len = strlen(name) + strlen(suffix) + 2;
  char *full = malloc(len);
  if (!full || !part_tensor_name(full, len, name, suffix)) {
    free(full);
    return error_no_memory(err);
  }
  t->names[t->count] = full;
  tensor.name = full;
  tensor.file = "";
  t->list[t->count++] = tensor;
  return PARE_OK;
}

static enum pare_status add_result(struct tensor_list *t, const struct plan_item *item, const struct result *r,
                                   struct pare_error *err) {
  const struct stored *s = &r->stored;
  for (size_t i = 0; i < s->part_count; i++) {
    const struct part *p = &s->parts[i];
    struct tensor tensor = {.dtype = dtype_of_part(p->type), .rank = p->rank, .data = p->data, .bytes = p->bytes};
    memcpy(tensor.shape, p->shape, sizeof p->shape);
    enum pare_status status = add_tensor(t, item->weight->name, p->suffix, tensor, err);
    if (status) return status;
  }
  if (s->encoding != &encoding_nf4 && s->encoding != &encoding_nf4_dq) return PARE_OK;
  char *state = quant_state(r);
  if (!state) return error_no_memory(err);
  t->documents[t->count] = state; // same index as its tensor: freed with the list
  struct tensor tensor = {
      .dtype = DTYPE_U8, .rank = 1, .shape = {strlen(state)}, .data = (const uint8_t *)state, .bytes = strlen(state)};
  return add_tensor(t, item->weight->name, ".quant_state.bitsandbytes__nf4", tensor, err);
}

enum pare_status save_list(const struct plan *p, const struct result *results, struct tensor_list *out,
                           struct pare_error *err) {
  size_t cap = p->count * (PACK_MAX_PARTS + 1) + 2;
  *out = (struct tensor_list){.list = calloc(cap, sizeof *out->list),
                              .names = calloc(cap, sizeof *out->names),
                              .documents = calloc(cap, sizeof *out->documents)};
  enum pare_status s = out->list && out->names && out->documents ? PARE_OK : error_no_memory(err);
  for (size_t i = 0; !s && i < p->count; i++) s = add_result(out, &p->items[i], &results[i], err);
  if (!s && p->ngrams) s = add_tensor(out, p->ngrams->name, "", *p->ngrams, err);
  if (s) tensor_list_free(out);
  return s;
}

void tensor_list_free(struct tensor_list *t) {
  for (size_t i = 0; t->names && t->documents && i <= t->count; i++) {
    free(t->names[i]);
    free(t->documents[i]);
  }
  free(t->list);
  free(t->names);
  free(t->documents);
  *t = (struct tensor_list){0};
}

static json_t *bitsandbytes_config(const struct plan *p) {
  json_t *skip = json_array();
  bool head = false;
  for (size_t i = 0; i < p->count;
       i++) { // heads and --keep: named, so that transformers does not expect them quantized
    const struct plan_item *item = &p->items[i];
    if (!item->scheme || item->scheme->method != &method_cast || item->row->role == ROLE_EMBEDDING) continue;
    // transformers takes a name as a regular expression and as an ending: "classifier" alone would name pre_classifier
    // too.
    bool bare = item->row->bare;
    char module[200];
    snprintf(module, sizeof module, "%s%.*s%s", bare ? "^" : "", (int)(strlen(item->weight->name) - strlen(".weight")),
             item->weight->name, bare ? "$" : "");
    json_array_append_new(skip, json_string(module));
    head |= bare;
  }
  // A tied language model has no head tensor of its own, yet transformers would look for a quantized one.
  if (!head) json_array_append_new(skip, json_string("lm_head"));
  bool in_8bit = p->scheme->encoding == &encoding_llm_int8;
  return json_pack("{s:s, s:b, s:b, s:s, s:s, s:s, s:b, s:f, s:b, s:b, s:o}", "quant_method", "bitsandbytes",
                   "load_in_4bit", !in_8bit, "load_in_8bit", in_8bit, "bnb_4bit_compute_dtype", "float32",
                   "bnb_4bit_quant_storage", "uint8", "bnb_4bit_quant_type", "nf4", "bnb_4bit_use_double_quant",
                   p->scheme->encoding == &encoding_nf4_dq, "llm_int8_threshold", (double)LLM_INT8_THRESHOLD,
                   "llm_int8_enable_fp32_cpu_offload", 0, "llm_int8_has_fp16_weight", 0, "llm_int8_skip_modules", skip);
}

static json_t *compressed_tensors_config(const pare_model *m, const struct plan *p) {
  bool int4 = p->scheme->encoding == &encoding_int4;
  const char *strategy = int4 ? "group" : p->scheme->encoding == &encoding_int8_tensor ? "tensor" : "channel";
  const char *format = int4 ? "pack-quantized" : "int-quantized";
  json_t *ignore = json_array();
  for (size_t i = 0; i < p->count; i++) {
    const struct plan_item *item = &p->items[i];
    // A tied output has no tensor of its own, yet the other tool would look for a quantized one.
    if (item->row->tied_output && weights_is_linear(item->row, &m->config))
      json_array_append_new(ignore, json_string("lm_head"));
    if (item->row->role != ROLE_LINEAR || !item->scheme || item->scheme->method != &method_cast) continue;
    json_array_append_new(ignore, json_stringn(item->weight->name, strlen(item->weight->name) - strlen(".weight")));
  }
  json_t *weights = json_pack("{s:i, s:s, s:b, s:s, s:b}", "num_bits", int4 ? 4 : 8, "type", "int", "symmetric", 1,
                              "strategy", strategy, "dynamic", 0);
  if (int4) json_object_set_new(weights, "group_size", json_integer(I4_GROUP));
  bool fixed = p->scheme->encoding == &encoding_int8_static;
  json_t *inputs = json_pack("{s:i, s:s, s:b, s:s, s:b}", "num_bits", 8, "type", "int", "symmetric", 0, "strategy",
                             fixed ? "tensor" : "token", "dynamic", !fixed);
  json_t *group = json_pack("{s:[s], s:s, s:o, s:o}", "targets", "Linear", "format", format, "weights", weights,
                            "input_activations", inputs);
  return json_pack("{s:s, s:s, s:s, s:o, s:{s:o}}", "quant_method", "compressed-tensors", "format", format,
                   "quantization_status", "compressed", "ignore", ignore, "config_groups", "group_0", group);
}

// Ours alone: another tool that does not know the name refuses the directory instead of computing nonsense.
static json_t *pare_config(const struct plan *p) {
  return json_pack("{s:s, s:s, s:s}", "quant_method", "pare", "scheme", p->name, "version", PARE_VERSION);
}

static const char *plain_type(const struct plan *p) {
  const struct encoding *e = p->portable ? &encoding_f16 : p->scheme->encoding;
  if (p->scheme->method == &method_cast) e = p->scheme->encoding;
  return e == &encoding_f32 ? "float32" : e == &encoding_f16 ? "float16" : e == &encoding_bf16 ? "bfloat16" : NULL;
}

enum pare_status save_json(const char *dir, const char *name, json_t *j, struct pare_error *err) {
  char *path = path_join(dir, name), *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
  enum pare_status s = path && text ? file_write_all(path, text, strlen(text), err) : error_no_memory(err);
  free(path);
  free(text);
  json_decref(j);
  return s;
}

static enum pare_status write_config(const pare_model *m, const struct plan *p, const char *dir,
                                     struct pare_error *err) {
  json_t *config = json_deep_copy(m->config_json);
  if (!config) return error_no_memory(err);
  if (!p->scheme) return save_json(dir, "config.json", config, err);
  const char *type = plain_type(p);
  if (type) {
    json_object_set_new(config, "dtype", json_string(type));
    if (json_object_get(config, "torch_dtype")) json_object_set_new(config, "torch_dtype", json_string(type));
  }
  json_object_del(config, "quantization_config"); // the source's
  if (p->method_name) {
    json_t *q = !strcmp(p->method_name, "pare")           ? pare_config(p)
                : !strcmp(p->method_name, "bitsandbytes") ? bitsandbytes_config(p)
                                                          : compressed_tensors_config(m, p);
    json_object_set_new(config, "quantization_config", q);
  }
  return save_json(dir, "config.json", config, err);
}

static enum pare_status copy_file(const char *from_dir, const char *to_dir, const char *name, struct pare_error *err) {
  char *from = path_join(from_dir, name), *to = path_join(to_dir, name);
  enum pare_status s = from && to ? PARE_OK : error_no_memory(err);
  struct mapping map = {0};
  if (!s && file_exists(from)) {
    s = file_map(from, &map, err);
    if (!s) s = file_write_all(to, map.data, map.len, err);
    file_unmap(&map);
  }
  free(from);
  free(to);
  return s;
}

enum pare_status save_companions(const pare_model *m, const char *dir, struct pare_error *err) {
  const struct model_source *source = &m->source;
  enum pare_status s = PARE_OK;
  for (size_t i = 0; !s && source->directory && i < sizeof copied / sizeof copied[0]; i++)
    s = copy_file(source->directory, dir, copied[i], err);
  if (!s && source->tokenizer) s = save_json(dir, "fastai_tokenizer.json", json_incref(source->tokenizer), err);
  return s;
}

enum pare_status save_directory(const pare_model *m, const struct plan *p, const struct tensor_list *tensors,
                                const char *dir, struct pare_error *err) {
  static const char *const meta[] = {"format", "pt"};
  char *path = path_join(dir, "model.safetensors");
  enum pare_status s = path ? PARE_OK : error_no_memory(err);
  if (!s) s = safetensors_write(path, tensors->list, tensors->count, meta, 1, err);
  if (!s) s = write_config(m, p, dir, err);
  if (!s) s = save_companions(m, dir, err);
  free(path);
  return s;
}
