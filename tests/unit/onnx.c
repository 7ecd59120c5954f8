// onnx.c - what is exported is a well-formed ONNX graph that holds the model's own values, the same bytes every time,
// whole or not at all. (That onnxruntime computes pare's answers from it is checked by `./check --interop`.)
#include "quantize_files.h"

#include <onnx.pb-c.h>
#include <sys/stat.h>

#include "export/onnx.h"

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

static const char *const goldens[] = {
    "models/gpt2-cls", "models/gpt2-cls-no-pad",   "models/gpt2-lm",   "models/gpt2-lm-untied",
    "models/bert",     "models/bert-legacy-names", "models/distilbert"};
enum { GOLDEN_COUNT = sizeof goldens / sizeof goldens[0] };

static const struct pare_quantize_options forms[] = {
    {.scheme = "f32", .even_if_larger = true},
    {.scheme = "f16", .even_if_larger = true},
    {.scheme = "bf16", .even_if_larger = true},
    {.scheme = "int8", .even_if_larger = true},
    {.scheme = "int8-tensor", .even_if_larger = true},
    {.scheme = "int8", .even_if_larger = true, .onnx_per_token = true},
};
enum { FORM_COUNT = sizeof forms / sizeof forms[0] };

// ---- reading back ----

struct read_back {
  struct mapping map;
  Onnx__ModelProto *model;
  const Onnx__GraphProto *g;
};

static char *onnx_file(const char *dir) {
  char *path = path_join(dir, "model.onnx");
  if (file_exists(path)) return path;
  free(path);
  return path_join(dir, "model_quantized.onnx");
}

static struct read_back read_back(const char *dir) {
  struct read_back r;
  char *path = onnx_file(dir);
  must(file_map(path, &r.map, NULL), NULL);
  r.model = onnx__model_proto__unpack(NULL, r.map.len, r.map.data);
  assert_non_null(r.model);
  r.g = r.model->graph;
  free(path);
  return r;
}

static void done(struct read_back *r) {
  onnx__model_proto__free_unpacked(r->model, NULL);
  file_unmap(&r->map);
}

static const Onnx__TensorProto *initializer(const Onnx__GraphProto *g, const char *name) {
  for (size_t i = 0; i < g->n_initializer; i++)
    if (!strcmp(g->initializer[i]->name, name)) return g->initializer[i];
  return NULL;
}

static size_t uses(const Onnx__GraphProto *g, const char *value) {
  size_t n = 0;
  for (size_t i = 0; i < g->n_node; i++)
    for (size_t j = 0; j < g->node[i]->n_input; j++) n += !strcmp(g->node[i]->input[j], value);
  for (size_t i = 0; i < g->n_output; i++) n += !strcmp(g->output[i]->name, value);
  return n;
}

static bool has_node(const Onnx__GraphProto *g, const char *op) {
  for (size_t i = 0; i < g->n_node; i++)
    if (!strcmp(g->node[i]->op_type, op)) return true;
  return false;
}

static enum pare_status write_onnx(const char *source, const char *out, const struct pare_quantize_options *o,
                                   json_t **record, struct pare_error *err) {
  return quantize_write(&(struct quantize_job){&engine, source, out, o, &writer_onnx, NULL}, record, err);
}

static void write_form(struct model_files *f, const struct pare_quantize_options *o, const char *name) {
  struct pare_error err = {0};
  char *out = path_join(f->dir.temp, name);
  json_t *record = NULL;
  files_write(f);
  must(write_onnx(f->dir.temp, out, o, &record, &err), &err);
  char *file = onnx_file(out), hash[65];
  must(file_sha256(file, hash, NULL), NULL);
  struct stat st;
  assert_int_equal(stat(file, &st), 0);
  assert_int_equal(json_integer_value(json_object_get(record, "bytes_after")), st.st_size);
  assert_string_equal(json_string_value(json_object_get(record, "sha256")), hash);
  assert_string_equal(json_string_value(json_object_get(record, "file")), path_base(file));
  assert_string_equal(json_string_value(json_object_get(record, "format")), "onnx");
  json_decref(record);
  free(file);
  free(out);
}

// ---- the graph ----

static size_t type_bytes(int32_t type) {
  switch (type) {
    case ONNX_F32:
    case ONNX_I32: return 4;
    case ONNX_I64: return 8;
    case ONNX_F16:
    case ONNX_BF16: return 2;
    case ONNX_U8:
    case ONNX_I8: return 1;
    default: fail_msg("initializer of type %d", type); return 0;
  }
}

