// onnx.c - see onnx.h.
#include "export/onnx.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "export/onnx_build.h"

static const struct {
  const char *arch;
  void (*build)(struct onnx_build *b);
} builders[] = {{"gpt2", onnx_gpt2}, {"bert", onnx_bert}, {"distilbert", onnx_distilbert}};
enum { BUILDER_COUNT = sizeof builders / sizeof builders[0] };

static size_t find_builder(const struct arch *arch) {
  size_t i = 0;
  while (i < BUILDER_COUNT && strcmp(builders[i].arch, arch->name) != 0) i++;
  return i;
}

static const struct encoding *const held[] = {&encoding_f32, &encoding_f16, &encoding_bf16, &encoding_int8,
                                              &encoding_int8_tensor};
enum { HELD_COUNT = sizeof held / sizeof held[0] };

static bool is_held(const struct encoding *e) {
  for (size_t i = 0; i < HELD_COUNT; i++)
    if (held[i] == e) return true;
  return false;
}

static enum pare_status cannot_hold(const pare_model *m, const struct plan_item *item, const struct encoding *e,
                                    struct pare_error *err) {
  struct buf list = {0};
  for (size_t i = 0; i < HELD_COUNT; i++)
    buf_printf(&list, "%s%s", i == 0 ? "" : i + 1 < HELD_COUNT ? ", " : " and ", held[i]->name);
  error_set(err, PARE_UNAVAILABLE, "%s: tensor %s is %s, which format onnx cannot hold here; it holds %s", m->path,
            item->weight->name, e->name, list.data ? list.data : "");
  buf_free(&list);
  return PARE_UNAVAILABLE;
}

static enum pare_status check(const pare_model *m, const struct plan *plan, const struct pare_quantize_options *options,
                              struct pare_error *err) {
  if (options->portable)
    return error_set(err, PARE_USAGE, "--portable is a form of the hf directory; every ONNX file is portable");
  if (find_builder(m->arch) == BUILDER_COUNT)
    return error_set(err, PARE_UNAVAILABLE, "%s: format onnx is not built yet for %s (gpt2, bert and distilbert are)",
                     m->path, m->arch->name);
  for (size_t i = 0; i < plan->count; i++) {
    const struct plan_item *item = &plan->items[i];
    const struct encoding *e = plan->scheme && item->scheme ? item->scheme->encoding : item->weight->stored.encoding;
    if (item->row->k != D_NONE && !is_held(e)) return cannot_hold(m, item, e, err);
  }
  return PARE_OK;
}

enum pare_status onnx_build_graph(const struct quantized *q, struct onnx_graph **out, struct pare_error *err) {
  *out = onnx_graph_new(q->m->arch->name);
  if (!*out) return error_no_memory(err);
  bool per_token = q->options->onnx_per_token;
  struct onnx_build b = {.g = *out, .q = q, .per_token = per_token, .type8 = per_token ? ONNX_U8 : ONNX_I8, .err = err};
  builders[find_builder(q->m->arch)].build(&b);
  if (b.status) {
    onnx_graph_free(*out);
    *out = NULL;
  }
  return b.status;
}

// Integer weights make it a quantized model, whatever else is in it.
static const char *file_name(const struct quantized *q) {
  for (size_t i = 0; i < q->plan->count; i++)
    if (q->results[i].stored.encoding->integer) return "model_quantized.onnx";
  return "model.onnx";
}

struct output {
  struct onnx_graph *graph;
  const char *file;
};

static enum pare_status prepare(const struct quantized *q, void **state, const char **file, size_t *bytes,
                                struct pare_error *err) {
  struct output *o = calloc(1, sizeof *o);
  *state = o;
  if (!o) return error_no_memory(err);
  o->file = *file = file_name(q);
  enum pare_status s = onnx_build_graph(q, &o->graph, err);
  return s ? s : onnx_graph_bytes(o->graph, bytes, err);
}

// The configuration describes the model; how its weights are stored is in the ONNX file, so what was said of that goes.
static enum pare_status write(void *state, const struct quantized *q, const char *dir, struct pare_error *err) {
  const struct output *o = state;
  char *path = path_join(dir, o->file);
  enum pare_status s = path ? onnx_graph_write(o->graph, path, err) : error_no_memory(err);
  free(path);
  if (s) return s;
  json_t *config = json_deep_copy(q->m->config_json);
  json_object_del(config, "quantization_config");
  s = save_json(dir, "config.json", config, err);
  return s ? s : save_companions(q->m, dir, err);
}

static void release(void *state) {
  struct output *o = state;
  if (o) onnx_graph_free(o->graph);
  free(o);
}

const struct writer writer_onnx = {
    .format = "onnx", .check = check, .prepare = prepare, .write = write, .release = release};
