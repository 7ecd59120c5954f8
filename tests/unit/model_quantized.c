// model_quantized.c - quantized directories, ours and other tools', whose parts or promises do not hold are refused by
// name.
#include "model_files.h"

#include "base/size.h"
#include "pack/sparse.h"
#include "quant/quantize.h"

static pare_engine engine;
static const char int8_weight[] = "bert.encoder.layer.1.output.dense.weight";
static const char nf4_weight[] = "bert.encoder.layer.0.attention.output.dense.weight";
static const char dq_weight[] = "transformer.h.0.attn.c_attn.weight";

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

static const char *part_name(const char *name, const char *suffix) {
  static char full[2][300];
  static size_t turn;
  turn = !turn;
  snprintf(full[turn], sizeof full[turn], "%s%s", name, suffix);
  return full[turn];
}

// ---- compressed-tensors ----

static void missing_int8_scales_are_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("int8/bert-int8");
  model_close(files_model(f, &engine));
  files_remove(f, part_name(int8_weight, "_scale"));
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", int8_weight, "with their scales", "I8 alone"));
  files_close(f);
}

static void misshapen_int8_scales_are_refused(void **state) {
  (void)state;
  static const struct {
    size_t rank, shape[2];
    const char *found;
  } cases[] = {
      {2, {36, 2}, "found [36, 2]"}, {1, {35}, "found [35]"}, {2, {2, 1}, "found [2, 1]"}, {1, {0}, "found [0]"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open("int8/bert-int8");
    files_put(f, part_name(int8_weight, "_scale"), DTYPE_F32, cases[i].rank, cases[i].shape, NULL);
    files_refuse(f, PARE_DATA, NEEDLES(part_name(int8_weight, "_scale"), "expected shape [36, 1]", cases[i].found));
    files_close(f);
  }
  struct model_files *f = files_open("int8/bert-int8"); // scales of another type are no scales
  files_put(f, part_name(int8_weight, "_scale"), DTYPE_F64, 2, (size_t[]){36, 1}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES(int8_weight, "I8 alone"));
  files_close(f);
}

static void asymmetric_int8_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("int8/bert-int8");
  const char *name = part_name(int8_weight, "_zero_point");
  files_put(f, name, DTYPE_I8, 2, (size_t[]){36, 1}, NULL);
  model_close(files_model(f, &engine)); // zeros say nothing
  ((int8_t *)files_bytes(f, name))[35] = -3;
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", name, "symmetric"));
  files_close(f);
}

static void other_methods_are_unavailable(void **state) {
  (void)state;
  struct model_files *f = files_open("int8/bert-int8");
  files_set(f, "quantization_config", json_pack("{s:s, s:i}", "quant_method", "gptq", "bits", 4));
  files_refuse(f, PARE_UNAVAILABLE, NEEDLES(f->dir.temp, "config.json", "gptq"));
  static const char *const broken[] = {"{}", "{\"quant_method\": 8}", "[]", "\"gptq\"", "5"};
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    files_set(f, "quantization_config", json_loads(broken[i], JSON_DECODE_ANY, NULL));
    files_refuse(f, PARE_DATA, NEEDLES("config.json", "quantization_config", "quant_method"));
  }
  files_set(f, "quantization_config", json_null());
  model_close(files_model(f, &engine)); // the tensors decide
  files_close(f);
}

// ---- bitsandbytes ----

static void missing_nf4_parts_are_refused(void **state) {
  (void)state;
  static const char *const suffixes[] = {".absmax", ".quant_map", ".quant_state.bitsandbytes__nf4"};
  for (size_t i = 0; i < 3; i++) {
    struct model_files *f = files_open("nf4/bert-nf4");
    files_remove(f, part_name(nf4_weight, suffixes[i]));
    files_refuse(f, PARE_DATA, NEEDLES(f->dir.temp, nf4_weight, i < 2 ? "U8 alone" : suffixes[2]));
    files_close(f);
  }
  struct model_files *f = files_open("nf4/gpt2-cls-nf4-dq");
  files_remove(f, part_name(dq_weight, ".nested_absmax"));
  files_refuse(f, PARE_DATA, NEEDLES(dq_weight, "U8 alone"));
  files_close(f);
}