static bool known(const Onnx__GraphProto *g, size_t before, const char *name) {
  for (size_t i = 0; i < g->n_input; i++)
    if (!strcmp(g->input[i]->name, name)) return true;
  for (size_t i = 0; i < before; i++)
    for (size_t j = 0; j < g->node[i]->n_output; j++)
      if (!strcmp(g->node[i]->output[j], name)) return true;
  return initializer(g, name) != NULL;
}

// Every name is given once, before it is used; nothing is given in vain; sizes fit shapes.
static void check_graph(const Onnx__GraphProto *g) {
  for (size_t i = 0; i < g->n_initializer; i++) {
    const Onnx__TensorProto *t = g->initializer[i];
    size_t bytes = type_bytes(t->data_type);
    for (size_t d = 0; d < t->n_dims; d++) bytes *= (size_t)t->dims[d];
    assert_int_equal(t->raw_data.len, bytes);
    if (!uses(g, t->name)) fail_msg("initializer %s is not used", t->name);
    if (initializer(g, t->name) != t) fail_msg("initializer %s is there twice", t->name);
  }
  for (size_t i = 0; i < g->n_input; i++)
    if (!uses(g, g->input[i]->name)) fail_msg("input %s is not used", g->input[i]->name);
  for (size_t i = 0; i < g->n_node; i++) {
    const Onnx__NodeProto *node = g->node[i];
    for (size_t j = 0; j < node->n_input; j++)
      if (*node->input[j] && !known(g, i, node->input[j]))
        fail_msg("node %s reads %s before it is there", node->name, node->input[j]);
    for (size_t j = 0; j < node->n_output; j++) {
      if (known(g, i, node->output[j])) fail_msg("node %s gives %s again", node->name, node->output[j]);
      if (!uses(g, node->output[j])) fail_msg("nothing reads %s of node %s", node->output[j], node->name);
    }
  }
  for (size_t i = 0; i < g->n_output; i++) assert_true(known(g, g->n_node, g->output[i]->name));
}

static void check_value(const Onnx__ValueInfoProto *v, const char *name, enum onnx_type type, size_t rank,
                        const char *const *dims, int64_t last) {
  assert_string_equal(v->name, name);
  assert_int_equal(v->type->tensor_type->elem_type, type);
  const Onnx__TensorShapeProto *s = v->type->tensor_type->shape;
  assert_int_equal(s->n_dim, rank);
  for (size_t i = 0; i < rank; i++) {
    if (dims[i]) {
      assert_string_equal(s->dim[i]->dim_param, dims[i]);
    } else {
      assert_int_equal(s->dim[i]->dim_value, last);
    }
  }
}

// Names and shapes as Optimum's exporter gives them.
static void check_interface(const pare_model *m, const Onnx__GraphProto *g) {
  static const char *const inputs[] = {"input_ids", "attention_mask", "token_type_ids"};
  static const char *const tokens[] = {"batch", "sequence", NULL}, *const pooled[] = {"batch", NULL};
  assert_int_equal(g->n_input, strcmp(m->arch->name, "bert") ? 2 : 3);
  for (size_t i = 0; i < g->n_input; i++) check_value(g->input[i], inputs[i], ONNX_I64, 2, tokens, 0);
  assert_int_equal(g->n_output, 1);
  if (m->config.task == ARCH_CLASSIFY) check_value(g->output[0], "logits", ONNX_F32, 2, pooled, (int64_t)m->config.N);
  if (m->config.task == ARCH_LANGUAGE_MODEL)
    check_value(g->output[0], "logits", ONNX_F32, 3, tokens, (int64_t)m->config.V);
  if (m->config.task == ARCH_ENCODE)
    check_value(g->output[0], "last_hidden_state", ONNX_F32, 3, tokens, (int64_t)m->config.C);
}

// ---- the values ----

struct check {
  const Onnx__GraphProto *g;
  size_t matrices, vectors;
};

