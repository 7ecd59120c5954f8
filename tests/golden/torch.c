// torch.c - files written by torch.save and fastai, against what wrote them: the same logits bit for bit as the
// safetensors they were made from, every element type and layout, refusals by name, and a fastai export that answers as
// fastai does. Files are written by tools/golden_torch.py.
#include "golden.h"

#include "base/file.h"
#include "quant/quantize.h"

#define DATA TEST_DIR "/golden/data/torch"
static const double BUDGET = 1e-6; // of probabilities, between fastai's float32 and ours

static pare_engine engine;

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL);
}

static float *logits_of(const char *path, size_t *count) {
  static const uint32_t ids[] = {1, 5, 2, 9, 3};
  struct golden_case c = {.ids = (uint32_t *)(uintptr_t)ids, .types = (uint8_t[5]){0}, .len = 5};
  struct pare_error err = {0};
  pare_model *m;
  must(model_open(&engine, path, &m, &err), &err);
  float *logits = golden_run(m, &c, count);
  model_close(m);
  return logits;
}

static void models_answer_as_their_safetensors_do(void **state) {
  (void)state;
  json_t *list = json_load_file(DATA "/models.json", 0, NULL);
  assert_int_equal(json_object_size(list), 6);
  const char *kind;
  json_t *name;
  json_object_foreach(list, kind, name) {
    char ours[1024], other[1024];
    size_t n, m;
    snprintf(ours, sizeof ours, DATA "/models/%s", kind);
    snprintf(other, sizeof other, TEST_DIR "/golden/data/models/%s", json_string_value(name));
    float *a = logits_of(ours, &n), *b = logits_of(other, &m);
    assert_int_equal(n, m);
    if (memcmp(a, b, n * sizeof *a) != 0) fail_msg("%s: other logits than %s", kind, other);
    free(a);
    free(b);
    if (strcmp(kind, "sharded") == 0) continue;
    strcat(ours, "/pytorch_model.bin"); // the file itself, with config.json beside it
    a = logits_of(ours, &n);
    free(a);
  }
  json_decref(list);
}

// ---- element types and layouts ----

static double element(const struct tensor *t, size_t i) {
  const uint8_t *p = t->data + i * dtype_bytes(t->dtype);
  float f;
  uint32_t bits;
  int64_t whole = 0;
  switch (t->dtype) {
    case DTYPE_F32: memcpy(&f, p, 4); return (double)f;
    case DTYPE_F64: {
      double d;
      memcpy(&d, p, 8);
      return d;
    }
    case DTYPE_BF16:
      bits = (uint32_t)p[1] << 24 | (uint32_t)p[0] << 16;
      memcpy(&f, &bits, 4);
      return (double)f;
    case DTYPE_F16: // the values are small integers: no infinities, no subnormals but 0
      bits = (uint32_t)p[1] << 8 | p[0];
      if (bits & 0x7FFF) bits = (bits & 0x8000) << 16 | (((bits & 0x7FFF) << 13) + (112u << 23));
      memcpy(&f, &bits, 4);
      return (double)f;
    case DTYPE_U8:
    case DTYPE_BOOL: return *p;
    default: memcpy(&whole, p, dtype_bytes(t->dtype)); break;
  }
  int shift = 64 - 8 * (int)dtype_bytes(t->dtype);
  return (double)((int64_t)((uint64_t)whole << shift) >> shift);
}