static void misshapen_nf4_parts_are_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("nf4/bert-nf4");
  files_put(f, nf4_weight, DTYPE_U8, 2, (size_t[]){2047, 1}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES(nf4_weight, "expected shape [2048, 1]", "found [2047, 1]"));
  files_put(f, nf4_weight, DTYPE_U8, 2, (size_t[]){2048, 1}, NULL);
  files_put(f, part_name(nf4_weight, ".absmax"), DTYPE_F32, 1, (size_t[]){65}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES(part_name(nf4_weight, ".absmax"), "expected shape [64]", "found [65]"));
  files_close(f);
  f = files_open("nf4/bert-nf4");
  files_put(f, part_name(nf4_weight, ".quant_map"), DTYPE_F32, 1, (size_t[]){15}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES(part_name(nf4_weight, ".quant_map"), "expected shape [16]", "found [15]"));
  files_close(f);
}

static void another_code_book_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("nf4/bert-nf4");
  ((float *)files_bytes(f, part_name(nf4_weight, ".quant_map")))[9] += 1e-7f;
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", part_name(nf4_weight, ".quant_map"), "NF4"));
  files_close(f);
}

static void quant_state_is_refused(const char *golden, const char *weight, const char *text, const char *needle) {
  struct model_files *f = files_open(golden);
  const char *name = part_name(weight, ".quant_state.bitsandbytes__nf4");
  files_put(f, name, DTYPE_U8, 1, (size_t[]){strlen(text)}, text);
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", name, needle));
  files_close(f);
}

static void a_wrong_quant_state_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *needle;
  } cases[] = {
      {"", "expected a JSON object"},
      {"[64]", "expected a JSON object"},
      {"{\"quant_type\": \"nf4\"", "expected a JSON object"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": 128, \"shape\": [64, 64]}", "blocksize 64, found nf4 with 128"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": \"64\", \"shape\": [64, 64]}", "found nf4 with 0"},
      {"{\"quant_type\": \"fp4\", \"blocksize\": 64, \"shape\": [64, 64]}", "found fp4 with 64"},
      {"{\"blocksize\": 64, \"shape\": [64, 64]}", "found none"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": 64}", "expected shape [64, 64], found [0, 0]"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [32, 128]}",
       "expected shape [64, 64], found [32, 128]"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [64, 63]}", "expected shape [64, 64], found [64, 63]"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [64, 64, 1]}", "expected shape [64, 64]"},
      {"{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [-1, 64]}", "expected shape [64, 64], found [-1, 64]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    quant_state_is_refused("nf4/bert-nf4", nf4_weight, cases[i].text, cases[i].needle);
  // Conv1D is quantized transposed: (outputs, inputs).
  quant_state_is_refused("nf4/gpt2-lm-nf4", dq_weight,
                         "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [64, 192]}",
                         "expected shape [192, 64], found [64, 192]");
  static const char dq[] =
      "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"shape\": [192, 64], \"nested_blocksize\": %d%s}";
  char text[200];
  snprintf(text, sizeof text, dq, 128, ", \"nested_offset\": 0.5");
  quant_state_is_refused("nf4/gpt2-cls-nf4-dq", dq_weight, text, "expected nested_blocksize 256, found 128");
  snprintf(text, sizeof text, dq, 256, "");
  quant_state_is_refused("nf4/gpt2-cls-nf4-dq", dq_weight, text, "nested_offset");
}

// ---- pare.json ----

// A golden model quantized into f's own directory, which is then "out" below it.
static char *quantized(struct model_files *f, const char *scheme, const char *keep) {
  struct pare_error err = {0};
  char *out = path_join(f->dir.temp, "out");
  files_write(f);
  struct pare_quantize_options options = {
      .scheme = scheme, .even_if_larger = true, .keep = &keep, .keep_count = keep != NULL};
  json_t *record;
  must(quantize_model(&engine, f->dir.temp, out, &options, &record, &err), &err);
  json_decref(record);
  return out;
}

static void rewrite(const char *dir, const char *name, const void *data, size_t len) {
  char *path = path_join(dir, name);
  must(file_write_all(path, data, len, NULL), NULL);
  free(path);
}

static void provenance_is_refused(const char *out, const char *text, const char *needle) {
  rewrite(out, "pare.json", text, strlen(text));
  refuses(out, PARE_DATA, NEEDLES(out, needle));
}