// The value at (n, k) of the weight, out of the initializer's bytes; scale is looked up beside it.
static float value_at(const struct check *c, const struct weight *w, const Onnx__TensorProto *t, bool turned, size_t n,
                      size_t k) {
  size_t at = turned ? k * w->N + n : n * w->K + k;
  const uint8_t *p = t->raw_data.data + at * type_bytes(t->data_type);
  float x;
  uint16_t h;
  switch (t->data_type) {
    case ONNX_F32: memcpy(&x, p, 4); return x;
    case ONNX_F16: memcpy(&h, p, 2); return f16_to_f32(h);
    case ONNX_BF16: memcpy(&h, p, 2); return bf16_to_f32(h);
    default: break;
  }
  char name[300];
  snprintf(name, sizeof name, "%s_scale", w->name);
  const Onnx__TensorProto *scale = initializer(c->g, name);
  assert_non_null(scale);
  size_t scales = scale->raw_data.len / 4;
  assert_true(scales == 1 || scales == w->N);
  memcpy(&x, scale->raw_data.data + (scales == 1 ? 0 : 4 * n), 4);
  return x * (float)(t->data_type == ONNX_U8 ? *p - 128 : (int8_t)*p);
}

static void check_weight(void *context, const struct arch_row *row, const struct weight *w) {
  struct check *c = context;
  const Onnx__TensorProto *t = initializer(c->g, w->name);
  float *stored = malloc((row->k == D_NONE ? w->N : w->K) * sizeof *stored);
  if (row->k == D_NONE) {
    assert_non_null(t);
    stored_row(engine.kernels, &w->stored, 0, stored);
    assert_int_equal(t->data_type, ONNX_F32);
    assert_int_equal(t->raw_data.len, 4 * w->N);
    assert_memory_equal(t->raw_data.data, stored, 4 * w->N);
    c->vectors++;
    free(stored);
    return;
  }
  char name[300];
  snprintf(name, sizeof name, "%s_quantized", w->name);
  if (!t) t = initializer(c->g, name);
  if (!t) fail_msg("no initializer for %s", w->name);
  bool turned = row->role != ROLE_EMBEDDING; // (K, N): the right side of a product
  assert_int_equal(t->dims[turned], w->N);
  assert_int_equal(t->dims[!turned], w->K);
  for (size_t n = 0; n < w->N; n++) {
    stored_row(engine.kernels, &w->stored, n, stored);
    for (size_t k = 0; k < w->K; k++)
      if (value_at(c, w, t, turned, n, k) != stored[k]) fail_msg("%s: (%zu, %zu) differs", w->name, n, k);
  }
  c->matrices++;
  free(stored);
}

static void count_weight(void *context, const struct arch_row *row, const struct weight *w) {
  (void)row;
  (void)w;
  ++*(size_t *)context;
}

static void graphs_are_well_formed_and_hold_the_values(void **state) {
  (void)state;
  for (size_t i = 0; i < GOLDEN_COUNT; i++) {
    for (size_t j = 0; j < FORM_COUNT; j++) {
      struct model_files *f = files_open(goldens[i]);
      write_form(f, &forms[j], "onnx");
      json_decref(quantize_into(&engine, f, &forms[j]));
      char *out = path_join(f->dir.temp, "onnx"), *hf = path_join(f->dir.temp, "out");
      struct pare_error err = {0};
      pare_model *m;
      must(model_open_stored(&engine, hf, &m, &err), &err);
      struct read_back r = read_back(out);
      assert_int_equal(r.model->ir_version, 8);
      assert_int_equal(r.model->n_opset_import, 1);
      assert_int_equal(r.model->opset_import[0]->version, 17);
      assert_string_equal(r.model->producer_name, "pare");
      check_graph(r.g);
      check_interface(m, r.g);
      struct check c = {.g = r.g};
      model_each_weight(m, check_weight, &c);
      size_t weights = 0;
      model_each_weight(m, count_weight, &weights);
      assert_int_equal(c.matrices + c.vectors, weights);
      bool integer = strncmp(forms[j].scheme, "int8", 4) == 0, per_token = forms[j].onnx_per_token;
      assert_int_equal(has_node(r.g, "MatMulInteger"), integer);
      assert_int_equal(has_node(r.g, "DynamicQuantizeLinear"), integer && !per_token);
      done(&r);
      model_close(m);
      free(out);
      free(hf);
      files_close(f);
    }
  }
}

static void a_tied_output_layer_is_stored_once(void **state) {
  (void)state;
  for (size_t j = 0; j < FORM_COUNT; j++) {
    struct model_files *f = files_open("models/gpt2-lm");
    write_form(f, &forms[j], "onnx");
    char *out = path_join(f->dir.temp, "onnx");
    struct read_back r = read_back(out);
    int64_t vocab = json_integer_value(json_object_get(f->config, "vocab_size"));
    size_t found = 0;
    for (size_t i = 0; i < r.g->n_initializer; i++) {
      const Onnx__TensorProto *t = r.g->initializer[i];
      for (size_t d = 0; t->n_dims == 2 && t->dims[1] > 1 && d < 2; d++) found += t->dims[d] == vocab;
    }
    assert_int_equal(found, 1);
    done(&r);
    free(out);
    files_close(f);
  }
}