static void check_values(const struct tensors *t) {
  static const char *const types[][2] = {
      {"float32", "F32"}, {"float16", "F16"}, {"bfloat16", "BF16"}, {"float64", "F64"}, {"int64", "I64"},
      {"int32", "I32"},   {"int16", "I16"},   {"int8", "I8"},       {"uint8", "U8"},    {"bool", "BOOL"}};
  json_t *all = json_load_file(DATA "/dtypes.json", 0, NULL);
  assert_int_equal(json_object_size(all), t->count);
  const char *name;
  json_t *expected;
  json_object_foreach(all, name, expected) {
    const struct tensor *found = tensors_find(t, name);
    assert_non_null(found);
    const char *type = json_string_value(json_object_get(expected, "dtype"));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
      if (!strcmp(types[i][0], type)) assert_string_equal(dtype_name(found->dtype), types[i][1]);
    json_t *shape = json_object_get(expected, "shape"), *values = json_object_get(expected, "values");
    assert_int_equal(found->rank, json_array_size(shape));
    for (size_t i = 0; i < found->rank; i++)
      assert_int_equal(found->shape[i], json_integer_value(json_array_get(shape, i)));
    assert_int_equal(found->bytes, json_array_size(values) * dtype_bytes(found->dtype));
    for (size_t i = 0; i < json_array_size(values); i++)
      if (element(found, i) != json_number_value(json_array_get(values, i)))
        fail_msg("%s: element %zu differs", name, i);
  }
  json_decref(all);
}

static void every_type_and_layout(void **state) {
  (void)state;
  static const char *const files[] = {DATA "/dtypes.pt", DATA "/dtypes_legacy.pt"};
  for (size_t i = 0; i < 2; i++) {
    struct tensors t;
    struct pare_error err = {0};
    must(tensors_open(files[i], &t, &err), &err);
    check_values(&t);
    tensors_close(&t);
  }
}

static void what_is_not_dense_is_refused(void **state) {
  (void)state;
  json_t *list = json_load_file(DATA "/refused.json", 0, NULL);
  assert_int_equal(json_object_size(list), 6);
  const char *file;
  json_t *words;
  json_object_foreach(list, file, words) {
    char path[1024];
    struct tensors t;
    struct pare_error err = {0};
    snprintf(path, sizeof path, DATA "/refused/%s", file);
    assert_int_equal(tensors_open(path, &t, &err), PARE_DATA);
    assert_null(t.list);
    if (!strstr(err.text, json_string_value(words))) fail_msg("%s: %s", file, err.text);
    if (strcmp(file, "list.pt") != 0) assert_non_null(strstr(err.text, "a.weight"));
  }
  json_decref(list);
}

// ---- a fastai export ----

static void answers_as_fastai(const char *path, const json_t *cases) {
  struct pare_error err = {0};
  pare_model *m;
  must(model_open(&engine, path, &m, &err), &err);
  size_t i;
  json_t *c;
  json_array_foreach(cases, i, c) {
    const char *text = json_string_value(json_object_get(c, "text"));
    const json_t *ids = json_object_get(c, "ids"), *scores = json_object_get(c, "scores");
    struct encoded e = {0};
    must(model_tokenize(m, &(struct pare_text){.text = text, .len = strlen(text)}, 0, false, &e, &err), &err);
    assert_int_equal(e.len, json_array_size(ids));
    for (size_t k = 0; k < e.len; k++) assert_int_equal(e.ids[k], json_integer_value(json_array_get(ids, k)));
    struct golden_case g = {.ids = e.ids, .types = e.types, .len = e.len};
    size_t count;
    float *logits = golden_run(m, &g, &count);
    double sum = 0;
    for (size_t k = 0; k < count; k++) sum += exp((double)logits[k]);
    assert_int_equal(count, json_array_size(scores));
    for (size_t k = 0; k < count; k++) {
      double off = exp((double)logits[k]) / sum - json_number_value(json_array_get(scores, k));
      if (!(fabs(off) <= BUDGET)) fail_msg("'%s': label %zu is off by %g", text, k, off);
    }
    free(logits);
    encoded_free(&e);
  }
  model_close(m);
}

static void an_export_answers_as_fastai_does(void **state) {
  (void)state;
  json_t *golden = json_load_file(DATA "/fastai/golden.json", 0, NULL), *labels = json_object_get(golden, "labels");
  const json_t *cases = json_object_get(golden, "cases");
  assert_int_equal(json_array_size(cases), 5);
  struct pare_error err = {0};
  pare_model *m;
  must(model_open(&engine, DATA "/fastai", &m, &err), &err); // the folder around export.pkl
  assert_string_equal(m->arch->name, "awd_lstm");
  for (size_t i = 0; i < json_array_size(labels); i++)
    assert_string_equal(m->labels[i], json_string_value(json_array_get(labels, i)));
  assert_int_equal(m->config.N, json_array_size(labels));
  assert_int_equal(m->config.bptt, 8);
  assert_int_equal(m->config.window, 32);
  assert_int_equal(tokenizer_vocab_size(m->tokenizer), json_integer_value(json_object_get(golden, "vocabulary")));
  model_close(m);
  answers_as_fastai(DATA "/fastai/export.pkl", cases);
  json_decref(golden);
}

