// model_int4.c - directories of 4-bit groups whose parts do not hold are refused by name; ours open under the names
// that compressed-tensors gives them, embeddings and short rows too.
#include "quantize_files.h"

static pare_engine engine;
static const char golden[] = "int4/bert-int4";
#define WEIGHT "bert.encoder.layer.0.intermediate.dense.weight" // (192, 128)

static int setup(void **state) {
  (void)state;
  return kernels_select(NULL, &engine.kernels, NULL) != PARE_OK;
}

static void missing_parts_are_refused(void **state) {
  (void)state;
  static const char *const parts[] = {WEIGHT "_scale", WEIGHT "_shape"};
  for (size_t i = 0; i < 2; i++) {
    struct model_files *f = files_open(golden);
    model_close(files_model(f, &engine));
    files_remove(f, parts[i]);
    files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", WEIGHT "_packed", "with their scales", "I32 alone"));
    files_close(f);
  }
  struct model_files *f = files_open(golden);
  files_remove(f, WEIGHT "_packed");
  files_refuse(f, PARE_DATA, NEEDLES("missing tensor", WEIGHT));
  files_close(f);
}

static void misshapen_parts_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *part;
    enum dtype dtype;
    size_t shape[2];
    const char *expected;
  } cases[] = {{WEIGHT "_packed", DTYPE_I32, {192, 15}, "expected shape [192, 16], found [192, 15]"},
               {WEIGHT "_packed", DTYPE_I32, {16, 192}, "expected shape [192, 16], found [16, 192]"},
               {WEIGHT "_packed", DTYPE_U8, {192, 64}, "U8 alone"},
               {WEIGHT "_scale", DTYPE_F32, {192, 4}, "expected shape [192, 1], found [192, 4]"},
               {WEIGHT "_scale", DTYPE_F32, {0, 1}, "expected shape [192, 1], found [0, 1]"},
               {WEIGHT "_scale", DTYPE_F16, {192, 1}, "I32 alone"},
               {WEIGHT "_shape", DTYPE_I64, {3, 1}, "expected shape [2], found [3, 1]"},
               {WEIGHT "_shape", DTYPE_I32, {2, 1}, "I32 alone"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    struct model_files *f = files_open(golden);
    files_put(f, cases[i].part, cases[i].dtype, 2, cases[i].shape, NULL);
    files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", WEIGHT, cases[i].expected));
    files_close(f);
  }
}

static void another_shape_is_refused(void **state) {
  (void)state;
  static const int64_t shapes[][2] = {{128, 192}, {192, 127}, {-192, 128}, {0, 0}, {INT64_MAX, 128}};
  for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
    struct model_files *f = files_open(golden);
    memcpy(files_bytes(f, WEIGHT "_shape"), shapes[i], sizeof shapes[i]);
    files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", WEIGHT, "not the matrix's shape"));
    files_close(f);
  }
}

// What would change the meaning of the values is not passed over.
static void other_kinds_of_groups_are_refused(void **state) {
  (void)state;
  struct model_files *f = files_open(golden);
  files_put(f, WEIGHT "_zero_point", DTYPE_I32, 2, (size_t[]){24, 1}, NULL);
  model_close(files_model(f, &engine)); // zeros say nothing
  ((uint8_t *)files_bytes(f, WEIGHT "_zero_point"))[95] = 8;
  files_refuse(f, PARE_DATA, NEEDLES("model.safetensors", WEIGHT "_zero_point", "symmetric"));
  files_close(f);
  f = files_open(golden);
  files_put(f, WEIGHT "_g_idx", DTYPE_I32, 1, (size_t[]){128}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES(WEIGHT "_g_idx", "another order"));
  files_close(f);
}

// A vector has no packed form, whatever tensors there are.
static void packed_vectors_are_missing(void **state) {
  (void)state;
  static const char bias[] = "bert.encoder.layer.0.intermediate.dense.bias";
  struct model_files *f = files_open(golden);
  files_remove(f, bias);
  files_put(f, "bert.encoder.layer.0.intermediate.dense.bias_packed", DTYPE_I32, 1, (size_t[]){24}, NULL);
  files_refuse(f, PARE_DATA, NEEDLES("missing tensor", bias));
  files_close(f);
}

// Rows of 36 and 52: words and groups that end early, in tensors under the usual names.
static void short_rows_are_stored_whole(void **state) {
  (void)state;
  struct model_files *f = files_open("models/bert");
  json_decref(quantize_into(&engine, f, &(struct pare_quantize_options){.scheme = "int4", .even_if_larger = true}));
  char *out = path_join(f->dir.temp, "out");
  struct tensors t;
  must(tensors_open(out, &t, NULL), NULL);
  static const char name[] = "bert.encoder.layer.1.output.dense.weight"; // (36, 52)
  assert_null(tensors_find(&t, name));
  const struct tensor *packed = tensors_find(&t, "bert.encoder.layer.1.output.dense.weight_packed"),
                      *scale = tensors_find(&t, "bert.encoder.layer.1.output.dense.weight_scale"),
                      *shape = tensors_find(&t, "bert.encoder.layer.1.output.dense.weight_shape");
  assert_true(packed && scale && shape && tensors_find(&t, "bert.embeddings.word_embeddings.weight_packed"));
  assert_true(packed->dtype == DTYPE_I32 && packed->shape[0] == 36 && packed->shape[1] == 7);
  assert_true(scale->dtype == DTYPE_F32 && scale->shape[0] == 36 && scale->shape[1] == 1);
  assert_memory_equal(shape->data, ((int64_t[]){36, 52}), 16);
  for (size_t n = 0; n < 36; n++) assert_memory_equal(packed->data + n * 28 + 26, "\0", 2); // past the row's end
  tensors_close(&t);
  free(out);
  files_close(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(missing_parts_are_refused),  cmocka_unit_test(misshapen_parts_are_refused),
      cmocka_unit_test(another_shape_is_refused),   cmocka_unit_test(other_kinds_of_groups_are_refused),
      cmocka_unit_test(packed_vectors_are_missing), cmocka_unit_test(short_rows_are_stored_whole),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