static void an_encoder_without_a_head_gives_hidden_states(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  static const char *const heads[] = {"bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight",
                                      "classifier.bias"};
  for (size_t i = 0; i < 4; i++) files_remove(f, heads[i]);
  files_set(f, "architectures", json_pack("[s]", "BertModel"));
  write_form(f, &forms[0], "onnx");
  char *out = path_join(f->dir.temp, "onnx");
  struct pare_error err = {0};
  pare_model *m;
  must(model_open_stored(&engine, f->dir.temp, &m, &err), &err);
  struct read_back r = read_back(out);
  check_graph(r.g);
  check_interface(m, r.g);
  done(&r);
  model_close(m);
  free(out);
  files_close(f);
}

// ---- the same bytes; converting ----

static void hash_of(const char *dir, char out[65]) {
  char *file = onnx_file(dir);
  must(file_sha256(file, out, NULL), NULL);
  free(file);
}

static void the_same_model_gives_the_same_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < GOLDEN_COUNT; i++) {
    struct model_files *f = files_open(goldens[i]);
    char *a = path_join(f->dir.temp, "a"), *b = path_join(f->dir.temp, "b"), hash[2][65];
    write_form(f, &forms[3], "a");
    write_form(f, &forms[3], "b");
    hash_of(a, hash[0]);
    hash_of(b, hash[1]);
    assert_string_equal(hash[0], hash[1]);
    free(a);
    free(b);
    files_close(f);
  }
}

// A directory that pare quantized gives the file that quantizing into ONNX gives: nothing is rounded again.
static void converting_keeps_stored_values(void **state) {
  (void)state;
  for (size_t i = 0; i < GOLDEN_COUNT; i++) {
    for (size_t j = 0; j < FORM_COUNT; j++) {
      struct model_files *f = files_open(goldens[i]);
      struct pare_error err = {0};
      char *direct = path_join(f->dir.temp, "direct"), *hf = path_join(f->dir.temp, "out");
      char *converted = path_join(f->dir.temp, "converted"), *back = path_join(f->dir.temp, "back"), hash[4][65];
      write_form(f, &forms[j], "direct");
      json_decref(quantize_into(&engine, f, &forms[j]));
      json_t *record;
      must(quantize_convert(&(struct quantize_job){&engine, hf, converted, &forms[j], &writer_onnx, NULL}, &record,
                            &err),
           &err);
      assert_string_equal(json_string_value(json_object_get(record, "scheme")), forms[j].scheme);
      json_decref(record);
      hash_of(direct, hash[0]);
      hash_of(converted, hash[1]);
      assert_string_equal(hash[0], hash[1]);
      must(quantize_convert(&(struct quantize_job){&engine, hf, back, &forms[j], &writer_hf, NULL}, &record, &err),
           &err);
      json_decref(record);
      static const char *const same[] = {"model.safetensors", "config.json"};
      for (size_t s = 0; s < 2; s++) {
        char *x = path_join(hf, same[s]), *y = path_join(back, same[s]);
        must(file_sha256(x, hash[2], NULL), NULL);
        must(file_sha256(y, hash[3], NULL), NULL);
        assert_string_equal(hash[2], hash[3]);
        free(x);
        free(y);
      }
      free(direct);
      free(hf);
      free(converted);
      free(back);
      files_close(f);
    }
  }
}

// ---- refused ----

static void refused(const char *golden, const struct pare_quantize_options *o, bool convert, enum pare_status expected,
                    const char *const *needles) {
  struct model_files *f = files_open(golden);
  struct pare_error err = {0};
  char *out = path_join(f->dir.temp, "onnx"), *source = convert ? golden_path(golden) : strdup(f->dir.temp);
  json_t *record;
  files_write(f);
  enum pare_status s =
      convert ? quantize_convert(&(struct quantize_job){&engine, source, out, o, &writer_onnx, NULL}, &record, &err)
              : write_onnx(source, out, o, &record, &err);
  if (s != expected) fail_msg("expected status %d, found %d: %s", expected, s, s ? err.text : "");
  assert_null(record);
  for (size_t i = 0; needles[i]; i++)
    if (!strstr(err.text, needles[i])) fail_msg("the message does not hold \"%s\": %s", needles[i], err.text);
  assert_int_equal(hidden_entries(f->dir.temp), 0);
  assert_false(file_is_dir(out));
  free(source);
  free(out);
  files_close(f);
}