static void garbage_provenance_is_refused(void **state) {
  (void)state;
  struct model_files *f = files_open("models/distilbert");
  char *out = quantized(f, "int8", NULL);
  provenance_is_refused(out, "", "pare.json: line 1");
  provenance_is_refused(out, "{\"scheme\": \"int8\"", "pare.json: line 1");
  provenance_is_refused(out, "[]", "pare.json: expected a JSON object");
  provenance_is_refused(out, "{\"scheme\": 8}", "pare.json: scheme: expected");
  provenance_is_refused(out, "{\"scheme\": \"0123456789012345678901234567890123456789012345678901234567890123\"}",
                        "pare.json: scheme: expected");
  static const char *const tests[] = {"7",
                                      "{}",
                                      "{\"ids\": 5, \"logits\": [1, 2, 3]}",
                                      "{\"ids\": [], \"logits\": [1, 2, 3]}",
                                      "{\"ids\": [\"1\"], \"logits\": [1, 2, 3]}",
                                      "{\"ids\": [-1], \"logits\": [1, 2, 3]}",
                                      "{\"ids\": [4294967296], \"logits\": [1, 2, 3]}",
                                      "{\"ids\": [1], \"logits\": [1, 2]}",
                                      "{\"ids\": [1]}",
                                      "{\"ids\": [1], \"logits\": [1, \"x\", 3]}",
                                      "{\"ids\": [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1], \"logits\": [1, 2, 3]}"};
  for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
    char text[300];
    snprintf(text, sizeof text, "{\"scheme\": \"int8\", \"self_test\": %s}", tests[i]);
    provenance_is_refused(out, text, "self_test");
  }
  provenance_is_refused(out, "{\"self_test\": {\"ids\": [43], \"logits\": [1, 2, 3]}}", "id 43");
  provenance_is_refused(out, "{\"self_test\": {\"numerics\": 1, \"ids\": [4], \"logits\": [1, 2, 3]}}",
                        "logit 0 expected 1");
  free(out);
  files_close(f);
}

// A byte of the weight that every answer depends on.
static void a_flipped_weight_byte_fails_the_self_test(void **state) {
  (void)state;
  static const char *const schemes[] = {"f32", "f16", "int16", "int8", "int8-tensor", "llm-int8", "nf4", "nf4-dq"};
  for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
    struct model_files *f = files_open("models/bert");
    char *out = quantized(f, schemes[i], NULL), *path = path_join(out, "model.safetensors");
    struct tensors t;
    struct mapping map;
    must(tensors_open(out, &t, NULL), NULL);
    must(file_map(path, &map, NULL), NULL);
    uint8_t *copy = malloc(map.len);
    memcpy(copy, map.data, map.len);
    const struct tensor *w = tensors_find(&t, "classifier.weight");
    copy[(size_t)(w->data - t.maps[0].data) + w->bytes - 1] ^= 0x13;
    rewrite(out, "model.safetensors", copy, map.len);
    refuses(out, PARE_DATA, NEEDLES(out, "self-test failed", "expected", "found"));
    free(copy);
    file_unmap(&map);
    tensors_close(&t);
    free(path);
    free(out);
    files_close(f);
  }
}

// Where the CPU has bf16 dot products a kept bf16 weight rounds differently, so its directory must open on every table.
static void kept_bf16_opens_on_every_table(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  char *out = quantized(f, "int8", "dense=bf16");
  pare_engine engines[8];
  size_t n = open_engines(engines, 8, 1);
  for (size_t i = 0; i < n; i++) {
    struct pare_error err = {0};
    pare_model *m;
    must(model_open(&engines[i], out, &m, &err), &err);
    model_close(m);
  }
  close_engines(engines, n);
  free(out);
  files_close(f);
}

// Only classifiers over features multiply a matrix of which the zeros are left out; a language model has no product for
// it.
static void sparse_layers_are_refused(void **state) {
  (void)state;
  static const char name[] = "bert.encoder.layer.1.output.dense.weight"; // (36, 52)
  struct pare_error err = {0};
  struct stored s;
  must(stored_new(&encoding_f32, 36, 52, &s, &err), &err);
  must(sparse_if_smaller(&s, &err), &err);
  assert_true(sparse_is(&s));
  struct model_files *f = files_open("models/bert");
  files_put(f, name, DTYPE_F32, 1, s.parts[0].shape, s.parts[0].data);
  files_put(f, part_name(name, "_index"), DTYPE_U8, 1, s.parts[1].shape, s.parts[1].data);
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", name, "a sparse matrix"));
  files_close(f);
  stored_free(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(missing_int8_scales_are_refused), cmocka_unit_test(misshapen_int8_scales_are_refused),
      cmocka_unit_test(asymmetric_int8_is_refused),      cmocka_unit_test(other_methods_are_unavailable),
      cmocka_unit_test(missing_nf4_parts_are_refused),   cmocka_unit_test(misshapen_nf4_parts_are_refused),
      cmocka_unit_test(another_code_book_is_refused),    cmocka_unit_test(a_wrong_quant_state_is_refused),
      cmocka_unit_test(garbage_provenance_is_refused),   cmocka_unit_test(a_flipped_weight_byte_fails_the_self_test),
      cmocka_unit_test(kept_bf16_opens_on_every_table),  cmocka_unit_test(sparse_layers_are_refused),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