static void put_json(const char *dir, const char *name, const json_t *j) {
  struct pare_error err = {0};
  char *path = path_join(dir, name), *text = json_dumps(j, 0);
  must(file_write_all(path, text, strlen(text), &err), &err);
  free(path);
  free(text);
}

// Learner.save's file beside a config without sizes and the tokenizer that quantize wrote.
static void weights_alone(const char *from, const json_t *cases) {
  struct pare_error err = {0};
  struct outdir dir;
  struct mapping weights;
  must(dir_create_temp(&dir, &err), &err);
  char *file = path_join(dir.temp, "model.pth"), *config = path_join(from, "config.json"),
       *words = path_join(from, "fastai_tokenizer.json");
  must(file_map(DATA "/fastai/model.pth", &weights, &err), &err);
  must(file_write_all(file, weights.data, weights.len, &err), &err);
  file_unmap(&weights);
  pare_model *m;
  assert_int_equal(model_open(&engine, file, &m, &err), PARE_NOFILE);
  assert_non_null(strstr(err.text, "config.json"));
  json_t *full = json_load_file(config, 0, NULL), *tokenizer = json_load_file(words, 0, NULL);
  json_t *small = json_pack("{s:O, s:O, s:O, s:O, s:O, s:O}", "model_type", json_object_get(full, "model_type"),
                            "architectures", json_object_get(full, "architectures"), "pad_token_id",
                            json_object_get(full, "pad_token_id"), "bptt", json_object_get(full, "bptt"), "max_length",
                            json_object_get(full, "max_length"), "id2label", json_object_get(full, "id2label"));
  put_json(dir.temp, "config.json", small);
  put_json(dir.temp, "fastai_tokenizer.json", tokenizer);
  answers_as_fastai(file, cases);
  json_decref(full);
  json_decref(tokenizer);
  json_decref(small);
  free(file);
  free(config);
  free(words);
  dir_discard(&dir);
}

static void a_directory_made_of_an_export(void **state) {
  (void)state;
  json_t *golden = json_load_file(DATA "/fastai/golden.json", 0, NULL), *record;
  const json_t *cases = json_object_get(golden, "cases");
  struct pare_error err = {0};
  struct outdir dir;
  must(dir_create_temp(&dir, &err), &err);
  char *out = path_join(dir.temp, "f32"), *again = path_join(dir.temp, "again"), *small = path_join(dir.temp, "int8");
  struct pare_quantize_options o = {.scheme = "f32", .even_if_larger = true};
  must(quantize_model(&engine, DATA "/fastai/export.pkl", out, &o, &record, &err), &err);
  json_decref(record);
  answers_as_fastai(out, cases);
  must(quantize_model(&engine, out, again, &o, &record, &err), &err); // a directory of ours as the source
  json_decref(record);
  answers_as_fastai(again, cases);
  o.scheme = "int8";
  must(quantize_model(&engine, DATA "/fastai/export.pkl", small, &o, &record, &err), &err);
  json_decref(record);
  pare_model *m;
  must(model_open(&engine, small, &m, &err), &err); // checks its own stored answer
  assert_string_equal(m->scheme, "int8");
  model_close(m);
  weights_alone(out, cases);
  json_decref(golden);
  free(out);
  free(again);
  free(small);
  dir_discard(&dir);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(models_answer_as_their_safetensors_do), cmocka_unit_test(every_type_and_layout),
      cmocka_unit_test(what_is_not_dense_is_refused), cmocka_unit_test(an_export_answers_as_fastai_does),
      cmocka_unit_test(a_directory_made_of_an_export)};
  return cmocka_run_group_tests(tests, setup, NULL);
}