static void what_onnx_cannot_hold_is_refused_by_name(void **state) {
  (void)state;
  static const char *const schemes[] = {"nf4", "nf4-dq", "int16"};
  for (size_t i = 0; i < 3; i++)
    refused("models/bert", &(struct pare_quantize_options){.scheme = schemes[i], .even_if_larger = true}, false,
            PARE_UNAVAILABLE, NEEDLES(schemes[i], "word_embeddings", "int8-tensor"));
  refused("models/bert",
          &(struct pare_quantize_options){
              .scheme = "int8", .keep = (const char *const[]){"pooler=nf4"}, .keep_count = 1, .even_if_larger = true},
          false, PARE_UNAVAILABLE, NEEDLES("pooler", "nf4"));
  refused("nf4/bert-nf4", &(struct pare_quantize_options){.dry_run = true}, true, PARE_UNAVAILABLE, NEEDLES("nf4"));
  refused("models/bert", &(struct pare_quantize_options){.scheme = "int8", .portable = true}, false, PARE_USAGE,
          NEEDLES("--portable"));
}

static void an_architecture_without_a_graph_is_refused_by_name(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  struct pare_error err = {0};
  pare_model *m;
  files_write(f);
  must(model_open_stored(&engine, f->dir.temp, &m, &err), &err);
  struct arch other = *m->arch;
  other.name = "walrus";
  m->arch = &other;
  struct plan plan = {0};
  assert_int_equal(writer_onnx.check(m, &plan, &forms[0], &err), PARE_UNAVAILABLE);
  assert_non_null(strstr(err.text, "walrus"));
  model_close(m);
  files_close(f);
}

static void an_output_that_cannot_be_written_leaves_nothing(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  struct pare_error err = {0};
  json_t *record;
  files_write(f);
  char *out = path_join(f->dir.temp, "no/such/dir");
  assert_int_equal(write_onnx(f->dir.temp, out, &forms[0], &record, &err), PARE_IO);
  assert_null(record);
  assert_int_equal(hidden_entries(f->dir.temp), 0);
  free(out);
  out = path_join(f->dir.temp, "theirs");
  assert_int_equal(mkdir(out, 0755), 0);
  assert_int_equal(write_onnx(f->dir.temp, out, &forms[0], &record, &err), PARE_USAGE);
  char *file = path_join(out, "model.onnx");
  assert_false(file_exists(file));
  free(file);
  free(out);
  // A file where the graph would go, in a directory that is not there.
  struct onnx_graph *g = onnx_graph_new("none");
  assert_int_equal(onnx_graph_write(g, "/no/such/dir/model.onnx", &err), PARE_IO);
  onnx_graph_free(g);
  files_close(f);
}

// Sizes are known before anything is read, so no such tensor needs to exist.
static void two_gibibytes_are_refused(void **state) {
  (void)state;
  struct pare_error err = {0};
  struct onnx_graph *g = onnx_graph_new("large");
  size_t bytes;
  onnx_initializer(g, &(struct onnx_tensor){"half", ONNX_U8, 1, {(size_t)1 << 30}, "", (size_t)1 << 30});
  must(onnx_graph_bytes(g, &bytes, &err), &err);
  assert_true(bytes > (size_t)1 << 30);
  onnx_initializer(g, &(struct onnx_tensor){"other half", ONNX_U8, 1, {(size_t)1 << 30}, "", (size_t)1 << 30});
  assert_int_equal(onnx_graph_bytes(g, &bytes, &err), PARE_UNAVAILABLE);
  assert_non_null(strstr(err.text, "2 GiB"));
  assert_int_equal(onnx_graph_write(g, "unwritten.onnx", &err), PARE_UNAVAILABLE);
  assert_false(file_exists("unwritten.onnx"));
  onnx_graph_free(g);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(graphs_are_well_formed_and_hold_the_values),
      cmocka_unit_test(a_tied_output_layer_is_stored_once),
      cmocka_unit_test(an_encoder_without_a_head_gives_hidden_states),
      cmocka_unit_test(the_same_model_gives_the_same_bytes),
      cmocka_unit_test(converting_keeps_stored_values),
      cmocka_unit_test(what_onnx_cannot_hold_is_refused_by_name),
      cmocka_unit_test(an_architecture_without_a_graph_is_refused_by_name),
      cmocka_unit_test(an_output_that_cannot_be_written_leaves_nothing),
      cmocka_unit_test(two_gibibytes_are_refused),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
